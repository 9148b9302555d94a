/**
 * What a link or a pasted text invites to. Pure: text in, invitation out.
 *
 * A link carries its credential in the fragment, which browsers never send to a server:
 * `#token=<jwt>[&url=<server>]` joins as one fixed person, `#demo=<invite>[&room=<name>]` lets each
 * window have a person of its own.
 */

export type Invitation =
  | { kind: "none" }
  | { kind: "unreadable"; what: "token" | "url" }
  | { kind: "token"; token: string; url: string; claims: Claims }
  | { kind: "demo"; invite: string; room: string | undefined };

/** What this page needs to know of a token. The server alone decides whether it is genuine. */
export interface Claims {
  room: string;
  identity: string;
  name: string;
  /** Unix seconds; `undefined` when the token names no end. */
  expiresAt: number | undefined;
  sources: Sources;
}

/** What the bearer may send. */
export interface Sources {
  camera: boolean;
  microphone: boolean;
  screen: boolean;
  chat: boolean;
}

export const ALL_SOURCES: Sources = { camera: true, microphone: true, screen: true, chat: true };

export function parseFragment(fragment: string, pageOrigin: string): Invitation {
  const fields = new URLSearchParams(fragment.replace(/^#/, ""));
  const token = fields.get("token");
  if (token) return parseToken(token, fields.get("url"), pageOrigin);
  const invite = fields.get("demo");
  if (invite) return { kind: "demo", invite, room: fields.get("room") ?? undefined };
  return { kind: "none" };
}

/** The fragment that a pasted text means: a whole link's own, or a bare token's. `undefined`: neither. */
export function fragmentOfPaste(text: string): string | undefined {
  const trimmed = text.trim();
  const hash = trimmed.indexOf("#");
  if (hash >= 0) {
    const fields = new URLSearchParams(trimmed.slice(hash + 1));
    return fields.has("token") || fields.has("demo") ? trimmed.slice(hash) : undefined;
  }
  return readClaims(trimmed) ? `#token=${trimmed}` : undefined;
}

/** `ws:` or `wss:` address of the server for an address as people write it; `undefined` if it is none. */
export function signallingUrl(address: string | null, pageOrigin: string): string | undefined {
  let url: URL;
  try {
    url = new URL(address ?? pageOrigin);
  } catch {
    return undefined;
  }
  const scheme = { "http:": "ws:", "ws:": "ws:", "https:": "wss:", "wss:": "wss:" }[url.protocol];
  if (!scheme) return undefined;
  return `${scheme}//${url.host}${url.pathname.replace(/\/+$/, "")}`;
}

/** The HTTP address of the same server. */
export function httpUrl(signalling: string): string {
  return signalling.replace(/^ws/, "http");
}

/** Whether the token's time is over. `now` in Unix seconds. */
export function isExpired(claims: Claims, now: number): boolean {
  return claims.expiresAt !== undefined && claims.expiresAt <= now;
}

function parseToken(token: string, address: string | null, pageOrigin: string): Invitation {
  const claims = readClaims(token);
  if (!claims) return { kind: "unreadable", what: "token" };
  const url = signallingUrl(address, pageOrigin);
  if (!url) return { kind: "unreadable", what: "url" };
  return { kind: "token", token, url, claims };
}

/** RFC 7519 §3: three base64url parts, the second a JSON object. The signature is not looked at. */
export function readClaims(token: string): Claims | undefined {
  const parts = token.split(".");
  if (parts.length !== 3) return undefined;
  const body = parseJsonObject(decodeBase64Url(parts[1] ?? ""));
  if (!body) return undefined;
  const video = isObject(body.video) ? body.video : {};
  const identity = text(body.sub) ?? text(body.jti);
  const room = text(video.room);
  if (!identity || !room) return undefined;
  return {
    room,
    identity,
    name: text(body.name) || identity,
    expiresAt: typeof body.exp === "number" ? body.exp : undefined,
    sources: readSources(video),
  };
}

function readSources(video: Record<string, unknown>): Sources {
  const canPublish = video.canPublish !== false;
  const listed = Array.isArray(video.canPublishSources) ? video.canPublishSources : [];
  // A list of sources supersedes canPublish; an empty list is no list.
  const may = (source: string) => (listed.length > 0 ? listed.includes(source) : canPublish);
  const chat = video.canPublishData;
  return {
    camera: may("camera"),
    microphone: may("microphone"),
    screen: may("screen_share"),
    chat: typeof chat === "boolean" ? chat : canPublish,
  };
}

function decodeBase64Url(part: string): string | undefined {
  try {
    const binary = atob(part.replaceAll("-", "+").replaceAll("_", "/"));
    const bytes = Uint8Array.from(binary, (character) => character.charCodeAt(0));
    return new TextDecoder("utf-8", { fatal: true }).decode(bytes);
  } catch {
    return undefined;
  }
}

function parseJsonObject(json: string | undefined): Record<string, unknown> | undefined {
  if (json === undefined) return undefined;
  try {
    const value: unknown = JSON.parse(json);
    return isObject(value) ? value : undefined;
  } catch {
    return undefined;
  }
}

function isObject(value: unknown): value is Record<string, unknown> {
  return typeof value === "object" && value !== null && !Array.isArray(value);
}

function text(value: unknown): string | undefined {
  return typeof value === "string" ? value : undefined;
}
