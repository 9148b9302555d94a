import { useIsMuted, useIsSpeaking } from "@livekit/components-react";
import { Icon } from "@sparkrtc/ui/components/Icon";
import { type Participant, Track } from "livekit-client";
import { useWords } from "../useWords.ts";
import { nameOf } from "./session.ts";
import { Quality } from "./Tile.tsx";

/** Who is in the room, oneself first, the others by name. */
export function People({ participants }: { participants: readonly Participant[] }) {
  const ordered = [...participants].sort(
    (a, b) => Number(b.isLocal) - Number(a.isLocal) || nameOf(a).localeCompare(nameOf(b)),
  );
  return (
    <ul className="people">
      {ordered.map((participant) => (
        <Person key={participant.identity} participant={participant} />
      ))}
    </ul>
  );
}

function Person({ participant }: { participant: Participant }) {
  const words = useWords();
  const isSpeaking = useIsSpeaking(participant);
  const isSilent = useIsMuted({ participant, source: Track.Source.Microphone });
  const name = nameOf(participant);
  return (
    <li className={isSpeaking ? "person person-speaking" : "person"}>
      <span className="person-name">
        <span>{participant.isLocal ? words.say("you", { name }) : name}</span>
        {participant.identity !== name && <code>{participant.identity}</code>}
      </span>
      {isSilent && (
        <span title={words.say("tileMuted")}>
          <Icon name="micOff" />
          <span className="visually-hidden">{words.say("tileMuted")}</span>
        </span>
      )}
      {isSpeaking && <span className="visually-hidden">{words.say("tileSpeaking")}</span>}
      <Quality participant={participant} />
    </li>
  );
}
