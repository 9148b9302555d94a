// Every method of RoomService and the webhooks through PyPI `livekit-api`; see `rooms.py`.

import { join } from "node:path";
import { test } from "node:test";
import { run } from "../lib/children.mjs";
import { HERE, PYTHON, SERVER } from "../lib/settings.mjs";
import { within } from "../lib/wait.mjs";

test("PyPI livekit-api can do everything it has methods for", async () => {
  const env = { ...process.env, SPARKRTC_BIN: SERVER, PYTHONUNBUFFERED: "1" };
  const script = join(HERE, "server-sdk", "rooms.py");
  console.log(await within("rooms.py", run([PYTHON, script], { env }), 180_000));
});
