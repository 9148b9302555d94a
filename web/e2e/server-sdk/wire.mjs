// HTTP as bytes, for what no HTTP library would send.

import { connect } from "node:net";

/**
 * Sends `bytes` on a connection of its own and answers with what came back until the server closed it, or until
 * `wait` milliseconds had passed; `closed` tells which.
 */
export function wire(server, bytes, { wait = 5_000, from } = {}) {
  const [host, port] = server.ports.http.split(":");
  const begun = performance.now();
  return new Promise((done) => {
    const socket = connect({ host, port, localAddress: from });
    const chunks = [];
    const finish = (closed) => {
      clearTimeout(timer);
      socket.destroy();
      const text = Buffer.concat(chunks).toString("latin1");
      const status = Number(/^HTTP\/1\.[01] (\d{3})/.exec(text)?.[1] ?? 0);
      const answers = text.match(/HTTP\/1\.[01] \d{3}/g)?.length ?? 0;
      done({ status, answers, text, closed, ms: performance.now() - begun });
    };
    const timer = setTimeout(() => finish(false), wait);
    socket.on("data", (chunk) => chunks.push(chunk));
    socket.on("error", () => {});
    socket.on("close", () => finish(true));
    socket.on("connect", () => socket.write(bytes));
  });
}

/**
 * A connection that sends `piece` again and again, `every` milliseconds apart, until the server hangs up, `wait`
 * milliseconds have passed or the signal aborts.
 */
export function trickle(
  server,
  head,
  { piece = "x", every = 100, wait = 20_000, from, signal } = {},
) {
  const [host, port] = server.ports.http.split(":");
  const begun = performance.now();
  return new Promise((done) => {
    const socket = connect({ host, port, localAddress: from });
    let text = "";
    let ticking;
    const finish = (closed) => {
      clearInterval(ticking);
      clearTimeout(timer);
      socket.destroy();
      done({ text, closed, ms: performance.now() - begun });
    };
    const timer = setTimeout(() => finish(false), wait);
    signal?.addEventListener("abort", () => finish(false));
    socket.on("data", (chunk) => {
      text += chunk;
    });
    socket.on("error", () => {});
    socket.on("close", () => finish(true));
    socket.on("connect", () => {
      socket.write(head);
      ticking = setInterval(() => socket.write(piece), every);
    });
  });
}

/**
 * `count` connections that say nothing, or nothing after `head`; `deaf` ones never read. `close` ends them. A server
 * whose queue is full takes some of them later, or never.
 */
export async function idle(server, count, { from, head = "", deaf = false } = {}) {
  const [host, port] = server.ports.http.split(":");
  const sockets = [];
  let ended = 0;
  for (let i = 0; i < count; i++) {
    const socket = connect({ host, port, localAddress: from });
    socket.on("error", () => {});
    socket.on("close", () => {
      ended += 1;
    });
    if (deaf) socket.pause();
    if (head) socket.on("connect", () => socket.write(head));
    sockets.push(socket);
  }
  await Promise.all(
    sockets.map((socket) =>
      socket.connecting
        ? new Promise((settled) => {
            socket.once("connect", settled);
            socket.once("error", settled);
          })
        : undefined,
    ),
  );
  return {
    get ended() {
      return ended;
    },
    close() {
      for (const socket of sockets) socket.destroy();
    },
  };
}
