// People who use the page: a browser, a window each, and what they see and hear.

import { mkdir } from "node:fs/promises";
import { join as joinPath } from "node:path";
import { chromium } from "playwright-core";
import { CHROMIUM } from "../../lib/settings.mjs";
import { until } from "../../lib/wait.mjs";

/** Seconds of the issue: from opening the link to seeing and hearing. */
export const MEET_DEADLINE_MS = 10_000;
/** How long anything else on the page may take on a busy machine. */
const PATIENCE_MS = 15_000;
/** Where screenshots go, when somebody wants to look at them. */
const SHOTS = process.env.SPARKRTC_SHOTS;

const CHROMIUM_ARGS = [
  "--no-sandbox",
  "--disable-gpu",
  "--disable-background-networking",
  "--disable-component-update",
  "--disable-sync",
  "--use-fake-device-for-media-stream=fps=30",
  "--disable-background-timer-throttling",
  "--disable-backgrounding-occluded-windows",
  "--disable-renderer-backgrounding",
];

/** A browser with a fake camera and a beeping microphone. Permissions are given to each window. */
export function openBrowser(extraArgs = []) {
  return chromium.launch({
    executablePath: CHROMIUM,
    args: [...CHROMIUM_ARGS, ...extraArgs],
    // Sound is measured, so it must be made.
    ignoreDefaultArgs: ["--mute-audio"],
  });
}

const WIDE = { width: 1440, height: 900 };
export const NARROW = { width: 390, height: 844 };

/** A window of its own in `browser`. `refuse`: camera and microphone are not allowed. */
export async function openWindow(browser, { viewport = WIDE, refuse = false, ...options } = {}) {
  const context = await browser.newContext({
    viewport,
    locale: "en-US",
    ...options,
    permissions: refuse ? [] : ["camera", "microphone", "clipboard-read", "clipboard-write"],
  });
  context.setDefaultTimeout(PATIENCE_MS);
  return watched(await context.newPage());
}

/** Keeps what a page asked for and what went wrong in it. */
export function watched(page) {
  page.asked = [];
  page.failures = [];
  page.on("request", (request) => page.asked.push(request.url()));
  page.on("websocket", (socket) => page.asked.push(socket.url()));
  page.on("pageerror", (error) => page.failures.push(error.message));
  page.on("console", (message) => {
    // A refused content policy is told here and nowhere else.
    if (/Content Security Policy/.test(message.text())) page.failures.push(message.text());
  });
  return page;
}

/** The link with a query; scripts get the room with `test=1`. */
export function withQuery(link, query = "test=1") {
  const url = new URL(link);
  url.search = query;
  return url.href;
}

/** A link to `server` that joins with `token`. */
export function tokenLink(server, token, query = "test=1") {
  return `${server.http}/play?${query}#token=${token}`;
}

/** Presses *Join* as soon as the device check shows a picture (or `picture: false`: at once). */
export async function join(page, { name, picture = true } = {}) {
  if (name !== undefined) await page.getByLabel("Your name").fill(name);
  if (picture) await page.waitForSelector("video.preview-video");
  await page.getByRole("button", { name: "Join", exact: true }).click();
}

/** Opens a link, joins, and waits for the call's controls. */
export async function enter(page, link, options) {
  await page.goto(link);
  await join(page, options);
  await page.getByRole("button", { name: "Leave" }).waitFor();
}

/**
 * What a page receives, by sender and source, from the receiver's own statistics:
 * `{ann: {camera: {framesDecoded, freezeCount, …}, microphone: {totalAudioEnergy, …}}}`.
 */
export function received(page) {
  return page.evaluate(async () => {
    const people = {};
    for (const participant of window.__sparkrtc.room.remoteParticipants.values()) {
      const sources = {};
      people[participant.name || participant.identity] = sources;
      for (const publication of participant.trackPublications.values()) {
        const report = await publication.track?.getRTCStatsReport();
        for (const entry of report?.values() ?? []) {
          if (entry.type !== "inbound-rtp") continue;
          const codec = report.get(entry.codecId)?.mimeType;
          sources[publication.source] = { ...entry, codec };
        }
      }
    }
    return people;
  });
}

/** Waits until `page` sees and hears `name`. Answers with the figures. */
export async function meets(
  page,
  name,
  { deadline = MEET_DEADLINE_MS, video = "camera", audio = "microphone" } = {},
) {
  return until(
    `${name} to be seen and heard`,
    async () => {
      const sources = (await received(page))[name] ?? {};
      const sees = sources[video]?.framesDecoded > 0;
      const hears = !audio || sources[audio]?.totalAudioEnergy > 0;
      return sees && hears ? sources : undefined;
    },
    { deadline },
  );
}

/** What was received of `name` between now and `frames` decoded pictures later. */
export async function watch(page, name, frames, { video = "camera", audio = "microphone" } = {}) {
  const before = (await received(page))[name];
  const after = await until(
    `${frames} more pictures of ${name}`,
    async () => {
      const now = (await received(page))[name];
      return now?.[video]?.framesDecoded >= before[video].framesDecoded + frames ? now : undefined;
    },
    { deadline: 20_000 + frames * 100 },
  );
  return {
    frames: after[video].framesDecoded - before[video].framesDecoded,
    seconds: (after[video].timestamp - before[video].timestamp) / 1000,
    freezes: after[video].freezeCount - before[video].freezeCount,
    energy: audio ? after[audio].totalAudioEnergy - before[audio].totalAudioEnergy : undefined,
    codec: after[video].codec,
  };
}

/** Stretches that are looked at for one without a freeze. */
const STRETCHES_MAX = 3;

/**
 * Watches until a stretch of `frames` pictures had no freeze, and answers with it.
 *
 * A busy machine stalls a browser now and then; a call that is broken stalls in every stretch.
 */
export async function watchUntilCalm(page, name, frames) {
  let seen;
  for (let stretch = 0; stretch < STRETCHES_MAX; stretch += 1) {
    seen = await watch(page, name, frames);
    if (seen.freezes === 0) return seen;
  }
  throw new Error(`${name} froze in ${STRETCHES_MAX} stretches; the last: ${JSON.stringify(seen)}`);
}

/** Waits for the page that says why the call is over; answers with its reason and its words. */
export async function ended(page, { deadline = 10_000 } = {}) {
  const section = page.locator("[data-reason]");
  await section.waitFor({ timeout: deadline });
  return {
    reason: await section.getAttribute("data-reason"),
    title: await section.getByRole("heading").textContent(),
    next: await section.locator(".lead").textContent(),
  };
}

/**
 * A state worth looking at: nothing may stand out of its window, and when `SPARKRTC_SHOTS` names a directory,
 * a picture is kept there.
 */
export async function shot(page, name) {
  await until(`${name} to fit its window`, () =>
    page.evaluate(() => document.documentElement.scrollWidth <= window.innerWidth),
  );
  if (!SHOTS) return;
  await mkdir(SHOTS, { recursive: true });
  await page.screenshot({ path: joinPath(SHOTS, `${name}.png`) });
}
