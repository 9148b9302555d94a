// Two machines over https with a certificate the server made itself: browsers open the camera there, and the two see
// and hear each other. Over plain http from the other machine they have no camera at all: the reason for `--tls`.

import assert from "node:assert/strict";
import { chmod, mkdtemp, readFile, rm, writeFile } from "node:fs/promises";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { after, before, test } from "node:test";
import { CLIENT_SCRIPTS, chromium } from "../../lib/browser.mjs";
import { flowing, healthy, watch } from "../../lib/media.mjs";
import { home, machine } from "../../lib/network.mjs";
import { Scope } from "../../lib/scope.mjs";
import { Server } from "../../lib/server.mjs";
import { CHROMIUM, scaled } from "../../lib/settings.mjs";
import { leave, MODES } from "../../lib/stage.mjs";
import { freshRoom, mint } from "../../lib/tokens.mjs";

const SECONDS = scaled(10, 3);
// The certificate is the server's own, and the client's scripts are none of the page's.
const OPTIONS = { ignoreHTTPSErrors: true, bypassCSP: true };
const scope = new Scope();
let far;
let browsers;

before(async () => {
  await home();
  far = await scope.add(machine("far", 1));
  const directory = await scope.add(mkdtemp(join(tmpdir(), "sparkrtc-far-")), (d) =>
    rm(d, { recursive: true }),
  );
  const executable = join(directory, "chromium");
  await writeFile(executable, `#!/bin/sh\nexec ${far.prefix.join(" ")} -- ${CHROMIUM} "$@"\n`);
  await chmod(executable, 0o755);
  browsers = {
    near: await scope.add(chromium(OPTIONS)),
    far: await scope.add(chromium({ ...OPTIONS, executable })),
  };
});
after(() => scope.close());

/** A page of the server's own origin, made a client page. */
async function clientPage(browser, origin) {
  const driver = await browser.page(origin);
  for (const file of CLIENT_SCRIPTS)
    await driver.page.addScriptTag({ content: await readFile(file, "utf8") });
  return driver;
}

test("over https with --tls self the cameras of two machines work", async () => {
  const args = ["--http", `${far.here}:0`, "--media", `${far.here}:0`, "--tls", "self"];
  const server = await Server.start({ args, dev: false });
  try {
    const app = await server.cli("app", "show", "demo");
    const origin = `https://${server.ports.http}`;
    const near = await clientPage(browsers.near, origin);
    const away = await clientPage(browsers.far, origin);
    for (const mode of MODES) {
      const room = freshRoom(`tls-${mode}`);
      const clients = { near: near.client(`near-${mode}`), far: away.client(`far-${mode}`) };
      for (const [identity, client] of Object.entries(clients)) {
        await client.call("connect", {
          url: `wss://${server.ports.http}`,
          token: await mint(room, identity, { key: app.app_id, secret: app.app_key }),
          mode,
        });
      }
      const sids = {};
      for (const [identity, client] of Object.entries(clients)) {
        sids[identity] = {
          audio: (await client.call("publish_audio")).sid,
          video: (await client.call("publish_video")).sid,
        };
      }
      for (const [client, tracks] of [
        [clients.near, sids.far],
        [clients.far, sids.near],
      ]) {
        await flowing(client, tracks);
        healthy(await watch(client, tracks, SECONDS), { fps: 15 });
      }
      await leave(...Object.values(clients));
    }
    await near.close();
    await away.close();
  } finally {
    await server.stop();
  }
});

test("over plain http from another machine there is no camera, and the server said so when it started", async () => {
  const server = await Server.start({ args: ["--http", `${far.here}:0`], dev: false });
  try {
    const page = await browsers.far.page(server.http);
    assert.equal(await page.page.evaluate(() => navigator.mediaDevices === undefined), true);
    assert.match(server.log, /camera/i);
    await page.close();
  } finally {
    await server.stop({ expected: [/camera/i] });
  }
});
