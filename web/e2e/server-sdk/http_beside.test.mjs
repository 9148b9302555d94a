// Attacks on HTTP beside a running call: the call does not notice, others join as quickly as ever, memory stays flat.

import { randomBytes } from "node:crypto";
import { setMaxListeners } from "node:events";
import { after, before, test } from "node:test";
import { setTimeout as pause } from "node:timers/promises";
import { CreateRoomRequest } from "@livekit/protocol";
import { CallUnderAttack } from "../lib/beside.mjs";
import { scaled } from "../lib/settings.mjs";
import { ATTACKER_IP } from "../lib/sockets.mjs";
import { mint } from "../lib/tokens.mjs";
import { grant } from "./calls.mjs";
import { idle, trickle, wire } from "./wire.mjs";

const ATTACKERS = 8;
/** An idle connection costs the server some 12 KiB until it is cut off after ten seconds. */
const CROWD = scaled(2_000, 400);
const SLOW = 200;
const from = ATTACKER_IP;

let call;
before(async () => {
  call = await CallUnderAttack.open();
});
after(() => call?.close());

/** Repeats `attack` on several connections at once until the signal aborts. */
const swarm = (signal, attack) =>
  Promise.all(
    Array.from({ length: ATTACKERS }, async (_, i) => {
      for (let round = 0; !signal.aborted; round++) {
        await attack(i, round);
        await pause(5);
      }
    }),
  );

const post = (path, token, body, type = "application/json") =>
  Buffer.concat([
    Buffer.from(
      `POST ${path} HTTP/1.1\r\nHost: a\r\nConnection: close\r\nAuthorization: Bearer ${token}\r\n` +
        `Content-Type: ${type}\r\nContent-Length: ${body.length}\r\n\r\n`,
    ),
    Buffer.from(body),
  ]);

test("malformed and oversized bodies", async () => {
  const token = await grant({ roomCreate: true });
  const create = "/twirp/livekit.RoomService/CreateRoom";
  const whole = Buffer.from(new CreateRoomRequest({ name: "a", metadata: "m" }).toBinary());
  const large = Buffer.alloc(3 * 2 ** 20, 0x20);
  await call.beside("malformed and oversized bodies", (signal) =>
    swarm(signal, (i, round) => {
      const bodies = [
        post(create, token, randomBytes(500), "application/protobuf"),
        post(create, token, whole.subarray(0, whole.length - 1), "application/protobuf"),
        post(create, token, "[".repeat(100_000)),
        post(create, token, large),
        post("/api/v1/apps", "nobody", large),
        post("/api/v1/apps/devkey/access-token", "nobody", `{"room_id":"${"x".repeat(200_000)}"}`),
      ];
      return wire(call.server, bodies[(i + round) % bodies.length], { from });
    }),
  );
});

test("slow bodies, slow heads and connections that say nothing", async () => {
  const token = await grant({ roomList: true });
  const slow =
    `POST /twirp/livekit.RoomService/ListRooms HTTP/1.1\r\nHost: a\r\nAuthorization: Bearer ${token}\r\n` +
    "Content-Type: application/json\r\nContent-Length: 200000\r\n\r\n";
  await call.beside("slow bodies and heads, a silent crowd", async (signal) => {
    setMaxListeners(SLOW, signal);
    const crowds = [];
    for (let i = 0; i < CROWD / 200; i++) crowds.push(await idle(call.server, 200, { from }));
    await Promise.all(
      Array.from({ length: SLOW }, (_, i) => {
        const head = i % 2 ? slow : "GET /healthz HTTP/1.1\r\nX: ";
        return trickle(call.server, head, { from, every: 200, wait: 60_000, signal });
      }),
    );
    while (!signal.aborted) await pause(100);
    for (const crowd of crowds) crowd.close();
  });
});

test("floods of headers and broken framing", () =>
  call.beside("header floods, broken framing", (signal) => {
    const line = `X: ${"a".repeat(1_000)}\r\n`;
    const floods = [
      `GET / HTTP/1.1\r\nHost: a\r\n${line.repeat(500)}\r\n`,
      `GET / HTTP/1.1\r\nHost: a\r\nCookie: ${"a=b; ".repeat(100_000)}\r\n\r\n`,
      `GET /?${"a".repeat(500_000)} HTTP/1.1\r\nHost: a\r\n\r\n`,
      "POST / HTTP/1.1\r\nHost: a\r\nTransfer-Encoding: chunked\r\n\r\nzz\r\n",
      randomBytes(2_000),
      "\x16\x03\x01\x02\x00\x01\x00\x01\xfc\x03\x03",
    ];
    return swarm(signal, (i, round) =>
      wire(call.server, floods[(i + round) % floods.length], { from, wait: 2_000 }),
    );
  }));

test("tokens that are wrong, expired and foreign", async () => {
  const tokens = [
    "abc",
    ".".repeat(50_000),
    await mint(call.room, "x", { ttl: -3600 }),
    await mint(call.room, "x", { secret: "another secret altogether, long enough" }),
    await mint(call.room, "x", { key: "APIunknown" }),
    await mint("elsewhere", "x"),
  ];
  await call.beside("bad tokens on every API", (signal) =>
    swarm(signal, (i, round) => {
      const token = tokens[round % tokens.length];
      const requests = [
        post("/twirp/livekit.RoomService/ListRooms", token, "{}"),
        post("/twirp/livekit.RoomService/DeleteRoom", token, JSON.stringify({ room: call.room })),
        `GET /rtc/validate?access_token=${token} HTTP/1.1\r\nHost: a\r\nConnection: close\r\n\r\n`,
        `GET /api/v1/apps HTTP/1.1\r\nHost: a\r\nConnection: close\r\nAuthorization: Bearer ${token}\r\n\r\n`,
        post(
          "/api/v1/apps/devkey/access-token",
          token,
          '{"room_id":"a","user_id":"b","ctime":"1","signature":"c","role":"joiner"}',
        ),
      ];
      return wire(call.server, requests[(i + round) % requests.length], { from, wait: 2_000 });
    }),
  );
});
