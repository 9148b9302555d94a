import { Button } from "@sparkrtc/ui/components/Button";
import { CheckField, SelectField, TextField } from "@sparkrtc/ui/components/Field";
import { Notice } from "@sparkrtc/ui/components/Notice";
import { useStore } from "@sparkrtc/ui/useStore";
import { type FormEvent, useEffect, useState } from "react";
import { type Choices, loadChoices } from "../choices.ts";
import { Frame } from "../Frame.tsx";
import { ALL_SOURCES, type Invitation, isExpired } from "../invitation.ts";
import { settings, storage } from "../page.ts";
import { CODECS } from "../settings.ts";
import { useWords } from "../useWords.ts";
import { DeviceCheck } from "./DeviceCheck.tsx";

const DEFAULT_ROOM = "demo";

interface LobbyProps {
  invitation: Invitation & { kind: "token" | "demo" };
  isJoining: boolean;
  onJoin: (wish: { choices: Choices; room: string }) => void;
}

/** The step before the call: who, where, and do camera and microphone work. */
export function Lobby({ invitation, isJoining, onJoin }: LobbyProps) {
  const words = useWords();
  const [choices, setChoices] = useState(() => loadChoices(storage));
  const [room, setRoom] = useState(roomOf(invitation));
  const sources = invitation.kind === "token" ? invitation.claims.sources : ALL_SOURCES;
  const title =
    invitation.kind === "token" ? words.say("lobbyTitle", { room }) : words.say("lobbyDemoTitle");

  useEffect(() => {
    document.title = `${title} – ${words.say("appName")}`;
  }, [title, words]);

  const submit = (event: FormEvent) => {
    event.preventDefault();
    onJoin({ choices: { ...choices, name: choices.name.trim() }, room: room.trim() });
  };

  return (
    <Frame>
      <form className="lobby" onSubmit={submit}>
        <DeviceCheck
          sources={sources}
          choices={choices}
          onChange={(change) => setChoices((before) => ({ ...before, ...change }))}
        />
        <section className="lobby-join stack">
          <h1>{title}</h1>
          {invitation.kind === "token" ? (
            <TokenFacts invitation={invitation} />
          ) : (
            <>
              <TextField
                label={words.say("nameLabel")}
                hint={words.say("nameHint")}
                name="name"
                autoComplete="nickname"
                required
                maxLength={64}
                value={choices.name}
                onChange={(event) => setChoices({ ...choices, name: event.target.value })}
                {...sentenceWhenEmpty(words.say("nameMissing"))}
              />
              <TextField
                label={words.say("roomLabel")}
                hint={words.say("roomHint")}
                name="room"
                autoComplete="off"
                spellCheck={false}
                required
                maxLength={64}
                value={room}
                onChange={(event) => setRoom(event.target.value)}
                {...sentenceWhenEmpty(words.say("roomMissing"))}
              />
            </>
          )}
          <Button tone="primary" size="large" submits disabled={isJoining}>
            {words.say(isJoining ? "joining" : "joinButton")}
          </Button>
          <AdvancedSettings />
        </section>
      </form>
    </Frame>
  );
}

function TokenFacts({ invitation }: { invitation: Invitation & { kind: "token" } }) {
  const words = useWords();
  const { claims, url } = invitation;
  const host = new URL(url).host;
  return (
    <div className="stack">
      <p className="lead">{words.say("lobbyJoiningAs", { name: claims.name })}</p>
      {host !== location.host && <p>{words.say("lobbyServer", { host })}</p>}
      {claims.expiresAt !== undefined && isExpired(claims, Date.now() / 1000) && (
        <Notice tone="warn" title={words.say("tokenLooksExpired")}>
          <p>{words.say("tokenLooksExpiredNext", { when: words.moment(claims.expiresAt) })}</p>
        </Notice>
      )}
    </div>
  );
}

/** For those who test: codec, simulcast and connections. */
function AdvancedSettings() {
  const words = useWords();
  const current = useStore(settings);
  return (
    <details className="advanced">
      <summary>{words.say("advanced")}</summary>
      <div className="stack">
        <SelectField
          label={words.say("codecLabel")}
          name="codec"
          value={current.codec}
          onChange={(event) => {
            const codec = CODECS.find((known) => known === event.target.value);
            if (codec) settings.write({ ...current, codec });
          }}
        >
          {CODECS.map((codec) => (
            <option key={codec} value={codec}>
              {codec.toUpperCase()}
            </option>
          ))}
        </SelectField>
        <CheckField
          label={words.say("simulcastLabel")}
          name="simulcast"
          checked={current.simulcast}
          onChange={(simulcast) => settings.write({ ...current, simulcast })}
        />
        <CheckField
          label={words.say("singlePeerConnectionLabel")}
          name="single-pc"
          checked={current.peerConnections === "single"}
          onChange={(isSingle) =>
            settings.write({ ...current, peerConnections: isSingle ? "single" : "dual" })
          }
        />
        <p className="field-hint">{words.say("advancedHint")}</p>
      </div>
    </details>
  );
}

function roomOf(invitation: LobbyProps["invitation"]): string {
  return invitation.kind === "token" ? invitation.claims.room : (invitation.room ?? DEFAULT_ROOM);
}

/** The browser's own check of required fields, in the page's language. */
function sentenceWhenEmpty(sentence: string) {
  return {
    pattern: ".*\\S.*",
    onInvalid: (event: FormEvent<HTMLInputElement>) =>
      event.currentTarget.setCustomValidity(sentence),
    onInput: (event: FormEvent<HTMLInputElement>) => event.currentTarget.setCustomValidity(""),
  };
}
