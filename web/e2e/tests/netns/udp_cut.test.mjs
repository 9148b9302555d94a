// The UDP path is cut for three seconds under running media: it is back within five, and nobody lost a publication
// or a subscription.

import assert from "node:assert/strict";
import { after, before, describe, test } from "node:test";
import { flowing } from "../../lib/media.mjs";
import { cutUdp, home, SERVER_IP } from "../../lib/network.mjs";
import { table } from "../../lib/report.mjs";
import { leave, MODES, Stage } from "../../lib/stage.mjs";
import { freshRoom } from "../../lib/tokens.mjs";
import { until } from "../../lib/wait.mjs";

const CUT_MS = 3_000;
const BACK_MS = 5_000;

const rows = [];
let stage;
before(async () => {
  await home();
  const args = ["--http", "127.0.0.1:0", "--media", `${SERVER_IP}:0`];
  stage = await Stage.open(["js", "python"], { server: { args } });
});
after(async () => {
  table(`UDP cut for ${CUT_MS} ms`, rows);
  await stage?.close();
});

for (const mode of MODES) {
  describe(mode, () => {
    test("media is back within five seconds of the path's return, everything published and subscribed still", async () => {
      const room = freshRoom(`cut-${mode}`);
      const js = await stage.join("js", room, "js", { mode });
      const py = await stage.join("python", room, "python", { mode });
      try {
        const sids = {};
        for (const client of [js, py]) {
          const { sid: audio } = await client.call("publish_audio");
          const { sid: video } = await client.call("publish_video");
          sids[client === js ? "js" : "python"] = { audio, video };
        }
        await flowing(py, sids.js);
        await flowing(js, sids.python);
        const ports = stage.server.ports.media_udp.map((address) =>
          Number(address.split(":").at(-1)),
        );
        const cut = await cutUdp(ports);
        const begun = performance.now();
        const frozen = await standstill(js, sids.python);
        await until("the cut to have lasted", () => performance.now() - begun >= CUT_MS, {
          every: 10,
        });
        assert.deepEqual(await received(js, sids.python), frozen, "something came through the cut");
        await cut.heal();
        const healed = performance.now();
        const back = {};
        await Promise.all(
          [
            [js, sids.python],
            [py, sids.js],
          ].map(async ([client, tracks]) => {
            const held = await received(client, tracks);
            await until(
              `${client.name} to receive again`,
              async () => {
                const now = await received(client, tracks);
                return now.audio > held.audio + 10 && now.video > held.video + 5;
              },
              { deadline: BACK_MS, every: 50 },
            );
            back[client === js ? "js" : "python"] = Math.round(performance.now() - healed);
          }),
        );
        rows.push({ mode, "back at js": `${back.js} ms`, "back at python": `${back.python} ms` });
        for (const [client, other, tracks] of [
          [js, "python", sids.python],
          [py, "js", sids.js],
        ]) {
          const state = await client.state();
          assert.equal(state.local.tracks.length, 2);
          for (const sid of [tracks.audio, tracks.video]) {
            assert.ok(
              state.remote[other]?.tracks.find((t) => t.sid === sid)?.subscribed,
              `${sid} was lost`,
            );
          }
          assert.equal((await client.events("participant_disconnected")).length, 0);
        }
      } finally {
        await leave(js, py);
      }
    });
  });
}

async function received(client, { audio, video }) {
  const { inbound } = await client.stats();
  return { audio: inbound[audio]?.packetsReceived ?? 0, video: inbound[video]?.framesDecoded ?? 0 };
}

// What was received when nothing has come for a while.
async function standstill(client, tracks) {
  let last = "";
  let same = 0;
  return until("media to stand still", async () => {
    const now = await received(client, tracks);
    same = JSON.stringify(now) === last ? same + 1 : 0;
    last = JSON.stringify(now);
    return same >= 5 && now;
  });
}
