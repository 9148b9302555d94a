// Bad input beside a running call: malformed and oversized protobuf, garbage datagrams, tokens that are wrong, absurd
// SDP. The call does not notice, others join as quickly as ever, memory stays flat, and drops are counted.

import assert from "node:assert/strict";
import { createSocket } from "node:dgram";
import { after, before, test } from "node:test";
import { setTimeout as pause } from "node:timers/promises";
import { gzipSync } from "node:zlib";
import {
  JoinRequest,
  SessionDescription,
  SignalRequest,
  TrickleRequest,
  WrappedJoinRequest,
} from "@livekit/protocol";
import { CallUnderAttack } from "../lib/beside.mjs";
import { random } from "../lib/relay.mjs";
import { table } from "../lib/report.mjs";
import { ATTACKER_IP, anotherAddress, get, Refused, Socket } from "../lib/sockets.mjs";
import { forge, freshRoom, mint } from "../lib/tokens.mjs";

const SOCKETS = 8;
const DATAGRAMS_PER_TICK = 40;
const SEED = Number(process.env.SPARKRTC_E2E_SEED ?? Date.now() % 2 ** 31);

const chance = random(SEED);
let call;

before(async () => {
  console.log(`seed ${SEED} (SPARKRTC_E2E_SEED repeats it)`);
  call = await CallUnderAttack.open();
});
after(() => call?.close());

test("malformed protobuf", () =>
  beside("malformed protobuf", (signal) =>
    onSockets(signal, async (socket) => {
      await socket.raw(nonsense(Math.floor(chance() * 2000)));
      await socket.raw(truncated());
      await socket.raw("not protobuf, text", { binary: false });
      await socket.raw(Buffer.alloc(0));
      await socket.raw(nested(200));
    }),
  ));

test("oversized messages", () =>
  beside("oversized messages", async (signal) => {
    const huge = Buffer.alloc(16 * 2 ** 20, 0x41);
    await onSockets(signal, async (socket) => {
      await socket.raw(huge);
      await socket.signal({
        case: "offer",
        value: new SessionDescription({ type: "offer", sdp: "a".repeat(2 ** 20) }),
      });
      const attributes = Object.fromEntries(
        Array.from({ length: 1000 }, (_, i) => [`k${i}`, "v".repeat(500)]),
      );
      await socket.signal({
        case: "updateMetadata",
        value: { metadata: "m".repeat(2 ** 20), name: "n".repeat(2 ** 16), attributes },
      });
    });
  }));

test("compressed bombs in the join request", () =>
  beside("join request bombs", async (signal) => {
    const bombs = [64 * 2 ** 20, 2 * 2 ** 20].map((size) =>
      wrapped(gzipSync(Buffer.alloc(size)), 1),
    );
    const token = await mint(freshRoom("bomb"), "bomber");
    while (!signal.aborted) {
      for (const join_request of [
        ...bombs,
        wrapped(nonsense(3000), 1),
        wrapped(nonsense(3000), 0),
        "%%%",
        "A".repeat(60_000),
      ]) {
        await attempt(() => Socket.open(call.server, "/rtc/v1", token, { join_request }), {
          leaves: true,
        });
      }
    }
  }));

test("garbage datagrams", async () => {
  const before = (await call.server.metrics()).series;
  await beside("garbage datagrams", async (signal) => {
    const sockets = await Promise.all(
      Array.from({ length: 4 }, async () => {
        const socket = createSocket("udp4");
        await new Promise((bound) => socket.bind(0, ATTACKER_IP, bound));
        return socket;
      }),
    );
    const targets = call.server.ports.media_udp.map((address) => address.split(":"));
    try {
      while (!signal.aborted) {
        for (let i = 0; i < DATAGRAMS_PER_TICK; i++) {
          const [ip, port] = targets[i % targets.length];
          const to = ip === "0.0.0.0" ? "127.0.0.1" : ip;
          sockets[i % sockets.length].send(datagram(i), Number(port), to);
        }
        await pause(10);
      }
    } finally {
      for (const socket of sockets) socket.close();
    }
  });
  const after = (await call.server.metrics()).series;
  const counted = Object.keys(after).filter(
    (name) =>
      /drop|reject|discard|unknown|malformed/i.test(name) && after[name] > (before[name] ?? 0),
  );
  assert.ok(
    counted.length > 0,
    `no metric counted the garbage; metrics: ${Object.keys(after).join(" ")}`,
  );
  console.log(
    `counted by: ${counted.map((name) => `${name} +${after[name] - (before[name] ?? 0)}`).join(", ")}`,
  );
});

