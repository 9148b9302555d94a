import "./room.css";
import {
  RoomAudioRenderer,
  RoomContext,
  useAudioPlayback,
  useChat,
  useLocalParticipantPermissions,
  useParticipants,
} from "@livekit/components-react";
import { Button, IconButton } from "@sparkrtc/ui/components/Button";
import { Notice } from "@sparkrtc/ui/components/Notice";
import { useStore } from "@sparkrtc/ui/useStore";
import { useEffect, useState } from "react";
import { Frame, PageSwitches } from "../Frame.tsx";
import { useWords } from "../useWords.ts";
import { Chat } from "./Chat.tsx";
import { Controls, type Panel } from "./Controls.tsx";
import { InviteDialog } from "./InviteDialog.tsx";
import { NewsFeed } from "./NewsFeed.tsx";
import { People } from "./People.tsx";
import { sourcesNow } from "./permissions.ts";
import { SettingsDialog } from "./SettingsDialog.tsx";
import { Stage } from "./Stage.tsx";
import type { Session } from "./session.ts";

interface RoomPageProps {
  session: Session;
  inviteLink: string | null;
}

/** The call. */
export function RoomPage({ session, inviteLink }: RoomPageProps) {
  const words = useWords();
  const phase = useStore(session.phase);
  const room = session.ticket.room;

  useEffect(() => {
    document.title = `${words.say("roomHeading", { room })} – ${words.say("appName")}`;
  }, [room, words]);

  if (phase.kind === "connecting") {
    return (
      <Frame>
        <section className="end">
          <h1 role="status">{words.say("connecting", { room })}</h1>
          <div className="progress" />
          <div className="actions">
            <Button size="large" onClick={session.leave}>
              {words.say("cancel")}
            </Button>
          </div>
        </section>
      </Frame>
    );
  }
  return (
    <RoomContext.Provider value={session.room}>
      <Call
        session={session}
        inviteLink={inviteLink}
        isReconnecting={phase.kind === "reconnecting"}
      />
    </RoomContext.Provider>
  );
}

interface CallProps extends RoomPageProps {
  isReconnecting: boolean;
}

function Call({ session, inviteLink, isReconnecting }: CallProps) {
  const words = useWords();
  const participants = useParticipants();
  const { chatMessages, send } = useChat();
  const sources = sourcesNow(useLocalParticipantPermissions(), session.ticket.sources);
  const [panel, setPanel] = useState<Panel>();
  const [dialog, setDialog] = useState<"invite" | "settings">();
  const [readCount, setReadCount] = useState(0);
  const room = session.ticket.room;
  const unread = panel === "chat" ? 0 : chatMessages.length - readCount;

  useEffect(() => {
    if (panel === "chat") setReadCount(chatMessages.length);
  }, [panel, chatMessages.length]);

  return (
    <div className="call">
      <header className="call-head">
        <h1 className="call-title">{words.say("roomHeading", { room })}</h1>
        <span className="call-count">{words.count("people", participants.length)}</span>
        <Button
          tone="quiet"
          icon="invite"
          className="call-invite"
          onClick={() => setDialog("invite")}
        >
          {words.say("inviteTitle")}
        </Button>
        <PageSwitches />
      </header>
      <main className="call-main">
        <div className="call-stage">
          <Banners session={session} isReconnecting={isReconnecting} />
          {participants.length === 1 && (
            <Notice title={words.say("aloneTitle")}>
              <p>{words.say(inviteLink ? "aloneText" : "aloneTextNoInvite")}</p>
            </Notice>
          )}
          <Stage onStopSharing={() => void session.setScreen(false)} />
          <NewsFeed session={session} />
        </div>
        {panel && (
          <aside
            className="panel"
            aria-label={words.say(panel === "chat" ? "chat" : "peopleTitle")}
          >
            <div className="panel-head">
              <h2>{words.say(panel === "chat" ? "chat" : "peopleTitle")}</h2>
              <IconButton
                icon="close"
                label={words.say("close")}
                onClick={() => setPanel(undefined)}
              />
            </div>
            {panel === "chat" ? (
              <Chat messages={chatMessages} canWrite={sources.chat} onSend={send} />
            ) : (
              <People participants={participants} />
            )}
          </aside>
        )}
      </main>
      <footer className="call-foot">
        <Controls
          session={session}
          sources={sources}
          panel={panel}
          unread={unread}
          onPanel={(wanted) => setPanel(panel === wanted ? undefined : wanted)}
          onSettings={() => setDialog("settings")}
        />
      </footer>
      <RoomAudioRenderer />
      {dialog === "invite" && (
        <InviteDialog room={room} link={inviteLink} onClose={() => setDialog(undefined)} />
      )}
      {dialog === "settings" && (
        <SettingsDialog session={session} onClose={() => setDialog(undefined)} />
      )}
    </div>
  );
}

function Banners({ session, isReconnecting }: { session: Session; isReconnecting: boolean }) {
  const words = useWords();
  const { canPlayAudio, startAudio } = useAudioPlayback(session.room);
  return (
    <>
      {isReconnecting && <Notice tone="warn" title={words.say("reconnecting")} />}
      {!canPlayAudio && (
        <Notice tone="warn" title={words.say("soundBlocked")}>
          <p className="notice-actions">
            <Button tone="primary" icon="speaker" onClick={() => void startAudio()}>
              {words.say("soundStart")}
            </Button>
          </p>
        </Notice>
      )}
    </>
  );
}
