import { useLocalParticipant } from "@livekit/components-react";
import { Icon, type IconName } from "@sparkrtc/ui/components/Icon";
import type { Sources } from "../invitation.ts";
import { useWords } from "../useWords.ts";
import type { Session } from "./session.ts";

export type Panel = "chat" | "people";

interface ControlsProps {
  session: Session;
  sources: Sources;
  panel: Panel | undefined;
  unread: number;
  onPanel: (panel: Panel) => void;
  onSettings: () => void;
}

/** The row of buttons below the call. */
export function Controls({ session, sources, panel, unread, onPanel, onSettings }: ControlsProps) {
  const words = useWords();
  const { isMicrophoneEnabled, isCameraEnabled, isScreenShareEnabled } = useLocalParticipant({
    room: session.room,
  });
  const canShare = sources.screen && navigator.mediaDevices?.getDisplayMedia !== undefined;
  return (
    <section className="controls" aria-label={words.say("controls")}>
      {sources.microphone && (
        <Control
          icon={isMicrophoneEnabled ? "mic" : "micOff"}
          look={isMicrophoneEnabled ? "plain" : "off"}
          label={words.say(isMicrophoneEnabled ? "mute" : "unmute")}
          onClick={() => void session.setMicrophone(!isMicrophoneEnabled)}
        />
      )}
      {sources.camera && (
        <Control
          icon={isCameraEnabled ? "camera" : "cameraOff"}
          look={isCameraEnabled ? "plain" : "off"}
          label={words.say(isCameraEnabled ? "cameraOff" : "cameraOn")}
          onClick={() => void session.setCamera(!isCameraEnabled)}
        />
      )}
      {canShare && (
        <Control
          icon={isScreenShareEnabled ? "screenOff" : "screen"}
          look={isScreenShareEnabled ? "on" : "plain"}
          label={words.say(isScreenShareEnabled ? "stopSharing" : "shareScreen")}
          onClick={() => void session.setScreen(!isScreenShareEnabled)}
        />
      )}
      <Control
        icon="chat"
        look={panel === "chat" ? "on" : "plain"}
        isPressed={panel === "chat"}
        label={unread > 0 ? words.count("chatUnread", unread) : words.say("chat")}
        badge={unread}
        onClick={() => onPanel("chat")}
      />
      <Control
        icon="people"
        look={panel === "people" ? "on" : "plain"}
        isPressed={panel === "people"}
        label={words.say("peopleTitle")}
        onClick={() => onPanel("people")}
      />
      <Control icon="settings" label={words.say("settingsTitle")} onClick={onSettings} />
      <Control icon="leave" look="leave" label={words.say("leave")} onClick={session.leave} />
    </section>
  );
}

interface ControlProps {
  icon: IconName;
  label: string;
  look?: "plain" | "on" | "off" | "leave";
  isPressed?: boolean;
  badge?: number;
  onClick: () => void;
}

function Control({ icon, label, look = "plain", isPressed, badge = 0, onClick }: ControlProps) {
  return (
    <button
      type="button"
      className={`round round-${look}`}
      aria-label={label}
      aria-pressed={isPressed}
      title={label}
      onClick={onClick}
    >
      <Icon name={icon} />
      {badge > 0 && (
        <span className="badge" aria-hidden="true">
          {badge > 99 ? "99+" : badge}
        </span>
      )}
    </button>
  );
}
