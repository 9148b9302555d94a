// Level-triggered waiting: a condition is asked again and again until it holds or its deadline passes.

import { setTimeout as pause } from "node:timers/promises";

const ASK_AGAIN_MS = 100;

/**
 * Answers with the first truthy value of `condition`. Past `deadline` milliseconds it fails with `what` was
 * waited for and the last thing `condition` said or threw.
 */
export async function until(what, condition, { deadline = 10_000, every = ASK_AGAIN_MS } = {}) {
  const end = performance.now() + deadline;
  for (;;) {
    let last;
    try {
      last = await condition();
      if (last) return last;
    } catch (error) {
      if (error instanceof Hopeless) throw error;
      last = error;
    }
    if (performance.now() > end) {
      const said = last instanceof Error ? last.message : JSON.stringify(last);
      throw new Error(`waited ${deadline} ms for ${what}; last: ${said}`);
    }
    await pause(every);
  }
}

/** Thrown inside a condition that can no longer come true: ends the wait at once. */
export class Hopeless extends Error {}

/** Fails with `what` when `promise` is not settled within `deadline` milliseconds. */
export async function within(what, promise, deadline) {
  let timer;
  const late = new Promise((_, reject) => {
    timer = setTimeout(
      () => reject(new Error(`${what} took longer than ${deadline} ms`)),
      deadline,
    );
  });
  try {
    return await Promise.race([promise, late]);
  } finally {
    clearTimeout(timer);
  }
}
