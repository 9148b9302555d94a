// The attacker at the HTTP door: bodies, headers, tokens and framing no honest client sends, against /api/v1, /twirp and
// /rtc/validate. Every answer is clear, none is the server's own fault, and nobody else notices.

import assert from "node:assert/strict";
import { randomBytes } from "node:crypto";
import { readdir, readFile } from "node:fs/promises";
import { join } from "node:path";
import { after, before, describe, test } from "node:test";
import {
  CreateRoomRequest,
  JoinRequest,
  SendDataRequest,
  WrappedJoinRequest,
} from "@livekit/protocol";
import { AccessToken } from "livekit-server-sdk";
import { random } from "../lib/relay.mjs";
import { Server } from "../lib/server.mjs";
import { ATTACKER_IP } from "../lib/sockets.mjs";
import { mint } from "../lib/tokens.mjs";
import { until } from "../lib/wait.mjs";
import { ask, grant, twirp } from "./calls.mjs";
import { idle, trickle, wire } from "./wire.mjs";

const SEED = Number(process.env.SPARKRTC_E2E_SEED ?? Date.now() % 2 ** 31);
const FUZZED = 1_500;
/** What a client of `/rtc/v1` sends beside its token. */
const JOIN = Buffer.from(
  new WrappedJoinRequest({ joinRequest: new JoinRequest({ metadata: "m" }).toBinary() }).toBinary(),
).toString("base64url");
const chance = random(SEED);

let server;
let admin;
let app;

before(async () => {
  console.log(`seed ${SEED} (SPARKRTC_E2E_SEED repeats it)`);
  server = await Server.start();
  admin = (await readFile(join(server.directory, "admin.token"), "utf8")).trim();
  const made = await api("POST", "/apps", { name: "target" });
  assert.equal(made.status, 201);
  app = made.body;
});
after(() => server?.stop());

/** A request to the REST API, as the operator unless `token` says otherwise; `null` sends none. */
function api(method, path, body, { token = admin, type = "application/json", headers = {} } = {}) {
  const raw = body === undefined || typeof body === "string" || Buffer.isBuffer(body);
  return ask(server, `/api/v1${path}`, {
    method,
    headers: {
      ...(token === null ? {} : { authorization: `Bearer ${token}` }),
      ...(body === undefined ? {} : { "content-type": type }),
      ...headers,
    },
    body: raw ? body : JSON.stringify(body),
  });
}

/** The answer is a problem document of this status; gives its code. */
function problem(reply, ...statuses) {
  assert.ok(statuses.includes(reply.status), `${reply.status}: ${reply.text.slice(0, 200)}`);
  assert.equal(reply.type, "application/problem+json");
  assert.equal(reply.body.status, reply.status);
  for (const field of ["title", "detail", "code", "request_id"])
    assert.ok(reply.body[field].length > 0, `${field}: ${reply.text}`);
  assert.ok(reply.text.length < 2_000, `${reply.text.length} bytes of echo`);
  return reply.body.code;
}

/** The answer is Twirp's error of this status; gives its code. */
function refusal(reply, ...statuses) {
  assert.ok(statuses.includes(reply.status), `${reply.status}: ${reply.text.slice(0, 200)}`);
  assert.equal(reply.type, "application/json");
  assert.ok(reply.body.msg.length > 0 && reply.text.length < 2_000, reply.text.slice(0, 200));
  return reply.body.code;
}

const noise = (length) => Buffer.from(Array.from({ length }, () => Math.floor(chance() * 256)));

/** `bytes` with some of them changed, dropped or doubled. */
function mutated(bytes) {
  const copy = [...bytes];
  for (let i = 0; i < 1 + chance() * 4; i++) {
    const at = Math.floor(chance() * copy.length);
    const kind = chance();
    if (kind < 0.5) copy[at] = Math.floor(chance() * 256);
    else if (kind < 0.75) copy.splice(at, 1 + Math.floor(chance() * 8));
    else copy.splice(at, 0, ...copy.slice(at, at + 8));
  }
  return Buffer.from(copy);
}

