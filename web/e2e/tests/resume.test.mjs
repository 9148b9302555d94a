// Coming back: the signalling socket is cut, the server asks for a full reconnect, a resume fails half way. Media is
// back within five seconds, publications and subscriptions are what they were.

import assert from "node:assert/strict";
import { after, before, describe, test } from "node:test";
import { flowing } from "../lib/media.mjs";
import { table } from "../lib/report.mjs";
import { leave, MODES, Stage } from "../lib/stage.mjs";
import { freshRoom } from "../lib/tokens.mjs";
import { until } from "../lib/wait.mjs";

const BACK_MS = 5_000;
/** Two attempts, the first of which must fail: longer than one, and no figure of the acceptance. */
const ESCALATED_MS = 15_000;

const rows = [];
let stage;
before(async () => {
  stage = await Stage.open(["js", "python", "node"]);
});
after(async () => {
  table("Coming back", rows);
  await stage?.close();
});

// `resumed`: the session survives, with its participant and track ids. Otherwise a new one takes its place.
const SCENARIOS = [
  { kind: "js", scenario: "signal", resumed: true },
  { kind: "python", scenario: "signal", resumed: true },
  { kind: "js", scenario: "full", resumed: false },
  { kind: "js", scenario: "server_full", resumed: false },
  { kind: "python", scenario: "full", resumed: false },
  { kind: "python", scenario: "resume_then_drop", resumed: false, deadline: ESCALATED_MS },
];

for (const mode of MODES) {
  describe(mode, () => {
    for (const { kind, scenario, resumed, deadline = BACK_MS } of SCENARIOS) {
      test(`${scenario} at ${kind}`, async () => {
        const room = freshRoom(`${scenario}-${mode}`);
        const a = await stage.join(kind, room, "a", { mode });
        const b = await stage.join(kind === "js" ? "python" : "js", room, "b", { mode });
        try {
          const before = { a: await publish(a), b: await publish(b) };
          await flowing(a, before.b);
          await flowing(b, before.a);
          const participant = (await a.state()).local.sid;
          const begun = performance.now();
          await a.call("simulate", { scenario });
          await a.event("reconnected", () => true, { deadline });
          const reconnected = performance.now() - begun;
          // Publications are found by name: a full reconnect gives new ids.
          const now = await until(
            "b to see a's tracks again",
            async () => {
              const tracks = (await b.state()).remote.a?.tracks ?? [];
              const sid = (name) => tracks.find((t) => t.name === name && t.subscribed)?.sid;
              return sid("audio") && sid("video") && { audio: sid("audio"), video: sid("video") };
            },
            { deadline },
          );
          await Promise.all([growing(b, now), growing(a, await seenBy(a))]);
          const back = performance.now() - begun;
          rows.push({
            mode,
            at: kind,
            scenario,
            reconnected: `${Math.round(reconnected)} ms`,
            "media back": `${Math.round(back)} ms`,
            session: (await a.state()).local.sid === participant ? "same" : "new",
          });
          assert.ok(back <= deadline, `media came back after ${back} ms`);
          await settled(a, b);
          if (resumed) {
            assert.deepEqual(now, before.a, "a resume must keep the track ids");
            assert.equal((await a.state()).local.sid, participant);
            const gone = (await b.events("participant_disconnected")).filter(
              (e) => e.identity === "a",
            );
            assert.equal(gone.length, 0, "b was told that a had left");
          }
          await dataWorks(a, b);
        } finally {
          await leave(a, b);
        }
      });
    }
  });
}

test("rtc-node resumes and reconnects, through both paths", async () => {
  for (const mode of MODES) {
    const room = freshRoom(`node-${mode}`);
    const a = await stage.join("node", room, "a", { mode });
    const b = await stage.join("python", room, "b", { mode });
    try {
      await flowing(b, await publish(a));
      for (const scenario of ["signal", "full"]) {
        const already = (await a.events("reconnected")).length;
        await a.call("simulate", { scenario });
        await until(
          "rtc-node to be back",
          async () => (await a.events("reconnected")).length > already,
        );
        const sids = await until("its tracks", async () => {
          const tracks = (await b.state()).remote.a?.tracks.filter((t) => t.subscribed) ?? [];
          const sid = (kind) => tracks.find((t) => t.kind === kind)?.sid;
          return sid("audio") && sid("video") && { audio: sid("audio"), video: sid("video") };
        });
        await growing(b, sids);
      }
    } finally {
      await leave(a, b);
    }
  }
});

async function publish(client) {
  return {
    audio: (await client.call("publish_audio")).sid,
    video: (await client.call("publish_video")).sid,
  };
}

/** The subscribed audio and video of the one other participant. */
async function seenBy(client) {
  return until(`${client.name} to have its subscriptions`, async () => {
    const tracks = (await client.state()).remote.b?.tracks.filter((t) => t.subscribed) ?? [];
    const sid = (name) => tracks.find((t) => t.name === name)?.sid;
    return sid("audio") && sid("video") && { audio: sid("audio"), video: sid("video") };
  });
}

/** Waits until more of both arrives than has by now. */
async function growing(client, { audio, video }) {
  const held = (await client.stats()).inbound;
  await until(`${client.name} to receive more`, async () => {
    const { inbound } = await client.stats();
    return (
      inbound[audio]?.packetsReceived > (held[audio]?.packetsReceived ?? 0) + 10 &&
      inbound[video]?.framesDecoded > (held[video]?.framesDecoded ?? 0) + 3
    );
  });
}

/** Each knows exactly the other with exactly two tracks: nothing left over, nothing missing. */
async function settled(a, b) {
  for (const [client, other] of [
    [a, "b"],
    [b, "a"],
  ]) {
    await client.until(
      `exactly ${other} and its two tracks`,
      (s) =>
        Object.keys(s.remote).join() === other &&
        s.remote[other].tracks.length === 2 &&
        s.local.tracks.length === 2,
    );
  }
}

async function dataWorks(a, b) {
  const payload = Buffer.from("still here").toString("base64");
  // For two seconds after a full reconnect livekit-client keeps reliable messages back, and drops them then.
  await until("data from a at b", async () => {
    await a.call("send_data", { payload, topic: "after" });
    return (await b.events("data_received")).some((e) => e.topic === "after");
  });
  assert.deepEqual(await b.call("rpc", { to: "a", method: "echo", payload: "x" }), {
    answer: "b:x",
  });
}
