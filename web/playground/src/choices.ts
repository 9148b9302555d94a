/** What a person chose before joining, remembered for the next time. */

export interface Choices {
  name: string;
  camera: boolean;
  microphone: boolean;
  /** Device ids; empty means the system's default. */
  cameraId: string;
  microphoneId: string;
  speakerId: string;
}

const STORAGE_KEY = "sparkrtc.choices";

const DEFAULT_CHOICES: Choices = {
  name: "",
  camera: true,
  microphone: true,
  cameraId: "",
  microphoneId: "",
  speakerId: "",
};

/** Reads remembered choices field by field; whatever is missing or of another type is the default. */
export function parseChoices(stored: string | null): Choices {
  const choices = { ...DEFAULT_CHOICES };
  const value = parseObject(stored);
  for (const key of ["name", "cameraId", "microphoneId", "speakerId"] as const) {
    const field = value[key];
    if (typeof field === "string") choices[key] = field;
  }
  for (const key of ["camera", "microphone"] as const) {
    const field = value[key];
    if (typeof field === "boolean") choices[key] = field;
  }
  return choices;
}

export function loadChoices(storage: Storage): Choices {
  return parseChoices(storage.getItem(STORAGE_KEY));
}

export function saveChoices(storage: Storage, choices: Choices): void {
  storage.setItem(STORAGE_KEY, JSON.stringify(choices));
}

function parseObject(stored: string | null): Record<string, unknown> {
  try {
    const value: unknown = JSON.parse(stored ?? "{}");
    return typeof value === "object" && value !== null ? { ...value } : {};
  } catch {
    return {};
  }
}