describe("bodies", () => {
  test("what is not the JSON of the operation is refused by name", async () => {
    const deep = `${"[".repeat(20_000)}${"]".repeat(20_000)}`;
    const cases = [
      "",
      "null",
      "[]",
      "7",
      "{",
      '{"name":7}',
      '{"name":"a"',
      '{"name":"a","type":"NOTHING"}',
      '{"name":"a","unknown":1}',
      '{"name":"a","name":"b"}',
      `{"name":"${"x".repeat(100_000)}"}`,
      `{"${"x".repeat(100_000)}":1}`,
      deep,
      `{"name":${deep}}`,
      Buffer.from([0xff, 0xfe, 0x00]),
      '{"name":"\\ud800"}',
      '{"name":"a\\u0000b"}',
      `{"name":"${"'; DROP TABLE apps; --"}"}`,
      '{"name":"../../etc/passwd"}',
      '{"name":"<script>alert(1)</script>"}',
    ];
    for (const body of cases)
      assert.equal(problem(await api("POST", "/apps", body), 400), "invalid_argument", `${body}`);
    assert.equal((await api("GET", `/apps/${app.app_id}`)).body.name, "target");
  });

  test("what is too large is refused, announced or not", async () => {
    const large = JSON.stringify({ name: "x".repeat(2 ** 20) });
    assert.equal(problem(await api("POST", "/apps", large), 413), "too_large");
    const token = await grant({ roomCreate: true });
    assert.equal(
      refusal(await twirp(server, "CreateRoom", large, token), 413),
      "resource_exhausted",
    );
    for (const path of ["/api/v1/apps", "/twirp/livekit.RoomService/CreateRoom"]) {
      const bearer = path.startsWith("/api") ? admin : token;
      const head =
        `POST ${path} HTTP/1.1\r\nHost: a\r\nAuthorization: Bearer ${bearer}\r\n` +
        "Content-Type: application/json\r\n";
      const announced = await wire(server, `${head}Content-Length: 99999999999999\r\n\r\n`);
      assert.equal(announced.status, 413, announced.text);
      const chunk = `10000\r\n${"x".repeat(0x10000)}\r\n`;
      const streamed = `${head}Transfer-Encoding: chunked\r\n\r\n${chunk.repeat(100)}0\r\n\r\n`;
      const answer = await wire(server, streamed);
      // The server hangs up on what it does not want; the answer may be lost with it.
      assert.ok([0, 413].includes(answer.status) && answer.closed, answer.text.slice(0, 200));
    }
  });

  test("declared wrongly or compressed, a body is refused", async () => {
    const body = '{"name":"b"}';
    for (const type of ["text/plain", "application/xml", "multipart/form-data", "a"])
      problem(await api("POST", "/apps", body, { type }), 400, 415);
    const headers = { "content-encoding": "gzip" };
    problem(await api("POST", "/apps", randomBytes(100), { headers }), 400, 415);
  });

  test(`${FUZZED} mutated requests end in a clear answer, never in an error of the server's`, async () => {
    const token = await grant({ roomCreate: true, roomAdmin: true, room: "a" });
    const create = new CreateRoomRequest({
      name: "a",
      metadata: "m".repeat(30),
      maxParticipants: 7,
    });
    const send = new SendDataRequest({ room: "a", data: Buffer.from("data"), topic: "t" });
    const seen = {};
    for (let i = 0; i < FUZZED; i++) {
      const [method, message] = i % 2 ? ["CreateRoom", create] : ["SendData", send];
      const json = i % 3 === 0;
      const whole = json ? Buffer.from(JSON.stringify(message.toJson())) : message.toBinary();
      const body = i % 10 === 0 ? noise(Math.floor(chance() * 300)) : mutated(whole);
      const type = json ? "application/json" : "application/protobuf";
      const reply = await twirp(server, method, body, token, { type });
      seen[reply.status] = (seen[reply.status] ?? 0) + 1;
      const shown = `${method} ${type} ${body.toString("hex")}: ${reply.status} ${reply.text}`;
      assert.ok([200, 400, 403, 404, 501].includes(reply.status), shown);
      if (reply.status !== 200) refusal(reply, reply.status);
    }
    console.log(`statuses: ${JSON.stringify(seen)}`);
    for (const room of await server.rooms().listRooms()) await server.rooms().deleteRoom(room.name);
  });
});

