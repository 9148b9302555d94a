// Twenty people in a room: two Chromium pages and eighteen Python clients at 160×90, 10 frames/s; each watches four
// and hears all. Nineteen remote voices make single-peer-connection clients ask for many media sections. As in any
// meeting a few speak and the others are silent (with DTX: two or three packets a second).

import assert from "node:assert/strict";
import { after, before, describe, test } from "node:test";
import { python } from "../lib/clients.mjs";
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
/** Share of the expected frames and packets below which somebody would complain; a busy machine starves senders. */
const ENOUGH = scaled(0.7, 0);
/** Share of lost packets nobody notices. */
const LOSS = 0.01;
/** Who speaks: a page and two of the others. */
const SPEAKERS = [0, 2, 13];
/** Python clients a process: one process of all would spend its time on their events. */
const PER_PROCESS = 6;

let stage;
const rows = [];
before(async () => {
  stage = await Stage.open(["js"]);
  stage.drivers.js2 = await stage.scope.add(stage.browser.page());
  for (let i = 0; i < (PEOPLE - PAGES) / PER_PROCESS; i++) {
    stage.drivers[`python${i}`] = await stage.scope.add(python());
  }
});
after(async () => {
  table(`${PEOPLE} participants, ${SECONDS} s`, rows);
  await stage?.close();
});

const kindOf = (i) =>
  i < PAGES ? ["js", "js2"][i] : `python${Math.floor((i - PAGES) / PER_PROCESS)}`;

// One mode in the reduced run: the matrix covers both, this is about numbers.
for (const mode of scaled(MODES, MODES.slice(0, 1))) {
  describe(mode, () => {
    test("everybody hears everybody and sees four", async () => {
      const room = freshRoom(`twenty-${mode}`);
      const people = [];
      try {
        for (let i = 0; i < PEOPLE; i++) {
          const options = { mode, autoSubscribe: false, sink: false, dynacast: false };
          people.push(await stage.join(kindOf(i), room, `p${i}`, options));
        }
        const sids = [];
        for (const [i, person] of people.entries()) {
          const amplitude = SPEAKERS.includes(i) ? 0.3 : 0;
          const sound = { amplitude, dtx: true, red: false, frameMs: 60 };
          const { sid: audio } = await person.call("publish_audio", sound);
          const { sid: video } = await person.call("publish_video", PICTURE);
          sids.push({ audio, video });
        }
        const wishes = people.map((_, i) => [
          ...sids.filter((_, j) => j !== i).map((s) => s.audio),
          ...Array.from({ length: WATCHED }, (_, k) => sids[(i + k + 1) % PEOPLE].video),
        ]);
        await Promise.all(people.map((person, i) => ask(person, wishes[i])));
        const arrived = await Promise.allSettled(people.map(receiving));
        const missing = arrived.filter((a) => a.status === "rejected").map((a) => a.reason.message);
        assert.deepEqual(missing, []);
        const before = arrived.map((a) => a.value);
        await until(
          `${SECONDS} s of audio`,
          async () => {
            const now = await people[0].call("streams");
            return now.at - before[0].at >= SECONDS;
          },
          { deadline: SECONDS * 1000 + 20_000, every: 500 },
        );
        const after = await Promise.all(people.map((person) => person.call("streams")));
        people.forEach((_, i) => {
          rows.push({
            mode,
            who: `p${i} (${kindOf(i).replace(/\d/, "")})`,
            ...sum(i, before[i], after[i]),
          });
        });
        people.forEach((_, i) => {
          judge(i, before[i], after[i]);
        });
      } finally {
        await leave(...people);
      }
    });
  });
}

async function ask(person, sids) {
  await person.until(
    "all publications",
    (s) => {
      const known = new Set(Object.values(s.remote).flatMap((p) => p.tracks.map((t) => t.sid)));
      return sids.every((sid) => known.has(sid));
    },
    { deadline: 30_000, every: 500 },
  );
  for (const sid of sids) await person.call("set_subscribed", { sid, subscribed: true });
}

const growing = (before, after, kind, key) =>
  Object.entries(after.streams)
    .filter(([, stream]) => stream.kind === kind)
    .map(([ssrc, stream]) => (stream[key] ?? 0) - (before?.streams[ssrc]?.[key] ?? 0))
    .sort((a, b) => b - a);

/** Waits until as many voices and pictures come as were asked for. */
function receiving(person) {
  return until(
    `${person.name} to receive everything`,
    async () => {
      const now = await person.call("streams");
      const voices = growing(null, now, "audio", "packetsReceived").filter((n) => n > 0).length;
      const pictures = growing(null, now, "video", "framesDecoded").filter((n) => n > 2).length;
      if (voices === PEOPLE - 1 && pictures === WATCHED) return now;
      throw new Error(`receives ${voices} voices and ${pictures} pictures`);
    },
    { deadline: 60_000, every: 1000 },
  );
}

const total = (numbers) => numbers.reduce((sum, n) => sum + n, 0);

function sum(i, before, after) {
  const voices = growing(before, after, "audio", "packetsReceived");
  const pictures = growing(before, after, "video", "framesDecoded");
  return {
    seconds: (after.at - before.at).toFixed(1),
    voices: voices.filter((n) => n > 0).length,
    "audio packets": total(voices),
    "of a speaker": voices[heardSpeakers(i) - 1],
    "audio lost": total(growing(before, after, "audio", "packetsLost")),
    pictures: pictures.filter((n) => n > 0).length,
    frames: total(pictures),
    "fewest of a picture": pictures[WATCHED - 1],
    "video lost": total(growing(before, after, "video", "packetsLost")),
  };
}

/** Nobody hears themselves. */
const heardSpeakers = (i) => SPEAKERS.filter((speaker) => speaker !== i).length;

function judge(i, before, after) {
  const seconds = after.at - before.at;
  const voice = growing(before, after, "audio", "packetsReceived")[heardSpeakers(i) - 1];
  assert.ok(
    voice > seconds * 50 * ENOUGH,
    `p${i} got ${voice} packets of a speaker in ${seconds} s`,
  );
  const picture = growing(before, after, "video", "framesDecoded")[WATCHED - 1];
  assert.ok(
    picture > seconds * PICTURE.fps * ENOUGH,
    `p${i} saw ${picture} frames in ${seconds} s`,
  );
  for (const kind of ["audio", "video"]) {
    const got = total(growing(before, after, kind, "packetsReceived"));
    const lost = total(growing(before, after, kind, "packetsLost"));
    assert.ok(lost <= got * LOSS, `p${i} lost ${lost} of ${got} ${kind} packets`);
  }
}
