// What the answers must carry for audio to be as good as it can: redundancy, silence suppression, two channels.

import assert from "node:assert/strict";
import { after, before, describe, test } from "node:test";
import { flowing } from "../lib/media.mjs";
import { leave, MODES, Stage } from "../lib/stage.mjs";
import { freshRoom } from "../lib/tokens.mjs";
import { until } from "../lib/wait.mjs";

let stage;
before(async () => {
  stage = await Stage.open(["js", "python"]);
});
after(() => stage?.close());

const sending = async (client, sid) => (await client.stats()).outbound[sid]?.[0];

for (const mode of MODES) {
  describe(mode, () => {
    const call = async (name, play) => {
      const room = freshRoom(`${name}-${mode}`);
      const a = await stage.join("js", room, "a", { mode });
      const b = await stage.join("python", room, "b", { mode });
      try {
        await play(a, b);
      } finally {
        await leave(a, b);
      }
    };

    // Chrome reports Opus as its codec in both cases; a packet with the one before it in it is twice as long.
    test("a browser that asks for redundancy sends every sound twice, one that does not sends it once", () =>
      call("red", async (a, b) => {
        const lengths = {};
        for (const red of [true, false]) {
          const { sid } = await a.call("publish_audio", { name: `red-${red}`, red });
          await flowing(b, { audio: sid });
          await b.until("the tone", (s) => Math.abs(s.sinks[sid]?.frequency - 440) < 15);
          const { bytesReceived, packetsReceived } = (await b.stats()).inbound[sid];
          lengths[red] = bytesReceived / packetsReceived;
          await a.call("unpublish", { sid });
        }
        console.log(
          `bytes a packet: ${lengths.true.toFixed(0)} with, ${lengths.false.toFixed(0)} without redundancy`,
        );
        assert.ok(lengths.true > lengths.false * 1.6, JSON.stringify(lengths));
      }));

    test("silence costs next to nothing when the publisher asked for DTX", () =>
      call("dtx", async (a, b) => {
        const { sid } = await a.call("publish_audio", { dtx: true, red: false });
        await flowing(b, { audio: sid });
        await a.call("set_tone", { amplitude: 0 });
        // A silent encoder sends one packet every 400 ms instead of one every 20 ms.
        let last = await sending(a, sid);
        let since = performance.now();
        await until("a quiet second", async () => {
          const now = await sending(a, sid);
          const elapsed = performance.now() - since;
          if (elapsed < 1000) return false;
          const rate = ((now.packetsSent - last.packetsSent) * 1000) / elapsed;
          last = now;
          since = performance.now();
          return rate < 15;
        });
        await a.call("set_tone", { amplitude: 0.3 });
        const held = (await b.stats()).inbound[sid].packetsReceived;
        await until(
          "sound again",
          async () => (await b.stats()).inbound[sid].packetsReceived > held + 50,
        );
        await b.until("the tone", (s) => Math.abs(s.sinks[sid]?.frequency - 440) < 15);
      }));

    test("stereo arrives as two channels", async () => {
      const room = freshRoom(`stereo-${mode}`);
      const a = await stage.join("js", room, "a", { mode });
      // Native clients ask for stereo with one peer connection only.
      const b = await stage.join(mode === "v1" ? "python" : "js", room, "b", { mode });
      try {
        const { sid } = await a.call("publish_audio", { stereo: true, frequency: 500, red: false });
        await flowing(b, { audio: sid });
        await until("two tones", async () => {
          const heard = (await b.call("hear", { sid })) ?? {};
          return Math.abs(heard.frequency - 500) < 15 && Math.abs(heard.frequencyRight - 1000) < 15;
        });
      } finally {
        await leave(a, b);
      }
    });
  });
}
