import { expect, test } from "vitest";
import { chooseLanguage, fill, placeholders } from "./language.ts";

test("the language is the remembered one, else the browser's first known one, else English", () => {
  expect(chooseLanguage("zh", ["en-GB"])).toBe("zh");
  expect(chooseLanguage(null, ["de-DE", "zh-Hant-TW", "en"])).toBe("zh");
  expect(chooseLanguage("fr", ["fr", "en-US"])).toBe("en");
  expect(chooseLanguage(null, [])).toBe("en");
});

test("placeholders are filled, unknown ones stay visible", () => {
  expect(fill("{name} joined {room}", { name: "Ann", room: "demo" })).toBe("Ann joined demo");
  expect(fill("{count} of {limit}", { count: 0 })).toBe("0 of {limit}");
  expect(placeholders("{b} and {a}")).toEqual(["a", "b"]);
});
