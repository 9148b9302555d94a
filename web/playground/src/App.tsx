import { useStore } from "@sparkrtc/ui/useStore";
import { lazy, Suspense, useCallback, useEffect, useState, useSyncExternalStore } from "react";
import { type Choices, saveChoices } from "./choices.ts";
import { EndPage } from "./EndPage.tsx";
import type { Ending } from "./ending.ts";
import { Frame } from "./Frame.tsx";
import { type Invitation, parseFragment, signallingUrl } from "./invitation.ts";
import { Lobby } from "./lobby/Lobby.tsx";
import { Welcome } from "./lobby/Welcome.tsx";
import { settings, storage } from "./page.ts";
import type { Session } from "./room/session.ts";
import { endingOfNoAnswer, Refused, requestDemoTicket, type Ticket } from "./ticket.ts";
import { useWords } from "./useWords.ts";

/** The call itself, LiveKit's client included, is a second file: the lobby shows without it. */
async function loadRoom() {
  const [{ RoomPage }, { openSession }] = await Promise.all([
    import("./room/RoomPage.tsx"),
    import("./room/session.ts"),
  ]);
  return { RoomPage, openSession };
}

const RoomPage = lazy(async () => ({ default: (await loadRoom()).RoomPage }));

type View =
  | { kind: "lobby" }
  | { kind: "joining" }
  | { kind: "room"; session: Session; last: Wish }
  | { kind: "ended"; ending: Ending; last: Wish };

/** What somebody asked for by pressing *Join*. */
interface Wish {
  choices: Choices;
  room: string;
}

export function App() {
  const fragment = useSyncExternalStore(watchFragment, () => location.hash);
  const invitation = parseFragment(fragment, location.origin);
  const key = invitation.kind === "token" ? invitation.token : fragment;
  // Another link is another page: nothing of the former may stay.
  return <Visit key={key} invitation={invitation} />;
}

function Visit({ invitation }: { invitation: Invitation }) {
  const [view, setView] = useState<View>({ kind: "lobby" });
  const current = useStore(settings);
  const words = useWords();

  useEffect(() => {
    if (invitation.kind === "token" || invitation.kind === "demo") void loadRoom().catch(() => {});
  }, [invitation.kind]);

  useEffect(() => {
    if (view.kind !== "room") return;
    const { session } = view;
    window.addEventListener("hashchange", session.leave);
    const stopWatching = session.watchEnd((ending) =>
      setView({ kind: "ended", ending, last: view.last }),
    );
    return () => {
      window.removeEventListener("hashchange", session.leave);
      stopWatching();
    };
  }, [view]);

  const join = useCallback(
    async (wish: Wish) => {
      const { choices, room } = wish;
      saveChoices(storage, choices);
      setView({ kind: "joining" });
      // The person may open another link while this one is on its way.
      const link = location.hash;
      try {
        const ticket = await ticketOf(invitation, choices.name, room);
        const { openSession } = await loadRoom();
        if (location.hash !== link) return;
        setView({ kind: "room", session: openSession(ticket, choices, current), last: wish });
      } catch (error) {
        const ending = error instanceof Refused ? error.ending : endingOfNoAnswer(error);
        setView({ kind: "ended", ending, last: wish });
      }
    },
    [invitation, current],
  );

  if (view.kind === "room") {
    const inviteLink = invitation.kind === "demo" ? linkOf(invitation, view.session.ticket) : null;
    return (
      <Suspense fallback={<Frame>{words.say("loading")}</Frame>}>
        <RoomPage session={view.session} inviteLink={inviteLink} />
      </Suspense>
    );
  }
  if (view.kind === "ended") {
    return <EndPage ending={view.ending} onAgain={() => void join(view.last)} />;
  }
  if (invitation.kind === "none" || invitation.kind === "unreadable") {
    return <Welcome invitation={invitation} />;
  }
  return <Lobby invitation={invitation} isJoining={view.kind === "joining"} onJoin={join} />;
}

async function ticketOf(invitation: Invitation, name: string, room: string): Promise<Ticket> {
  switch (invitation.kind) {
    case "token": {
      const { token, url, claims } = invitation;
      const { identity, sources } = claims;
      return { url, token, room: claims.room, identity, name: claims.name, sources };
    }
    case "demo": {
      const url = signallingUrl(null, location.origin);
      if (!url) throw new Error("invariant: a page that was loaded has an http origin");
      return requestDemoTicket({ invite: invitation.invite, room, name }, url);
    }
    case "none":
    case "unreadable":
      throw new Error("invariant: without an invitation there is no join button");
  }
}

/** The link a second person can open: same invitation, same room. */
function linkOf(invitation: Invitation & { kind: "demo" }, ticket: Ticket): string {
  const fields = new URLSearchParams({ demo: invitation.invite, room: ticket.room });
  return `${location.origin}${location.pathname}#${fields}`;
}

function watchFragment(listener: () => void): () => void {
  window.addEventListener("hashchange", listener);
  return () => window.removeEventListener("hashchange", listener);
}
