import { expect, test } from "vitest";
import { parseChoices } from "./choices.ts";

test("remembered choices are read field by field", () => {
  const choices = parseChoices('{"name":"安","camera":false,"microphone":"yes","cameraId":7}');
  expect(choices).toEqual({
    name: "安",
    camera: false,
    microphone: true,
    cameraId: "",
    microphoneId: "",
    speakerId: "",
  });
});

test("nonsense is the default", () => {
  for (const stored of [null, "", "{", "null", "[]", "7"]) {
    expect(parseChoices(stored)).toMatchObject({ name: "", camera: true, microphone: true });
  }
});
