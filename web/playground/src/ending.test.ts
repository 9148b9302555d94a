import { DisconnectReason } from "livekit-client";
import { expect, test } from "vitest";
import {
  END_REASONS,
  endingOfAnswer,
  nextStep,
  reasonOfCode,
  reasonOfDisconnect,
  reasonOfStatus,
  reasonOfText,
} from "./ending.ts";

test("a problem body gives reason, detail and request id", () => {
  const body = JSON.stringify({
    code: "app_disabled",
    detail: "The app is disabled.",
    request_id: "r-1",
  });
  expect(endingOfAnswer(403, body)).toEqual({
    reason: "app_disabled",
    detail: "The app is disabled.",
    requestId: "r-1",
  });
});

test("an answer of something in between is judged by its status", () => {
  expect(endingOfAnswer(502, "<html>Bad gateway</html>")).toEqual({
    reason: "unreachable",
    detail: "HTTP 502",
  });
  expect(endingOfAnswer(401, "no permissions")).toEqual({
    reason: "token_invalid",
    detail: "HTTP 401: no permissions",
  });
  expect(endingOfAnswer(403, '{"error":1}').reason).toBe("forbidden");
  expect(endingOfAnswer(429, "").reason).toBe("busy");
  expect(reasonOfStatus(500)).toBe("internal");
  expect(reasonOfStatus(404)).toBe("unknown");
});

test("a refusal of signalling carries its code in brackets", () => {
  expect(endingOfAnswer(401, "The token ended an hour ago. [token_expired]", "r-2")).toEqual({
    reason: "token_expired",
    detail: "HTTP 401: The token ended an hour ago. [token_expired]",
    requestId: "r-2",
  });
  expect(reasonOfText("could not connect: Full. [room_full]\n")).toBe("room_full");
  expect(reasonOfText("[room_full] is not at the end")).toBeUndefined();
  expect(reasonOfText("")).toBeUndefined();
});

test("codes of the server keep their meaning", () => {
  for (const code of ["token_expired", "token_invalid", "app_disabled", "room_full"] as const) {
    expect(reasonOfCode(code)).toBe(code);
  }
  expect(reasonOfCode("unauthenticated")).toBe("token_invalid");
  expect(reasonOfCode("overloaded")).toBe("busy");
  expect(reasonOfCode("something_new")).toBe("unknown");
});

test("leave reasons are the client library's", () => {
  expect(reasonOfDisconnect(DisconnectReason.CLIENT_INITIATED)).toBe("left");
  expect(reasonOfDisconnect(DisconnectReason.DUPLICATE_IDENTITY)).toBe("duplicate_identity");
  expect(reasonOfDisconnect(DisconnectReason.SERVER_SHUTDOWN)).toBe("server_stopped");
  expect(reasonOfDisconnect(DisconnectReason.PARTICIPANT_REMOVED)).toBe("removed");
  expect(reasonOfDisconnect(DisconnectReason.ROOM_DELETED)).toBe("room_deleted");
  expect(reasonOfDisconnect(DisconnectReason.ROOM_CLOSED)).toBe("room_closed");
  expect(reasonOfDisconnect(DisconnectReason.MEDIA_FAILURE)).toBe("media_blocked");
  expect(reasonOfDisconnect(DisconnectReason.CONNECTION_TIMEOUT)).toBe("media_blocked");
  expect(reasonOfDisconnect(undefined)).toBe("unknown");
});

test("a bad credential leads to another link, everything else to the same once more", () => {
  expect(END_REASONS.filter((reason) => nextStep(reason) === "other_link")).toEqual([
    "token_expired",
    "token_invalid",
    "invite_invalid",
    "app_not_found",
    "forbidden",
  ]);
});
