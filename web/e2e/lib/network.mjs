// A network of the test's own: the suites under `tests/netns` run in a user and network namespace, where they may
// add links and drop packets without privileges and without touching the machine's network.

import { readFileSync } from "node:fs";
import { readlink } from "node:fs/promises";
import { run as runCommand, start, stop } from "./children.mjs";
import { until } from "./wait.mjs";

/** Where the server listens inside the namespace. */
export const SERVER_IP = "10.77.0.1";
/** Where a relay stands in front of the server's media port. */
export const RELAY_IP = "10.77.0.2";
const NEIGHBOUR_IP = "10.77.0.254";

/** Brings up this namespace: loopback, and one link of addresses that clients take for a real network. */
export async function home() {
  assertOwnNamespace();
  await run("ip", "link", "set", "lo", "up");
  await run("ip", "link", "add", "lan0", "type", "veth", "peer", "name", "lan1");
  await run("ip", "address", "add", `${SERVER_IP}/24`, "dev", "lan0");
  await run("ip", "address", "add", `${RELAY_IP}/24`, "dev", "lan0");
  for (const end of ["lan0", "lan1"]) await up([], end);
  // Browsers take the interface of the default route; nothing answers there.
  await run("ip", "route", "add", "default", "via", NEIGHBOUR_IP);
}

/**
 * A second machine: a network namespace joined to this one by a cable. `prefix` runs a command there; `here` and
 * `there` are the two ends' addresses.
 */
export async function machine(name, subnet) {
  assertOwnNamespace();
  const holder = start(["unshare", "--net", "cat"]);
  await changedNamespace(holder.pid);
  const [here, there] = [`10.78.${subnet}.1`, `10.78.${subnet}.2`];
  const prefix = ["nsenter", "--net", "--target", String(holder.pid)];
  const cable = `${name}0`;
  await run(
    "ip",
    "link",
    "add",
    cable,
    "type",
    "veth",
    "peer",
    "name",
    "lan0",
    "netns",
    String(holder.pid),
  );
  await run("ip", "address", "add", `${here}/24`, "dev", cable);
  await up([], cable);
  await run(...prefix, "ip", "link", "set", "lo", "up");
  await run(...prefix, "ip", "address", "add", `${there}/24`, "dev", "lan0");
  await up(prefix, "lan0");
  await run(...prefix, "ip", "route", "add", "default", "via", here);
  return { prefix, here, there, close: () => stop(holder) };
}

// Without IPv6 addresses of its own: they come late, and a browser then drops what it was loading.
async function up(prefix, link) {
  await run(...prefix, "ip", "link", "set", link, "addrgenmode", "none");
  await run(...prefix, "ip", "link", "set", link, "up");
}

/** Drops every datagram to and from these UDP ports until `heal()`. */
export async function cutUdp(ports) {
  assertOwnNamespace();
  const set = `{ ${ports.join(", ")} }`;
  await nft(`table inet cut {
    chain out {
      type filter hook output priority 0;
      udp dport ${set} counter drop
      udp sport ${set} counter drop
    }
  }`);
  return { heal: () => nft("delete table inet cut") };
}

async function nft(script) {
  const child = start(["nft", "-f", "-"]);
  let said = "";
  child.stderr.on("data", (chunk) => {
    said += chunk;
  });
  child.stdin.end(script);
  const code = await new Promise((ended) => child.on("exit", ended));
  if (code !== 0) throw new Error(`nft ended with ${code}: ${said}`);
}

const run = (...command) => runCommand(command);

// In the machine's own namespace the rules below would cut the machine's own network.
function assertOwnNamespace() {
  const [, , count] = readFileSync("/proc/self/uid_map", "utf8").trim().split(/\s+/);
  if (count !== "1") throw new Error("this suite must run in a namespace of its own: use run.mjs");
}

async function changedNamespace(pid) {
  const own = await readlink("/proc/self/ns/net");
  await until("the new namespace", async () => (await readlink(`/proc/${pid}/ns/net`)) !== own);
}
