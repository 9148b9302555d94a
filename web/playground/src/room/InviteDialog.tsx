import { Button } from "@sparkrtc/ui/components/Button";
import { Dialog } from "@sparkrtc/ui/components/Dialog";
import { Notice } from "@sparkrtc/ui/components/Notice";
import { useId, useState } from "react";
import { useWords } from "../useWords.ts";

interface InviteDialogProps {
  room: string;
  /** The link that gives each visitor an identity of their own; `null` when the page has none to give. */
  link: string | null;
  onClose: () => void;
}

/** How a second person gets into this room. */
export function InviteDialog({ room, link, onClose }: InviteDialogProps) {
  const words = useWords();
  return (
    <Dialog title={words.say("inviteTitle")} closeLabel={words.say("close")} onClose={onClose}>
      {link ? (
        <CopyLink link={link} />
      ) : (
        <>
          <p>{words.say("inviteOwnOnly")}</p>
          <pre className="command">
            <code>{`sparkrtc app token APP --room ${quoted(room)} --user NAME`}</code>
          </pre>
        </>
      )}
    </Dialog>
  );
}

function CopyLink({ link }: { link: string }) {
  const words = useWords();
  const id = useId();
  const [outcome, setOutcome] = useState<"copied" | "failed">();
  const { hostname, host } = location;

  const copy = async () => {
    try {
      await navigator.clipboard.writeText(link);
      setOutcome("copied");
    } catch {
      setOutcome("failed");
    }
  };

  return (
    <>
      <p>{words.say("inviteText")}</p>
      <div className="field">
        <label className="field-label" htmlFor={id}>
          {words.say("inviteLinkLabel")}
        </label>
        <div className="copy-row">
          <input
            id={id}
            className="input input-mono"
            readOnly
            value={link}
            onFocus={(event) => event.currentTarget.select()}
          />
          <Button tone="primary" icon="copy" onClick={() => void copy()}>
            {words.say("inviteCopy")}
          </Button>
        </div>
        <p className="field-hint" role="status">
          {outcome === "copied" && words.say("inviteCopied")}
          {outcome === "failed" && words.say("inviteCopyFailed")}
        </p>
      </div>
      {isLoopback(hostname) && (
        <Notice title={words.say("inviteLoopback")}>
          <p>{words.say("inviteLoopbackNext", { host })}</p>
        </Notice>
      )}
    </>
  );
}

function isLoopback(hostname: string): boolean {
  return hostname === "localhost" || hostname === "[::1]" || hostname.startsWith("127.");
}

/** As a shell takes it for one word. */
function quoted(word: string): string {
  return /^[\w.-]+$/.test(word) ? word : `'${word.replaceAll("'", `'\\''`)}'`;
}