describe("paths and methods", () => {
  test("nothing outside the routes is reached", async () => {
    const paths = [
      "/api/v1/nothing",
      "/api/v1/apps/%2e%2e/%2e%2e/etc/passwd",
      "/api/v1/apps/..%2f..%2fadmin.token",
      "/api/v1/apps/%00",
      "/api/v1/apps/%ff%fe",
      `/api/v1/apps/${"x".repeat(10_000)}`,
      "/api/v1/apps/'%20OR%201=1--",
      "/api/v1/../../admin.token",
      "/admin.token",
      "/sparkrtc.db",
      "/twirp/../api/v1/apps",
    ];
    for (const path of paths) {
      const { status, text } = await wire(
        server,
        `GET ${path} HTTP/1.1\r\nHost: a\r\nConnection: close\r\nAuthorization: Bearer ${admin}\r\n\r\n`,
      );
      assert.ok([400, 404].includes(status), `${path}: ${status}`);
      assert.ok(!text.includes(admin) && !text.includes("root:"), path);
    }
  });

  test("methods that do not exist are refused", async () => {
    for (const method of ["PUT", "PATCH", "DELETE", "TRACE", "CONNECT", "PROPFIND", "GET\tX"]) {
      const { status } = await wire(
        server,
        `${method} /api/v1/apps HTTP/1.1\r\nHost: a\r\nConnection: close\r\nAuthorization: Bearer ${admin}\r\n\r\n`,
      );
      assert.ok([400, 404, 405].includes(status), `${method}: ${status}`);
    }
  });
});

describe("tokens", () => {
  /** Tokens that are good for nothing, by what is wrong with them. */
  async function unusable(room) {
    const good = await mint(room, "x");
    const [head, body, signature] = good.split(".");
    const none = Buffer.from('{"alg":"none","typ":"JWT"}').toString("base64url");
    const rs256 = Buffer.from('{"alg":"RS256","typ":"JWT"}').toString("base64url");
    return {
      nothing: "",
      "a word": "abc",
      dots: "..",
      "many dots": ".".repeat(1_000),
      "no base64": "%%%.%%%.%%%",
      "no JSON": `${Buffer.from("x").toString("base64url")}.${body}.${signature}`,
      "algorithm none": `${none}.${body}.`,
      "algorithm none, signed": `${none}.${body}.${signature}`,
      "another algorithm": `${rs256}.${body}.${signature}`,
      "cut signature": `${head}.${body}.${signature.slice(0, -2)}`,
      "no signature": `${head}.${body}.`,
      "another secret": await mint(room, "x", { secret: "another secret altogether, long enough" }),
      "empty secret": await emptySecret(room),
      "unknown key": await mint(room, "x", { key: "APIunknown" }),
      expired: await mint(room, "x", { ttl: -3600 }),
      "another app's key": await mint(room, "x", { key: app.app_id, secret: "secret" }),
      huge: `${head}.${"A".repeat(20_000)}.${signature}`,
    };
  }

  async function emptySecret(room) {
    const { createHmac } = await import("node:crypto");
    const claims = { iss: "devkey", sub: "x", exp: 9_999_999_999, video: { roomJoin: true, room } };
    const part = (value) => Buffer.from(JSON.stringify(value)).toString("base64url");
    const signed = `${part({ alg: "HS256", typ: "JWT" })}.${part(claims)}`;
    return `${signed}.${createHmac("sha256", "").update(signed).digest("base64url")}`;
  }

  test("none of them opens anything", async () => {
    for (const [what, token] of Object.entries(await unusable("tokens"))) {
      const listing = await twirp(server, "ListRooms", {}, token);
      assert.equal(refusal(listing, 401), "unauthenticated", what);
      const rest = await api("GET", "/apps", undefined, { token });
      assert.match(problem(rest, 401), /^(token_invalid|unauthenticated)$/, what);
      for (const path of ["/rtc/validate", "/rtc/v1/validate"]) {
        const query = new URLSearchParams({ access_token: token, join_request: JOIN });
        const validate = await ask(server, `${path}?${query}`);
        assert.equal(validate.status, 401, `${what} ${path}: ${validate.text}`);
        assert.equal(validate.headers.get("access-control-allow-origin"), "*");
        assert.ok(validate.text.trim().length > 0 && validate.text.length < 2_000);
      }
    }
  });

  test("a good token opens only what it is for", async () => {
    const join = await mint("a", "x");
    refusal(await twirp(server, "ListRooms", {}, join), 403);
    refusal(await twirp(server, "CreateRoom", { name: "a" }, join), 403);
    problem(await api("GET", "/apps", undefined, { token: join }), 401);
    const everything = await grant({
      roomCreate: true,
      roomList: true,
      roomAdmin: true,
      room: "a",
    });
    problem(await api("GET", "/apps", undefined, { token: everything }), 401);
    refusal(await twirp(server, "ListRooms", {}, admin), 401);
    assert.equal((await ask(server, `/rtc/validate?access_token=${admin}`)).status, 401);
    const steering = await ask(server, `/rtc/validate?access_token=${everything}`);
    assert.ok([401, 403].includes(steering.status), `${steering.status}`);
  });

  test("an app's token sees its own rooms only", async () => {
    const own = await grant({ roomCreate: true }, { key: app.app_id, secret: app.app_key });
    assert.equal((await twirp(server, "CreateRoom", { name: "same" }, own)).status, 200);
    await server.rooms().createRoom({ name: "same", metadata: "other" });
    const list = await grant({ roomList: true }, { key: app.app_id, secret: app.app_key });
    const { body } = await twirp(server, "ListRooms", {}, list);
    assert.deepEqual(
      body.rooms.map((room) => room.metadata ?? ""),
      [""],
    );
    assert.equal((await twirp(server, "DeleteRoom", { room: "same" }, own)).status, 200);
    assert.equal((await server.rooms().listRooms(["same"])).length, 1);
    await server.rooms().deleteRoom("same");
  });

  test("the admin token is not guessed by its beginning, case or surroundings", async () => {
    const guesses = [
      admin.slice(0, -1),
      `${admin}x`,
      admin.toUpperCase() === admin ? admin.toLowerCase() : admin.toUpperCase(),
      `${admin},${admin}`,
      `"${admin}"`,
      `x ${admin}`,
      "*",
      "null",
      "undefined",
    ];
    for (const token of guesses) problem(await api("GET", "/apps", undefined, { token }), 401);
    problem(await api("GET", "/apps", undefined, { token: null }), 401);
    for (const authorization of [
      admin,
      `Basic ${btoa(`admin:${admin}`)}`,
      `Token ${admin}`,
      "Bearer",
    ])
      problem(await ask(server, "/api/v1/apps", { headers: { authorization } }), 401);
    const inQuery = await ask(server, `/api/v1/apps?access_token=${admin}&token=${admin}`);
    problem(inQuery, 401);
  });

  test("somebody without a token learns nothing about what exists", async () => {
    const there = await api("GET", `/apps/${app.app_id}`, undefined, { token: null });
    const nowhere = await api("GET", `/apps/${"0".repeat(32)}`, undefined, { token: null });
    const strip = ({ status, body }) => ({ status, ...body, request_id: "" });
    assert.deepEqual(strip(there), strip(nowhere));
  });

  test("a page of another site cannot read this machine's metrics", async () => {
    assert.equal((await ask(server, "/metrics")).status, 200);
    const headers = { origin: "https://example.org" };
    problem(await ask(server, "/metrics", { headers }), 401);
    headers.authorization = `Bearer ${admin}`;
    assert.equal((await ask(server, "/metrics", { headers })).status, 200);
  });

  test("a token in a link is not told to the log", async () => {
    const token = await new AccessToken("devkey", "secret", { identity: "loglog" }).toJwt();
    await ask(server, `/rtc/validate?access_token=${token}`);
    await twirp(server, "ListRooms", {}, token);
    assert.ok(!server.log.includes(token.slice(-20)), "a token stands in the log");
    assert.ok(!server.log.includes(admin) && !server.log.includes(app.app_key));
  });
});

