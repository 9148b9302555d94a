// What the tests take from outside, in one place.

import { existsSync } from "node:fs";
import { dirname, join, resolve } from "node:path";
import { fileURLToPath } from "node:url";

export const HERE = resolve(dirname(fileURLToPath(import.meta.url)), "..");
const REPOSITORY = resolve(HERE, "../..");
const TARGET = process.env.CARGO_TARGET_DIR ?? join(REPOSITORY, "target");

/** The binary under test. */
export const SERVER = process.env.SPARKRTC_BIN ?? join(TARGET, "debug/sparkrtc");
/** A Python with the packages of `requirements.txt`. */
export const PYTHON = process.env.SPARKRTC_TEST_PYTHON ?? join(TARGET, "test-venv/bin/python");
export const CHROMIUM =
  process.env.SPARKRTC_TEST_CHROMIUM ?? firstOf("/usr/bin/chromium", "/usr/bin/google-chrome");
export const FIREFOX =
  process.env.SPARKRTC_TEST_FIREFOX ?? firstOf("/usr/bin/firefox-esr", "/usr/bin/firefox");

/** Whether to measure at full length (the acceptance figures) or at the length a test run can afford. */
export const FULL = process.env.SPARKRTC_E2E_FULL === "1";

/** `full` in the full run, `reduced` otherwise. */
export const scaled = (full, reduced) => (FULL ? full : reduced);

function firstOf(...paths) {
  return paths.find((path) => existsSync(path)) ?? paths[0];
}
