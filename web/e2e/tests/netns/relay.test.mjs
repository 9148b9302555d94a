// The bad network does what it is told: the other suites here are worth nothing otherwise.

import assert from "node:assert/strict";
import { createSocket } from "node:dgram";
import { after, before, test } from "node:test";
import { setTimeout as pause } from "node:timers/promises";
import { cutUdp, home, RELAY_IP, SERVER_IP } from "../../lib/network.mjs";
import { relay } from "../../lib/relay.mjs";
import { Scope } from "../../lib/scope.mjs";
import { until } from "../../lib/wait.mjs";

const SEED = 7;
const CLEAR = { delay: 0, loss: 0, rate: 0 };

const scope = new Scope();
let echo;
let client;
let path;
let received = [];

before(async () => {
  await home();
  echo = await bound(SERVER_IP);
  echo.on("message", (datagram, from) => echo.send(datagram, from.port, from.address));
  client = await bound(SERVER_IP);
  client.on("message", (datagram) => received.push({ at: performance.now(), datagram }));
  const port = echo.address().port;
  path = await scope.add(relay(`${RELAY_IP}:${port}`, `${SERVER_IP}:${port}`, SEED));
});
after(() => scope.close());

async function bound(ip) {
  const socket = await scope.add(createSocket("udp4"));
  await new Promise((ready) => socket.bind(0, ip, ready));
  return socket;
}

const send = (datagram) => client.send(datagram, echo.address().port, RELAY_IP);

test("a delay of 40 ms each way makes a round trip of 80 ms", async () => {
  await path.shape({ up: { ...CLEAR, delay: 40 }, down: { ...CLEAR, delay: 40 } });
  received = [];
  for (let i = 0; i < 50; i++) {
    send(String(performance.now()));
    await pause(5);
  }
  await until("all echoes", () => received.length === 50);
  const trips = received.map(({ at, datagram }) => at - Number(datagram)).sort((a, b) => a - b);
  assert.ok(trips[0] >= 78, `shortest ${trips[0]} ms`);
  assert.ok(trips[25] < 100, `median ${trips[25]} ms`);
});

test("five per cent are lost each way, the same ones for the same seed", async () => {
  await path.shape({ up: { ...CLEAR, loss: 0.05 }, down: { ...CLEAR, loss: 0.05 } });
  const before = await path.counts();
  const sent = 2000;
  for (let i = 0; i < sent; i++) {
    send("x");
    if (i % 20 === 0) await pause(1);
  }
  const counts = await until("every datagram to be counted", async () => {
    const { up } = await path.counts();
    const seen = up.passed + up.lost - before.up.passed - before.up.lost;
    return seen === sent && path.counts();
  });
  const share = (counts.up.lost - before.up.lost) / sent;
  assert.ok(share > 0.03 && share < 0.07, `lost ${share}`);
  assert.ok(counts.down.lost > before.down.lost);
});

test("a rate of 500 kbit/s passes that much and drops the rest", async () => {
  await path.shape({ up: { ...CLEAR, rate: 500_000 }, down: CLEAR });
  received = [];
  const begun = performance.now();
  while (performance.now() - begun < 1000) {
    send(Buffer.alloc(1250));
    await pause(5);
  }
  const rate = (received.length * 1250 * 8 * 1000) / (performance.now() - begun);
  assert.ok(rate > 350_000 && rate < 520_000, `${rate} bit/s`);
  assert.ok((await path.counts()).up.overflowed > 0);
});

test("a cut path passes nothing until it is healed", async () => {
  await path.shape({ up: CLEAR, down: CLEAR });
  received = [];
  const cut = await cutUdp([echo.address().port]);
  send("into the cut");
  await cut.heal();
  await until("an echo", () => {
    send("after it");
    return received.some(({ datagram }) => datagram.toString() === "after it");
  });
  // Echoes of the test before may still come; this one may not.
  assert.ok(!received.some(({ datagram }) => datagram.toString() === "into the cut"));
});
