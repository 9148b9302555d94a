import { expect, test } from "vitest";
import { kilobitsPerSecond, rowsOf } from "./stats.ts";

const REPORT = new Map<string, unknown>([
  ["C1", { type: "codec", mimeType: "video/VP8" }],
  ["I1", { type: "inbound-rtp", kind: "audio", bytesReceived: 40, timestamp: 1000 }],
  [
    "O1",
    {
      type: "outbound-rtp",
      kind: "video",
      codecId: "C1",
      rid: "q",
      frameWidth: 320,
      frameHeight: 180,
      framesPerSecond: 15,
      bytesSent: 1000,
      timestamp: 1000,
    },
  ],
  ["T1", { type: "transport" }],
]);

test("sent rows come first, with codec and size", () => {
  const rows = rowsOf(REPORT);
  expect(rows.map((row) => [row.direction, row.kind, row.codec, row.rid])).toEqual([
    ["sent", "video", "VP8", "q"],
    ["received", "audio", undefined, undefined],
  ]);
  expect(rows[0]).toMatchObject({ frameWidth: 320, frameHeight: 180, bytes: 1000 });
});

test("a rate needs two reports in order", () => {
  const [before] = rowsOf(REPORT);
  if (!before) throw new Error("a row");
  expect(kilobitsPerSecond(before, { ...before, bytes: 126_000, timestamp: 2000 })).toBe(1000);
  expect(kilobitsPerSecond(undefined, before)).toBeUndefined();
  expect(kilobitsPerSecond(before, before)).toBeUndefined();
  expect(kilobitsPerSecond(before, { ...before, bytes: 0, timestamp: 2000 })).toBeUndefined();
});
