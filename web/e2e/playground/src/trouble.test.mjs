// Everything that goes wrong is said in plain words, with the next step.

import assert from "node:assert/strict";
import { execFile } from "node:child_process";
import { after, before, test } from "node:test";
import { promisify } from "node:util";
import { Server } from "../../lib/server.mjs";
import { SERVER } from "../../lib/settings.mjs";
import { freshRoom, mint } from "../../lib/tokens.mjs";
import { until } from "../../lib/wait.mjs";
import {
  ended,
  enter,
  join,
  meets,
  NARROW,
  openBrowser,
  openWindow,
  shot,
  tokenLink,
  watch,
} from "./people.mjs";

const run = promisify(execFile);

let server;
let browser;

before(async () => {
  server = await Server.start();
  browser = await openBrowser(["--deny-permission-prompts"]);
});

after(async () => {
  await browser?.close();
  await server?.stop();
});

/** `sparkrtc …` on the running server's data directory, with its answer. */
async function command(...args) {
  const { stdout } = await run(SERVER, ["--data-dir", server.directory, "--json", ...args]);
  return JSON.parse(stdout);
}

test("a refused camera is explained, and one can join, see and hear without it", async () => {
  const room = freshRoom("trouble");
  const ann = await openWindow(browser);
  await enter(ann, tokenLink(server, await mint(room, "ann", { name: "Ann" })));

  const ben = await openWindow(browser, { refuse: true, viewport: NARROW });
  await ben.goto(tokenLink(server, await mint(room, "ben", { name: "Ben" })));
  await ben.getByText("Camera and microphone cannot be used.").waitFor();
  await ben.getByText("This page has no permission.").waitFor();
  await ben.getByRole("button", { name: "Try again" }).waitFor();
  await shot(ben, "refused-narrow-light");
  await join(ben, { picture: false });
  await meets(ben, "Ann");
  await ann.context().close();
  await ben.context().close();
});

test("a page that is not secure says that https is missing, and still joins", async () => {
  const browser = await openBrowser(["--host-resolver-rules=MAP page.test 127.0.0.1"]);
  const page = await openWindow(browser, { refuse: true });
  const { port } = new URL(server.http);
  const token = await mint(freshRoom("trouble"), "ann");
  await page.goto(tokenLink({ http: `http://page.test:${port}` }, token));
  await page.getByText("Browsers allow camera and microphone only on https pages").waitFor();
  assert.equal(await page.getByRole("button", { name: "Try again" }).count(), 0);
  await shot(page, "insecure-wide-light");
  await join(page, { picture: false });
  await page.getByRole("button", { name: "Leave" }).waitFor();
  await browser.close();
});

test("a machine without camera and microphone is told so", async () => {
  const bare = await openBrowser([
    "--use-fake-device-for-media-stream=device-count=0",
    "--use-fake-ui-for-media-stream",
  ]);
  const page = await openWindow(bare, { locale: "zh-CN" });
  await page.goto(tokenLink(server, await mint(freshRoom("trouble"), "ann")));
  await page.getByText("没有找到设备。").waitFor();
  await bare.close();
});

test("an expired token is announced before joining and explained after", async () => {
  const page = await openWindow(browser);
  // An hour is beyond any leeway.
  const token = await mint(freshRoom("trouble"), "ann", { name: "Ann", ttl: "1h ago" });
  await page.goto(tokenLink(server, token));
  await page.getByText("The time of this link seems to be over.").waitFor();
  await join(page);
  const end = await ended(page);
  assert.equal(end.reason, "token_expired");
  assert.equal(end.title, "The time of this link is over.");
  assert.match(end.next, /new link/);
  await shot(page, "ended-expired-wide-light");
  await page.getByRole("button", { name: "Use another link" }).click();
  await page.getByLabel("Link or access token").waitFor();
  await page.context().close();
});

test("a device without network is told so, and joins once the network is back", async () => {
  const page = await openWindow(browser);
  await page.goto(tokenLink(server, await mint(freshRoom("trouble"), "ann")));
  await page.waitForSelector("video.preview-video");
  await page.waitForLoadState("networkidle");
  await page.context().setOffline(true);
  await join(page);
  assert.equal((await ended(page)).reason, "offline");
  await page.context().setOffline(false);
  await page.getByRole("button", { name: "Try again" }).click();
  await page.getByRole("button", { name: "Leave" }).waitFor();
  await page.context().close();
});

test("a token of a foreign key and one that is no token are told apart", async () => {
  const page = await openWindow(browser);
  const foreign = await mint(freshRoom("trouble"), "ann", { secret: "not-the-secret" });
  await page.goto(tokenLink(server, foreign));
  await join(page);
  assert.equal((await ended(page)).reason, "token_invalid");

  await page.goto("about:blank");
  await page.goto(`${server.http}/play#token=abc`);
  await page.getByText("The access token in this link cannot be read.").waitFor();
  await page.getByLabel("Link or access token").fill("  hello ");
  await page.getByRole("button", { name: "Continue" }).click();
  await page.getByText("This is neither a join link nor an access token.").waitFor();
  const good = await mint(freshRoom("trouble"), "ann", { name: "Ann" });
  await page.getByLabel("Link or access token").fill(`${server.http}/play#token=${good}`);
  await page.getByRole("button", { name: "Continue" }).click();
  await page.getByText("You join as Ann").waitFor();
  await page.context().close();
});

