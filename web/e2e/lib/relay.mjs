// A bad network: a UDP relay in front of the server's media port that delays, loses and squeezes datagrams.
//
// The server announces the relay's address (`media.public_ip`) with its own port; the relay listens there and keeps
// one upstream socket per client. Runs as a process of its own, so that the delays do not depend on the test.

import { createSocket } from "node:dgram";
import { createInterface } from "node:readline";
import { fileURLToPath } from "node:url";
import { start, stop } from "./children.mjs";
import { until } from "./wait.mjs";

/** What both directions do before a test says otherwise. `rate` in bit/s, 0 is unlimited; times in ms. */
const CLEAR = { delay: 0, loss: 0, rate: 0, queue: 200 };

/**
 * Starts a relay that listens on `listen` and passes to `target` (both "IP:PORT"). `shape({ up, down })` sets either
 * direction; `counts()` tells what happened since the start.
 */
export async function relay(listen, target, seed) {
  const child = start([
    process.execPath,
    fileURLToPath(import.meta.url),
    listen,
    target,
    String(seed),
  ]);
  const lines = [];
  let errors = "";
  createInterface({ input: child.stdout }).on("line", (line) => lines.push(JSON.parse(line)));
  child.stderr.on("data", (chunk) => {
    errors += chunk;
  });
  const ask = async (command) => {
    const already = lines.length;
    child.stdin.write(`${JSON.stringify(command)}\n`);
    await until(
      "the relay to answer",
      () => {
        if (child.exitCode !== null) throw new Error(`the relay ended: ${errors}`);
        return lines.length > already;
      },
      { every: 5 },
    );
    return lines[already];
  };
  await ask({});
  return {
    shape: (settings) => ask(settings),
    counts: () => ask({}),
    close: () => stop(child),
  };
}

/** A small generator with a seed (splitmix32): a run can be repeated. */
export function random(seed) {
  let state = seed >>> 0;
  return () => {
    state = (state + 0x9e3779b9) >>> 0;
    let z = state;
    z = Math.imul(z ^ (z >>> 16), 0x21f0aaad);
    z = Math.imul(z ^ (z >>> 15), 0x735a2d97);
    return ((z ^ (z >>> 15)) >>> 0) / 2 ** 32;
  };
}

/** One direction of one client's path: loses, then queues behind a bottleneck, then delays. */
class Pipe {
  constructor(settings, chance, counts, deliver) {
    Object.assign(this, { settings, chance, counts, deliver });
    this.waiting = [];
    this.free = 0;
    this.timer = null;
  }

  push(datagram) {
    const { delay, loss, rate, queue } = this.settings;
    const now = performance.now();
    if (this.chance() < loss) {
      this.counts.lost += 1;
      return;
    }
    let leaves = now;
    if (rate > 0) {
      const begins = Math.max(now, this.free);
      if (begins - now > queue) {
        this.counts.overflowed += 1;
        return;
      }
      leaves = begins + (datagram.length * 8 * 1000) / rate;
      this.free = leaves;
    }
    this.counts.passed += 1;
    this.waiting.push({ at: leaves + delay, datagram });
    this.arm();
  }

  arm() {
    if (this.timer !== null || this.waiting.length === 0) return;
    const wait = this.waiting[0].at - performance.now();
    this.timer = setTimeout(
      () => {
        this.timer = null;
        const now = performance.now();
        // A timer fires up to a millisecond early; being exact to half a one is enough.
        while (this.waiting.length > 0 && this.waiting[0].at <= now + 0.5)
          this.deliver(this.waiting.shift().datagram);
        this.arm();
      },
      Math.max(0, wait),
    );
  }
}

function serve(listen, target, seed) {
  const [listenIp, listenPort] = listen.split(":");
  const [targetIp, targetPort] = target.split(":");
  const settings = { up: { ...CLEAR }, down: { ...CLEAR } };
  const counts = { up: fresh(), down: fresh() };
  const chance = random(seed);
  const flows = new Map();
  const front = createSocket("udp4");

  front.on("message", (datagram, from) => {
    const key = `${from.address}:${from.port}`;
    if (!flows.has(key)) flows.set(key, flow(from));
    flows.get(key).push(datagram);
  });
  front.bind(Number(listenPort), listenIp, () => {
    createInterface({ input: process.stdin })
      .on("line", (line) => {
        const { up, down } = JSON.parse(line);
        Object.assign(settings.up, up);
        Object.assign(settings.down, down);
        process.stdout.write(`${JSON.stringify({ flows: flows.size, ...counts })}\n`);
      })
      .on("close", () => process.exit(0));
  });

  function flow(client) {
    const back = createSocket("udp4");
    const up = new Pipe(settings.up, chance, counts.up, (d) =>
      back.send(d, Number(targetPort), targetIp),
    );
    const down = new Pipe(settings.down, chance, counts.down, (d) =>
      front.send(d, client.port, client.address),
    );
    back.bind(0, listenIp);
    back.on("message", (datagram) => down.push(datagram));
    return up;
  }

  function fresh() {
    return { passed: 0, lost: 0, overflowed: 0 };
  }
}

if (process.argv[1] === fileURLToPath(import.meta.url)) {
  const [listen, target, seed] = process.argv.slice(2);
  serve(listen, target, Number(seed));
}
