// Access tokens made by LiveKit's own server SDK.

import { createHmac } from "node:crypto";
import { AccessToken } from "livekit-server-sdk";

/** A token for `identity` in `room`. `grants` overrides single grants; `key` and `secret` the `--dev` pair. */
export async function mint(
  room,
  identity,
  { grants = {}, key = "devkey", secret = "secret", ttl = "10m", name, metadata, attributes } = {},
) {
  const token = new AccessToken(key, secret, { identity, ttl, name, metadata, attributes });
  token.addGrant({
    roomJoin: true,
    room,
    canPublish: true,
    canSubscribe: true,
    canUpdateOwnMetadata: true,
    ...grants,
  });
  return token.toJwt();
}

/** A token with these claims and no others: for what the SDK refuses to make. */
export function forge(claims, { secret = "secret", header = { alg: "HS256", typ: "JWT" } } = {}) {
  const parts = [header, claims].map((part) =>
    Buffer.from(JSON.stringify(part)).toString("base64url"),
  );
  const signature = createHmac("sha256", secret).update(parts.join(".")).digest("base64url");
  return [...parts, signature].join(".");
}

let counter = 0;

/** A room name no other test of this run uses. */
export function freshRoom(stem) {
  counter += 1;
  return `${stem}-${process.pid}-${counter}`;
}
