// One face for every client under test, wherever it runs: a browser page, a Python process or a Node process.

import { createInterface } from "node:readline";
import { start, stop } from "./children.mjs";
import { HERE, PYTHON } from "./settings.mjs";
import { Hopeless, until, within } from "./wait.mjs";

const CALL_DEADLINE = 20_000;

/** One client of a driver. */
export class Client {
  constructor(driver, name) {
    this.driver = driver;
    this.name = name;
  }

  /** Runs one operation in the client, see `python/driver.py` for the list. */
  call(op, args = {}, { deadline = CALL_DEADLINE } = {}) {
    return within(`${this.name}.${op}`, this.driver.call(this.name, op, args), deadline);
  }

  state() {
    return this.call("state");
  }

  stats() {
    return this.call("stats");
  }

  /** All events so far, oldest first; `event` narrows to one kind. */
  async events(event) {
    const all = await this.driver.events(this.name);
    return event ? all.filter((e) => e.event === event) : all;
  }

  /** Waits until an event of this kind that satisfies `test` has happened. */
  event(kind, test = () => true, options) {
    return until(
      `${this.name}: event ${kind}`,
      async () => (await this.events(kind)).find(test),
      options,
    );
  }

  /** Waits until `test` holds of the client's state. */
  until(what, test, options) {
    return until(`${this.name}: ${what}`, async () => test(await this.state()), options);
  }

  /** Waits until the publication with this sid is subscribed here. */
  subscribed(sid, options) {
    return this.until(
      `subscription to ${sid}`,
      (s) =>
        Object.values(s.remote).some((p) => p.tracks.some((t) => t.sid === sid && t.subscribed)),
      options,
    );
  }
}

/** A child process that speaks the line protocol. */
class ProcessDriver {
  constructor(command, options) {
    this.child = start(command, { cwd: HERE, ...options });
    this.pending = new Map();
    this.seen = [];
    this.errors = "";
    this.next = 1;
    this.isReady = false;
    createInterface({ input: this.child.stdout }).on("line", (line) => this.take(line));
    this.child.stderr.on("data", (chunk) => (this.errors += chunk));
    this.child.on("error", (error) => this.fail(error));
    this.child.on("exit", (code, signal) =>
      this.fail(new Error(`driver ended (${code ?? signal}): ${this.errors.slice(-3000)}`)),
    );
  }

  take(line) {
    let message;
    try {
      message = JSON.parse(line);
    } catch {
      this.errors += `${line}\n`;
      return;
    }
    if (message.event === "ready") this.isReady = true;
    else if (message.event) this.seen.push(message);
    else if (!this.pending.has(message.id)) {
      // rtc-node logs in JSON, too.
      this.errors += `${line}\n`;
    } else {
      const { resolve, reject } = this.pending.get(message.id);
      this.pending.delete(message.id);
      if (message.error) reject(new Error(message.error));
      else resolve(message.ok);
    }
  }

  fail(error) {
    this.failed = error;
    for (const { reject } of this.pending.values()) reject(error);
    this.pending.clear();
  }

  ready() {
    return until(
      "the driver process",
      () => {
        if (this.failed) throw new Hopeless(this.failed.message);
        return this.isReady;
      },
      { deadline: 30_000 },
    );
  }

  call(client, op, args) {
    if (this.failed) return Promise.reject(this.failed);
    const id = this.next++;
    return new Promise((resolve, reject) => {
      this.pending.set(id, { resolve, reject });
      this.child.stdin.write(`${JSON.stringify({ ...args, id, client, op })}\n`);
    });
  }

  async events(client) {
    return this.seen.filter((e) => e.client === client);
  }

  client(name) {
    return new Client(this, name);
  }

  close() {
    return stop(this.child);
  }
}

/** A process of unmodified PyPI `livekit` clients. */
export async function python(options) {
  const driver = new ProcessDriver([PYTHON, "python/driver.py"], options);
  await driver.ready();
  return driver;
}

/** A process of unmodified npm `@livekit/rtc-node` clients. */
export async function node(options) {
  const driver = new ProcessDriver([process.execPath, "node/driver.mjs"], options);
  await driver.ready();
  return driver;
}
