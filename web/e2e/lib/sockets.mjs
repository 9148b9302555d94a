// The signalling socket by hand, for what no client would send.

import { request } from "node:http";
import { SignalRequest, SignalResponse } from "@livekit/protocol";
import { WebSocket } from "ws";
import { within } from "./wait.mjs";

/** Where attacks come from: limits per address then hit them, not the call they run beside. */
export const ATTACKER_IP = "127.0.0.66";

let addresses = 0;
/** Another attacker's address each time: what each is told is then no word about haste. */
export function anotherAddress() {
  addresses += 1;
  return `127.66.${(addresses >> 8) & 255}.${addresses & 255}`;
}

/** One open signalling socket. */
export class Socket {
  /**
   * Opens `path` with `token` and `query`. Fails with the HTTP status and body when the server refuses the upgrade.
   */
  static async open(server, path, token, query = {}, { headers = {}, from = ATTACKER_IP } = {}) {
    const url = new URL(server.ws + path);
    if (token) url.searchParams.set("access_token", token);
    for (const [key, value] of Object.entries(query)) url.searchParams.set(key, value);
    const options = {
      handshakeTimeout: 10_000,
      localAddress: from,
      perMessageDeflate: false,
      headers,
    };
    const socket = new WebSocket(url, options);
    const self = new Socket(socket);
    await new Promise((resolve, reject) => {
      socket.on("open", resolve);
      socket.on("error", reject);
      socket.on("unexpected-response", (_request, response) => {
        const connection = response.socket;
        let body = "";
        response.on("data", (chunk) => {
          body += chunk;
        });
        response.on("end", () => {
          // Left open, thousands of refused connections would be an attack of another kind.
          connection.destroy();
          reject(new Refused(response.statusCode, body));
        });
      });
    });
    return self;
  }

  constructor(socket) {
    this.socket = socket;
    this.closed = new Promise((resolve) => socket.on("close", resolve));
    this.messages = [];
    socket.on("message", (data, binary) => {
      if (binary) this.messages.push(SignalResponse.fromBinary(data).message);
    });
    // An attacked server closes sockets as it likes.
    socket.on("error", () => {});
  }

  get isOpen() {
    return this.socket.readyState === WebSocket.OPEN;
  }

  /** Sends bytes as they are; answers when they left this process or the socket is gone. */
  raw(bytes, options) {
    if (!this.isOpen) return Promise.resolve();
    return new Promise((sent) => this.socket.send(bytes, options, () => sent()));
  }

  /** Sends one `SignalRequest`. */
  signal(message) {
    return this.raw(new SignalRequest({ message }).toBinary());
  }

  async close() {
    this.socket.close();
    await within("the socket's close", this.closed, 2_000).catch(() => this.socket.terminate());
  }
}

/** The server answered the upgrade with something else. */
export class Refused extends Error {
  constructor(status, body) {
    super(`${status} ${body}`);
    this.status = status;
    this.body = body;
  }
}

/** A GET from the attacker's address: status and body. */
export function get(server, path, { headers = {}, from = ATTACKER_IP } = {}) {
  const [hostname, port] = server.ports.http.split(":");
  return new Promise((resolve, reject) => {
    const options = { hostname, port, path, headers, localAddress: from, agent: false };
    request(options, (response) => {
      let body = "";
      response.on("data", (chunk) => {
        body += chunk;
      });
      response.on("end", () =>
        resolve({ status: response.statusCode, headers: response.headers, body }),
      );
    })
      .on("error", reject)
      .end();
  });
}
