import { type Room, Track } from "livekit-client";
import { useEffect, useRef, useState } from "react";
import { useWords } from "../useWords.ts";
import { nameOf } from "./session.ts";
import { kilobitsPerSecond, rowsOf, type StreamRow } from "./stats.ts";

/** Milliseconds between two looks; browsers refresh their own counters about once a second. */
const PERIOD_MS = 2_000;

interface ShownRow extends StreamRow {
  who: string;
  kilobits: number | undefined;
}

/** What is sent and received right now, for those who want to know. */
export function ConnectionTable({ room }: { room: Room }) {
  const words = useWords();
  const [rows, setRows] = useState<readonly ShownRow[]>([]);
  const last = useRef(new Map<string, StreamRow>());

  useEffect(() => {
    let isOver = false;
    const look = async () => {
      const shown = await readRows(room, last.current);
      if (!isOver) setRows(shown);
    };
    void look();
    const timer = setInterval(() => void look(), PERIOD_MS);
    return () => {
      isOver = true;
      clearInterval(timer);
    };
  }, [room]);

  return (
    <div className="table-scroll">
      <table className="stats">
        <caption>{words.say("statsTitle")}</caption>
        <tbody>
          {rows.map((row) => (
            <tr key={`${row.who}/${row.id}`}>
              <th scope="row">
                {words.say(row.direction === "sent" ? "statsSent" : "statsReceived")}
              </th>
              <td>{row.who}</td>
              <td>{[row.codec, row.rid].filter(Boolean).join(" ") || words.say("statsNone")}</td>
              <td>
                {row.frameWidth
                  ? `${row.frameWidth} × ${row.frameHeight}, ${Math.round(row.framesPerSecond ?? 0)} fps`
                  : ""}
              </td>
              <td className="number">
                {row.kilobits === undefined ? words.say("statsNone") : `${row.kilobits} kbit/s`}
              </td>
            </tr>
          ))}
        </tbody>
      </table>
    </div>
  );
}

async function readRows(room: Room, last: Map<string, StreamRow>): Promise<ShownRow[]> {
  const shown: ShownRow[] = [];
  for (const who of [room.localParticipant, ...room.remoteParticipants.values()]) {
    for (const publication of who.trackPublications.values()) {
      const report = await publication.track?.getRTCStatsReport().catch(() => undefined);
      const source = publication.source === Track.Source.ScreenShare ? " (screen)" : "";
      for (const row of report ? rowsOf(report) : []) {
        const key = `${publication.trackSid}/${row.id}`;
        shown.push({
          ...row,
          id: key,
          who: nameOf(who) + source,
          kilobits: kilobitsPerSecond(last.get(key), row),
        });
        last.set(key, row);
      }
    }
  }
  return shown;
}