test("wrong, expired and foreign tokens get 401 or 403 and a sentence", async () => {
  const room = freshRoom("tokens");
  const good = await mint(room, "x");
  const [head, body, signature] = good.split(".");
  const claims = JSON.parse(Buffer.from(body, "base64url"));
  const none = Buffer.from('{"alg":"none","typ":"JWT"}').toString("base64url");
  const bad = {
    "no token": "",
    "not a token": "abc",
    "three dots": "a.b.c",
    expired: await mint(room, "x", { ttl: -3600 }),
    "wrong secret": await mint(room, "x", { secret: "not the secret of this key at all" }),
    "unknown key": await mint(room, "x", { key: "APIunknown" }),
    "changed body": `${head}.${Buffer.from(body, "base64url").toString("base64url").replace(/.$/, "A")}.${signature}`,
    "algorithm none": `${none}.${body}.`,
    "no join grant": await mint(room, "x", { grants: { roomJoin: false } }),
    "no identity": forge({ ...claims, sub: undefined }),
    "no expiry": forge({ ...claims, exp: undefined }),
    enormous: `${head}.${"A".repeat(30_000)}.${signature}`,
  };
  const told = [];
  await beside("bad tokens", async (signal) => {
    do {
      for (const [what, token] of Object.entries(bad)) {
        for (const path of ["/rtc", "/rtc/v1"]) {
          const query = path === "/rtc/v1" ? { join_request: wrapped(Buffer.alloc(0), 0) } : {};
          const refusal = await Socket.open(call.server, path, token, query, {
            from: anotherAddress(),
          }).then(
            async (socket) => {
              await socket.close();
              return null;
            },
            (error) => error,
          );
          assert.ok(refusal instanceof Refused, `${what} on ${path}: ${refusal ?? "was let in"}`);
          told.push({ what, path, status: refusal.status, body: refusal.body.trim().slice(0, 80) });
        }
        const validate = await get(
          call.server,
          `/rtc/validate?access_token=${encodeURIComponent(token)}`,
          { from: anotherAddress() },
        );
        assert.ok(
          [400, 401, 403, 431, 414].includes(validate.status),
          `${what}: validate said ${validate.status}`,
        );
        if (validate.status < 404)
          assert.equal(validate.headers["access-control-allow-origin"], "*");
      }
    } while (!signal.aborted);
  });
  const seen = new Map(told.map((t) => [`${t.what} ${t.path}`, t]));
  table("What bad tokens are told", [...seen.values()]);
  for (const { what, path, status, body } of seen.values()) {
    assert.ok([400, 401, 403, 429, 431, 414].includes(status), `${what} on ${path}: ${status}`);
    if (status < 404) assert.ok(body.length > 0, `${what} on ${path}: no word of why`);
  }
});

test("absurd SDP", () =>
  beside("absurd SDP", (signal) =>
    onSockets(signal, async (socket) => {
      for (const sdp of absurdities()) {
        const id = Math.floor(chance() * 1000);
        await socket.signal({
          case: "offer",
          value: new SessionDescription({ type: "offer", sdp, id }),
        });
        await socket.signal({
          case: "answer",
          value: new SessionDescription({ type: "answer", sdp, id }),
        });
      }
      for (const candidateInit of [
        "",
        "{}",
        '{"candidate":"candidate:1 1 udp 1 999.1.1.1 99999 typ host"}',
        "x".repeat(10_000),
      ]) {
        await socket.signal({
          case: "trickle",
          value: new TrickleRequest({ candidateInit, target: 1 }),
        });
      }
    }),
  ));

// -- attacking

const beside = (what, attack) => call.beside(what, attack);

/** Keeps `SOCKETS` joined sockets busy with `attack`, opening new ones as the server closes them. */
function onSockets(signal, attack) {
  return Promise.all(
    Array.from({ length: SOCKETS }, async (_, i) => {
      while (!signal.aborted) {
        // Half of them sit in the call's own room.
        const room = i % 2 ? call.room : freshRoom("attack");
        const token = await mint(room, `attacker-${i}`, { grants: { canPublish: true } });
        const socket = await attempt(() =>
          Socket.open(call.server, "/rtc", token, { protocol: "16", auto_subscribe: "0" }),
        );
        if (!socket) {
          await pause(50);
          continue;
        }
        for (let round = 0; round < 20 && socket.isOpen && !signal.aborted; round++) {
          await attack(socket);
          await pause(20);
        }
        await socket.close();
      }
    }),
  );
}

// Opening may be refused; that is an answer, too.
async function attempt(open, { leaves = false } = {}) {
  try {
    const socket = await open();
    if (leaves) await socket.close();
    return socket;
  } catch (error) {
    if (error instanceof Refused || /ECONNRESET|EPIPE|hang up|431|timed out/.test(String(error)))
      return null;
    throw error;
  }
}

