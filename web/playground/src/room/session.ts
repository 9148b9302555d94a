/** One stay in a room: connects, turns devices on, and says how it ended. No React here. */

import { createStore, type Store } from "@sparkrtc/ui/store";
import {
  ConnectionError,
  ConnectionErrorReason,
  type DisconnectReason,
  type LocalTrackPublication,
  type Participant,
  Room,
  RoomEvent,
  Track,
  type TrackPublication,
  VideoPresets,
} from "livekit-client";
import type { Choices } from "../choices.ts";
import { type Ending, endingOfAnswer, reasonOfDisconnect, reasonOfText } from "../ending.ts";
import { httpUrl } from "../invitation.ts";
import type { Settings } from "../settings.ts";
import { endingOfNoAnswer, type Ticket } from "../ticket.ts";
import { type DeviceTrouble, troubleOf } from "../trouble.ts";

export type Phase =
  | { kind: "connecting" }
  | { kind: "connected" }
  | { kind: "reconnecting" }
  | { kind: "ended"; ending: Ending };

/** Something that a person in the room should hear about once. */
export type RoomNews =
  | { kind: "joined" | "left" | "share_started" | "share_ended"; name: string }
  | { kind: "reconnected" | "muted_by_server" | "share_without_sound" }
  | { kind: "trouble"; device: "camera" | "microphone" | "screen"; trouble: DeviceTrouble };

export interface Session {
  room: Room;
  ticket: Ticket;
  phase: Store<Phase>;
  /** Calls `listener` once with how it ended, at once if it already has. */
  watchEnd(listener: (ending: Ending) => void): () => void;
  watchNews(listener: (news: RoomNews) => void): () => void;
  setMicrophone(on: boolean): Promise<void>;
  setCamera(on: boolean): Promise<void>;
  setScreen(on: boolean): Promise<void>;
  leave(): void;
}

declare global {
  interface Window {
    /** The room, for scripts, when the page was opened with `?test=1`. */
    __sparkrtc?: { room: Room };
  }
}

/** Milliseconds until a probe of the server counts as unanswered. */
const PROBE_DEADLINE_MS = 5_000;

/** Joins with `ticket`; the returned session is connecting. */
export function openSession(ticket: Ticket, choices: Choices, settings: Settings): Session {
  const room = createRoom(choices, settings);
  if (settings.test) window.__sparkrtc = { room };
  const phase = createStore<Phase>({ kind: "connecting" });
  const news = createNews();
  const devices = createDevices(room, news.tell);

  const end = (ending: Ending) => {
    if (phase.read().kind !== "ended") phase.write({ kind: "ended", ending });
  };

  room
    .on(RoomEvent.Reconnecting, () => phase.write({ kind: "reconnecting" }))
    .on(RoomEvent.SignalReconnecting, () => phase.write({ kind: "reconnecting" }))
    .on(RoomEvent.Reconnected, () => {
      phase.write({ kind: "connected" });
      news.tell({ kind: "reconnected" });
    })
    .on(RoomEvent.Disconnected, (reason) => {
      // Before the join succeeded, the failed `connect` knows more than this event.
      if (phase.read().kind !== "connecting") void explainDisconnect(reason, ticket).then(end);
    });
  tellNews(room, news.tell, devices);

  const run = async () => {
    try {
      await room.connect(ticket.url, ticket.token);
    } catch (error) {
      if (phase.read().kind !== "ended") end(await explainFailure(error, ticket));
      return;
    }
    phase.write({ kind: "connected" });
    const { sources } = ticket;
    await Promise.all([
      choices.microphone && sources.microphone && devices.setMicrophone(true),
      choices.camera && sources.camera && devices.setCamera(true),
    ]);
  };
  void run();

  return {
    room,
    ticket,
    phase,
    watchEnd: (listener) => watchEnd(phase, listener),
    watchNews: news.watch,
    setMicrophone: devices.setMicrophone,
    setCamera: devices.setCamera,
    setScreen: devices.setScreen,
    leave: () => {
      end({ reason: "left" });
      void room.disconnect();
    },
  };
}

function createRoom(choices: Choices, settings: Settings): Room {
  return new Room({
    adaptiveStream: true,
    dynacast: true,
    singlePeerConnection: settings.peerConnections === "single",
    publishDefaults: { videoCodec: settings.codec, simulcast: settings.simulcast },
    audioCaptureDefaults: {
      autoGainControl: true,
      echoCancellation: true,
      noiseSuppression: true,
      ...(choices.microphoneId && { deviceId: choices.microphoneId }),
    },
    videoCaptureDefaults: {
      resolution: VideoPresets.h720.resolution,
      ...(choices.cameraId && { deviceId: choices.cameraId }),
    },
    ...(choices.speakerId && { audioOutput: { deviceId: choices.speakerId } }),
  });
}

