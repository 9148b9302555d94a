// Twirp without an SDK: for the methods the SDKs do not have, and for requests they would never make.

import { request as httpRequest } from "node:http";
import { AccessToken } from "livekit-server-sdk";

/** A token with these grants, and no identity. */
export async function grant(grants, { key = "devkey", secret = "secret", ttl = "5m" } = {}) {
  const token = new AccessToken(key, secret, { ttl });
  token.addGrant(grants);
  return token.toJwt();
}

/** Calls a method with a JSON body; answers with status, headers and parsed body. */
export async function twirp(server, method, body, token, { type = "application/json" } = {}) {
  const headers = { "content-type": type };
  if (token !== undefined) headers.authorization = `Bearer ${token}`;
  const url = `${server.http}/twirp/livekit.RoomService/${method}`;
  const text = typeof body === "string" || Buffer.isBuffer(body) ? body : JSON.stringify(body);
  const response = await fetch(url, { method: "POST", headers, body: text });
  return read(response);
}

/** Any request, as written; answers with status, headers and parsed body. */
export async function ask(server, path, options = {}) {
  return read(await fetch(`${server.http}${path}`, options));
}

async function read(response) {
  const text = await response.text();
  const type = response.headers.get("content-type");
  return {
    status: response.status,
    type,
    headers: response.headers,
    text,
    body: type?.includes("json") ? JSON.parse(text) : undefined,
  };
}

/** A request through `node:http`, which, unlike `fetch`, leaves headers and framing alone. */
export function raw(server, { path, method = "POST", headers = {}, body = "" }) {
  const [host, port] = server.ports.http.split(":");
  return new Promise((done, failed) => {
    const request = httpRequest({ host, port, path, method, headers }, async (response) => {
      const chunks = [];
      try {
        for await (const chunk of response) chunks.push(chunk);
        const text = Buffer.concat(chunks).toString();
        done({ status: response.statusCode, headers: response.headers, text });
      } catch (error) {
        failed(error);
      }
    });
    request.on("error", failed);
    request.end(body);
  });
}