// -- nonsense

function nonsense(length) {
  return Buffer.from(Array.from({ length }, () => Math.floor(chance() * 256)));
}

function truncated() {
  const whole = new SignalRequest({
    message: {
      case: "offer",
      value: new SessionDescription({ type: "offer", sdp: "v=0\r\n".repeat(50) }),
    },
  }).toBinary();
  return whole.subarray(0, Math.floor(chance() * whole.length));
}

/** A message within a message within a message. */
function nested(depth) {
  let bytes = Buffer.alloc(0);
  for (let i = 0; i < depth; i++)
    bytes = Buffer.concat([Buffer.from([0x0a, ...varint(bytes.length)]), bytes]);
  return bytes;
}

function varint(value) {
  const bytes = [];
  for (; value > 127; value >>>= 7) bytes.push((value & 127) | 128);
  return [...bytes, value];
}

function wrapped(joinRequest, compression) {
  const request = new WrappedJoinRequest({
    compression,
    joinRequest: joinRequest ?? new JoinRequest().toBinary(),
  });
  return Buffer.from(request.toBinary()).toString("base64url");
}

/** Raw noise, and noise that begins like STUN, DTLS, RTP and RTCP. */
function datagram(i) {
  const noise = nonsense(20 + Math.floor(chance() * 1200));
  switch (i % 6) {
    case 0:
      return noise;
    case 1: {
      // A STUN binding request with the right cookie and length, and attributes of noise.
      const body = noise.subarray(0, noise.length & ~3);
      const head = Buffer.alloc(20);
      head.writeUInt16BE(0x0001, 0);
      head.writeUInt16BE(body.length, 2);
      head.writeUInt32BE(0x2112a442, 4);
      nonsense(12).copy(head, 8);
      return Buffer.concat([head, body]);
    }
    case 2:
      return Buffer.concat([Buffer.from([0x00, 0x01, 0xff, 0xff, 0x21, 0x12, 0xa4, 0x42]), noise]);
    case 3:
      // A DTLS 1.2 handshake record whose length is a lie.
      return Buffer.concat([
        Buffer.from([22, 0xfe, 0xfd, 0, 0, 0, 0, 0, 0, 0, 0, 0x40, 0x00, 1]),
        noise,
      ]);
    case 4:
      return Buffer.concat([Buffer.from([0x80, 111]), noise]);
    default:
      return Buffer.concat([Buffer.from([0x81, 201, 0xff, 0xff]), noise]);
  }
}

function absurdities() {
  const session = "v=0\r\no=- 1 1 IN IP4 127.0.0.1\r\ns=-\r\nt=0 0\r\n";
  const media =
    "m=video 9 UDP/TLS/RTP/SAVPF 96\r\nc=IN IP4 0.0.0.0\r\na=mid:0\r\na=rtpmap:96 VP8/90000\r\n";
  const ice = "a=ice-ufrag:aaaa\r\na=ice-pwd:aaaaaaaaaaaaaaaaaaaaaaaa\r\na=setup:actpass\r\n";
  const fingerprint = `a=fingerprint:sha-256 ${Array(32).fill("AA").join(":")}\r\n`;
  return [
    "",
    "v",
    "hello",
    session,
    `${session}${media}`,
    `${session}${media}${ice}`,
    `${session}${media.repeat(300)}`,
    `${session}${Array.from({ length: 1000 }, (_, i) => media.replace("mid:0", `mid:${i}`)).join("")}${ice}${fingerprint}`,
    `${session}${media}${ice}${fingerprint}a=fmtp:96 ${"x=1;".repeat(10_000)}\r\n`,
    `${session}${media}${ice}${fingerprint}a=ssrc:99999999999999999999 cname:x\r\na=rtpmap:999 \r\na=extmap:-1 urn:x\r\n`,
    `${session}${media}${ice}${fingerprint}a=simulcast:send ${Array.from({ length: 500 }, (_, i) => `r${i}`).join(";")}\r\n`,
    `${session}a=group:BUNDLE ${"0 ".repeat(5000)}\r\n${media}${ice}${fingerprint}`,
    `${session}${media.replace("9 UDP", "-1 UDP")}${ice}${fingerprint}`,
    `${session}${media.replace("video", "\u{1F4A5}")}${ice}${fingerprint}`,
    `${session}${media}${ice}a=fingerprint:sha-256 zz\r\n`,
    Buffer.from(nonsense(2000)).toString("latin1"),
  ];
}
