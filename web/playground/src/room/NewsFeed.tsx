import { useEffect, useState } from "react";
import { useWords, type Words } from "../useWords.ts";
import type { RoomNews, Session } from "./session.ts";

/** Milliseconds that a line stays: long enough to read twice. */
const SHOWN_MS = 6_000;
/** Lines at once; older ones make room. */
const LINES_MAX = 3;

interface Line {
  id: number;
  news: RoomNews;
}

/** Short lines about who came, went or shares; spoken by screen readers, gone by themselves. */
export function NewsFeed({ session }: { session: Session }) {
  const words = useWords();
  const [lines, setLines] = useState<readonly Line[]>([]);

  useEffect(() => {
    let next = 0;
    const timers = new Set<ReturnType<typeof setTimeout>>();
    const stop = session.watchNews((news) => {
      const id = next++;
      setLines((before) => [...before, { id, news }].slice(-LINES_MAX));
      timers.add(
        setTimeout(() => setLines((before) => before.filter((line) => line.id !== id)), SHOWN_MS),
      );
    });
    return () => {
      stop();
      for (const timer of timers) clearTimeout(timer);
    };
  }, [session]);

  return (
    <ul className="news" aria-live="polite">
      {lines.map(({ id, news }) => (
        <li key={id} className={news.kind === "trouble" ? "news-line news-bad" : "news-line"}>
          {sentenceOf(words, news)}
        </li>
      ))}
    </ul>
  );
}

const TROUBLE_TITLES = {
  camera: "troubleTitleCamera",
  microphone: "troubleTitleMic",
  screen: "troubleTitleScreen",
} as const;

function sentenceOf(words: Words, news: RoomNews): string {
  switch (news.kind) {
    case "joined":
      return words.say("eventJoined", { name: news.name });
    case "left":
      return words.say("eventLeft", { name: news.name });
    case "share_started":
      return words.say("eventShareStarted", { name: news.name });
    case "share_ended":
      return words.say("eventShareEnded", { name: news.name });
    case "reconnected":
      return words.say("reconnected");
    case "muted_by_server":
      return words.say("eventMutedByServer");
    case "share_without_sound":
      return words.say("shareNoAudio");
    case "trouble":
      return `${words.say(TROUBLE_TITLES[news.device])} ${words.say(`trouble_${news.trouble}`)}`;
  }
}
