/** What one joining needs: a token and where to take it. */

import { type Ending, endingOfAnswer } from "./ending.ts";
import { readClaims, type Sources } from "./invitation.ts";

export interface Ticket {
  url: string;
  token: string;
  room: string;
  identity: string;
  name: string;
  sources: Sources;
}

/** A refusal on the way into a room. */
export class Refused extends Error {
  readonly ending: Ending;

  constructor(ending: Ending) {
    super(ending.reason);
    this.name = "Refused";
    this.ending = ending;
  }
}

export interface DemoWish {
  invite: string;
  room: string;
  name: string;
}

/**
 * Exchanges an invitation for a token of a person of its own, so that one link serves many windows.
 *
 * Throws {@link Refused}.
 */
export async function requestDemoTicket(wish: DemoWish, url: string): Promise<Ticket> {
  let answer: Response;
  try {
    answer = await fetch("/api/v1/demo/token", {
      method: "POST",
      headers: { "content-type": "application/json" },
      body: JSON.stringify(wish),
    });
  } catch (error) {
    throw new Refused(endingOfNoAnswer(error));
  }
  const body = await answer.text();
  if (!answer.ok) {
    const ending = endingOfAnswer(answer.status, body, answer.headers.get("x-request-id"));
    throw new Refused(
      ending.reason === "forbidden" ? { ...ending, reason: "invite_invalid" } : ending,
    );
  }
  return { url, ...readTicket(body) };
}

/** What it means that a request got no answer at all. */
export function endingOfNoAnswer(error: unknown): Ending {
  const detail = error instanceof Error ? error.message : undefined;
  return { reason: navigator.onLine ? "unreachable" : "offline", detail };
}

function readTicket(body: string): Omit<Ticket, "url"> {
  const value: unknown = JSON.parse(body);
  const token =
    typeof value === "object" && value !== null && "token" in value ? value.token : undefined;
  const claims = typeof token === "string" ? readClaims(token) : undefined;
  if (typeof token !== "string" || !claims) {
    throw new Refused({ reason: "internal", detail: "The answer holds no readable token." });
  }
  const { room, identity, name, sources } = claims;
  return { token, room, identity, name, sources };
}
