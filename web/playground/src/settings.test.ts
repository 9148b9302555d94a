import { expect, test } from "vitest";
import { CODECS, DEFAULT_SETTINGS, formatSettings, parseSettings } from "./settings.ts";

test("every setting survives the way into the query and back", () => {
  for (const codec of CODECS) {
    for (const simulcast of [true, false]) {
      for (const peerConnections of ["single", "dual"] as const) {
        for (const inTest of [true, false]) {
          const settings = { codec, simulcast, peerConnections, test: inTest };
          expect(parseSettings(formatSettings(settings))).toEqual(settings);
        }
      }
    }
  }
});

test("defaults leave the query empty, and nonsense means defaults", () => {
  expect(formatSettings(DEFAULT_SETTINGS)).toBe("");
  expect(parseSettings("?codec=divx&pc=triple&simulcast=yes&test=true")).toEqual(DEFAULT_SETTINGS);
  expect(parseSettings("?codec=AV1").codec).toBe("av1");
});
