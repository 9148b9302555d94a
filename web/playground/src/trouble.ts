/** Why a camera, microphone or screen cannot be used, from what the browser throws. */

export type DeviceTrouble =
  | "insecure"
  | "unsupported"
  | "refused"
  | "refused_by_system"
  | "missing"
  | "in_use"
  | "unknown";

/**
 * Classifies an error of `getUserMedia` or `getDisplayMedia`.
 *
 * Names are those of Media Capture and Streams §10.2.
 */
export function troubleOf(error: unknown): DeviceTrouble {
  const { name, message } = describe(error);
  switch (name) {
    case "NotAllowedError":
    case "SecurityError":
      // Chrome and Firefox tell a refusal by the operating system apart only in the message.
      return /system|platform/i.test(message) ? "refused_by_system" : "refused";
    case "NotFoundError":
    case "OverconstrainedError":
      return "missing";
    case "NotReadableError":
    case "AbortError":
      return "in_use";
    case "TypeError":
    case "DeviceUnsupportedError":
      return "unsupported";
    default:
      return "unknown";
  }
}

/** What stands in the way before any device was asked for; `undefined` when nothing does. */
export function troubleOfPage(page: {
  isSecureContext: boolean;
  hasMediaDevices: boolean;
}): DeviceTrouble | undefined {
  if (page.hasMediaDevices) return undefined;
  return page.isSecureContext ? "unsupported" : "insecure";
}

function describe(error: unknown): { name: string; message: string } {
  // DOMException is not an Error in every browser, so its shape is asked for instead of its class.
  if (typeof error !== "object" || error === null) return { name: "", message: "" };
  const name = "name" in error && typeof error.name === "string" ? error.name : "";
  const message = "message" in error && typeof error.message === "string" ? error.message : "";
  return { name, message };
}
