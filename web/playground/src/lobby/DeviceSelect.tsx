import { SelectField } from "@sparkrtc/ui/components/Field";
import { useWords } from "../useWords.ts";

interface DeviceSelectProps {
  label: string;
  devices: readonly MediaDeviceInfo[];
  chosen: string;
  onChoose: (deviceId: string) => void;
}

/** A choice among devices; nothing where the browser lists none. */
export function DeviceSelect({ label, devices, chosen, onChoose }: DeviceSelectProps) {
  const words = useWords();
  if (devices.length === 0) return null;
  const isListed = devices.some((device) => device.deviceId === chosen);
  return (
    <SelectField
      label={label}
      value={isListed ? chosen : ""}
      onChange={(event) => onChoose(event.target.value)}
    >
      {!isListed && <option value="">{words.say("defaultDevice")}</option>}
      {devices.map((device, index) => (
        <option key={device.deviceId} value={device.deviceId}>
          {device.label || words.say("unnamedDevice", { number: index + 1 })}
        </option>
      ))}
    </SelectField>
  );
}
