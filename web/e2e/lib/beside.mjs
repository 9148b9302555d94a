// An attack beside a running call: the call must not notice, others must join as quickly as ever, memory must stay flat.

import assert from "node:assert/strict";
import { setTimeout as pause } from "node:timers/promises";
import { flowing } from "./media.mjs";
import { table } from "./report.mjs";
import { scaled } from "./settings.mjs";
import { leave, Stage } from "./stage.mjs";
import { freshRoom } from "./tokens.mjs";

const SECONDS = scaled(60, 5);
const MEMORY_GROWTH = 64 * 2 ** 20;
/** How much the last third of a run may lie above its middle third and still be called flat. */
const FLAT = 8 * 2 ** 20;
const LOSS = 0.01;
const JOIN_SECONDS = 2;

/** A server with a call on it, Python to a browser, and the figures of the attacks it lived through. */
export class CallUnderAttack {
  rows = [];

  static async open(options = {}) {
    const call = new CallUnderAttack();
    // The server may well say that it was sent nonsense; that is not trouble of its own.
    call.stage = await Stage.open(["js", "python"], { expected: [/\bWARN\b/], ...options });
    try {
      call.room = freshRoom("call");
      call.a = await call.stage.join("python", call.room, "a");
      call.b = await call.stage.join("js", call.room, "b");
      call.audio = (await call.a.call("publish_audio")).sid;
      call.video = (await call.a.call("publish_video")).sid;
      await flowing(call.b, { audio: call.audio, video: call.video });
    } catch (error) {
      await call.stage.close().catch(() => {});
      throw error;
    }
    return call;
  }

  get server() {
    return this.stage.server;
  }

  /** Runs `attack(signal)` until the signal aborts, probing meanwhile; fails when somebody noticed. */
  async beside(what, attack) {
    const stop = new AbortController();
    const memory = [await this.server.memory()];
    const before = await this.b.stats();
    const joins = [];
    const attacking = attack(stop.signal);
    let failure;
    attacking.catch((error) => {
      failure = error;
    });
    const end = performance.now() + SECONDS * 1000;
    for (let i = 0; performance.now() < end && !failure; i++) {
      memory.push(await this.server.memory());
      const probe = await this.stage.join(i % 2 ? "js" : "python", freshRoom("probe"), "probe", {
        mode: i % 2 ? "v0" : "v1",
        sink: false,
      });
      joins.push(probe.joined.seconds);
      await leave(probe);
      await pause(200);
    }
    stop.abort();
    await attacking;
    memory.push(await this.server.memory());
    const after = await this.b.stats();
    this.judge(what, { before, after, memory, joins });
  }

  judge(what, { before, after, memory, joins }) {
    const grew = (sid, key) => after.inbound[sid][key] - before.inbound[sid][key];
    const [audio, video] = [this.audio, this.video].map((sid) => [
      grew(sid, "packetsLost"),
      grew(sid, "packetsReceived"),
    ]);
    const frames = grew(this.video, "framesDecoded");
    const loss = Math.max(audio[0] / audio[1], video[0] / video[1]);
    const growth = Math.max(...memory) - memory[0];
    const third = Math.floor(memory.length / 3);
    const slope = mean(memory.slice(-third)) - mean(memory.slice(third, 2 * third));
    this.rows.push({
      "beside the call": what,
      seconds: (after.at - before.at).toFixed(0),
      "memory growth": `${(growth / 2 ** 20).toFixed(1)} MiB`,
      "last third": `${(slope / 2 ** 20).toFixed(1)} MiB`,
      "slowest join": `${(Math.max(...joins) * 1000).toFixed(0)} ms of ${joins.length}`,
      "audio lost": audio.join("/"),
      "video lost": video.join("/"),
      frames,
    });
    assert.ok(growth <= MEMORY_GROWTH, `memory grew by ${growth} bytes`);
    assert.ok(slope <= FLAT, `memory is not flat: ${slope} bytes more in the last third`);
    assert.ok(Math.max(...joins) < JOIN_SECONDS, `a join took ${Math.max(...joins)} s`);
    assert.ok(loss <= LOSS, `the call lost ${(loss * 100).toFixed(2)} %`);
    assert.ok(frames > 0, "the call's picture stood still");
  }

  async close() {
    if (this.rows.length > 0) table(`Bad input beside a call, ${SECONDS} s each`, this.rows);
    await leave(this.a, this.b);
    await this.stage.close();
  }
}

const mean = (numbers) => numbers.reduce((sum, n) => sum + n, 0) / Math.max(1, numbers.length);
