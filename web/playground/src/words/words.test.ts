import { placeholders } from "@sparkrtc/ui/language";
import { expect, test } from "vitest";
import { END_REASONS } from "../ending.ts";
import { en, type WordKey } from "./en.ts";
import { zh } from "./zh.ts";

const KEYS = Object.keys(en) as WordKey[]; // The keys of a constant object are its own type's.

test("every sentence has the same placeholders in both languages", () => {
  for (const key of KEYS)
    expect([key, placeholders(zh[key])]).toEqual([key, placeholders(en[key])]);
});

test("no sentence is empty, and Chinese ones are Chinese", () => {
  const same = new Set(["appName", "language", "statsNone"]);
  for (const key of KEYS) {
    expect(en[key].trim()).not.toBe("");
    if (!same.has(key)) expect([key, /\p{Script=Han}/u.test(zh[key])]).toEqual([key, true]);
  }
});

test("every end has words and a next step", () => {
  for (const reason of END_REASONS) {
    expect(KEYS).toContain(`ended_${reason}`);
    expect(KEYS).toContain(`ended_${reason}_next`);
  }
});
