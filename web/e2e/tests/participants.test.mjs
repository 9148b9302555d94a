// What participants do to themselves, to each other, and what the server does to them: mute, names, speakers,
// permissions, late and double joins, and the reasons of leaving. In both signalling modes.

import assert from "node:assert/strict";
import { after, before, describe, test } from "node:test";
import { TrackSource } from "livekit-server-sdk";
import { flowing } from "../lib/media.mjs";
import { leave, MODES, Stage } from "../lib/stage.mjs";
import { freshRoom } from "../lib/tokens.mjs";
import { until } from "../lib/wait.mjs";

const track = (state, identity, sid) => state.remote[identity]?.tracks.find((t) => t.sid === sid);

/** Waits until `counter` of `sid` did not grow for a second. */
async function standingStill(client, sid, counter = "framesDecoded") {
  let last;
  let since = performance.now();
  await until(`${counter} of ${sid} at ${client.name} to stand still`, async () => {
    const now = performance.now();
    const count = (await client.stats()).inbound[sid]?.[counter];
    if (count !== last) since = now;
    last = count;
    return now - since > 1000;
  });
}

let stage;
before(async () => {
  stage = await Stage.open(["js", "python", "node"]);
});
after(() => stage?.close());

for (const mode of MODES) {
  describe(mode, () => {
    const join = (kind, room, identity, options) =>
      stage.join(kind, room, identity, { mode, ...options });

    for (const [from, to] of [
      ["js", "python"],
      ["python", "js"],
    ]) {
      test(`mute by ${from} is told to ${to} and a browser stops sending; unmute brings it back`, async () => {
        const room = freshRoom(`mute-${mode}`);
        const a = await join(from, room, "a");
        const b = await join(to, room, "b");
        try {
          const audio = (await a.call("publish_audio")).sid;
          const video = (await a.call("publish_video")).sid;
          await flowing(b, { audio, video });
          for (const sid of [audio, video]) {
            await a.call("mute", { sid, muted: true });
            await b.until(`${sid} muted`, (s) => track(s, "a", sid)?.muted);
          }
          // A native client that is muted goes on sending black pictures.
          if (from === "js") await standingStill(b, video);
          for (const sid of [audio, video]) {
            await a.call("mute", { sid, muted: false });
            await b.until(`${sid} unmuted`, (s) => track(s, "a", sid)?.muted === false);
          }
          const held = (await b.stats()).inbound[video]?.framesDecoded ?? 0;
          await until("video to go on", async () => {
            return (await b.stats()).inbound[video]?.framesDecoded > held + 5;
          });
        } finally {
          await leave(a, b);
        }
      });
    }

    test("mute by the server reaches the publisher and everybody else", async () => {
      const room = freshRoom(`server-mute-${mode}`);
      const a = await join("js", room, "a");
      const b = await join("python", room, "b");
      try {
        const { sid } = await a.call("publish_audio");
        await b.subscribed(sid);
        await stage.server.rooms().mutePublishedTrack(room, "a", sid, true);
        await a.until("own track muted", (s) => s.local.tracks.find((t) => t.sid === sid)?.muted);
        await b.until("track muted", (s) => track(s, "a", sid)?.muted);
      } finally {
        await leave(a, b);
      }
    });

    test("name, metadata and attributes from the token are there on joining, and changes reach everybody", async () => {
      const room = freshRoom(`names-${mode}`);
      const token = { name: "Ada", metadata: "first", attributes: { mood: "calm", side: "left" } };
      const a = await join("js", room, "a", { token });
      const b = await join("python", room, "b");
      const c = await join("node", room, "c");
      try {
        for (const other of [b, c]) {
          const { remote } = await other.until("a", (s) => s.remote.a && s);
          assert.equal(remote.a.name, "Ada");
          assert.equal(remote.a.metadata, "first");
          assert.deepEqual(remote.a.attributes, token.attributes);
        }
        await a.call("set_name", { name: "Ada L." });
        await a.call("set_metadata", { metadata: "second" });
        await a.call("set_attributes", { attributes: { mood: "keen", side: "" } });
        for (const other of [b, c]) {
          await other.until("the changes", (s) => {
            const { name, metadata, attributes } = s.remote.a;
            return (
              name === "Ada L." &&
              metadata === "second" &&
              JSON.stringify(attributes) === '{"mood":"keen"}'
            );
          });
        }
        await b.call("set_attributes", { attributes: { hand: "up" } });
        await a.until("b's attribute", (s) => s.remote.b.attributes.hand === "up");
      } finally {
        await leave(a, b, c);
      }
    });

    test("without the right to update own metadata the request is refused", async () => {
      const room = freshRoom(`no-metadata-${mode}`);
      const a = await join("js", room, "a", { token: { grants: { canUpdateOwnMetadata: false } } });
      try {
        await assert.rejects(a.call("set_metadata", { metadata: "x" }));
      } finally {
        await leave(a);
      }
    });

    test("active speakers follow who makes a sound", async () => {
      const room = freshRoom(`speakers-${mode}`);
      const a = await join("python", room, "a");
      const b = await join("js", room, "b");
      const c = await join("python", room, "c");
      try {
        await a.call("publish_audio", { amplitude: 0 });
        await b.call("publish_audio", { amplitude: 0, dtx: false });
        const speaking = async (identity) => {
          const events = await c.events("active_speakers_changed");
          return events.at(-1)?.identities.includes(identity) ?? false;
        };
        await a.call("set_tone", { amplitude: 0.4 });
        await until("a to speak", () => speaking("a"));
        assert.equal(await speaking("b"), false);
        await b.call("set_tone", { amplitude: 0.4 });
        await until("b to speak", () => speaking("b"));
        await a.call("set_tone", { amplitude: 0 });
        await until("a to fall silent", async () => !(await speaking("a")));
        await until("b to see it too", async () => {
          const events = await b.events("active_speakers_changed");
          return events.some((e) => e.identities.includes("a"));
        });
      } finally {
        await leave(a, b, c);
      }
    });

    test("a participant without the right to subscribe gets no track, without the right to publish gives none", async () => {
      const room = freshRoom(`grants-${mode}`);
      const a = await join("js", room, "a");
      const deaf = await join("python", room, "deaf", {
        token: { grants: { canSubscribe: false } },
      });
      const dumb = await join("js", room, "dumb", { token: { grants: { canPublish: false } } });
      const witness = await join("python", room, "witness");
      try {
        const { sid } = await a.call("publish_audio");
        await witness.subscribed(sid);
        await deaf.until("the publication", (s) => track(s, "a", sid));
        assert.equal(track(await deaf.state(), "a", sid).subscribed, false);
        await assert.rejects(dumb.call("publish_audio"), /permission/i);
      } finally {
        await leave(a, deaf, dumb, witness);
      }
    });

    test("a source the token does not name is refused", async () => {
      const room = freshRoom(`sources-${mode}`);
      const grants = { canPublishSources: [TrackSource.MICROPHONE] };
      const a = await join("js", room, "a", { token: { grants } });
      const b = await join("python", room, "b");
      try {
        const { sid } = await a.call("publish_audio");
        await b.subscribed(sid);
        await assert.rejects(a.call("publish_video"));
      } finally {
        await leave(a, b);
      }
    });

    test("a publisher chooses who may subscribe, and may change its mind", async () => {
      const room = freshRoom(`track-permissions-${mode}`);
      const a = await join("js", room, "a");
      const allowed = await join("python", room, "allowed");
      const page = await join("js", room, "page");
      const native = await join("python", room, "native");
      try {
        const { sid } = await a.call("publish_audio");
        for (const client of [allowed, page, native]) await flowing(client, { audio: sid });
        const tracks = [{ identity: "allowed", all: true }];
        await a.call("set_permissions", { everybody: false, tracks });
        await page.event(
          "subscription_permission",
          (e) => e.sid === sid && e.status === "not_allowed",
        );
        await page.event("track_unsubscribed", (e) => e.sid === sid);
        // Native clients do not tell of it; they only stop receiving.
        await standingStill(native, sid, "packetsReceived");
        await flowing(allowed, { audio: sid });
        await a.call("set_permissions", { everybody: true });
        await page.until("the subscription back", (s) => track(s, "a", sid)?.subscribed);
        // With two connections the track comes back on a section, and with statistics, of its own.
        const received = async () => (await native.stats()).inbound[sid]?.packetsReceived ?? 0;
        const held = await received();
        await until("native to receive again", async () => (await received()) > held + 20);
      } finally {
        await leave(a, allowed, page, native);
      }
    });

    test("subscribing by hand: nothing comes until asked for, and stops when unasked", async () => {
      const room = freshRoom(`manual-${mode}`);
      const a = await join("python", room, "a");
      const b = await join("js", room, "b", { autoSubscribe: false });
      const c = await join("python", room, "c", { autoSubscribe: false });
      try {
        const { sid } = await a.call("publish_audio");
        for (const other of [b, c]) {
          await other.until("the publication", (s) => track(s, "a", sid));
          assert.equal(track(await other.state(), "a", sid).subscribed, false);
          await other.call("set_subscribed", { sid, subscribed: true });
          await flowing(other, { audio: sid });
          await other.call("set_subscribed", { sid, subscribed: false });
          await other.event("track_unsubscribed", (e) => e.sid === sid);
          await other.call("set_subscribed", { sid, subscribed: true });
          await other.until("it again", (s) => track(s, "a", sid)?.subscribed);
        }
      } finally {
        await leave(a, b, c);
      }
    });

    test("a late joiner gets everything that is on already", async () => {
      const room = freshRoom(`late-${mode}`);
      const a = await join("js", room, "a");
      const b = await join("python", room, "b");
      const late = [];
      try {
        const sids = {
          a: {
            audio: (await a.call("publish_audio")).sid,
            video: (await a.call("publish_video")).sid,
          },
          b: {
            audio: (await b.call("publish_audio")).sid,
            video: (await b.call("publish_video")).sid,
          },
        };
        await flowing(b, sids.a);
        await flowing(a, sids.b);
        late.push(await join("python", room, "late-python"), await join("js", room, "late-js"));
        for (const client of late) {
          await flowing(client, sids.a);
          await flowing(client, sids.b);
        }
      } finally {
        await leave(a, b, ...late);
      }
    });

    test("publishing, unpublishing and publishing again works any number of times", async () => {
      const room = freshRoom(`again-${mode}`);
      const a = await join("js", room, "a");
      const b = await join("python", room, "b");
      try {
        for (let round = 0; round < 3; round++) {
          const audio = (await a.call("publish_audio")).sid;
          const video = (await a.call("publish_video")).sid;
          await flowing(b, { audio, video });
          await a.call("unpublish", { sid: video });
          await a.call("unpublish", { sid: audio });
          await b.until("no tracks", (s) => s.remote.a.tracks.length === 0);
        }
      } finally {
        await leave(a, b);
      }
    });

    for (const kind of ["js", "python"]) {
      test(`the same identity again replaces the earlier ${kind} session`, async () => {
        const room = freshRoom(`twice-${mode}`);
        const witness = await join("python", room, "witness");
        const first = await join(kind, room, "me");
        let again;
        try {
          await witness.until("me", (s) => s.remote.me);
          again = await join("node", room, "me");
          const gone = await first.event("disconnected");
          assert.equal(gone.reason, "DUPLICATE_IDENTITY");
          const sid = (await again.state()).local.sid;
          await witness.until("the new me", (s) => s.remote.me?.sid === sid);
        } finally {
          await leave(witness, first, again);
        }
      });
    }

    for (const kind of ["js", "python"]) {
      test(`${kind} learns why it has to leave: removed, room deleted`, async () => {
        const room = freshRoom(`reasons-${mode}`);
        const stays = await join("python", room, "stays");
        const removed = await join(kind, room, "removed");
        try {
          await stays.until("both", (s) => s.remote.removed);
          await stage.server.rooms().removeParticipant(room, "removed");
          assert.equal((await removed.event("disconnected")).reason, "PARTICIPANT_REMOVED");
          await stays.until("one", (s) => !s.remote.removed);
          await stage.server.rooms().deleteRoom(room);
          assert.equal((await stays.event("disconnected")).reason, "ROOM_DELETED");
        } finally {
          await leave(stays, removed);
        }
      });
    }

    test("leaving is told to those who stay, at once", async () => {
      const room = freshRoom(`leave-${mode}`);
      const clients = {};
      for (const kind of ["js", "python", "node"]) clients[kind] = await join(kind, room, kind);
      try {
        for (const kind of ["js", "node"]) {
          await clients.python.until(kind, (s) => s.remote[kind]);
          await clients[kind].call("disconnect");
          await clients.python.until(`${kind} gone`, (s) => !s.remote[kind], { deadline: 3000 });
        }
      } finally {
        await leave(...Object.values(clients));
      }
    });
  });
}

