import { expect, test } from "vitest";
import {
  fragmentOfPaste,
  httpUrl,
  isExpired,
  parseFragment,
  readClaims,
  signallingUrl,
} from "./invitation.ts";

const ORIGIN = "http://127.0.0.1:7880";

function base64Url(bytes: Uint8Array): string {
  return btoa(String.fromCharCode(...bytes))
    .replaceAll("+", "-")
    .replaceAll("/", "_")
    .replaceAll("=", "");
}

function token(claims: unknown): string {
  const part = (value: unknown) => base64Url(new TextEncoder().encode(JSON.stringify(value)));
  return `${part({ alg: "HS256", typ: "JWT" })}.${part(claims)}.c2lnbmF0dXJl`;
}

test("a token link gives room, identity, name and the server it came from", () => {
  const jwt = token({ sub: "ann", name: "安 Ann", exp: 200, video: { room: "demo" } });
  const invitation = parseFragment(`#token=${jwt}`, ORIGIN);
  expect(invitation).toMatchObject({
    kind: "token",
    url: "ws://127.0.0.1:7880",
    claims: { room: "demo", identity: "ann", name: "安 Ann", expiresAt: 200 },
  });
});

test("a token link may name another server", () => {
  const jwt = token({ sub: "ann", video: { room: "demo" } });
  expect(parseFragment(`#token=${jwt}&url=wss://rtc.example.org/`, ORIGIN)).toMatchObject({
    url: "wss://rtc.example.org",
  });
  expect(parseFragment(`#token=${jwt}&url=javascript:alert(1)`, ORIGIN)).toEqual({
    kind: "unreadable",
    what: "url",
  });
});

test("a demo link carries an invite and perhaps a room", () => {
  expect(parseFragment("#demo=abc-_9", ORIGIN)).toEqual({
    kind: "demo",
    invite: "abc-_9",
    room: undefined,
  });
  expect(parseFragment("#demo=abc&room=team%20a", ORIGIN)).toMatchObject({ room: "team a" });
});

test("no fragment and unknown fields are no invitation", () => {
  expect(parseFragment("", ORIGIN)).toEqual({ kind: "none" });
  expect(parseFragment("#", ORIGIN)).toEqual({ kind: "none" });
  expect(parseFragment("#about", ORIGIN)).toEqual({ kind: "none" });
});

test.each([
  ["not three parts", "a.b"],
  ["not base64", "a.%%%.c"],
  ["not JSON", `a.${base64Url(new TextEncoder().encode("{"))}.c`],
  ["not UTF-8", `a.${base64Url(Uint8Array.of(0xff, 0xfe))}.c`],
  ["not an object", token([1])],
  ["no identity", token({ video: { room: "demo" } })],
  ["no room", token({ sub: "ann", video: {} })],
  ["empty", ""],
])("a token that is %s is unreadable", (_, jwt) => {
  expect(readClaims(jwt)).toBeUndefined();
});

test("grants decide what may be sent", () => {
  const sources = (video: object) =>
    readClaims(token({ sub: "ann", video: { room: "demo", ...video } }))?.sources;
  expect(sources({})).toEqual({ camera: true, microphone: true, screen: true, chat: true });
  expect(sources({ canPublish: false })).toEqual({
    camera: false,
    microphone: false,
    screen: false,
    chat: false,
  });
  expect(sources({ canPublish: false, canPublishData: true })?.chat).toBe(true);
  expect(sources({ canPublishSources: ["microphone"] })).toEqual({
    camera: false,
    microphone: true,
    screen: false,
    chat: true,
  });
  expect(sources({ canPublish: true, canPublishSources: [] })?.camera).toBe(true);
});

test("a paste is a link, a bare token, or nothing", () => {
  const jwt = token({ sub: "ann", video: { room: "demo" } });
  expect(fragmentOfPaste(`  ${jwt}\n`)).toBe(`#token=${jwt}`);
  expect(fragmentOfPaste(`${ORIGIN}/play#token=${jwt}`)).toBe(`#token=${jwt}`);
  expect(fragmentOfPaste(`${ORIGIN}/play#demo=abc`)).toBe("#demo=abc");
  expect(fragmentOfPaste(`${ORIGIN}/play#else`)).toBeUndefined();
  expect(fragmentOfPaste("hello")).toBeUndefined();
});

test("server addresses become signalling addresses and back", () => {
  expect(signallingUrl(null, "https://rtc.example.org")).toBe("wss://rtc.example.org");
  expect(signallingUrl("http://10.0.0.1:7880/", ORIGIN)).toBe("ws://10.0.0.1:7880");
  expect(signallingUrl("wss://h/sub/", ORIGIN)).toBe("wss://h/sub");
  expect(signallingUrl("ftp://h", ORIGIN)).toBeUndefined();
  expect(signallingUrl("rtc.example.org", ORIGIN)).toBeUndefined();
  expect(httpUrl("wss://h:1/sub")).toBe("https://h:1/sub");
});

test("a token is over at its end, and never without one", () => {
  const claims = readClaims(token({ sub: "a", exp: 100, video: { room: "r" } }));
  if (!claims) throw new Error("readable");
  expect(isExpired(claims, 99)).toBe(false);
  expect(isExpired(claims, 100)).toBe(true);
  expect(isExpired({ ...claims, expiresAt: undefined }, 1e12)).toBe(false);
});
