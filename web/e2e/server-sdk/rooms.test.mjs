// Every method of RoomService through npm `livekit-server-sdk`, unmodified, while real clients are in the room: what
// it answers, and what the clients see of it.

import assert from "node:assert/strict";
import { after, before, test } from "node:test";
import { DataPacket_Kind, ParticipantInfo_State, RoomServiceClient } from "livekit-server-sdk";
import { flowing } from "../lib/media.mjs";
import { leave, Stage } from "../lib/stage.mjs";
import { freshRoom } from "../lib/tokens.mjs";
import { until } from "../lib/wait.mjs";
import { grant, twirp } from "./calls.mjs";

let stage;
let rooms;

before(async () => {
  stage = await Stage.open(["python", "node"]);
  rooms = stage.server.rooms();
});
after(() => stage?.close());

/** Two clients of different kinds in one room. */
async function pair(stem) {
  const room = freshRoom(stem);
  const ada = await stage.join("python", room, "ada", {
    token: { name: "Ada", metadata: "m", attributes: { mood: "calm", side: "left" } },
  });
  const bob = await stage.join("node", room, "bob");
  await ada.until("bob", (state) => state.remote.bob);
  await bob.until("ada", (state) => state.remote.ada);
  return { room, ada, bob };
}

/** A client that sends this very token with every call. */
const bearing = (token) => new RoomServiceClient(stage.server.http, "", "", { token });

const failsWith = (code, status) => (error) => {
  assert.deepEqual([error.code, error.status], [code, status], String(error));
  assert.ok(error.message.length > 0);
  return true;
};

test("createRoom opens a room with its settings, or finds it; listRooms shows it; deleteRoom ends it", async () => {
  const name = freshRoom("made");
  const made = await rooms.createRoom({
    name,
    emptyTimeout: 77,
    departureTimeout: 11,
    maxParticipants: 5,
    metadata: "über",
  });
  assert.match(made.sid, /^RM_/);
  assert.deepEqual(
    [made.name, made.emptyTimeout, made.departureTimeout, made.maxParticipants, made.metadata],
    [name, 77, 11, 5, "über"],
  );
  assert.ok(Math.abs(Number(made.creationTime) - Date.now() / 1000) < 60);
  const other = await rooms.createRoom({ name: `${name}-other` });
  assert.equal((await rooms.createRoom({ name })).sid, made.sid);
  const all = (await rooms.listRooms()).map((room) => room.sid);
  assert.ok(all.includes(made.sid) && all.includes(other.sid));
  assert.deepEqual(
    (await rooms.listRooms([name, "nobody-made-this"])).map((room) => room.sid),
    [made.sid],
  );
  assert.deepEqual(await rooms.listRooms(["nobody-made-this"]), []);
  await rooms.deleteRoom(name);
  await rooms.deleteRoom(other.name);
  assert.deepEqual(await rooms.listRooms([name]), []);
  await assert.rejects(rooms.deleteRoom(name), failsWith("not_found", 404));
  assert.notEqual((await rooms.createRoom({ name })).sid, made.sid);
  await rooms.deleteRoom(name);
});

test("a room joined first counts its participants and publishers", async () => {
  const { room, ada, bob } = await pair("counted");
  try {
    await ada.call("publish_audio");
    await until("the counts", async () => {
      const [found] = await rooms.listRooms([room]);
      return found.numParticipants === 2 && found.numPublishers === 1;
    });
  } finally {
    await leave(ada, bob);
  }
});

test("createRoom's maxParticipants is kept", async () => {
  const name = freshRoom("full");
  await rooms.createRoom({ name, maxParticipants: 1 });
  const first = await stage.join("python", name, "first");
  try {
    await assert.rejects(stage.join("python", name, "second"));
    assert.equal((await rooms.listParticipants(name)).length, 1);
  } finally {
    await leave(first);
  }
});

test("listParticipants and getParticipant tell who is there and what they may", async () => {
  const { room, ada, bob } = await pair("who");
  try {
    const { sid } = await ada.call("publish_audio", { name: "voice" });
    await bob.subscribed(sid);
    const list = await rooms.listParticipants(room);
    assert.deepEqual(list.map((info) => info.identity).sort(), ["ada", "bob"]);
    const info = await rooms.getParticipant(room, "ada");
    assert.match(info.sid, /^PA_/);
    assert.deepEqual([info.name, info.metadata], ["Ada", "m"]);
    assert.deepEqual(info.attributes, { mood: "calm", side: "left" });
    assert.equal(info.state, ParticipantInfo_State.ACTIVE);
    assert.ok(info.permission.canPublish && info.permission.canSubscribe);
    assert.ok(Math.abs(Number(info.joinedAt) - Date.now() / 1000) < 60);
    assert.deepEqual(
      info.tracks.map((track) => [track.sid, track.name, track.muted]),
      [[sid, "voice", false]],
    );
    await assert.rejects(rooms.getParticipant(room, "carol"), failsWith("not_found", 404));
    await assert.rejects(rooms.getParticipant("no-such", "ada"), failsWith("not_found", 404));
    assert.deepEqual(await rooms.listParticipants("nobody-is-here"), []);
  } finally {
    await leave(ada, bob);
  }
});

