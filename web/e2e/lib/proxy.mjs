// A proxy in front of the server that has never heard of `/rtc/v1`: clients without a switch fall back to `/rtc`.

import { createServer, request } from "node:http";
import { connect } from "node:net";

/** Starts the proxy. `ws` is the address for clients; `refused` counts what was answered 404. */
export async function withoutV1(target) {
  const { hostname, port } = new URL(target);
  const sockets = new Set();
  const proxy = { refused: 0 };
  const hidden = (url) => url.startsWith("/rtc/v1");
  const server = createServer((incoming, response) => {
    if (hidden(incoming.url)) {
      proxy.refused += 1;
      response.writeHead(404, { "access-control-allow-origin": "*" }).end("not found");
      return;
    }
    const { method, url, headers } = incoming;
    const onward = request({ hostname, port, method, path: url, headers }, (answer) => {
      response.writeHead(answer.statusCode, answer.headers);
      answer.pipe(response);
    });
    onward.on("error", () => response.writeHead(502).end());
    incoming.pipe(onward);
  });
  server.on("connection", (socket) => {
    sockets.add(socket);
    socket.on("close", () => sockets.delete(socket));
  });
  server.on("upgrade", (incoming, socket, head) => {
    socket.on("error", () => {});
    if (hidden(incoming.url)) {
      proxy.refused += 1;
      socket.end("HTTP/1.1 404 Not Found\r\ncontent-length: 0\r\nconnection: close\r\n\r\n");
      return;
    }
    const onward = connect(port, hostname, () => {
      const lines = [`${incoming.method} ${incoming.url} HTTP/1.1`];
      for (let i = 0; i < incoming.rawHeaders.length; i += 2) {
        lines.push(`${incoming.rawHeaders[i]}: ${incoming.rawHeaders[i + 1]}`);
      }
      onward.write(`${lines.join("\r\n")}\r\n\r\n`);
      onward.write(head);
      socket.pipe(onward).pipe(socket);
    });
    onward.on("error", () => socket.destroy());
    socket.on("close", () => onward.destroy());
    onward.on("close", () => socket.destroy());
  });
  await new Promise((listening) => server.listen(0, "127.0.0.1", listening));
  proxy.ws = `ws://127.0.0.1:${server.address().port}`;
  proxy.close = () => {
    for (const socket of sockets) socket.destroy();
    return new Promise((closed) => server.close(closed));
  };
  return proxy;
}
