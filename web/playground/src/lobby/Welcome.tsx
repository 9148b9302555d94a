import { Button } from "@sparkrtc/ui/components/Button";
import { Notice } from "@sparkrtc/ui/components/Notice";
import { type FormEvent, useEffect, useId, useState } from "react";
import { Frame } from "../Frame.tsx";
import { fragmentOfPaste, type Invitation } from "../invitation.ts";
import { useWords } from "../useWords.ts";

const TOKEN_COMMAND = "sparkrtc app token APP --room ROOM --user NAME";

interface WelcomeProps {
  invitation: Invitation & { kind: "none" | "unreadable" };
}

/** For those who come without a usable link: how to get one, and a place to paste it. */
export function Welcome({ invitation }: WelcomeProps) {
  const words = useWords();
  const id = useId();
  const [text, setText] = useState("");
  const [isRefused, setRefused] = useState(false);

  useEffect(() => {
    document.title = `${words.say("welcomeTitle")} – ${words.say("appName")}`;
  }, [words]);

  const submit = (event: FormEvent) => {
    event.preventDefault();
    const fragment = fragmentOfPaste(text);
    setRefused(!fragment);
    if (fragment) location.hash = fragment;
  };

  return (
    <Frame>
      <section className="welcome">
        <h1>{words.say("welcomeTitle")}</h1>
        {invitation.kind === "unreadable" && (
          <Notice
            tone="bad"
            title={words.say(
              invitation.what === "token" ? "linkUnreadableToken" : "linkUnreadableUrl",
            )}
          >
            <p>{words.say("linkUnreadableNext")}</p>
          </Notice>
        )}
        <p className="lead">{words.say("welcomeText")}</p>
        <form className="stack" onSubmit={submit}>
          <div className="field">
            <label className="field-label" htmlFor={id}>
              {words.say("pasteLabel")}
            </label>
            <textarea
              id={id}
              className="input input-mono"
              rows={4}
              spellCheck={false}
              autoComplete="off"
              value={text}
              aria-describedby={`${id}-hint`}
              aria-invalid={isRefused}
              onChange={(event) => {
                setText(event.target.value);
                setRefused(false);
              }}
            />
            <span id={`${id}-hint`} className="field-hint">
              {words.say("pasteHint")}
            </span>
          </div>
          {isRefused && (
            <Notice tone="bad" title={words.say("pasteUnreadable")}>
              <p>{words.say("pasteUnreadableNext")}</p>
            </Notice>
          )}
          <div className="actions">
            <Button tone="primary" size="large" submits disabled={text.trim() === ""}>
              {words.say("pasteButton")}
            </Button>
          </div>
        </form>
        <div className="stack aside">
          <p>{words.say("welcomeMakeToken")}</p>
          <pre className="command">
            <code>{TOKEN_COMMAND}</code>
          </pre>
        </div>
      </section>
    </Frame>
  );
}