test("mutePublishedTrack mutes for publisher and viewer alike", async () => {
  const { room, ada, bob } = await pair("mute");
  try {
    const { sid } = await ada.call("publish_audio");
    await bob.subscribed(sid);
    const muted = await rooms.mutePublishedTrack(room, "ada", sid, true);
    assert.deepEqual([muted.sid, muted.muted], [sid, true]);
    await bob.event("track_muted", (event) => event.sid === sid);
    await ada.until("own track muted", (state) => state.local.tracks[0]?.muted);
    const info = await rooms.getParticipant(room, "ada");
    assert.equal(info.tracks[0].muted, true);
    await assert.rejects(
      rooms.mutePublishedTrack(room, "ada", "TR_nosuchtrack", true),
      failsWith("not_found", 404),
    );
  } finally {
    await leave(ada, bob);
  }
});

test("updateParticipant changes name, metadata and attributes for everybody", async () => {
  const { room, ada, bob } = await pair("update");
  try {
    const info = await rooms.updateParticipant(room, "ada", {
      name: "Ada L.",
      metadata: "new",
      attributes: { mood: "keen", side: "", hand: "up" },
    });
    assert.deepEqual([info.name, info.metadata], ["Ada L.", "new"]);
    assert.deepEqual(info.attributes, { mood: "keen", hand: "up" });
    await bob.until("the changes", ({ remote }) => {
      const { name, metadata, attributes } = remote.ada;
      return name === "Ada L." && metadata === "new" && attributes.hand === "up";
    });
    const { remote } = await bob.state();
    assert.deepEqual(remote.ada.attributes, { mood: "keen", hand: "up" });
    // What is not named stays.
    const again = await rooms.updateParticipant(room, "ada", { attributes: { hand: "down" } });
    assert.deepEqual([again.name, again.metadata], ["Ada L.", "new"]);
    assert.deepEqual(again.attributes, { mood: "keen", hand: "down" });
  } finally {
    await leave(ada, bob);
  }
});

test("updateParticipant takes the right to publish away and gives it back", async () => {
  const { room, ada, bob } = await pair("permission");
  try {
    const { sid } = await ada.call("publish_audio");
    await bob.subscribed(sid);
    const may = { canSubscribe: true, canPublishData: true };
    const info = await rooms.updateParticipant(room, "ada", {
      permission: { ...may, canPublish: false },
    });
    assert.equal(info.permission.canPublish, false);
    await bob.until("no track of ada's", (state) => state.remote.ada.tracks.length === 0);
    await rooms.updateParticipant(room, "ada", { permission: { ...may, canPublish: true } });
    const again = await ada.call("publish_audio", { name: "again" });
    await bob.subscribed(again.sid);
  } finally {
    await leave(ada, bob);
  }
});

test("updateSubscriptions stops and restores what another receives", async () => {
  const { room, ada, bob } = await pair("subscriptions");
  try {
    const { sid } = await bob.call("publish_audio");
    await flowing(ada, { audio: sid });
    await rooms.updateSubscriptions(room, "ada", [sid], false);
    // Native clients tell nobody that the server ended a subscription; their statistics do.
    await until("ada to receive nothing", async () => !(await ada.stats()).inbound[sid]);
    await rooms.updateSubscriptions(room, "ada", [sid], true);
    await flowing(ada, { audio: sid });
  } finally {
    await leave(ada, bob);
  }
});

test("sendData reaches everybody, or only those named", async () => {
  const { room, ada, bob } = await pair("data");
  try {
    const payload = Buffer.from([0, 255, 1, 254, 10, 13]);
    const send = (kind, topic, destinationIdentities) =>
      rooms.sendData(room, payload, kind, { topic, destinationIdentities });
    await send(DataPacket_Kind.RELIABLE, "only-bob", ["bob"]);
    await send(DataPacket_Kind.RELIABLE, "all");
    for (const client of [ada, bob]) {
      const event = await client.event("data_received", (e) => e.topic === "all");
      assert.deepEqual([event.payload, event.kind], [payload.toString("base64"), "reliable"]);
      assert.ok(!event.identity, "it comes from the server, from no participant");
    }
    await bob.event("data_received", (e) => e.topic === "only-bob");
    const got = await ada.events("data_received");
    assert.ok(!got.some((e) => e.topic === "only-bob"));
    await until("a lossy message", async () => {
      await send(DataPacket_Kind.LOSSY, "lossy");
      const events = await bob.events("data_received");
      return events.some((e) => e.topic === "lossy" && e.kind === "lossy");
    });
  } finally {
    await leave(ada, bob);
  }
});

