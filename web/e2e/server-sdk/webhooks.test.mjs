// Webhooks, verified with the receiver of npm `livekit-server-sdk`: every event of a room's life, in order, signed,
// tried again when the receiver fails.

import assert from "node:assert/strict";
import { readFile } from "node:fs/promises";
import { join } from "node:path";
import { after, before, test } from "node:test";
import { WebhookReceiver } from "livekit-server-sdk";
import { leave, Stage } from "../lib/stage.mjs";
import { freshRoom } from "../lib/tokens.mjs";
import { until } from "../lib/wait.mjs";
import { ask } from "./calls.mjs";
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
  assert.ok(find("webhook_deliveries", "delivered") >= 2);
  assert.equal(find("webhook_attempts", "busy"), 2);
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

test("an app's own receivers are set through the API and get its events only, signed with its key", async () => {
  const admin = (await readFile(join(stage.server.directory, "admin.token"), "utf8")).trim();
  const api = (method, path, body) =>
    ask(stage.server, `/api/v1${path}`, {
      method,
      headers: { authorization: `Bearer ${admin}`, "content-type": "application/json" },
      body: JSON.stringify(body),
    });
  const { body: app } = await api("POST", "/apps", { name: freshRoom("app") });
  const [key, secret] = [app.app_id, app.app_key];
  const own = await WebhookServer.start({ key, secret });
  const ends = await WebhookServer.start({ key, secret });
  try {
    const path = `/apps/${key}/webhooks`;
    const wanted = [{ url: own.url }, { url: ends.url, events: ["room_finished"] }];
    const set = await api("PUT", path, { items: wanted });
    assert.equal(set.status, 200, set.text);
    assert.deepEqual(
      set.body.items.map(({ url, reachable }) => [url, reachable]),
      [
        [own.url, true],
        [ends.url, true],
      ],
    );
    const room = freshRoom("own");
    const theirs = stage.server.rooms(key, secret);
    await theirs.createRoom({ name: room });
    const ada = await stage.join("python", room, "ada", { token: { key, secret } });
    await rooms.createRoom({ name: `${room}-other` });
    await theirs.deleteRoom(room);
    await own.event(room, "room_finished");
    await ends.event(room, "room_finished");
    await leave(ada);
    const told = own.of(room).map((event) => event.event);
    assert.deepEqual(told, [
      "room_started",
      "participant_joined",
      "participant_left",
      "room_finished",
    ]);
    assert.equal(own.of(`${room}-other`).length, 0);
    assert.deepEqual(
      ends.events.map(({ event }) => event.event),
      ["room_finished"],
    );
    for (const { refused } of [own, ends]) assert.deepEqual(refused, []);

    const bad = await api("PUT", path, { items: [{ url: "http://169.254.169.254/latest" }] });
    assert.deepEqual([bad.status, bad.body.code], [400, "invalid_argument"]);
    await api("PUT", path, { items: [] });
    await theirs.createRoom({ name: `${room}-after` });
    await receiver.event(`${room}-other`, "room_started");
    await theirs.deleteRoom(`${room}-after`);
    await rooms.deleteRoom(`${room}-other`);
    await receiver.event(`${room}-other`, "room_finished");
    assert.equal(own.of(`${room}-after`).length, 0);
  } finally {
    await own.close();
    await ends.close();
  }
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
