import { Button } from "@sparkrtc/ui/components/Button";
import { useEffect, useRef } from "react";
import { type Ending, nextStep } from "./ending.ts";
import { Frame } from "./Frame.tsx";
import { useWords } from "./useWords.ts";

interface EndPageProps {
  ending: Ending;
  onAgain: () => void;
}

/** Says why the person is not in the room, and what to do next. */
export function EndPage({ ending, onAgain }: EndPageProps) {
  const words = useWords();
  const heading = useRef<HTMLHeadingElement>(null);
  const title = words.say(`ended_${ending.reason}`);

  useEffect(() => {
    heading.current?.focus();
  }, []);

  useEffect(() => {
    document.title = `${title} – ${words.say("appName")}`;
  }, [title, words]);

  const step = nextStep(ending.reason);
  const again = (
    <Button
      key="again"
      tone={step === "other_link" ? "plain" : "primary"}
      size="large"
      onClick={onAgain}
    >
      {words.say(step === "rejoin" ? "rejoin" : "tryAgain")}
    </Button>
  );
  const otherLink = (
    <Button
      key="other-link"
      tone={step === "other_link" ? "primary" : "plain"}
      size="large"
      onClick={() => {
        location.hash = "";
      }}
    >
      {words.say("otherLink")}
    </Button>
  );

  return (
    <Frame>
      <section className="end" data-reason={ending.reason}>
        <h1 ref={heading} tabIndex={-1}>
          {title}
        </h1>
        <p className="lead">{words.say(`ended_${ending.reason}_next`)}</p>
        <div className="actions">
          {step === "other_link" ? [otherLink, again] : [again, otherLink]}
        </div>
        {(ending.detail || ending.requestId) && (
          <details className="end-details">
            <summary>{words.say("endedDetails")}</summary>
            {ending.detail && (
              <p>
                <code>{ending.detail}</code>
              </p>
            )}
            {ending.requestId && (
              <p>
                {words.say("endedRequestId")}: <code>{ending.requestId}</code>
              </p>
            )}
          </details>
        )}
      </section>
    </Frame>
  );
}
