// Runs the tests against the real binary: `node run.mjs [--full] [--list] [SUITE…]`.
//
// Suites under `tests/netns` run inside a user and network namespace of their own, where they may drop and shape
// packets without privileges. `--full` measures at the length of the acceptance figures.

import { spawn } from "node:child_process";
import { readdirSync } from "node:fs";
import { basename, join } from "node:path";
import { HERE, SERVER } from "./lib/settings.mjs";

const flags = process.argv.slice(2).filter((arg) => arg.startsWith("--"));
const wanted = process.argv.slice(2).filter((arg) => !arg.startsWith("--"));
const NAMESPACE = ["unshare", "--user", "--map-root-user", "--net", "--mount"];
const NODE = [
  process.execPath,
  "--test",
  "--test-concurrency=1",
  "--test-reporter=spec",
  "--test-force-exit",
];

// Run with --full or by name: as long as their figures vary from run to run they measure and do not judge changes. After
// a squeeze the layer returns within 6 s or not within 30; of twenty people now and then one sees nothing for 2 s.
const MEASURES_ONLY = ["squeeze", "twenty"];
const isDue = (suite) => flags.includes("--full") || !MEASURES_ONLY.includes(suite);

const suites = (directory) =>
  readdirSync(join(HERE, directory))
    .filter((file) => file.endsWith(".test.mjs"))
    .map((file) => join(HERE, directory, file))
    .filter((file) => {
      const suite = basename(file, ".test.mjs");
      return wanted.length === 0 ? isDue(suite) : wanted.includes(suite);
    });

// Every suite with a network of its own gets a fresh one.
const groups = [
  { prefix: [], files: suites("tests") },
  ...suites("tests/netns").map((file) => ({ prefix: NAMESPACE, files: [file] })),
].filter(({ files }) => files.length > 0);

if (flags.includes("--list")) {
  for (const { files } of groups) {
    for (const file of files) console.log(basename(file, ".test.mjs"));
  }
  process.exit(0);
}

console.log(`server under test: ${SERVER}`);
const env = { ...process.env, ...(flags.includes("--full") ? { SPARKRTC_E2E_FULL: "1" } : {}) };
let failed = groups.length === 0;
for (const { prefix, files } of groups) {
  const [program, ...args] = [...prefix, ...NODE, ...files];
  const code = await new Promise((ended) => {
    spawn(program, args, { stdio: "inherit", env, cwd: HERE }).on("exit", (exit) =>
      ended(exit ?? 1),
    );
  });
  failed ||= code !== 0;
}
process.exit(failed ? 1 : 0);
