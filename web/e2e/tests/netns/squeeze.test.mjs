// The viewer's downlink shrinks from 3 Mbit/s to 500 kbit/s and recovers: the layer drops and returns, audio never
// suffers.

import assert from "node:assert/strict";
import { after, before, test } from "node:test";
import { flowing, watch } from "../../lib/media.mjs";
import { home, RELAY_IP, SERVER_IP } from "../../lib/network.mjs";
import { relay } from "../../lib/relay.mjs";
import { table } from "../../lib/report.mjs";
import { scaled } from "../../lib/settings.mjs";
import { leave, MODES, Stage } from "../../lib/stage.mjs";
import { freshRoom } from "../../lib/tokens.mjs";
import { until } from "../../lib/wait.mjs";

const WIDE = 3_000_000;
const NARROW = 500_000;
const SECONDS = scaled(15, 6);
const PICTURE = { width: 1280, height: 720, fps: 15, simulcast: true, bitrate: 1_500_000 };
/** Concealed share of audio from which a listener would notice. */
const AUDIBLE = 0.03;
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
  table(`Downlink ${WIDE / 1e6} → ${NARROW / 1e6} → ${WIDE / 1e6} Mbit/s`, rows);
  await stage?.close();
});

for (const mode of scaled(MODES, MODES.slice(0, 1))) {
  test(`the layer follows the downlink, ${mode}`, async () => {
    const room = freshRoom(`squeeze-${mode}`);
    await path.shape({ up: { delay: 20 }, down: { delay: 20, rate: WIDE } });
    const a = await stage.join("python", room, "a", { mode });
    const b = await stage.join("js", room, "b", { mode });
    try {
      const audio = (await a.call("publish_audio")).sid;
      const video = (await a.call("publish_video", PICTURE)).sid;
      await flowing(b, { audio, video });
      const phase = async (name, rate, fits, deadline) => {
        await path.shape({ down: { rate } });
        const changed = performance.now();
        const lines = await until(
          `a layer that fits ${rate} bit/s`,
          async () => {
            const now = (await b.stats()).inbound[video]?.frameHeight;
            return fits(now) && now;
          },
          { deadline, every: 200 },
        );
        const took = performance.now() - changed;
        const seen = await watch(b, { audio, video }, SECONDS);
        rows.push({
          mode,
          phase: name,
          "Mbit/s": rate / 1e6,
          lines: `${lines}→${seen.height}`,
          after: `${(took / 1000).toFixed(1)} s`,
          fps: seen.fps.toFixed(1),
          freezes: `${seen.freezes} (${seen.frozen.toFixed(1)} s)`,
          "audio lost": `${seen.audioLost}/${seen.audioPackets}`,
          concealed: `${(seen.concealed * 100).toFixed(1)} %`,
        });
        return seen;
      };
      await phase("wide", WIDE, (h) => h === 720, 20_000);
      const begun = await b.stats();
      const narrow = await phase("narrow", NARROW, (h) => h < 720, 15_000);
      const held = await b.stats();
      const again = await phase("wide again", WIDE, (h) => h === 720, 40_000);
      assert.ok(narrow.height < 720, "the layer did not stay down");
      assert.equal(again.height, 720);
      // The whole squeeze counts, its first moments with a full queue included.
      const concealed = (s) =>
        s.inbound[audio].concealedSamples - s.inbound[audio].silentConcealedSamples;
      const samples =
        held.inbound[audio].totalSamplesReceived - begun.inbound[audio].totalSamplesReceived;
      const share = (concealed(held) - concealed(begun)) / samples;
      console.log(`concealed over the whole squeeze: ${(share * 100).toFixed(2)} %`);
      assert.ok(share < AUDIBLE, `audio suffered: ${(share * 100).toFixed(1)} % concealed`);
      assert.ok(again.concealed < AUDIBLE);
    } finally {
      await leave(a, b);
    }
  });
}