describe("framing", () => {
  const head = "Host: a\r\n";

  test("requests that two parsers could read differently are refused", async () => {
    const post = "POST /healthz HTTP/1.1\r\n";
    const smuggled = "GET /healthz HTTP/1.1\r\nHost: a\r\n\r\n";
    const cases = {
      "two lengths": `${post}${head}Content-Length: 5\r\nContent-Length: 6\r\n\r\n${smuggled}`,
      "two lengths in one": `${post}${head}Content-Length: 5, 6\r\n\r\n${smuggled}`,
      "negative length": `${post}${head}Content-Length: -1\r\n\r\n${smuggled}`,
      "length with sign": `${post}${head}Content-Length: +5\r\n\r\n${smuggled}`,
      "length in hex": `${post}${head}Content-Length: 0x5\r\n\r\n${smuggled}`,
      "endless length": `${post}${head}Content-Length: ${"9".repeat(100)}\r\n\r\n${smuggled}`,
      "unknown coding": `${post}${head}Transfer-Encoding: chunked, x\r\n\r\n${smuggled}`,
      "space before colon": `${post}${head}Content-Length : 0\r\n\r\n${smuggled}`,
      "folded header": `${post}${head}X: a\r\n b\r\n\r\n`,
      "bare CR": `${post}Host: a\rX: b\r\n\r\n`,
      "NUL in a header": `${post}${head}X: a\0b\r\n\r\n`,
      "NUL in the target": `GET /\0 HTTP/1.1\r\n${head}\r\n`,
      "no version": "GET /healthz\r\n\r\n",
      "a strange version": `GET /healthz HTTP/9.9\r\n${head}\r\n`,
      "not HTTP": "\x16\x03\x01\x02\x00\x01\x00\x01\xfc\x03\x03",
      "HTTP/2 by prior knowledge": "PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n",
    };
    for (const [what, bytes] of Object.entries(cases)) {
      const { status, answers, text, closed } = await wire(server, Buffer.from(bytes, "latin1"));
      assert.ok([0, 400, 501, 505].includes(status), `${what}: ${text.slice(0, 100)}`);
      assert.ok(closed && answers <= 1, `${what}: ${text.slice(0, 200)}`);
    }
  });

  test("length and chunks together: the chunks count and the connection ends", async () => {
    const bytes =
      `POST /twirp/livekit.RoomService/X HTTP/1.1\r\n${head}Content-Length: 4\r\n` +
      "Transfer-Encoding: chunked\r\n\r\n0\r\n\r\nGET /healthz HTTP/1.1\r\nHost: a\r\n\r\n";
    const { answers, text } = await wire(server, bytes, { wait: 2_000 });
    // RFC 9112 §6.1: process by the chunks, then close.
    assert.ok(answers <= 1, text);
  });

  test("broken chunks end the connection", async () => {
    const token = await grant({ roomList: true });
    for (const chunks of [
      "zz\r\n",
      "5\r\nab\r\n0\r\n\r\n",
      `${"f".repeat(17)}\r\n`,
      "-1\r\n\r\n",
    ]) {
      const bytes =
        `POST /twirp/livekit.RoomService/ListRooms HTTP/1.1\r\n${head}Transfer-Encoding: chunked\r\n` +
        `Authorization: Bearer ${token}\r\nContent-Type: application/json\r\n\r\n${chunks}`;
      const { status, answers, closed } = await wire(server, bytes, { wait: 3_000 });
      assert.ok([0, 400].includes(status) && answers <= 1, `${chunks}: ${status}`);
      if (!chunks.startsWith("5")) assert.ok(closed, chunks);
    }
  });

  test("floods of headers are refused, however they are made", async () => {
    const line = (i, length) => `X-${i}: ${"a".repeat(length)}\r\n`;
    const many = (count, length) =>
      Array.from({ length: count }, (_, i) => line(i, length)).join("");
    const cases = {
      "many small ones": many(5_000, 10),
      "one large one": many(1, 1_000_000),
      "many large ones": many(100, 10_000),
      cookies: `Cookie: ${"a=b; ".repeat(100_000)}\r\n`,
    };
    for (const [what, headers] of Object.entries(cases)) {
      const { status, closed } = await wire(
        server,
        `GET /healthz HTTP/1.1\r\n${head}${headers}\r\n`,
      );
      assert.ok([0, 400, 431].includes(status) && closed, `${what}: ${status}`);
    }
    const target = `GET /healthz?${"a".repeat(1_000_000)} HTTP/1.1\r\n${head}\r\n`;
    const { status } = await wire(server, target);
    assert.ok([0, 400, 414, 431].includes(status), `${status}`);
    assert.equal((await ask(server, "/healthz")).status, 200);
  });

  test("a thousand pipelined requests are answered in order or refused, and cost nothing after", async () => {
    const one = `GET /healthz HTTP/1.1\r\n${head}\r\n`;
    const { answers } = await wire(server, one.repeat(1_000), { wait: 3_000 });
    assert.ok(answers <= 1_000 && answers > 0);
  });
});

