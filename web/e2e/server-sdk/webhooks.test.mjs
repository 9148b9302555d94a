// Webhooks, verified with the receiver of npm `livekit-server-sdk`: every event of a room's life, in order, signed,
// tried again when the receiver fails.

import assert from "node:assert/strict";
import { after, before, test } from "node:test";
import { WebhookReceiver } from "livekit-server-sdk";
import { leave, Stage } from "../lib/stage.mjs";
import { freshRoom } from "../lib/tokens.mjs";
import { until } from "../lib/wait.mjs";
import { WebhookServer } from "./receiver.mjs";

let stage;
let receiver;
let rooms;

before(async () => {
  receiver = await WebhookServer.start();
  const env = { SPARKRTC_WEBHOOKS__URLS: JSON.stringify([receiver.url]) };
  // One test has a receiver that refuses an event, which the server's operator is told.
  const expected = [/a webhook could not be delivered/];
  stage = await Stage.open(["python", "node"], { server: { env }, expected });
  rooms = stage.server.rooms();
});
after(async () => {
  await stage?.close();
  await receiver?.close();
});

test("a room's life is told in order, each event once, signed and dated", async () => {
  const room = freshRoom("life");
  await rooms.createRoom({ name: room, metadata: "m" });
  const ada = await stage.join("python", room, "ada", { token: { name: "Ada" } });
  const { sid } = await ada.call("publish_audio", { name: "voice" });
  const bob = await stage.join("node", room, "bob");
  await bob.subscribed(sid);
  await ada.call("unpublish", { sid });
  await receiver.event(room, "track_unpublished");
  await leave(ada);
  await receiver.event(room, "participant_left", (e) => e.participant.identity === "ada");
  await rooms.deleteRoom(room);
  await receiver.event(room, "room_finished");
  await leave(bob);

  const events = receiver.of(room);
  const who = (event) => event.participant?.identity ?? "";
  const told = events.map((event) => [event.event, who(event)].join(" ").trim());
  assert.deepEqual(told.toSorted(), [
    "participant_joined ada",
    "participant_joined bob",
    "participant_left ada",
    "participant_left bob",
    "room_finished",
    "room_started",
    "track_published ada",
    "track_unpublished ada",
  ]);
  const before = (a, b) =>
    assert.ok(told.indexOf(a) < told.indexOf(b), `${a} before ${b}: ${told}`);
  before("room_started", "participant_joined ada");
  before("participant_joined ada", "track_published ada");
  before("track_published ada", "participant_joined bob");
  before("track_unpublished ada", "participant_left ada");
  assert.equal(told.at(-1), "room_finished");

  assert.equal(new Set(events.map((event) => event.id)).size, events.length);
  for (const event of events) {
    assert.ok(Math.abs(Number(event.createdAt) - Date.now() / 1000) < 120);
    assert.match(event.room.sid, /^RM_/);
    assert.equal(event.room.metadata, "m");
  }
  const joined = events.find((event) => told[events.indexOf(event)] === "participant_joined ada");
  assert.match(joined.participant.sid, /^PA_/);
  assert.equal(joined.participant.name, "Ada");
  const published = events.find((event) => event.event === "track_published");
  assert.deepEqual([published.track.sid, published.track.name], [sid, "voice"]);
  assert.deepEqual(receiver.refused, []);
  for (const { type } of receiver.events) assert.equal(type, "application/webhook+json");
});

test("an empty room ends by itself and says so", async () => {
  const room = freshRoom("empty");
  await rooms.createRoom({ name: room, emptyTimeout: 1 });
  const finished = await receiver.event(room, "room_finished");
  assert.deepEqual(
    receiver.of(room).map((event) => event.event),
    ["room_started", "room_finished"],
  );
  assert.equal(finished.room.name, room);
});

test("the signature is the app's own and covers the body", async () => {
  const room = freshRoom("signed");
  await rooms.createRoom({ name: room });
  await receiver.event(room, "room_started");
  const { body, authorization } = receiver.events.find(({ event }) => event.room.name === room);
  const other = new WebhookReceiver("devkey", "another secret altogether, long enough");
  await assert.rejects(other.receive(body, authorization));
  const own = new WebhookReceiver("devkey", "secret");
  await own.receive(body, authorization);
  await assert.rejects(own.receive(body.replace(room, `${room}x`), authorization), /checksum/);
  await rooms.deleteRoom(room);
});

test("a receiver that fails is asked again with the same event, before any later one", async () => {
  const room = freshRoom("again");
  receiver.answers.set(room, [500, 503]);
  await rooms.createRoom({ name: room });
  await rooms.deleteRoom(room);
  await receiver.event(room, "room_finished");
  const all = receiver.events.filter(({ event }) => event.room.name === room);
  assert.deepEqual(
    all.map(({ event, status }) => [event.event, status]),
    [
      ["room_started", 500],
      ["room_started", 503],
      ["room_started", 200],
      ["room_finished", 200],
    ],
  );
  assert.equal(new Set(all.slice(0, 3).map(({ event }) => event.id)).size, 1);
  const waits = all.slice(1, 3).map(({ at }, i) => at - all[i].at);
  assert.ok(waits[0] >= 350 && waits[1] >= 700, `waited ${waits} ms`);
  const { series } = await stage.server.metrics();
  const find = (name, result) =>
    Object.entries(series).find(([key]) => key.includes(name) && key.includes(`"${result}"`))?.[1];
  assert.ok(find("webhook_deliveries", "Yes") >= 2);
  assert.equal(find("webhook_attempts", "Busy"), 2);
});

test("a receiver that refuses an event is not asked again, and gets the next one", async () => {
  const room = freshRoom("refused");
  receiver.answers.set(room, [400]);
  await rooms.createRoom({ name: room });
  await rooms.deleteRoom(room);
  await receiver.event(room, "room_finished");
  const all = receiver.events.filter(({ event }) => event.room.name === room);
  assert.deepEqual(
    all.map(({ event, status }) => [event.event, status]),
    [
      ["room_started", 400],
      ["room_finished", 200],
    ],
  );
});

test("what happened just before a shutdown is still told", async () => {
  const last = await WebhookServer.start();
  const env = { SPARKRTC_WEBHOOKS__URLS: JSON.stringify([last.url]) };
  const other = await Stage.open(["python"], { server: { env } });
  const room = freshRoom("shutdown");
  try {
    const ada = await other.join("python", room, "ada");
    await last.event(room, "participant_joined");
    other.server.child.kill("SIGTERM");
    await ada.event("disconnected");
    await until("the server's end", () => other.server.child.exitCode !== null);
    await last.event(room, "participant_left");
    await last.event(room, "room_finished");
  } finally {
    await other.close().catch(() => {});
    await last.close();
  }
});
