// Three layers, and the one forwarded follows what the viewer can show: the element's size with adaptive stream,
// explicit dimensions or quality without.

import assert from "node:assert/strict";
import { after, before, describe, test } from "node:test";
import { flowing } from "../lib/media.mjs";
import { leave, MODES, Stage } from "../lib/stage.mjs";
import { freshRoom } from "../lib/tokens.mjs";
import { until } from "../lib/wait.mjs";

// 1280×720 makes livekit-client publish 320×180, 640×360 and 1280×720.
const PICTURE = { width: 1280, height: 720, fps: 15, simulcast: true, bitrate: 1_500_000 };
const HEIGHTS = { low: 180, medium: 360, high: 720 };
/** A layer change needs a keyframe of the new layer; the encoder may also need to start it. */
const SWITCH_DEADLINE = 15_000;

let stage;
before(async () => {
  stage = await Stage.open(["js", "python"]);
});
after(() => stage?.close());

const height = async (client, sid) => (await client.stats()).inbound[sid]?.frameHeight;

async function shows(client, sid, lines) {
  return until(
    `${client.name} to see ${lines} lines`,
    async () => {
      const now = (await client.stats()).inbound[sid];
      if (now?.frameHeight === lines) return true;
      throw new Error(`sees ${now?.frameHeight} lines, ${now?.framesDecoded} frames`);
    },
    { deadline: SWITCH_DEADLINE, every: 200 },
  );
}

for (const mode of MODES) {
  describe(mode, () => {
    for (const from of ["js", "python"]) {
      test(`the layer of ${from}'s camera follows the size of the window it is shown in`, async () => {
        const room = freshRoom(`window-${mode}`);
        const a = await stage.join(from, room, "a", { mode });
        const page = await stage.browser.page();
        stage.drivers.viewer = page;
        const b = await stage.join("viewer", room, "b", { mode, adaptiveStream: true });
        try {
          const video = (await a.call("publish_video", PICTURE)).sid;
          await flowing(b, { video });
          for (const [width, lines] of [
            [1280, HEIGHTS.high],
            [320, HEIGHTS.low],
            [640, HEIGHTS.medium],
            [1280, HEIGHTS.high],
          ]) {
            await b.call("resize", { sid: video, width, height: (width * 9) / 16 });
            await shows(b, video, lines);
          }
        } finally {
          await leave(a, b);
          await page.close();
        }
      });
    }

    test("two viewers get the layers each asked for, by quality and by dimensions, and nothing freezes", async () => {
      const room = freshRoom(`two-${mode}`);
      const a = await stage.join("js", room, "a", { mode });
      const small = await stage.join("python", room, "small", { mode });
      const large = await stage.join("js", room, "large", { mode });
      try {
        const audio = (await a.call("publish_audio")).sid;
        const video = (await a.call("publish_video", PICTURE)).sid;
        await flowing(small, { audio, video });
        await flowing(large, { audio, video });
        await small.call("set_quality", { sid: video, quality: "low" });
        await large.call("set_dimensions", { sid: video, width: 1280, height: 720 });
        await shows(small, video, HEIGHTS.low);
        await shows(large, video, HEIGHTS.high);
        assert.equal(await height(small, video), HEIGHTS.low);
        await large.call("set_dimensions", { sid: video, width: 640, height: 360 });
        await shows(large, video, HEIGHTS.medium);
        await small.call("set_quality", { sid: video, quality: "high" });
        await shows(small, video, HEIGHTS.high);
      } finally {
        await leave(a, small, large);
      }
    });

    test("layers nobody watches are not sent (dynacast), and come back when wanted", async () => {
      const room = freshRoom(`dynacast-${mode}`);
      const a = await stage.join("js", room, "a", { mode, dynacast: true });
      const b = await stage.join("python", room, "b", { mode });
      try {
        const video = (await a.call("publish_video", PICTURE)).sid;
        await flowing(b, { video });
        await b.call("set_quality", { sid: video, quality: "low" });
        await shows(b, video, HEIGHTS.low);
        const active = async () => {
          const layers = (await a.stats()).outbound[video];
          return layers
            .filter((l) => l.active)
            .map((l) => l.rid)
            .sort();
        };
        await until(
          "only the low layer to be encoded",
          async () => (await active()).join() === "q",
          {
            deadline: 20_000,
          },
        );
        await b.call("set_quality", { sid: video, quality: "high" });
        await shows(b, video, HEIGHTS.high);
        assert.ok((await active()).includes("f"));
      } finally {
        await leave(a, b);
      }
    });
  });
}
