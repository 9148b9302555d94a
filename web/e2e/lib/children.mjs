// Every process a test starts, so that none outlives it.

import { spawn } from "node:child_process";
import { once } from "node:events";

const alive = new Set();

process.on("exit", () => {
  for (const child of alive) child.kill("SIGKILL");
});

/** Starts `command` (an array). `prefix`, for example `['nsenter', …]`, is put in front of it. */
export function start(command, { prefix = [], ...options } = {}) {
  const [program, ...args] = [...prefix, ...command];
  const child = spawn(program, args, { stdio: ["pipe", "pipe", "pipe"], ...options });
  alive.add(child);
  child.once("exit", () => alive.delete(child));
  child.once("error", () => alive.delete(child));
  return child;
}

/** Asks the child to end with `signal`, and kills it when it has not within `grace` milliseconds. */
export async function stop(child, { signal = "SIGTERM", grace = 5_000 } = {}) {
  if (child.exitCode !== null || child.signalCode !== null || child.pid === undefined)
    return child.exitCode;
  const ended = once(child, "exit");
  child.kill(signal);
  const timer = setTimeout(() => child.kill("SIGKILL"), grace);
  await ended;
  clearTimeout(timer);
  return child.exitCode;
}

/** Runs a short command to its end and answers with its output; fails when it fails. */
export async function run(command, options) {
  const child = start(command, options);
  let output = "";
  child.stdout.on("data", (chunk) => (output += chunk));
  child.stderr.on("data", (chunk) => (output += chunk));
  child.stdin.end();
  const [code] = await once(child, "close");
  if (code !== 0) throw new Error(`${command.join(" ")} ended with ${code}: ${output}`);
  return output;
}
