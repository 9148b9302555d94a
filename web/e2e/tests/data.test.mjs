// Data between unmodified clients of three kinds, in both modes: messages (reliable, lossy, targeted), RPC, text and
// byte streams. The server only routes these; what arrives must be what was sent, from whom it says.

import assert from "node:assert/strict";
import { createHash, randomBytes } from "node:crypto";
import { after, before, describe, test } from "node:test";
import { chromium, servePage } from "../lib/browser.mjs";
import { node, python } from "../lib/clients.mjs";
import { withoutV1 } from "../lib/proxy.mjs";
import { Scope } from "../lib/scope.mjs";
import { Server } from "../lib/server.mjs";
import { freshRoom, mint } from "../lib/tokens.mjs";
import { until } from "../lib/wait.mjs";

const KINDS = ["js", "python", "node"];
const STREAM_BYTES = 200_000;
/** Lossy messages may be lost by design; on loopback with nothing else to do, half is a broken channel. */
const LOSSY_SENT = 20;

const scope = new Scope();
let server;
let proxy;
let drivers;

before(async () => {
  server = await scope.add(Server.start(), (s) => s.stop());
  proxy = await scope.add(withoutV1(server.http));
  const page = await scope.add(servePage());
  const browser = await scope.add(chromium({ url: page.url }));
  drivers = {
    js: await scope.add(browser.page()),
    python: await scope.add(python()),
    node: await scope.add(node()),
  };
});

after(() => scope.close());

for (const mode of ["v1", "v0"]) {
  describe(mode, () => {
    let clients;

    before(async () => {
      const room = freshRoom(`data-${mode}`);
      clients = Object.fromEntries(
        KINDS.map((kind) => [kind, drivers[kind].client(`${room}-${kind}`)]),
      );
      for (const kind of KINDS) {
        const url = kind === "node" && mode === "v0" ? proxy.ws : server.ws;
        await clients[kind].call("connect", { url, token: await mint(room, kind), mode });
      }
      for (const kind of KINDS) {
        await clients[kind].until("the other two", (s) => Object.keys(s.remote).length === 2);
      }
    });

    after(() =>
      Promise.allSettled(Object.values(clients).map((client) => client.call("disconnect"))),
    );

    for (const from of KINDS) {
      const others = KINDS.filter((kind) => kind !== from);

      test(`a reliable message from ${from} reaches everybody once, with its sender and topic`, async () => {
        const payload = randomBytes(1000).toString("base64");
        await clients[from].call("send_data", { payload, reliable: true, topic: `all-${from}` });
        for (const to of others) {
          const event = await clients[to].event("data_received", (e) => e.topic === `all-${from}`);
          assert.deepEqual(
            [event.identity, event.kind, event.payload],
            [from, "reliable", payload],
          );
        }
        for (const to of others) {
          const got = (await clients[to].events("data_received")).filter(
            (e) => e.topic === `all-${from}`,
          );
          assert.equal(got.length, 1);
        }
      });

      test(`lossy messages from ${from} arrive as lossy`, async () => {
        const payload = randomBytes(100).toString("base64");
        for (let i = 0; i < LOSSY_SENT; i++) {
          await clients[from].call("send_data", {
            payload,
            reliable: false,
            topic: `lossy-${from}`,
          });
        }
        for (const to of others) {
          const got = await until(`lossy data from ${from} at ${to}`, async () => {
            const events = (await clients[to].events("data_received")).filter(
              (e) => e.topic === `lossy-${from}`,
            );
            return events.length > LOSSY_SENT / 2 && events;
          });
          assert.ok(
            got.every((e) => e.kind === "lossy" && e.identity === from && e.payload === payload),
          );
        }
      });

      test(`a targeted message from ${from} reaches only its target`, async () => {
        const [target, bystander] = others;
        const topic = `only-${from}`;
        const payload = Buffer.from("for one").toString("base64");
        await clients[from].call("send_data", { payload, topic, to: [target] });
        // The second, untargeted message travels behind the first: once it is there, the first had its chance.
        await clients[from].call("send_data", { payload, topic: `after-${topic}` });
        await clients[target].event("data_received", (e) => e.topic === topic);
        await clients[bystander].event("data_received", (e) => e.topic === `after-${topic}`);
        assert.ok(
          !(await clients[bystander].events("data_received")).some((e) => e.topic === topic),
        );
      });

      for (const to of others) {
        test(`RPC from ${from} to ${to} returns answers and errors`, async () => {
          const payload = "ä".repeat(1000);
          assert.deepEqual(await clients[from].call("rpc", { to, method: "echo", payload }), {
            answer: `${from}:${payload}`,
          });
          const refused = await clients[from].call("rpc", { to, method: "refuse", payload: "why" });
          assert.deepEqual([refused.code, refused.message, refused.data], [1234, "refused", "why"]);
          const unknown = await clients[from].call("rpc", { to, method: "nothing", payload: "" });
          assert.equal(unknown.code, 1400);
        });
      }

      test(`a text stream from ${from} arrives whole`, async () => {
        const text = randomBytes(STREAM_BYTES / 2).toString("hex");
        await clients[from].call("send_text", { text });
        for (const to of others) {
          const event = await clients[to].event("text_stream", (e) => e.identity === from);
          assert.deepEqual([event.length, event.digest], [text.length, sha256(text)]);
        }
      });

      test(`a byte stream from ${from} arrives whole`, async () => {
        const bytes = randomBytes(STREAM_BYTES);
        await clients[from].call("send_bytes", { payload: bytes.toString("base64") });
        for (const to of others) {
          const event = await clients[to].event("byte_stream", (e) => e.identity === from);
          assert.deepEqual([event.length, event.digest], [bytes.length, sha256(bytes)]);
        }
      });
    }
  });
}

function sha256(data) {
  return createHash("sha256").update(data).digest("hex");
}
