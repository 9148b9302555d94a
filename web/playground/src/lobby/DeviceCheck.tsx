import { Button } from "@sparkrtc/ui/components/Button";
import { Icon } from "@sparkrtc/ui/components/Icon";
import { Notice } from "@sparkrtc/ui/components/Notice";
import { useStore } from "@sparkrtc/ui/useStore";
import { useEffect, useRef, useState } from "react";
import type { Choices } from "../choices.ts";
import type { Sources } from "../invitation.ts";
import type { DeviceTrouble } from "../trouble.ts";
import { useWords } from "../useWords.ts";
import { DeviceSelect } from "./DeviceSelect.tsx";
import { playTestSound, watchLevel } from "./level.ts";
import { type Capture, type Preview, startPreview } from "./preview.ts";

interface DeviceCheckProps {
  sources: Sources;
  choices: Choices;
  onChange: (change: Partial<Choices>) => void;
}

/** Camera preview, microphone level, device choice, and clear words for what does not work. */
export function DeviceCheck(props: DeviceCheckProps) {
  const words = useWords();
  const { sources, choices } = props;
  const [preview, setPreview] = useState<Preview>();
  const [first] = useState(() => ({
    camera: { on: choices.camera && sources.camera, deviceId: choices.cameraId },
    microphone: { on: choices.microphone && sources.microphone, deviceId: choices.microphoneId },
  }));

  useEffect(() => {
    const started = startPreview(first);
    setPreview(started);
    return () => started.stop();
  }, [first]);

  return (
    <section className="devices stack" aria-label={words.say("previewLabel")}>
      {!sources.camera && !sources.microphone ? (
        <Notice title={words.say("listenOnly")} />
      ) : (
        preview && <LivePreview {...props} preview={preview} />
      )}
    </section>
  );
}

function LivePreview({
  preview,
  sources,
  choices,
  onChange,
}: DeviceCheckProps & { preview: Preview }) {
  const words = useWords();
  const state = useStore(preview.state);
  const { camera, microphone } = state;
  // On a phone the join button comes before the choice of devices, which few need.
  const [isWide] = useState(() => window.matchMedia("(width > 820px)").matches);

  const setCamera = (on: boolean, cameraId = choices.cameraId) => {
    onChange({ camera: on, cameraId });
    preview.set("camera", { on, deviceId: cameraId });
  };
  const setMicrophone = (on: boolean, microphoneId = choices.microphoneId) => {
    onChange({ microphone: on, microphoneId });
    preview.set("microphone", { on, deviceId: microphoneId });
  };
  const retry = () => {
    if (camera.kind === "trouble") setCamera(true);
    if (microphone.kind === "trouble") setMicrophone(true);
  };

  return (
    <>
      <div className="preview">
        <CameraPicture capture={camera} />
        <div className="preview-controls">
          {sources.microphone && (
            <RoundToggle
              isOn={microphone.kind === "on"}
              icons={["mic", "micOff"]}
              label={words.say(microphone.kind === "on" ? "micOff" : "micOn")}
              onToggle={() => setMicrophone(microphone.kind !== "on")}
            />
          )}
          {sources.camera && (
            <RoundToggle
              isOn={camera.kind === "on"}
              icons={["camera", "cameraOff"]}
              label={words.say(camera.kind === "on" ? "cameraOff" : "cameraOn")}
              onToggle={() => setCamera(camera.kind !== "on")}
            />
          )}
        </div>
      </div>
      <Troubles camera={camera} microphone={microphone} onRetry={retry} />
      {!sources.camera && <Notice title={words.say("noCameraAllowed")} />}
      {!sources.microphone && <Notice title={words.say("noMicAllowed")} />}
      {microphone.kind === "on" && <MicrophoneLevel track={microphone.track} />}
      <details className="device-menu" open={isWide}>
        <summary>{words.say("chooseDevices")}</summary>
        <div className="device-choices">
          {sources.camera && (
            <DeviceSelect
              label={words.say("cameraLabel")}
              devices={state.cameras}
              chosen={chosenDevice(camera, choices.cameraId)}
              onChoose={(id) => setCamera(true, id)}
            />
          )}
          {sources.microphone && (
            <DeviceSelect
              label={words.say("micLabel")}
              devices={state.microphones}
              chosen={chosenDevice(microphone, choices.microphoneId)}
              onChoose={(id) => setMicrophone(true, id)}
            />
          )}
          <DeviceSelect
            label={words.say("speakerLabel")}
            devices={state.speakers}
            chosen={choices.speakerId}
            onChoose={(speakerId) => onChange({ speakerId })}
          />
          <Button
            tone="quiet"
            icon="speaker"
            className="test-sound"
            onClick={() => void playTestSound(choices.speakerId).catch(() => {})}
          >
            {words.say("playTestSound")}
          </Button>
        </div>
      </details>
    </>
  );
}

