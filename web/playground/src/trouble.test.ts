import { expect, test } from "vitest";
import { troubleOf, troubleOfPage } from "./trouble.ts";

test.each([
  ["NotAllowedError", "Permission denied", "refused"],
  ["NotAllowedError", "Permission denied by system", "refused_by_system"],
  [
    "NotAllowedError",
    "The request is not allowed by the user agent or the platform",
    "refused_by_system",
  ],
  ["NotFoundError", "Requested device not found", "missing"],
  ["OverconstrainedError", "", "missing"],
  ["NotReadableError", "Could not start video source", "in_use"],
  ["AbortError", "Starting videoinput failed", "in_use"],
  ["TypeError", "", "unsupported"],
  ["Whatever", "", "unknown"],
])("%s (%s) is %s", (name, message, trouble) => {
  expect(troubleOf({ name, message })).toBe(trouble);
});

test("a thrown value without a name is unknown", () => {
  expect(troubleOf(undefined)).toBe("unknown");
  expect(troubleOf("no")).toBe("unknown");
});

test("a page without devices says whether https is what is missing", () => {
  expect(troubleOfPage({ isSecureContext: false, hasMediaDevices: false })).toBe("insecure");
  expect(troubleOfPage({ isSecureContext: true, hasMediaDevices: false })).toBe("unsupported");
  expect(troubleOfPage({ isSecureContext: true, hasMediaDevices: true })).toBeUndefined();
});
