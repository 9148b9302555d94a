/** Camera and microphone before joining: asks for them, shows what is wrong, lets them be changed. */

import { createStore, type Store } from "@sparkrtc/ui/store";
import { type DeviceTrouble, troubleOf, troubleOfPage } from "../trouble.ts";

export type Capture =
  | { kind: "off" }
  | { kind: "starting" }
  | { kind: "on"; track: MediaStreamTrack }
  | { kind: "trouble"; trouble: DeviceTrouble };

export interface PreviewState {
  camera: Capture;
  microphone: Capture;
  cameras: readonly MediaDeviceInfo[];
  microphones: readonly MediaDeviceInfo[];
  speakers: readonly MediaDeviceInfo[];
}

type Kind = "camera" | "microphone";

/** Device ids; empty means the system's default. */
export type Wish = Readonly<Record<Kind, { on: boolean; deviceId: string }>>;

export interface Preview {
  state: Store<PreviewState>;
  /** Turns one on, with this device, or off. */
  set(kind: Kind, wish: { on: boolean; deviceId: string }): void;
  /** Lets go of every device. The preview is over. */
  stop(): void;
}

const OFF: Capture = { kind: "off" };

/** Asks for what is wished for at once; both in one question where the browser can. */
export function startPreview(wish: Wish): Preview {
  const state = createStore<PreviewState>({
    camera: OFF,
    microphone: OFF,
    cameras: [],
    microphones: [],
    speakers: [],
  });
  // A later wish overtakes an earlier one that the browser has not answered yet.
  const generation: Record<Kind, number> = { camera: 0, microphone: 0 };
  let isOver = false;

  const put = (kind: Kind, capture: Capture) => {
    const before = state.read()[kind];
    if (before.kind === "on" && (capture.kind !== "on" || capture.track !== before.track)) {
      before.track.stop();
    }
    state.write({ ...state.read(), [kind]: capture });
  };

  const accept = (kind: Kind, asked: number, track: MediaStreamTrack | undefined) => {
    if (isOver || generation[kind] !== asked || !track) {
      track?.stop();
      return;
    }
    track.addEventListener("ended", () => {
      const now = state.read()[kind];
      if (now.kind === "on" && now.track === track)
        put(kind, { kind: "trouble", trouble: "missing" });
    });
    put(kind, { kind: "on", track });
  };

  const listDevices = async () => {
    const devices = await navigator.mediaDevices.enumerateDevices();
    if (isOver) return;
    const ofKind = (kind: MediaDeviceKind) =>
      devices.filter((device) => device.kind === kind && device.deviceId !== "");
    state.write({
      ...state.read(),
      cameras: ofKind("videoinput"),
      microphones: ofKind("audioinput"),
      speakers: ofKind("audiooutput"),
    });
  };

  const ask = async (kind: Kind, deviceId: string) => {
    const asked = ++generation[kind];
    put(kind, { kind: "starting" });
    try {
      const stream = await navigator.mediaDevices.getUserMedia(constraintsOf({ [kind]: deviceId }));
      accept(kind, asked, stream.getTracks()[0]);
    } catch (error) {
      if (generation[kind] === asked) put(kind, { kind: "trouble", trouble: troubleOf(error) });
    }
  };

  const askBoth = async () => {
    const asked = { camera: ++generation.camera, microphone: ++generation.microphone };
    put("camera", { kind: "starting" });
    put("microphone", { kind: "starting" });
    const constraints = constraintsOf({
      camera: wish.camera.deviceId,
      microphone: wish.microphone.deviceId,
    });
    try {
      const stream = await navigator.mediaDevices.getUserMedia(constraints);
      accept("camera", asked.camera, stream.getVideoTracks()[0]);
      accept("microphone", asked.microphone, stream.getAudioTracks()[0]);
    } catch {
      // One error for two devices does not say which; asked apart, each answers for itself.
      if (isOver) return;
      await Promise.all([
        generation.camera === asked.camera && ask("camera", wish.camera.deviceId),
        generation.microphone === asked.microphone && ask("microphone", wish.microphone.deviceId),
      ]);
    }
  };

  const preview: Preview = {
    state,
    set: (kind, { on, deviceId }) => {
      if (on) {
        void ask(kind, deviceId).then(listDevices);
      } else {
        generation[kind] += 1;
        put(kind, OFF);
      }
    },
    stop: () => {
      isOver = true;
      navigator.mediaDevices?.removeEventListener("devicechange", listDevices);
      put("camera", OFF);
      put("microphone", OFF);
    },
  };

  const trouble = troubleOfPage({
    isSecureContext: window.isSecureContext,
    hasMediaDevices: navigator.mediaDevices !== undefined,
  });
  if (trouble) {
    if (wish.camera.on) put("camera", { kind: "trouble", trouble });
    if (wish.microphone.on) put("microphone", { kind: "trouble", trouble });
    return { ...preview, set: () => {} };
  }

  navigator.mediaDevices.addEventListener("devicechange", listDevices);
  if (wish.camera.on && wish.microphone.on) void askBoth().then(listDevices);
  else if (wish.camera.on) preview.set("camera", wish.camera);
  else if (wish.microphone.on) preview.set("microphone", wish.microphone);
  else void listDevices();
  return preview;
}

function constraintsOf(devices: { camera?: string; microphone?: string }): MediaStreamConstraints {
  const constraints: MediaStreamConstraints = {};
  // `ideal`: a remembered device that is gone must not keep another one from being used.
  if (devices.camera !== undefined) {
    constraints.video = {
      width: { ideal: 1280 },
      height: { ideal: 720 },
      ...(devices.camera && { deviceId: { ideal: devices.camera } }),
    };
  }
  if (devices.microphone !== undefined) {
    constraints.audio = devices.microphone ? { deviceId: { ideal: devices.microphone } } : true;
  }
  return constraints;
}
