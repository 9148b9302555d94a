// What "the other side sees and hears it" means, in numbers from the receiver's own statistics.

import assert from "node:assert/strict";
import { scaled } from "./settings.mjs";
import { until } from "./wait.mjs";

const AUDIO_PACKETS_PER_SECOND = 50;
/** Loudness below which a tone of amplitude 0.3 did not arrive as sent (0.3 / √2 = 0.21). */
const AUDIBLE_RMS = 0.1;

/** Waits until the receiver hears and sees: packets of audio and decoded frames are growing. */
export async function flowing(receiver, { audio, video }, { deadline = 15_000 } = {}) {
  await until(
    `${receiver.name} to receive ${audio ?? ""} ${video ?? ""}`,
    async () => {
      const { inbound } = await receiver.stats();
      const hears = !audio || inbound[audio]?.packetsReceived > 20;
      const sees = !video || inbound[video]?.framesDecoded > 5;
      return hears && sees;
    },
    { deadline, every: 200 },
  );
}

/**
 * Watches the receiver for `seconds` of received audio and answers with what it saw and heard in between.
 * The audio packet count is the clock, so that nothing is judged on a wall clock a busy machine bends.
 */
export async function watch(receiver, { audio, video }, seconds) {
  const before = await receiver.stats();
  const wanted = before.inbound[audio].packetsReceived + seconds * AUDIO_PACKETS_PER_SECOND;
  let after;
  await until(
    `${receiver.name} to receive ${seconds} s of audio`,
    async () => {
      after = await receiver.stats();
      return after.inbound[audio].packetsReceived >= wanted;
    },
    { deadline: seconds * 1500 + 5_000, every: 200 },
  );
  const { sinks } = await receiver.state();
  return compare(before, after, { audio, video }, sinks);
}

function compare(before, after, { audio, video }, sinks) {
  const grew = (sid, key) => (after.inbound[sid][key] ?? 0) - (before.inbound[sid][key] ?? 0);
  const elapsed = after.at - before.at;
  const samples = grew(audio, "totalSamplesReceived");
  const energy = grew(audio, "totalAudioEnergy") / grew(audio, "totalSamplesDuration");
  const heard = sinks?.[audio];
  const seen = {
    seconds: elapsed,
    audioPackets: grew(audio, "packetsReceived"),
    audioLost: grew(audio, "packetsLost"),
    concealed:
      samples > 0
        ? (grew(audio, "concealedSamples") - grew(audio, "silentConcealedSamples")) / samples
        : null,
    rms: heard ? heard.rms : Math.sqrt(energy),
    frequency: heard?.frequency,
  };
  if (video) {
    Object.assign(seen, {
      frames: grew(video, "framesDecoded"),
      fps: grew(video, "framesDecoded") / elapsed,
      dropped: grew(video, "framesDropped"),
      videoLost: grew(video, "packetsLost"),
      freezes: grew(video, "freezeCount"),
      frozen: grew(video, "totalFreezesDuration"),
      keyframes: after.inbound[video].keyFramesDecoded,
      mime: after.inbound[video].mime,
      width: after.inbound[video].frameWidth,
      height: after.inbound[video].frameHeight,
    });
  }
  return seen;
}

/** Concealed share of the audio above which a listener complains; a busy machine starves the player, too. */
const CONCEALED = scaled(0.05, 0.15);
/** Stand-still a reduced run forgives, in seconds: its machine may be busy with other things. */
const FORGIVEN = scaled(0, 0.5);

/** Fails unless what was seen is a call one would not complain about. */
export function healthy(seen, { fps, frequency, codec, audible = AUDIBLE_RMS } = {}) {
  assert.ok(
    seen.audioLost <= seen.audioPackets * 0.01,
    `audio lost ${seen.audioLost} of ${seen.audioPackets}`,
  );
  assert.ok(seen.rms > audible, `audio is too quiet: ${seen.rms}`);
  if (seen.concealed !== null)
    assert.ok(
      seen.concealed < CONCEALED,
      `concealed ${(seen.concealed * 100).toFixed(1)} % of audio`,
    );
  if (frequency && seen.frequency !== undefined) {
    assert.ok(
      Math.abs(seen.frequency - frequency) < 15,
      `heard ${seen.frequency} Hz instead of ${frequency}`,
    );
  }
  if (seen.frames === undefined) return;
  assert.ok(seen.frozen <= FORGIVEN, `froze ${seen.freezes} times for ${seen.frozen} s`);
  if (fps) assert.ok(seen.fps > fps * 0.7, `decoded ${seen.fps.toFixed(1)} frames/s of ${fps}`);
  if (codec) assert.equal(seen.mime.toLowerCase(), `video/${codec}`);
}
