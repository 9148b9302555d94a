// Real browsers with fake cameras, on a page that holds unmodified npm `livekit-client`.

import { createReadStream } from "node:fs";
import { createServer } from "node:http";
import { createRequire } from "node:module";
import { dirname, join } from "node:path";
import { chromium as playwright } from "playwright-core";
import puppeteer from "puppeteer-core";
import { Client } from "./clients.mjs";
import { CHROMIUM, FIREFOX, HERE } from "./settings.mjs";

const LIVEKIT = dirname(createRequire(import.meta.url).resolve("livekit-client"));
const FILES = {
  "/": [join(HERE, "page/index.html"), "text/html"],
  "/client.js": [join(HERE, "page/client.js"), "text/javascript"],
  "/livekit-client.umd.js": [join(LIVEKIT, "livekit-client.umd.js"), "text/javascript"],
};

const CHROMIUM_ARGS = [
  "--no-sandbox",
  "--use-fake-ui-for-media-stream",
  "--use-fake-device-for-media-stream=fps=30",
  "--autoplay-policy=no-user-gesture-required",
  "--disable-background-timer-throttling",
  "--disable-backgrounding-occluded-windows",
  "--disable-renderer-backgrounding",
];

// Firefox asks before it opens a camera unless told otherwise; the rest keeps it from reaching for the outside.
/** The tone of Firefox's fake microphone, in Hz. */
export const FIREFOX_TONE = 550;
const FIREFOX_PREFERENCES = {
  "media.navigator.audio.fake_frequency": FIREFOX_TONE,
  "media.navigator.streams.fake": true,
  "media.navigator.permission.disabled": true,
  "media.autoplay.default": 0,
  "media.gmp-manager.updateEnabled": false,
  "media.gmp-manager.url": "",
  "network.connectivity-service.enabled": false,
  "network.captive-portal-service.enabled": false,
};

/** Serves the page under test. `close()` ends it. */
export async function servePage(host = "127.0.0.1") {
  const server = createServer((request, response) => {
    const path = new URL(request.url, "http://page").pathname;
    if (path === "/favicon.ico") return response.writeHead(204).end();
    const file = FILES[path];
    if (!file) return response.writeHead(404).end();
    response.writeHead(200, {
      "content-type": `${file[1]}; charset=utf-8`,
      "cache-control": "no-store",
    });
    createReadStream(file[0]).pipe(response);
  });
  await new Promise((listening) => server.listen(0, host, listening));
  return {
    url: `http://${host}:${server.address().port}/`,
    close: () => {
      server.closeAllConnections();
      return new Promise((closed) => server.close(closed));
    },
  };
}

/** The files a page of another origin needs to become a client page. */
export const CLIENT_SCRIPTS = [FILES["/livekit-client.umd.js"][0], FILES["/client.js"][0]];

/** One page, driven; holds any number of clients. */
export class PageDriver {
  constructor(page) {
    this.page = page;
    this.console = [];
    page.on("console", (message) => this.console.push(`${message.type()} ${message.text()}`));
    page.on("pageerror", (error) => this.console.push(`uncaught ${error}`));
  }

  call(client, op, args) {
    return this.page.evaluate(([c, o, a]) => window.clients.call(c, o, a), [client, op, args]);
  }

  events(client) {
    return this.page.evaluate((c) => window.clients.events.filter((e) => e.client === c), client);
  }

  client(name) {
    return new Client(this, name);
  }

  close() {
    return this.page.close();
  }
}

/** Starts headless Chromium. `page()` opens a fresh client page. */
export async function chromium({
  url,
  env,
  args = [],
  executable = CHROMIUM,
  ignoreHTTPSErrors = false,
  bypassCSP = false,
} = {}) {
  const browser = await playwright.launch({
    executablePath: executable,
    headless: true,
    args: [...CHROMIUM_ARGS, ...args],
    env: { ...process.env, ...env },
  });
  const context = await browser.newContext({
    ignoreHTTPSErrors,
    bypassCSP,
    viewport: { width: 1280, height: 900 },
  });
  return {
    context,
    async page(address = url) {
      const page = await context.newPage();
      const driver = new PageDriver(page);
      await page.goto(address);
      return driver;
    },
    close: () => browser.close(),
  };
}

/** Starts headless Firefox ESR over WebDriver BiDi. */
export async function firefox({ url } = {}) {
  const browser = await puppeteer.launch({
    browser: "firefox",
    executablePath: FIREFOX,
    headless: true,
    extraPrefsFirefox: FIREFOX_PREFERENCES,
  });
  return {
    async page(address = url) {
      const page = await browser.newPage();
      const driver = new PageDriver(page);
      await page.goto(address);
      return driver;
    },
    close: () => browser.close(),
  };
}
