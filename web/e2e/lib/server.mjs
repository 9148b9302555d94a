// The real binary, with a data directory of its own and ports the system chose.

import { mkdtemp, readFile, rm, writeFile } from "node:fs/promises";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { RoomServiceClient } from "livekit-server-sdk";
import { run, start, stop } from "./children.mjs";
import { SERVER } from "./settings.mjs";
import { Hopeless, until } from "./wait.mjs";

// biome-ignore lint/suspicious/noControlCharactersInRegex: colour codes begin with the escape character.
const COLOUR = /\u001b\[[0-9;]*m/g;
const TROUBLE = /\b(ERROR|WARN)\b|panicked at/;

export class Server {
  /** Starts a server and waits until it is ready. `args` and `env` are added to the defaults. */
  static async start({ args = ["--http", "127.0.0.1:0"], env = {}, prefix = [], dev = true } = {}) {
    const directory = await mkdtemp(join(tmpdir(), "sparkrtc-e2e-"));
    const command = [SERVER, "serve", "--data-dir", directory, ...args, ...(dev ? ["--dev"] : [])];
    const child = start(command, { prefix, env: { ...process.env, RUST_BACKTRACE: "1", ...env } });
    const server = new Server(child, directory);
    try {
      await server.ready();
    } catch (error) {
      await stop(child);
      await rm(directory, { recursive: true, force: true });
      throw new Error(`${error.message}\n--- server log ---\n${server.log}`);
    }
    return server;
  }

  constructor(child, directory) {
    this.child = child;
    this.directory = directory;
    this.log = "";
    const keep = (chunk) => (this.log += chunk.toString().replace(COLOUR, ""));
    child.stdout.on("data", keep);
    child.stderr.on("data", keep);
    child.on("error", (error) => keep(String(error)));
  }

  async ready() {
    const file = join(this.directory, "ports.json");
    this.ports = await until(
      "ports.json",
      async () => {
        if (this.child.exitCode !== null)
          throw new Hopeless(`the server ended with ${this.child.exitCode}`);
        return JSON.parse(await readFile(file, "utf8"));
      },
      { deadline: 30_000 },
    );
  }

  get http() {
    return `http://${this.ports.http}`;
  }

  get ws() {
    return `ws://${this.ports.http}`;
  }

  /** LiveKit's own server SDK against this server. */
  rooms(key = "devkey", secret = "secret") {
    return new RoomServiceClient(this.http, key, secret);
  }

  /** Runs a command of the binary on this server's data directory; answers with what it prints as JSON. */
  async cli(...args) {
    return JSON.parse(await run([SERVER, ...args, "--data-dir", this.directory, "--json"]));
  }

  /** The sums over all label sets of every metric, by name. */
  async metrics() {
    const text = await (await fetch(`${this.http}/metrics`)).text();
    const sums = {};
    const series = {};
    for (const line of text.split("\n")) {
      const match = /^([a-zA-Z_:][\w:]*)(\{.*\})? ([-+.\deEinfNa]+)/.exec(line);
      if (!match) continue;
      sums[match[1]] = (sums[match[1]] ?? 0) + Number(match[3]);
      series[match[1] + (match[2] ?? "")] = Number(match[3]);
    }
    return { sums, series };
  }

  /** Resident memory, in bytes. */
  async memory() {
    const status = await readFile(`/proc/${this.child.pid}/status`, "utf8");
    return Number(/VmRSS:\s+(\d+) kB/.exec(status)[1]) * 1024;
  }

  /** Lines of the log that tell of trouble and match none of `expected`. */
  troubles(expected = []) {
    return this.log
      .split("\n")
      .filter((line) => TROUBLE.test(line))
      .filter((line) => !expected.some((pattern) => pattern.test(line)));
  }

  /** Ends the server; fails when its log told of trouble that was not `expected`. */
  async stop({ expected = [] } = {}) {
    const ended = this.child.exitCode ?? this.child.signalCode;
    await stop(this.child);
    const troubles = this.troubles(expected);
    if (process.env.SPARKRTC_E2E_LOGS) {
      await writeFile(
        join(process.env.SPARKRTC_E2E_LOGS, `server-${this.child.pid}.log`),
        this.log,
      );
    }
    await rm(this.directory, { recursive: true, force: true });
    if (ended !== null)
      throw new Error(`the server was gone already (${ended}):\n${this.log.slice(-4000)}`);
    if (troubles.length > 0)
      throw new Error(`the server's log tells of trouble:\n${troubles.join("\n")}`);
  }
}
