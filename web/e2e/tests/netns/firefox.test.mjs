// Firefox ESR joins, publishes and subscribes in both modes. It sends no offer with its join request and knows no
// H.264 without a plug-in, so it walks other paths than Chromium. Before a page may use the camera, Firefox gathers
// candidates on the interface of the default route only, so the server must be on that, and not on loopback.

import assert from "node:assert/strict";
import { after, before, test } from "node:test";
import { FIREFOX_TONE } from "../../lib/browser.mjs";
import { flowing, healthy, watch } from "../../lib/media.mjs";
import { home, SERVER_IP } from "../../lib/network.mjs";
import { table } from "../../lib/report.mjs";
import { scaled } from "../../lib/settings.mjs";
import { leave, MODES, Stage } from "../../lib/stage.mjs";
import { freshRoom } from "../../lib/tokens.mjs";
import { until } from "../../lib/wait.mjs";

const SECONDS = scaled(10, 3);
const PICTURE = { width: 640, height: 360, fps: 15 };

const rows = [];
let stage;
before(async () => {
  await home();
  const args = ["--http", "127.0.0.1:0", "--media", `${SERVER_IP}:0`];
  stage = await Stage.open(["firefox", "python", "js"], {
    server: { args },
  });
});
after(async () => {
  table("Firefox ESR", rows);
  await stage?.close();
});

for (const mode of MODES) {
  for (const [from, to] of [
    ["firefox", "python"],
    ["firefox", "js"],
    ["python", "firefox"],
    ["js", "firefox"],
  ]) {
    test(`${from} to ${to}, ${mode}`, async () => {
      const room = freshRoom(`firefox-${mode}`);
      const a = await stage.join(from, room, "a", { mode });
      const b = await stage.join(to, room, "b", { mode });
      try {
        // Without a sound card Firefox opens no AudioContext; its fake microphone hums by itself.
        const open = from === "firefox" ? "publish_microphone" : "publish_audio";
        const audio = (await a.call(open, from === "firefox" ? {} : { frequency: FIREFOX_TONE }))
          .sid;
        const video = (await a.call("publish_video", PICTURE)).sid;
        await flowing(b, { audio, video });
        const seen = await watch(b, { audio, video }, SECONDS);
        rows.push({ mode, direction: `${from}→${to}`, ...figures(seen) });
        healthy(seen, { fps: PICTURE.fps, frequency: FIREFOX_TONE, codec: "vp8", audible: 0.05 });
        if (to !== "python") {
          const first = await until("a picture", () => b.call("look", { sid: video }));
          await until(
            "the picture to change",
            async () => (await b.call("look", { sid: video })).hash !== first.hash,
          );
          assert.ok(first.mean > 5, "the picture is black");
        }
      } finally {
        await leave(a, b);
      }
    });
  }

  test(`data and RPC with Firefox, ${mode}`, async () => {
    const room = freshRoom(`firefox-data-${mode}`);
    const a = await stage.join("firefox", room, "a", { mode });
    const b = await stage.join("python", room, "b", { mode });
    try {
      await a.until("b", (s) => s.remote.b);
      await b.until("a", (s) => s.remote.a);
      const payload = Buffer.from("hello").toString("base64");
      await a.call("send_data", { payload, topic: "from-a" });
      await b.event("data_received", (e) => e.topic === "from-a" && e.payload === payload);
      await b.call("send_data", { payload, topic: "from-b" });
      await a.event("data_received", (e) => e.topic === "from-b" && e.payload === payload);
      assert.deepEqual(await a.call("rpc", { to: "b", method: "echo", payload: "x" }), {
        answer: "a:x",
      });
      assert.deepEqual(await b.call("rpc", { to: "a", method: "echo", payload: "y" }), {
        answer: "b:y",
      });
    } finally {
      await leave(a, b);
    }
  });
}

function figures(seen) {
  return {
    frames: seen.frames,
    fps: seen.fps.toFixed(1),
    freezes: seen.freezes,
    "audio packets": seen.audioPackets,
    lost: `${seen.audioLost}+${seen.videoLost}`,
    rms: seen.rms.toFixed(2),
  };
}
