import {
  isTrackReference,
  type TrackReferenceOrPlaceholder,
  useConnectionQualityIndicator,
  useIsMuted,
  useIsSpeaking,
  VideoTrack,
} from "@livekit/components-react";
import { Button, IconButton } from "@sparkrtc/ui/components/Button";
import { Icon } from "@sparkrtc/ui/components/Icon";
import { ConnectionQuality, type Participant, Track } from "livekit-client";
import type { CSSProperties } from "react";
import { useWords, type Words } from "../useWords.ts";
import { nameOf } from "./session.ts";

interface TileProps {
  trackRef: TrackReferenceOrPlaceholder;
  isPinned: boolean;
  onPin: () => void;
  onStopSharing: () => void;
  style?: CSSProperties | undefined;
}

/** One camera or screen with who it is and how they are. */
export function Tile({ trackRef, isPinned, onPin, onStopSharing, style }: TileProps) {
  const words = useWords();
  const { participant, source } = trackRef;
  const isShare = source === Track.Source.ScreenShare;
  const isOwn = participant.isLocal;
  const isSpeaking = useIsSpeaking(participant) && !isShare;
  const isSilent = useIsMuted({ participant, source: Track.Source.Microphone });
  const isDark = useIsMuted(trackRef) || !isTrackReference(trackRef);
  const isPaused =
    trackRef.publication?.track?.streamState === Track.StreamState.Paused && !isDark && !isOwn;
  const caption = captionOf(words, participant, source);

  const classes = ["tile"];
  if (isSpeaking) classes.push("tile-speaking");
  if (isShare) classes.push("tile-share");
  return (
    <li
      className={classes.join(" ")}
      style={style}
      data-identity={participant.identity}
      data-source={source}
    >
      {isShare && isOwn ? (
        <OwnShare onStop={onStopSharing} />
      ) : isDark || !isTrackReference(trackRef) ? (
        <Avatar participant={participant} />
      ) : (
        <VideoTrack
          trackRef={trackRef}
          className={isOwn ? "tile-video mirrored" : "tile-video"}
          aria-label={caption}
        />
      )}
      {isPaused && <p className="tile-paused">{words.say("videoPaused")}</p>}
      <div className="tile-bar">
        {!isShare && isSilent && (
          <span className="tile-muted">
            <Icon name="micOff" />
            <span className="visually-hidden">{words.say("tileMuted")}</span>
          </span>
        )}
        {isSpeaking && (
          <span className="tile-voice">
            <Icon name="speaker" />
            <span className="visually-hidden">{words.say("tileSpeaking")}</span>
          </span>
        )}
        <span className="tile-name">{caption}</span>
        {!isShare && <Quality participant={participant} />}
      </div>
      <IconButton
        icon={isPinned ? "close" : "pin"}
        className="tile-pin"
        label={isPinned ? words.say("unpin") : words.say("pin", { name: caption })}
        onClick={onPin}
      />
    </li>
  );
}

function captionOf(words: Words, participant: Participant, source: Track.Source): string {
  const name = nameOf(participant);
  if (source === Track.Source.ScreenShare) {
    return participant.isLocal ? words.say("tileOwnShare") : words.say("tileSharing", { name });
  }
  return participant.isLocal ? words.say("you", { name }) : name;
}

/** A picture of the own screen inside itself would repeat without end, so a card stands there. */
function OwnShare({ onStop }: { onStop: () => void }) {
  const words = useWords();
  return (
    <div className="tile-card">
      <Icon name="screen" />
      <p>{words.say("tileOwnShare")}</p>
      <Button onClick={onStop}>{words.say("stopSharing")}</Button>
    </div>
  );
}

/** How many of the series colours carry the white initial legibly. */
const AVATAR_COLOURS = 8;

function Avatar({ participant }: { participant: Participant }) {
  const name = nameOf(participant);
  const [initial = "?"] = name.trim().toUpperCase();
  let sum = 0;
  for (const character of participant.identity) sum += character.codePointAt(0) ?? 0;
  return (
    <div className="tile-card" aria-hidden="true">
      <span className={`avatar avatar-${sum % AVATAR_COLOURS}`}>{initial}</span>
    </div>
  );
}

const BARS: Record<ConnectionQuality, number> = {
  [ConnectionQuality.Excellent]: 3,
  [ConnectionQuality.Good]: 2,
  [ConnectionQuality.Poor]: 1,
  [ConnectionQuality.Lost]: 0,
  [ConnectionQuality.Unknown]: 0,
};

/** Connection quality as three bars, and in words. */
export function Quality({ participant }: { participant: Participant }) {
  const words = useWords();
  const { quality } = useConnectionQualityIndicator({ participant });
  const label = words.say(`quality_${quality}`);
  return (
    <span className={`quality quality-${quality}`} title={label}>
      <svg viewBox="0 0 12 12" aria-hidden="true" focusable="false">
        {[0, 1, 2].map((bar) => (
          <rect
            key={bar}
            x={bar * 4.5}
            y={8 - bar * 4}
            width="3"
            height={4 + bar * 4}
            rx="1"
            opacity={bar < BARS[quality] ? 1 : 0.3}
          />
        ))}
      </svg>
      <span className="visually-hidden">{label}</span>
    </span>
  );
}
