import type { ReceivedChatMessage } from "@livekit/components-react";
import { Icon } from "@sparkrtc/ui/components/Icon";
import { languageTag } from "@sparkrtc/ui/language";
import { type FormEvent, type KeyboardEvent, useEffect, useRef, useState } from "react";
import { useWords } from "../useWords.ts";
import { nameOf } from "./session.ts";

interface ChatProps {
  messages: readonly ReceivedChatMessage[];
  canWrite: boolean;
  onSend: (text: string) => Promise<unknown>;
}

/** Messages of this stay, and a line to write one. */
export function Chat({ messages, canWrite, onSend }: ChatProps) {
  const words = useWords();
  const [text, setText] = useState("");
  const [hasFailed, setFailed] = useState(false);
  const end = useRef<HTMLDivElement>(null);
  const count = messages.length;

  useEffect(() => {
    if (count > 0) end.current?.scrollIntoView({ block: "end" });
  }, [count]);

  const send = async () => {
    const message = text.trim();
    if (!message) return;
    setText("");
    setFailed(false);
    try {
      await onSend(message);
    } catch {
      setText(message);
      setFailed(true);
    }
  };
  const submit = (event: FormEvent) => {
    event.preventDefault();
    void send();
  };
  const sendOnEnter = (event: KeyboardEvent) => {
    // While an input method composes (Chinese), Enter chooses a word.
    if (event.key !== "Enter" || event.shiftKey || event.nativeEvent.isComposing) return;
    event.preventDefault();
    void send();
  };

  return (
    <div className="chat">
      <div className="chat-scroll" role="log" aria-label={words.say("chat")}>
        {count === 0 && <p className="empty">{words.say("chatEmpty")}</p>}
        <ul className="chat-list">
          {messages.map((message) => (
            <Message key={message.id} message={message} />
          ))}
        </ul>
        <div ref={end} />
      </div>
      {hasFailed && (
        <p className="chat-failed" role="alert">
          {words.say("chatFailed")}
        </p>
      )}
      {canWrite ? (
        <form className="chat-form" onSubmit={submit}>
          <textarea
            className="input"
            rows={2}
            maxLength={4000}
            aria-label={words.say("chatInput")}
            placeholder={words.say("chatInput")}
            value={text}
            onChange={(event) => setText(event.target.value)}
            onKeyDown={sendOnEnter}
          />
          <button
            type="submit"
            className="button button-primary button-icon"
            disabled={!text.trim()}
            aria-label={words.say("chatSend")}
            title={words.say("chatSend")}
          >
            <Icon name="send" />
          </button>
        </form>
      ) : (
        <p className="empty">{words.say("chatNotAllowed")}</p>
      )}
    </div>
  );
}

function Message({ message }: { message: ReceivedChatMessage }) {
  const words = useWords();
  const name = message.from ? nameOf(message.from) : "";
  const at = new Date(message.timestamp);
  return (
    <li className="message">
      <p className="message-head">
        <span className="message-from">
          {message.from?.isLocal ? words.say("you", { name }) : name}
        </span>
        <time dateTime={at.toISOString()}>
          {at.toLocaleTimeString(languageTag(words.language), {
            hour: "2-digit",
            minute: "2-digit",
          })}
        </time>
      </p>
      <p className="message-text">{message.message}</p>
    </li>
  );
}
