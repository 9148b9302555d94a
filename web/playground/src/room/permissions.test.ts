import { ParticipantPermission, TrackSource } from "@livekit/protocol";
import { expect, test } from "vitest";
import { ALL_SOURCES } from "../invitation.ts";
import { sourcesNow } from "./permissions.ts";

const NONE = { camera: false, microphone: false, screen: false, chat: false };

test("the server's word goes over the token's", () => {
  expect(sourcesNow(undefined, NONE)).toBe(NONE);
  expect(sourcesNow(new ParticipantPermission(), ALL_SOURCES)).toEqual(NONE);
  const everything = new ParticipantPermission({ canPublish: true, canPublishData: true });
  expect(sourcesNow(everything, NONE)).toEqual(ALL_SOURCES);
});

test("listed sources are the only ones", () => {
  const permission = new ParticipantPermission({
    canPublish: true,
    canPublishSources: [TrackSource.MICROPHONE],
  });
  expect(sourcesNow(permission, ALL_SOURCES)).toEqual({ ...NONE, microphone: true });
  const screen = new ParticipantPermission({
    canPublish: true,
    canPublishSources: [TrackSource.SCREEN_SHARE, TrackSource.CAMERA],
  });
  expect(sourcesNow(screen, ALL_SOURCES)).toEqual({ ...NONE, screen: true, camera: true });
});