test("the two modes meet in one room", async () => {
  const room = freshRoom("mixed");
  const a = await stage.join("js", room, "a", { mode: "v1" });
  const b = await stage.join("js", room, "b", { mode: "v0" });
  const c = await stage.join("python", room, "c", { mode: "v0" });
  try {
    const audio = (await a.call("publish_audio")).sid;
    const video = (await b.call("publish_video")).sid;
    await flowing(c, { audio, video });
    await flowing(a, { video });
    await flowing(b, { audio });
  } finally {
    await leave(a, b, c);
  }
});

test("a server that shuts down says so", async () => {
  const other = await Stage.open(["js", "python"]);
  try {
    const room = freshRoom("shutdown");
    const js = await other.join("js", room, "js");
    const py = await other.join("python", room, "python");
    other.server.child.kill("SIGTERM");
    for (const client of [js, py]) {
      // Clients may try to come back first: the reason is told with the leave, whatever they do then.
      await client
        .event("disconnected", () => true, { deadline: 60_000 })
        .catch(async (error) => {
          throw new Error(`${error.message}; events: ${JSON.stringify(await client.events())}`);
        });
    }
    assert.equal((await js.events("disconnected"))[0].reason, "SERVER_SHUTDOWN");
  } finally {
    await other.close().catch(() => {});
  }
});
