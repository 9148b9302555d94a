// The signalling endpoints as clients that cannot be run here use them: other SDKs' query strings, header tokens,
// keepalive, the checks a browser makes before it tries again. Message by message, with the published protocol types.

import assert from "node:assert/strict";
import { after, before, test } from "node:test";
import {
  ClientConfigSetting,
  ConnectionSettings,
  DisconnectReason,
  JoinRequest,
  SignalTarget,
  WrappedJoinRequest,
} from "@livekit/protocol";
import { Refused, Socket } from "../lib/sockets.mjs";
import { Stage } from "../lib/stage.mjs";
import { freshRoom, mint } from "../lib/tokens.mjs";
import { until } from "../lib/wait.mjs";

let stage;
before(async () => {
  stage = await Stage.open([]);
});
after(() => stage?.close());

const V0 = {
  protocol: "13",
  sdk: "android",
  version: "2.27.0",
  auto_subscribe: "1",
  adaptive_stream: "1",
};

const joinRequest = (settings = {}) => {
  const request = new JoinRequest({
    clientInfo: { sdk: 1, version: "2.23.0", protocol: 17 },
    connectionSettings: new ConnectionSettings(settings),
  });
  const wrapped = new WrappedJoinRequest({ compression: 0, joinRequest: request.toBinary() });
  return { join_request: Buffer.from(wrapped.toBinary()).toString("base64url") };
};

const open = async (room, identity, { path = "/rtc", query = V0, token } = {}) =>
  Socket.open(stage.server, path, token ?? (await mint(room, identity)), query);

const first = (socket) => until("a first message", () => socket.messages[0]);
const message = (socket, kind, test = () => true) =>
  until(
    `a ${kind} message`,
    () => socket.messages.find((m) => m.case === kind && test(m.value))?.value,
  );

test("HEAD / answers 200 to any origin: a browser's probe for being back online", async () => {
  const response = await fetch(stage.server.http, {
    method: "HEAD",
    headers: { origin: "https://example.org" },
  });
  assert.equal(response.status, 200);
  assert.equal(response.headers.get("access-control-allow-origin"), "*");
});

test("a preflight from any origin with any header is allowed", async () => {
  const headers = {
    origin: "https://example.org",
    "access-control-request-method": "POST",
    "access-control-request-headers": "authorization,content-type,x-anything",
  };
  const response = await fetch(`${stage.server.http}/twirp/livekit.RoomService/ListRooms`, {
    method: "OPTIONS",
    headers,
  });
  assert.ok(response.ok, String(response.status));
  assert.equal(response.headers.get("access-control-allow-origin"), "*");
});

for (const path of ["/rtc", "/rtc/v1"]) {
  const query = path === "/rtc/v1" ? joinRequest({ autoSubscribe: true }) : V0;

  test(`${path}/validate says success to a good token and why not to a bad one, to any origin`, async () => {
    const url = (token) =>
      `${stage.server.http}${path}/validate?${new URLSearchParams({ ...query, access_token: token })}`;
    const good = await fetch(url(await mint(freshRoom("validate"), "x")), {
      headers: { origin: "https://example.org" },
    });
    assert.deepEqual([good.status, await good.text()], [200, "success"]);
    assert.equal(good.headers.get("access-control-allow-origin"), "*");
    const bad = await fetch(url("nonsense"), { headers: { origin: "https://example.org" } });
    assert.equal(bad.status, 401);
    assert.equal(bad.headers.get("access-control-allow-origin"), "*");
    assert.ok((await bad.text()).length > 0);
  });

  test(`a GET on ${path} that is no upgrade is not found`, async () => {
    const token = await mint(freshRoom("get"), "x");
    const response = await fetch(
      `${stage.server.http}${path}?${new URLSearchParams({ ...query, access_token: token })}`,
    );
    assert.equal(response.status, 404);
  });

  test(`the first message on ${path} is the join response, with all that clients look for`, async () => {
    const room = freshRoom("join");
    const token = await mint(room, "x", { name: "X", metadata: "m", attributes: { a: "b" } });
    const socket = await open(room, "x", { path, query, token });
    try {
      const { case: kind, value: join } = await first(socket);
      assert.equal(kind, "join");
      assert.match(join.room.sid, /^RM_/);
      assert.equal(join.room.name, room);
      assert.match(join.participant.sid, /^PA_/);
      assert.deepEqual(
        [join.participant.identity, join.participant.name, join.participant.metadata],
        ["x", "X", "m"],
      );
      assert.deepEqual(join.participant.attributes, { a: "b" });
      assert.equal(join.participant.permission.canPublish, true);
      assert.equal(join.participant.permission.canSubscribe, true);
      assert.equal(join.participant.permission.canPublishData, true);
      assert.ok(join.participant.version > 0);
      assert.ok(join.participant.joinedAt > 0n);
      // Clients switch behaviour by these; a newer number promises what is not there.
      assert.equal(join.serverInfo.protocol, 17);
      assert.equal(join.serverInfo.version, "1.13.5");
      assert.equal(join.serverVersion, "1.13.5");
      assert.deepEqual([join.pingInterval, join.pingTimeout], [5, 15]);
      assert.equal(join.subscriberPrimary, path === "/rtc");
      assert.equal(join.fastPublish, true);
      assert.equal(join.enabledPublishCodecs[0]?.mime.toLowerCase(), "video/vp8");
      assert.notEqual(join.clientConfiguration?.resumeConnection, ClientConfigSetting.ENABLED);
    } finally {
      await socket.close();
    }
  });
}

