// Every codec, in both signalling modes, between unmodified clients: audio and video that one would not complain
// about. The mode is chosen by option in JS and Python; for rtc-node, which has no such option, by a proxy that
// answers 404 to `/rtc/v1`, so that it falls back.

import assert from "node:assert/strict";
import { after, before, test } from "node:test";
import { chromium, servePage } from "../lib/browser.mjs";
import { node, python } from "../lib/clients.mjs";
import { flowing, healthy, watch } from "../lib/media.mjs";
import { withoutV1 } from "../lib/proxy.mjs";
import { table } from "../lib/report.mjs";
import { Scope } from "../lib/scope.mjs";
import { Server } from "../lib/server.mjs";
import { scaled } from "../lib/settings.mjs";
import { freshRoom, mint } from "../lib/tokens.mjs";

const CODECS = ["vp8", "h264", "vp9", "av1"];
const MODES = ["v1", "v0"];
const DIRECTIONS = ["js→python", "python→js", "node→js"];
const SECONDS = scaled(10, 3);
const PICTURE = { width: 640, height: 360, fps: 15 };
const FREQUENCY = 660;

const scope = new Scope();
const rows = [];
let server;
let proxy;
let drivers;

before(async () => {
  server = await scope.add(Server.start(), (s) => s.stop());
  proxy = await scope.add(withoutV1(server.http));
  const page = await scope.add(servePage());
  const browser = await scope.add(chromium({ url: page.url }));
  drivers = {
    js: await scope.add(browser.page()),
    python: await scope.add(python()),
    node: await scope.add(node()),
  };
});

after(async () => {
  table(
    `Unmodified clients, ${SECONDS} s a cell, ${PICTURE.width}×${PICTURE.height} at ${PICTURE.fps} frames/s`,
    rows,
  );
  await scope.close();
});

for (const mode of MODES) {
  for (const direction of DIRECTIONS) {
    for (const codec of CODECS) {
      test(`${codec} ${mode} ${direction}`, async () => {
        const row = {
          codec,
          mode,
          direction,
          joined: "",
          frames: "",
          fps: "",
          size: "",
          freezes: "",
          "audio packets": "",
          lost: "",
          concealed: "",
          rms: "",
          verdict: "failed",
        };
        rows.push(row);
        await cell({ mode, direction, codec }, row);
        row.verdict = "ok";
      });
    }
  }
}

async function cell({ mode, direction, codec }, row) {
  const [from, to] = direction.split("→");
  const room = freshRoom(`${codec}-${mode}-${from}-${to}`);
  const sender = drivers[from].client(`${room}-sender`);
  const receiver = drivers[to].client(`${room}-receiver`);
  try {
    const refused = proxy.refused;
    const joined = await join(sender, room, "sender", mode, from);
    await join(receiver, room, "receiver", mode, to);
    if (from === "node" && mode === "v0")
      assert.ok(proxy.refused > refused, "rtc-node was never sent to /rtc");
    const audio = (await sender.call("publish_audio", { frequency: FREQUENCY })).sid;
    const video = (await sender.call("publish_video", { ...PICTURE, codec })).sid;
    await flowing(receiver, { audio, video });
    const seen = await watch(receiver, { audio, video }, SECONDS);
    Object.assign(row, {
      joined: `${Math.round(joined.seconds * 1000)} ms`,
      frames: seen.frames,
      fps: seen.fps.toFixed(1),
      size: `${seen.width}×${seen.height}`,
      freezes: seen.freezes,
      "audio packets": seen.audioPackets,
      lost: `${seen.audioLost}+${seen.videoLost}`,
      concealed: seen.concealed === null ? "" : `${(seen.concealed * 100).toFixed(1)} %`,
      rms: seen.rms.toFixed(2),
    });
    healthy(seen, { fps: PICTURE.fps, frequency: FREQUENCY, codec });
  } finally {
    await Promise.allSettled([sender.call("disconnect"), receiver.call("disconnect")]);
  }
}

async function join(client, room, identity, mode, kind) {
  const url = kind === "node" && mode === "v0" ? proxy.ws : server.ws;
  return client.call("connect", { url, token: await mint(room, identity), mode });
}
