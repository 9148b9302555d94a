// A server and the drivers a suite asks for, opened together and closed together.

import { chromium, firefox, servePage } from "./browser.mjs";
import { node, python } from "./clients.mjs";
import { withoutV1 } from "./proxy.mjs";
import { Scope } from "./scope.mjs";
import { Server } from "./server.mjs";
import { mint } from "./tokens.mjs";

/** Both signalling modes: one peer connection (the client offers) and two (the server offers what it sends). */
export const MODES = ["v1", "v0"];

export class Stage {
  scope = new Scope();
  drivers = {};

  /**
   * Opens a server and one driver of each of `kinds` ("js", "python", "node", "firefox"). `expected` are patterns of
   * log lines that tell of trouble the suite causes on purpose.
   */
  static async open(kinds, { expected = [], server, browser = {} } = {}) {
    const stage = new Stage();
    try {
      stage.server = await stage.scope.add(Server.start(server), (s) => s.stop({ expected }));
      stage.proxy = await stage.scope.add(withoutV1(stage.server.http));
      if (kinds.includes("js") || kinds.includes("firefox"))
        stage.page = await stage.scope.add(servePage());
      if (kinds.includes("js")) {
        stage.browser = await stage.scope.add(chromium({ url: stage.page.url, ...browser }));
        stage.drivers.js = await stage.scope.add(stage.browser.page());
      }
      if (kinds.includes("firefox")) {
        const browser = await stage.scope.add(firefox({ url: stage.page.url }));
        stage.drivers.firefox = await stage.scope.add(browser.page());
      }
      if (kinds.includes("python")) stage.drivers.python = await stage.scope.add(python());
      if (kinds.includes("node")) stage.drivers.node = await stage.scope.add(node());
    } catch (error) {
      await stage.close().catch(() => {});
      throw error;
    }
    return stage;
  }

  /** A client of `kind` that has joined `room`. `token` options go to `mint`, the rest to the client's connect. */
  async join(kind, room, identity, { mode = "v1", token = {}, ...options } = {}) {
    const client = this.drivers[kind].client(`${room}/${identity}/${kind}`);
    client.joined = await client.call("connect", {
      url: kind === "node" && mode === "v0" ? this.proxy.ws : this.server.ws,
      token: await mint(room, identity, token),
      mode,
      ...options,
    });
    return client;
  }

  close() {
    return this.scope.close();
  }
}

/** Ends the clients' sessions; a client that is gone already is fine. */
export function leave(...clients) {
  return Promise.allSettled(clients.map((client) => client?.call("disconnect")));
}