describe("slow clients", () => {
  let impatient;
  let usual;

  before(async () => {
    const env = { SPARKRTC_HTTP__HEADER_TIMEOUT: "1s", SPARKRTC_HTTP__BODY_TIMEOUT: "1s" };
    impatient = await Server.start({ env });
    usual = await descriptors(impatient);
  });
  after(() => impatient?.stop());

  test("a head that never ends is cut off", async () => {
    const { closed, ms } = await trickle(impatient, "GET /healthz HTTP/1.1\r\nX: ", {
      wait: 8_000,
    });
    assert.ok(closed && ms < 5_000, `${ms} ms`);
  });

  test("a connection that says nothing is cut off, new or used", async () => {
    const fresh = await wire(impatient, "", { wait: 8_000 });
    assert.ok(fresh.closed && fresh.ms < 5_000, `new: ${fresh.ms} ms`);
    const used = await wire(impatient, "GET /healthz HTTP/1.1\r\nHost: a\r\n\r\n", { wait: 8_000 });
    assert.ok(used.closed && used.answers === 1 && used.ms < 5_000, `used: ${used.ms} ms`);
  });

  test("a body that never comes is cut off", async () => {
    const token = await grant({ roomList: true });
    const secret = (await readFile(join(impatient.directory, "admin.token"), "utf8")).trim();
    const cases = [
      ["/twirp/livekit.RoomService/ListRooms", token],
      ["/api/v1/apps", secret],
      ["/api/v1/apps/devkey/access-token", secret],
    ];
    for (const [path, bearer] of cases) {
      const bytes =
        `POST ${path} HTTP/1.1\r\nHost: a\r\nAuthorization: Bearer ${bearer}\r\n` +
        "Content-Type: application/json\r\nContent-Length: 100\r\n\r\n{";
      const { closed, ms } = await wire(impatient, bytes, { wait: 8_000 });
      assert.ok(closed && ms < 6_000, `${path}: ${ms} ms`);
    }
  });

  test("a body that comes a byte at a time is cut off, too", async () => {
    const token = await grant({ roomList: true });
    const cases = [
      ["/twirp/livekit.RoomService/ListRooms", token],
      ["/api/v1/apps/devkey/access-token", "nobody"],
    ];
    await Promise.all(
      cases.map(async ([path, bearer]) => {
        const bytes =
          `POST ${path} HTTP/1.1\r\nHost: a\r\nAuthorization: Bearer ${bearer}\r\n` +
          "Content-Type: application/json\r\nContent-Length: 100000\r\n\r\n";
        const { closed, ms } = await trickle(impatient, bytes, { piece: " ", wait: 60_000 });
        assert.ok(closed && ms < 40_000, `${path}: ${ms} ms`);
      }),
    );
  });

  test("thousands of idle connections leave room for others, and are cut off", async () => {
    const crowds = [];
    try {
      for (let i = 0; i < 10; i++) {
        crowds.push(await idle(impatient, 300, { from: ATTACKER_IP }));
        await stillServed(impatient);
      }
      await until("the crowd's end", async () => (await descriptors(impatient)) < usual + 5);
    } finally {
      for (const crowd of crowds) crowd.close();
    }
  });

  test("a client that asks and never reads is cut off", async () => {
    // More than the kernel's buffers hold.
    const greedy = "GET /api/v1/openapi.json HTTP/1.1\r\nHost: a\r\n\r\n".repeat(500);
    const crowd = await idle(impatient, 20, { from: ATTACKER_IP, head: greedy, deaf: true });
    try {
      await until(
        "the greedy ones inside",
        async () => (await descriptors(impatient)) > usual + 10,
      );
      await stillServed(impatient);
      await until("their end", async () => (await descriptors(impatient)) < usual + 5);
    } finally {
      crowd.close();
    }
  });
});

test("with few file descriptors the server uses all it may have, and never runs out", async () => {
  const prefix = ["prlimit", "--nofile=256:600"];
  const poor = await Server.start({ prefix, env: { SPARKRTC_HTTP__HEADER_TIMEOUT: "1s" } });
  try {
    assert.equal((await poor.metrics()).sums.process_max_fds, 600);
    const crowd = await idle(poor, 400, { from: ATTACKER_IP });
    // Those without a place wait in the kernel's queue until the idle ones are cut off.
    const { status } = await wire(poor, HEALTH, { wait: 10_000 });
    assert.equal(status, 200);
    crowd.close();
  } finally {
    // Its log tells of trouble if a connection could not be accepted.
    await poor.stop();
  }
});

const HEALTH = "GET /healthz HTTP/1.1\r\nHost: a\r\nConnection: close\r\n\r\n";

/** Somebody else is answered as quickly as ever. */
async function stillServed(attacked) {
  const { status, ms } = await wire(attacked, HEALTH);
  assert.ok(status === 200 && ms < 2_000, `${status} after ${ms} ms`);
}

/** How many files and connections the server holds open. */
async function descriptors(attacked) {
  return (await readdir(`/proc/${attacked.child.pid}/fd`)).length;
}