test("a token in the Authorization header is as good as one in the query", async () => {
  const room = freshRoom("header");
  const token = await mint(room, "x");
  const socket = await Socket.open(stage.server, "/rtc", null, V0, {
    headers: { authorization: `Bearer ${token}` },
  });
  try {
    assert.equal((await first(socket)).case, "join");
  } finally {
    await socket.close();
  }
});

test("two slashes in the path are one", async () => {
  const room = freshRoom("slashes");
  const socket = await open(room, "x", { path: "//rtc" });
  try {
    assert.equal((await first(socket)).case, "join");
  } finally {
    await socket.close();
  }
});

test("a client of two peer connections is offered data channels and trickled candidates a native client can parse", async () => {
  const room = freshRoom("offer");
  const socket = await open(room, "x");
  try {
    const offer = await message(socket, "offer");
    assert.equal(offer.type, "offer");
    assert.match(offer.sdp, /m=application .*webrtc-datachannel/);
    assert.match(offer.sdp, /a=setup:actpass/);
    for (const { case: kind, value } of socket.messages) {
      if (kind !== "trickle") continue;
      assert.equal(value.target, SignalTarget.SUBSCRIBER);
      const init = JSON.parse(value.candidateInit);
      assert.deepEqual(
        Object.keys(init).filter((key) => ["candidate", "sdpMid", "sdpMLineIndex"].includes(key))
          .length,
        3,
      );
    }
  } finally {
    await socket.close();
  }
});

test("without the wish to be subscribed nothing is subscribed: absent is no in v1", async () => {
  const room = freshRoom("wish");
  const publisher = await open(room, "publisher");
  const viewer = await open(room, "viewer", { path: "/rtc/v1", query: joinRequest() });
  try {
    await first(viewer);
    await publisher.signal({
      case: "addTrack",
      value: { cid: "c", name: "mic", type: 0, source: 2 },
    });
    const published = await message(publisher, "trackPublished");
    assert.equal(published.cid, "c");
    assert.match(published.track.sid, /^TR_/);
    assert.ok(!viewer.messages.some((m) => m.case === "mediaSectionsRequirement"));
  } finally {
    await publisher.close();
    await viewer.close();
  }
});

test("both kinds of ping are answered, in milliseconds", async () => {
  const room = freshRoom("ping");
  const socket = await open(room, "x");
  try {
    await first(socket);
    const now = BigInt(Date.now());
    await socket.signal({ case: "ping", value: now });
    await socket.signal({ case: "pingReq", value: { timestamp: now, rtt: 1n } });
    await message(socket, "pong");
    const answer = await message(socket, "pongResp");
    assert.equal(answer.lastPingTimestamp, now);
    const off = Number(answer.timestamp) - Date.now();
    assert.ok(Math.abs(off) < 60_000, `the server's clock is ${off} ms off: not milliseconds?`);
  } finally {
    await socket.close();
  }
});

test("a participant's version grows with every change, and requests are answered by their number", async () => {
  const room = freshRoom("version");
  const a = await open(room, "a", { query: { ...V0, protocol: "16" } });
  const b = await open(room, "b");
  try {
    await first(a);
    await first(b);
    const versions = [];
    for (const [requestId, metadata] of [
      [7, "one"],
      [8, "two"],
    ]) {
      await a.signal({
        case: "updateMetadata",
        value: { metadata, name: "", attributes: {}, requestId },
      });
      await message(a, "requestResponse", (r) => r.requestId === requestId && r.reason === 0);
      const update = await message(b, "update", (u) =>
        u.participants.some((p) => p.metadata === metadata),
      );
      versions.push(update.participants.find((p) => p.identity === "a").version);
    }
    assert.ok(versions[1] > versions[0], versions.join());
  } finally {
    await a.close();
    await b.close();
  }
});

test("the older session of an identity is told why it ends, in its own protocol's words", async () => {
  const room = freshRoom("twice");
  for (const protocol of ["12", "16"]) {
    const old = await open(room, "x", { query: { ...V0, protocol } });
    await first(old);
    const fresh = await open(room, "x");
    try {
      const leave = await message(old, "leave");
      assert.equal(leave.reason, DisconnectReason.DUPLICATE_IDENTITY);
      assert.equal(leave.canReconnect, false);
      assert.equal(leave.action, 0);
      await old.closed;
    } finally {
      await fresh.close();
    }
  }
});

test("a resume of a session nobody knows is told to join afresh", async () => {
  const room = freshRoom("unknown");
  const query = { ...V0, protocol: "16", reconnect: "1", sid: "PA_doesnotexist" };
  const answer = await open(room, "x", { query }).catch((error) => error);
  if (answer instanceof Refused) assert.fail(`refused with ${answer.message}`);
  try {
    const { case: kind, value } = await first(answer);
    assert.equal(kind, "leave");
    assert.equal(value.reason, DisconnectReason.STATE_MISMATCH);
    assert.equal(value.action, 2);
  } finally {
    await answer.close();
  }
});

test("a fresh token comes before the old one is worth nothing", async () => {
  const room = freshRoom("refresh");
  const socket = await open(room, "x", { token: await mint(room, "x") });
  try {
    await first(socket);
    await stage.server.rooms().updateParticipant(room, "x", { metadata: "changed" });
    const token = await message(socket, "refreshToken");
    const claims = JSON.parse(Buffer.from(token.split(".")[1], "base64url"));
    assert.equal(claims.sub, "x");
    assert.equal(claims.video.room, room);
    assert.ok(claims.exp * 1000 > Date.now());
    const again = await open(room, "x", { token });
    assert.equal((await first(again)).case, "join");
    await again.close();
  } finally {
    await socket.close();
  }
});