function createNews() {
  const listeners = new Set<(news: RoomNews) => void>();
  return {
    tell: (news: RoomNews) => {
      for (const listener of [...listeners]) listener(news);
    },
    watch: (listener: (news: RoomNews) => void) => {
      listeners.add(listener);
      return () => void listeners.delete(listener);
    },
  };
}

type Devices = ReturnType<typeof createDevices>;

function createDevices(room: Room, tell: (news: RoomNews) => void) {
  const own = room.localParticipant;
  // A mute that nobody here asked for came from the server.
  let isOwnMute = false;
  const change = async (device: "camera" | "microphone", act: () => Promise<unknown>) => {
    isOwnMute = true;
    try {
      await act();
    } catch (error) {
      tell({ kind: "trouble", device, trouble: troubleOf(error) });
    } finally {
      isOwnMute = false;
    }
  };
  return {
    isOwnMute: () => isOwnMute,
    setMicrophone: (on: boolean) => change("microphone", () => own.setMicrophoneEnabled(on)),
    setCamera: (on: boolean) => change("camera", () => own.setCameraEnabled(on)),
    setScreen: async (on: boolean) => {
      try {
        await own.setScreenShareEnabled(on, {
          // What comes from a film or a game is not speech: nothing may be taken out of it.
          audio: { autoGainControl: false, echoCancellation: false, noiseSuppression: false },
          systemAudio: "include",
          surfaceSwitching: "include",
        });
      } catch (error) {
        const trouble = troubleOf(error);
        // Closing the browser's picker is a choice, not a trouble.
        if (trouble !== "refused") tell({ kind: "trouble", device: "screen", trouble });
        return;
      }
      const isShared = own.getTrackPublication(Track.Source.ScreenShare) !== undefined;
      const hasSound = own.getTrackPublication(Track.Source.ScreenShareAudio) !== undefined;
      if (on && isShared && !hasSound) tell({ kind: "share_without_sound" });
    },
  };
}

function tellNews(room: Room, tell: (news: RoomNews) => void, devices: Devices): void {
  const share =
    (kind: "share_started" | "share_ended") =>
    (publication: TrackPublication, who: Participant) => {
      if (publication.source === Track.Source.ScreenShare) tell({ kind, name: nameOf(who) });
    };
  room
    .on(RoomEvent.ParticipantConnected, (who) => tell({ kind: "joined", name: nameOf(who) }))
    .on(RoomEvent.ParticipantDisconnected, (who) => tell({ kind: "left", name: nameOf(who) }))
    .on(RoomEvent.TrackPublished, share("share_started"))
    .on(RoomEvent.TrackUnpublished, share("share_ended"))
    .on(RoomEvent.TrackMuted, (publication, who) => {
      if (who.isLocal && isMicrophone(publication) && !devices.isOwnMute()) {
        tell({ kind: "muted_by_server" });
      }
    });
}

function isMicrophone(publication: TrackPublication | LocalTrackPublication): boolean {
  return publication.source === Track.Source.Microphone;
}

/** The name others see; the identity where a token gave none. */
export function nameOf(who: Participant): string {
  return who.name || who.identity;
}

function watchEnd(phase: Store<Phase>, listener: (ending: Ending) => void): () => void {
  const look = () => {
    const now = phase.read();
    if (now.kind !== "ended") return;
    stop();
    listener(now.ending);
  };
  const stop = phase.subscribe(look);
  look();
  return stop;
}

async function explainFailure(error: unknown, ticket: Ticket): Promise<Ending> {
  const detail = error instanceof Error ? error.message : String(error);
  if (error instanceof ConnectionError && error.reason === ConnectionErrorReason.LeaveRequest) {
    const reason = reasonOfDisconnect(error.context);
    if (reason !== "unknown") return { reason, detail };
  }
  const told = reasonOfText(detail);
  if (told) return { reason: told, detail };
  const refusal = await probe(ticket);
  // The server would let us in, so signalling works: what failed is the way of the media.
  return refusal ?? { reason: "media_blocked", detail };
}

async function explainDisconnect(
  disconnect: DisconnectReason | undefined,
  ticket: Ticket,
): Promise<Ending> {
  const reason = reasonOfDisconnect(disconnect);
  if (reason !== "unknown") return { reason };
  return (await probe(ticket)) ?? { reason };
}

/**
 * Asks the server whether it would let this token in now; `undefined` means yes.
 *
 * LiveKit's client passes on the words of a 401 or 403 only, and none after a lost connection.
 */
async function probe(ticket: Ticket): Promise<Ending | undefined> {
  const address = new URL(`${httpUrl(ticket.url)}/rtc/validate`);
  address.searchParams.set("access_token", ticket.token);
  try {
    const answer = await fetch(address, { signal: AbortSignal.timeout(PROBE_DEADLINE_MS) });
    if (answer.ok) return undefined;
    return endingOfAnswer(answer.status, await answer.text(), answer.headers.get("x-request-id"));
  } catch (error) {
    return endingOfNoAnswer(error);
  }
}