function chosenDevice(capture: Capture, wished: string): string {
  return (capture.kind === "on" && capture.track.getSettings().deviceId) || wished;
}

function CameraPicture({ capture }: { capture: Capture }) {
  const words = useWords();
  const video = useRef<HTMLVideoElement>(null);
  const track = capture.kind === "on" ? capture.track : undefined;

  useEffect(() => {
    if (video.current) video.current.srcObject = track ? new MediaStream([track]) : null;
  }, [track]);

  if (!track) {
    return (
      <p className="preview-empty">
        {words.say(capture.kind === "starting" ? "cameraStarting" : "cameraIsOff")}
      </p>
    );
  }
  return (
    <video
      ref={video}
      className="preview-video mirrored"
      aria-label={words.say("previewLabel")}
      autoPlay
      playsInline
      muted
    />
  );
}

interface RoundToggleProps {
  isOn: boolean;
  icons: readonly ["mic" | "camera", "micOff" | "cameraOff"];
  label: string;
  onToggle: () => void;
}

function RoundToggle({ isOn, icons, label, onToggle }: RoundToggleProps) {
  return (
    <button
      type="button"
      className={isOn ? "round" : "round round-off"}
      aria-label={label}
      title={label}
      onClick={onToggle}
    >
      <Icon name={icons[isOn ? 0 : 1]} />
    </button>
  );
}

interface TroublesProps {
  camera: Capture;
  microphone: Capture;
  onRetry: () => void;
}

function Troubles({ camera, microphone, onRetry }: TroublesProps) {
  const ofCamera = camera.kind === "trouble" ? camera.trouble : undefined;
  const ofMicrophone = microphone.kind === "trouble" ? microphone.trouble : undefined;
  if (ofCamera && ofCamera === ofMicrophone) {
    return <Trouble title="troubleTitleBoth" trouble={ofCamera} onRetry={onRetry} />;
  }
  return (
    <>
      {ofCamera && <Trouble title="troubleTitleCamera" trouble={ofCamera} onRetry={onRetry} />}
      {ofMicrophone && <Trouble title="troubleTitleMic" trouble={ofMicrophone} onRetry={onRetry} />}
    </>
  );
}

interface TroubleProps {
  title: "troubleTitleCamera" | "troubleTitleMic" | "troubleTitleBoth";
  trouble: DeviceTrouble;
  onRetry: () => void;
}

function Trouble({ title, trouble, onRetry }: TroubleProps) {
  const words = useWords();
  // Asking again cannot help where the page as such may not ask.
  const canRetry = trouble !== "insecure" && trouble !== "unsupported";
  return (
    <Notice tone="warn" title={words.say(title)}>
      <p>{words.say(`trouble_${trouble}`)}</p>
      <p>{words.say("joinAnyway")}</p>
      {canRetry && (
        <p className="notice-actions">
          <Button onClick={onRetry}>{words.say("tryAgain")}</Button>
        </p>
      )}
    </Notice>
  );
}

function MicrophoneLevel({ track }: { track: MediaStreamTrack }) {
  const words = useWords();
  const bar = useRef<HTMLDivElement>(null);
  const meter = useRef<HTMLMeterElement>(null);

  useEffect(
    () =>
      watchLevel(track, (level) => {
        // Sixty times a second: past React, straight into the page.
        bar.current?.style.setProperty("--level", level.toFixed(3));
        if (meter.current) meter.current.value = Math.round(level * 10) * 10;
      }),
    [track],
  );

  return (
    <div className="level">
      <Icon name="mic" />
      <div ref={bar} className="level-bar" aria-hidden="true" />
      <meter
        ref={meter}
        className="visually-hidden"
        min={0}
        max={100}
        value={0}
        aria-label={words.say("micLevel")}
      />
      <span className="field-hint">{words.say("speakToTest")}</span>
    </div>
  );
}
