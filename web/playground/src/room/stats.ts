/** One row per sent encoding and received track, from `getStats`. Names follow W3C webrtc-stats. */

export interface StreamRow {
  id: string;
  direction: "sent" | "received";
  kind: string;
  /** As in SDP, without its kind: `VP8`, `opus`. */
  codec: string | undefined;
  rid: string | undefined;
  frameWidth: number | undefined;
  frameHeight: number | undefined;
  framesPerSecond: number | undefined;
  bytes: number;
  /** Milliseconds of the report's clock, to tell rates from two reports. */
  timestamp: number;
}

/** Rows of a report, outbound ones first, in the order of the report. */
export function rowsOf(report: Iterable<[string, unknown]>): StreamRow[] {
  const entries = new Map<string, Record<string, unknown>>();
  for (const [id, entry] of report) {
    if (typeof entry === "object" && entry !== null) entries.set(id, { ...entry });
  }
  const rows: StreamRow[] = [];
  for (const [id, entry] of entries) {
    const direction =
      entry.type === "outbound-rtp"
        ? "sent"
        : entry.type === "inbound-rtp"
          ? "received"
          : undefined;
    if (!direction) continue;
    const codec = entries.get(text(entry.codecId) ?? "");
    rows.push({
      id,
      direction,
      kind: text(entry.kind) ?? "",
      codec: text(codec?.mimeType)?.split("/")[1],
      rid: text(entry.rid),
      frameWidth: number(entry.frameWidth),
      frameHeight: number(entry.frameHeight),
      framesPerSecond: number(entry.framesPerSecond),
      bytes: number(direction === "sent" ? entry.bytesSent : entry.bytesReceived) ?? 0,
      timestamp: number(entry.timestamp) ?? 0,
    });
  }
  return rows.sort((a, b) => b.direction.localeCompare(a.direction));
}

/** Kilobits per second between two rows of one stream; `undefined` without a time between them. */
export function kilobitsPerSecond(
  before: StreamRow | undefined,
  now: StreamRow,
): number | undefined {
  if (!before || now.timestamp <= before.timestamp || now.bytes < before.bytes) return undefined;
  return Math.round(((now.bytes - before.bytes) * 8) / (now.timestamp - before.timestamp));
}

function text(value: unknown): string | undefined {
  return typeof value === "string" ? value : undefined;
}

function number(value: unknown): number | undefined {
  return typeof value === "number" ? value : undefined;
}
