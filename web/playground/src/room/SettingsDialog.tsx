import { useMediaDeviceSelect } from "@livekit/components-react";
import { Dialog } from "@sparkrtc/ui/components/Dialog";
import { loadChoices, saveChoices } from "../choices.ts";
import { DeviceSelect } from "../lobby/DeviceSelect.tsx";
import { storage } from "../page.ts";
import { useWords } from "../useWords.ts";
import type { WordKey } from "../words/en.ts";
import { ConnectionTable } from "./ConnectionTable.tsx";
import type { Session } from "./session.ts";

interface SettingsDialogProps {
  session: Session;
  onClose: () => void;
}

/** Devices while in the call, and what goes over the wire. */
export function SettingsDialog({ session, onClose }: SettingsDialogProps) {
  const words = useWords();
  const { sources } = session.ticket;
  return (
    <Dialog title={words.say("settingsTitle")} closeLabel={words.say("close")} onClose={onClose}>
      {sources.camera && (
        <RoomDeviceSelect
          session={session}
          kind="videoinput"
          label="cameraLabel"
          field="cameraId"
        />
      )}
      {sources.microphone && (
        <RoomDeviceSelect
          session={session}
          kind="audioinput"
          label="micLabel"
          field="microphoneId"
        />
      )}
      <RoomDeviceSelect
        session={session}
        kind="audiooutput"
        label="speakerLabel"
        field="speakerId"
      />
      <ConnectionTable room={session.room} />
    </Dialog>
  );
}

interface RoomDeviceSelectProps {
  session: Session;
  kind: MediaDeviceKind;
  label: WordKey;
  field: "cameraId" | "microphoneId" | "speakerId";
}

function RoomDeviceSelect({ session, kind, label, field }: RoomDeviceSelectProps) {
  const words = useWords();
  const { devices, activeDeviceId, setActiveMediaDevice } = useMediaDeviceSelect({
    kind,
    room: session.room,
    requestPermissions: false,
  });
  return (
    <DeviceSelect
      label={words.say(label)}
      devices={devices.filter((device) => device.deviceId !== "")}
      chosen={activeDeviceId}
      onChoose={(deviceId) => {
        void setActiveMediaDevice(deviceId);
        saveChoices(storage, { ...loadChoices(storage), [field]: deviceId });
      }}
    />
  );
}
