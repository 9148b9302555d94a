// A server of an app's owner that takes webhooks, and believes only what LiveKit's own receiver believes.

import { createServer } from "node:http";
import { WebhookReceiver } from "livekit-server-sdk";
import { until } from "../lib/wait.mjs";

export class WebhookServer {
  /** Everything that was posted and verified, in order of arrival. */
  events = [];
  /** What did not verify, and why. */
  refused = [];
  /** Answers to the next events of a room, before the usual 200. */
  answers = new Map();

  static async start({ key = "devkey", secret = "secret" } = {}) {
    const receiver = new WebhookServer(key, secret);
    await new Promise((listening) => receiver.server.listen(0, "127.0.0.1", listening));
    return receiver;
  }

  constructor(key, secret) {
    this.receiver = new WebhookReceiver(key, secret);
    this.server = createServer((request, response) => this.take(request, response));
  }

  get url() {
    return `http://127.0.0.1:${this.server.address().port}/webhook`;
  }

  async take(request, response) {
    // The server asks so whether anybody is there when the URL is set.
    if (request.method === "HEAD") {
      response.end();
      return;
    }
    const chunks = [];
    for await (const chunk of request) chunks.push(chunk);
    const body = Buffer.concat(chunks).toString();
    const { authorization, "content-type": type } = request.headers;
    let status = 200;
    try {
      const event = await this.receiver.receive(body, authorization);
      status = this.answers.get(event.room?.name)?.shift() ?? 200;
      this.events.push({ event, body, authorization, type, status, at: Date.now() });
    } catch (error) {
      this.refused.push({ error: String(error), body, authorization });
    }
    response.writeHead(status).end();
  }

  /** The events of one room that were answered with 200, in order of arrival. */
  of(room) {
    return this.events
      .filter(({ event, status }) => event.room?.name === room && status === 200)
      .map(({ event }) => event);
  }

  /** Waits for an event of this name in `room` that satisfies `test`. */
  event(room, name, test = () => true, options) {
    return until(
      `webhook ${name} of ${room}`,
      () =>
        this.of(room).find((event) => event.event === name && test(event)) ??
        Promise.reject(new Error(`so far: ${this.of(room).map((event) => event.event)}`)),
      options,
    );
  }

  close() {
    this.server.closeAllConnections();
    return new Promise((closed) => this.server.close(closed));
  }
}
