// Five per cent loss each way at 80 ms round trip, 640×360, beside a run without loss in the same minute: no picture
// stands still for more than 600 ms longer than it does without loss.

import assert from "node:assert/strict";
import { after, before, test } from "node:test";
import { flowing, watch } from "../../lib/media.mjs";
import { home, RELAY_IP, SERVER_IP } from "../../lib/network.mjs";
import { relay } from "../../lib/relay.mjs";
import { table } from "../../lib/report.mjs";
import { scaled } from "../../lib/settings.mjs";
import { leave, MODES, Stage } from "../../lib/stage.mjs";
import { freshRoom } from "../../lib/tokens.mjs";

const SECONDS = scaled(25, 8);
const ONE_WAY_MS = 40;
const LOSS = 0.05;
const LONGER_FREEZE_MS = 600;
const SEED = Number(process.env.SPARKRTC_E2E_SEED ?? Date.now() % 2 ** 31);

const rows = [];
let stage;
let path;
before(async () => {
  console.log(`seed ${SEED} (SPARKRTC_E2E_SEED repeats it)`);
  await home();
  const args = ["--http", "127.0.0.1:0", "--media", `${SERVER_IP}:0`];
  const env = { SPARKRTC_MEDIA__PUBLIC_IP: RELAY_IP, SPARKRTC_MEDIA__THREADS: "1" };
  stage = await Stage.open(["js", "python"], {
    server: { args, env },
  });
  const media = stage.server.ports.media_udp[0];
  path = await stage.scope.add(relay(`${RELAY_IP}:${media.split(":")[1]}`, media, SEED));
});
after(async () => {
  table(`${LOSS * 100} % loss each way at ${ONE_WAY_MS * 2} ms, ${SECONDS} s`, rows);
  await stage?.close();
});

for (const mode of scaled(MODES, MODES.slice(0, 1))) {
  test(`loss is repaired, ${mode}`, async () => {
    const calm = await call(mode, 0);
    const rough = await call(mode, LOSS);
    for (const direction of ["js→python", "python→js"]) {
      const [without, with_] = [calm[direction], rough[direction]];
      const limit = without.longestGap + LONGER_FREEZE_MS;
      assert.ok(
        with_.longestGap <= limit,
        `${direction} stood still ${with_.longestGap} ms, ${without.longestGap} ms without loss`,
      );
      assert.ok(
        with_.frames > without.frames * 0.8,
        `${direction} decoded ${with_.frames} of ${without.frames} frames`,
      );
    }
  });
}

async function call(mode, loss) {
  const delay = ONE_WAY_MS;
  await path.shape({ up: { delay, loss }, down: { delay, loss } });
  const before = await path.counts();
  const room = freshRoom(`loss-${mode}`);
  const js = await stage.join("js", room, "js", { mode });
  const py = await stage.join("python", room, "python", { mode });
  try {
    const sids = {};
    for (const [name, client] of Object.entries({ js, python: py })) {
      const { sid: audio } = await client.call("publish_audio");
      const { sid: video } = await client.call("publish_video", {
        width: 640,
        height: 360,
        fps: 20,
      });
      sids[name] = { audio, video };
    }
    await flowing(py, sids.js);
    await flowing(js, sids.python);
    // The longest pause counts from here: the first frames wait for a keyframe.
    await Promise.all([
      js.call("forget_gaps", { sid: sids.python.video }),
      py.call("forget_gaps", { sid: sids.js.video }),
    ]);
    const [atPython, atJs] = await Promise.all([
      watch(py, sids.js, SECONDS),
      watch(js, sids.python, SECONDS),
    ]);
    const seen = {
      "js→python": { ...atPython, ...(await py.call("gaps", { sid: sids.js.video })) },
      "python→js": { ...atJs, ...(await js.call("gaps", { sid: sids.python.video })) },
    };
    const after = await path.counts();
    for (const [direction, s] of Object.entries(seen)) {
      rows.push({
        mode,
        loss: `${loss * 100} %`,
        direction,
        frames: s.frames,
        fps: s.fps.toFixed(1),
        freezes: s.freezes,
        "longest gap": `${Math.round(s.longestGap)} ms`,
        "video lost": s.videoLost,
        "audio lost": s.audioLost,
        concealed: s.concealed === null ? "" : `${(s.concealed * 100).toFixed(1)} %`,
        "relay dropped": after.up.lost + after.down.lost - before.up.lost - before.down.lost,
      });
    }
    return seen;
  } finally {
    await leave(js, py);
  }
}
