import { Button } from "@sparkrtc/ui/components/Button";
import { useEffect, useRef } from "react";
import { type Ending, nextStep } from "./ending.ts";
import { Frame } from "./Frame.tsx";
import { useWords } from "./useWords.ts";

interface EndPageProps {
  ending: Ending;
  onRejoin: () => void;
}

/** Says why the person is not in the room, and what to do next. */
export function EndPage({ ending, onRejoin }: EndPageProps) {
  const words = useWords();
  const heading = useRef<HTMLHeadingElement>(null);
  const title = words.say(`ended_${ending.reason}`);

  useEffect(() => {
    heading.current?.focus();
  }, []);

  useEffect(() => {
    document.title = `${title} – ${words.say("appName")}`;
  }, [title, words]);

  const rejoin = (
    <Button
      tone={nextStep(ending.reason) === "rejoin" ? "primary" : "plain"}
      size="large"
      onClick={onRejoin}
    >
      {words.say(
        ending.reason === "left" || nextStep(ending.reason) === "rejoin" ? "rejoin" : "tryAgain",
      )}
    </Button>
  );
  const otherLink = (
    <Button
      tone={nextStep(ending.reason) === "other_link" ? "primary" : "plain"}
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
          {nextStep(ending.reason) === "rejoin" ? [rejoin, otherLink] : [otherLink, rejoin]}
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