test("a disabled app is named, and joining works again once it is enabled", async () => {
  const app = await command("app", "create", "page-trouble");
  const made = await command("app", "token", app.app_id, "--room", "r", "--user", "ann");
  await command("app", "disable", app.app_id);
  const page = await openWindow(browser, { viewport: NARROW, colorScheme: "dark" });
  await page.goto(tokenLink(server, made.token));
  await join(page);
  const end = await ended(page);
  assert.equal(end.reason, "app_disabled");
  assert.match(end.title, /disabled/);
  await shot(page, "ended-disabled-narrow-dark");
  await command("app", "enable", app.app_id);
  await page.getByRole("button", { name: "Try again" }).click();
  await page.getByRole("button", { name: "Leave" }).waitFor();
  await page.context().close();
});

test("the same person in a second window ends the first, with words", async () => {
  const token = await mint(freshRoom("trouble"), "ann", { name: "Ann" });
  const first = await openWindow(browser);
  await enter(first, tokenLink(server, token));
  const second = await openWindow(browser);
  await enter(second, tokenLink(server, token));
  assert.equal((await ended(first)).reason, "duplicate_identity");
  await second.getByText("You are the only one here.").waitFor();
  await first.context().close();
  await second.context().close();
});

test("a full room and a removal are told apart", async () => {
  const room = freshRoom("trouble");
  await server.rooms().createRoom({ name: room, maxParticipants: 1 });
  const ann = await openWindow(browser);
  await enter(ann, tokenLink(server, await mint(room, "ann", { name: "Ann" })));
  const ben = await openWindow(browser);
  await ben.goto(tokenLink(server, await mint(room, "ben", { name: "Ben" })));
  await join(ben);
  assert.equal((await ended(ben)).reason, "room_full");
  await server.rooms().removeParticipant(room, "ann");
  assert.equal((await ended(ann)).reason, "removed");
  await ann.context().close();
  await ben.context().close();
});

test("a cut signalling connection is told, and the call goes on after it", async () => {
  const room = freshRoom("trouble");
  const [ann, ben] = [await openWindow(browser), await openWindow(browser)];
  await enter(ann, tokenLink(server, await mint(room, "ann", { name: "Ann" })));
  await enter(ben, tokenLink(server, await mint(room, "ben", { name: "Ben" })));
  await meets(ann, "Ben");
  const banner = ann.getByText("The connection was lost. Reconnecting…").waitFor();
  await ann.evaluate(() => window.__sparkrtc.room.simulateScenario("signal-reconnect"));
  await banner;
  await ann.getByText("Connected again.").waitFor();
  await ann.getByText("The connection was lost. Reconnecting…").waitFor({ state: "detached" });
  await watch(ann, "Ben", 20);
  await ann.context().close();
  await ben.context().close();
});

test("a link to another server joins there, and says so before", async () => {
  const other = await Server.start();
  const page = await openWindow(browser);
  const token = await mint(freshRoom("trouble"), "ann");
  await page.goto(`${server.http}/play?test=1#token=${token}&url=${other.ws}`);
  await page.getByText(`Server: ${new URL(other.http).host}`).waitFor();
  await join(page);
  await page.getByRole("button", { name: "Leave" }).waitFor();
  const { sums } = await other.metrics();
  assert.ok(Object.keys(sums).length > 0);
  assert.deepEqual(page.failures, []);
  await page.context().close();
  await other.stop();
});

test("a server that stops says so, and one that is killed is noticed", async () => {
  for (const [signal, reasons, deadline] of [
    ["SIGTERM", ["server_stopped"], 15_000],
    // LiveKit's client tries to come back for about 40 s before it gives up.
    ["SIGKILL", ["unreachable"], 90_000],
  ]) {
    const doomed = await Server.start();
    const page = await openWindow(browser);
    await enter(page, tokenLink(doomed, await mint(freshRoom("trouble"), "ann")));
    doomed.child.kill(signal);
    if (signal === "SIGKILL") {
      await page.getByText("The connection was lost. Reconnecting…").waitFor();
      await shot(page, "reconnecting-wide-light");
    }
    const end = await ended(page, { deadline });
    assert.ok(reasons.includes(end.reason), JSON.stringify(end));
    await shot(page, `ended-${end.reason}-wide-light`);
    await page.context().close();
    await until("the server's end", () => isGone(doomed.child));
    await doomed.stop().catch((error) => assert.match(error.message, /gone already/));
  }
});

function isGone(child) {
  return child.exitCode !== null || child.signalCode !== null;
}
