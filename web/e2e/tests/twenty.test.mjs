// Twenty people in a room: two Chromium pages and eighteen Python clients at 160×90, 10 frames/s; each watches four
// and hears all. Nineteen remote voices make single-peer-connection clients ask for many media sections.

import assert from "node:assert/strict";
import { after, before, describe, test } from "node:test";
import { table } from "../lib/report.mjs";
import { scaled } from "../lib/settings.mjs";
import { leave, MODES, Stage } from "../lib/stage.mjs";
import { freshRoom } from "../lib/tokens.mjs";
import { until } from "../lib/wait.mjs";

const PEOPLE = 20;
const PAGES = 2;
const WATCHED = 4;
const PICTURE = { width: 160, height: 90, fps: 10, bitrate: 60_000 };
const SECONDS = scaled(10, 3);
/** Share of the expected frames and packets below which somebody would complain, on two busy cores. */
const ENOUGH = 0.7;

let stage;
const rows = [];
before(async () => {
  stage = await Stage.open(["js", "python"]);
  stage.drivers.js2 = await stage.scope.add(stage.browser.page());
});
after(async () => {
  table(`${PEOPLE} participants, ${SECONDS} s`, rows);
  await stage?.close();
});

// One mode in the reduced run: the matrix covers both, this is about numbers.
for (const mode of scaled(MODES, MODES.slice(0, 1))) {
  describe(mode, () => {
    test("everybody hears everybody and sees four", async () => {
      const room = freshRoom(`twenty-${mode}`);
      const people = [];
      try {
        for (let i = 0; i < PEOPLE; i++) {
          const kind = i < PAGES ? ["js", "js2"][i] : "python";
          const options = { mode, autoSubscribe: false, sink: false, dynacast: false };
          people.push(await stage.join(kind, room, `p${i}`, options));
        }
        const sids = [];
        for (const person of people) {
          const { sid: audio } = await person.call("publish_audio", {
            amplitude: 0.05,
            red: false,
          });
          const { sid: video } = await person.call("publish_video", PICTURE);
          sids.push({ audio, video });
        }
        const wishes = people.map((_, i) => ({
          audio: sids.filter((_, j) => j !== i).map((s) => s.audio),
          video: Array.from({ length: WATCHED }, (_, k) => sids[(i + k + 1) % PEOPLE].video),
        }));
        await Promise.all(people.map((person, i) => ask(person, wishes[i])));
        const before = await Promise.all(people.map((person, i) => receiving(person, wishes[i])));
        await until(
          `${SECONDS} s of audio`,
          async () => {
            const { inbound } = await people[0].stats();
            const sid = wishes[0].audio[0];
            return (
              inbound[sid].packetsReceived >= before[0].inbound[sid].packetsReceived + SECONDS * 50
            );
          },
          { deadline: SECONDS * 1500 + 20_000, every: 500 },
        );
        const after = await Promise.all(people.map((person) => person.stats()));
        people.forEach((_, i) => {
          rows.push({
            mode,
            who: `p${i} (${i < PAGES ? "js" : "python"})`,
            ...sum(wishes[i], before[i], after[i]),
          });
        });
        for (const [i] of people.entries()) judge(`p${i}`, wishes[i], before[i], after[i]);
      } finally {
        await leave(...people);
      }
    });
  });
}

async function ask(person, wish) {
  const all = [...wish.audio, ...wish.video];
  await person.until(
    "all publications",
    (s) => {
      const known = new Set(Object.values(s.remote).flatMap((p) => p.tracks.map((t) => t.sid)));
      return all.every((sid) => known.has(sid));
    },
    { deadline: 30_000, every: 500 },
  );
  for (const sid of all) await person.call("set_subscribed", { sid, subscribed: true });
}

function receiving(person, wish) {
  let missing;
  return until(
    `${person.name} to receive everything`,
    async () => {
      const stats = await person.stats();
      missing = [
        ...wish.audio.filter((sid) => !(stats.inbound[sid]?.packetsReceived > 10)),
        ...wish.video.filter((sid) => !(stats.inbound[sid]?.framesDecoded > 2)),
      ];
      return missing.length === 0 && stats;
    },
    { deadline: 60_000, every: 500 },
  ).catch((error) => {
    throw new Error(`${error.message}; missing ${missing}`);
  });
}

const grown = (sid, key, before, after) =>
  (after.inbound[sid]?.[key] ?? 0) - (before.inbound[sid]?.[key] ?? 0);

function sum(wish, before, after) {
  const add = (sids, key) => sids.reduce((total, sid) => total + grown(sid, key, before, after), 0);
  return {
    seconds: (after.at - before.at).toFixed(1),
    voices: wish.audio.length,
    "audio packets": add(wish.audio, "packetsReceived"),
    "audio lost": add(wish.audio, "packetsLost"),
    pictures: wish.video.length,
    frames: add(wish.video, "framesDecoded"),
    "video lost": add(wish.video, "packetsLost"),
  };
}

function judge(who, wish, before, after) {
  const seconds = after.at - before.at;
  for (const sid of wish.audio) {
    const packets = grown(sid, "packetsReceived", before, after);
    assert.ok(
      packets > seconds * 50 * ENOUGH,
      `${who} heard ${packets} packets of ${sid} in ${seconds} s`,
    );
  }
  for (const sid of wish.video) {
    const frames = grown(sid, "framesDecoded", before, after);
    assert.ok(
      frames > seconds * PICTURE.fps * ENOUGH,
      `${who} saw ${frames} frames of ${sid} in ${seconds} s`,
    );
  }
}