test("updateRoomMetadata reaches everybody inside and whoever comes later", async () => {
  const { room, ada, bob } = await pair("metadata");
  try {
    assert.equal((await rooms.updateRoomMetadata(room, "subject")).metadata, "subject");
    await ada.until("the metadata", (state) => state.metadata === "subject");
    const carol = await stage.join("node", room, "carol");
    await carol.until("the metadata", (state) => state.metadata === "subject");
    await leave(carol);
    await assert.rejects(
      rooms.updateRoomMetadata("nobody-is-here", "x"),
      failsWith("not_found", 404),
    );
  } finally {
    await leave(ada, bob);
  }
});

test("removeParticipant puts somebody out, and only that one", async () => {
  const { room, ada, bob } = await pair("remove");
  try {
    await rooms.removeParticipant(room, "ada");
    assert.equal((await ada.event("disconnected")).reason, "PARTICIPANT_REMOVED");
    await bob.until("ada gone", (state) => !state.remote.ada);
    const left = await rooms.listParticipants(room);
    assert.deepEqual(
      left.map((info) => info.identity),
      ["bob"],
    );
    await assert.rejects(rooms.removeParticipant(room, "ada"), failsWith("not_found", 404));
  } finally {
    await leave(ada, bob);
  }
});

test("deleteRoom puts everybody out", async () => {
  const { room, ada, bob } = await pair("delete");
  await rooms.deleteRoom(room);
  for (const client of [ada, bob])
    assert.equal((await client.event("disconnected")).reason, "ROOM_DELETED");
  assert.deepEqual(await rooms.listRooms([room]), []);
  await leave(ada, bob);
});

test("PerformRpc calls a participant's method and gives back what it says", async () => {
  const { room, ada, bob } = await pair("rpc");
  try {
    const token = await grant({ roomAdmin: true, room });
    const rpc = (identity, method, payload = "") => {
      const call = {
        room,
        destinationIdentity: identity,
        method,
        payload,
        responseTimeoutMs: 5000,
      };
      return twirp(stage.server, "PerformRpc", call, token);
    };
    for (const identity of ["ada", "bob"]) {
      const { status, body } = await rpc(identity, "echo", "grüezi");
      assert.equal(status, 200, JSON.stringify(body));
      assert.match(body.payload, /:grüezi$/);
    }
    const absent = await rpc("carol", "echo");
    assert.deepEqual([absent.status, absent.body.code], [404, "not_found"]);
    for (const method of ["refuse", "nothing"]) {
      const { status, body } = await rpc("ada", method, "why");
      assert.ok(status >= 400 && body.msg.length > 0, `${method}: ${status}`);
    }
    const large = await rpc("ada", "echo", "x".repeat(16 * 1024));
    assert.deepEqual([large.status, large.body.code], [400, "invalid_argument"]);
  } finally {
    await leave(ada, bob);
  }
});

test("what is not available yet says so", async () => {
  await assert.rejects(rooms.forwardParticipant("a", "b", "c"), failsWith("unimplemented", 501));
  await assert.rejects(rooms.moveParticipant("a", "b", "c"), failsWith("unimplemented", 501));
});

test("each method needs its own grant, for its own room, signed with the app's key", async () => {
  const { room, ada, bob } = await pair("grants");
  try {
    const calls = [
      ["createRoom", { roomCreate: true }, (client) => client.createRoom({ name: room })],
      ["listRooms", { roomList: true }, (client) => client.listRooms()],
      ["listParticipants", "admin", (client) => client.listParticipants(room)],
      ["getParticipant", "admin", (client) => client.getParticipant(room, "ada")],
      ["updateRoomMetadata", "admin", (client) => client.updateRoomMetadata(room, "m")],
      ["sendData", "admin", (client) => client.sendData(room, Buffer.of(1), 0, {})],
      ["updateParticipant", "admin", (c) => c.updateParticipant(room, "ada", { metadata: "x" })],
      ["updateSubscriptions", "admin", (c) => c.updateSubscriptions(room, "ada", [], true)],
    ];
    const with_ = async (grants, options) => bearing(await grant(grants, options));
    const everything = { roomCreate: true, roomList: true, roomAdmin: true, room };
    for (const [name, needed, call] of calls) {
      const own = needed === "admin" ? { roomAdmin: true, room } : needed;
      await call(await with_(own));
      const others = { ...everything };
      if (needed === "admin") delete others.roomAdmin;
      else for (const key of Object.keys(needed)) delete others[key];
      await assert.rejects(call(await with_(others)), failsWith("permission_denied", 403), name);
      if (needed === "admin") {
        const elsewhere = { ...everything, room: `${room}-other` };
        await assert.rejects(
          call(await with_(elsewhere)),
          failsWith("permission_denied", 403),
          name,
        );
      }
      const bad = [
        await with_(own, { secret: "another secret altogether, long enough" }),
        await with_(own, { key: "nosuchkey" }),
        await with_(own, { ttl: -3600 }),
        bearing("abc"),
      ];
      for (const client of bad)
        await assert.rejects(call(client), failsWith("unauthenticated", 401), name);
    }
    const without = await twirp(stage.server, "ListRooms", {});
    assert.deepEqual([without.status, without.body.code], [401, "unauthenticated"]);
  } finally {
    await leave(ada, bob);
  }
});
