/** Why somebody is not in the room: one closed list, whatever layer said so. Pure. */

export const END_REASONS = [
  "left",
  "token_expired",
  "token_invalid",
  "invite_invalid",
  "app_disabled",
  "app_not_found",
  "forbidden",
  "room_full",
  "removed",
  "room_deleted",
  "room_closed",
  "duplicate_identity",
  "server_stopped",
  "offline",
  "unreachable",
  "media_blocked",
  "busy",
  "internal",
  "unknown",
] as const;
export type EndReason = (typeof END_REASONS)[number];

export interface Ending {
  reason: EndReason;
  /** What was reported, word for word; for the person who looks into it. */
  detail?: string | undefined;
  /** The server's number for the request, when it gave one. */
  requestId?: string | undefined;
}

/** What to offer first: back into the call, the same once more, or a link that works. */
export type NextStep = "rejoin" | "retry" | "other_link";

export function nextStep(reason: EndReason): NextStep {
  switch (reason) {
    case "token_expired":
    case "token_invalid":
    case "invite_invalid":
    case "app_not_found":
    case "forbidden":
      return "other_link";
    case "app_disabled":
    case "room_full":
    case "offline":
    case "unreachable":
    case "media_blocked":
    case "busy":
    case "internal":
      return "retry";
    case "left":
    case "removed":
    case "room_deleted":
    case "room_closed":
    case "duplicate_identity":
    case "server_stopped":
    case "unknown":
      return "rejoin";
  }
}

/** Maps the stable `code` of a refusal (RFC 9457 problem body of our server). */
export function reasonOfCode(code: string): EndReason {
  switch (code) {
    case "token_expired":
    case "token_invalid":
    case "app_disabled":
    case "app_not_found":
    case "forbidden":
    case "room_full":
    case "internal":
      return code;
    case "unauthenticated":
      return "token_invalid";
    case "rate_limited":
    case "overloaded":
    case "unavailable":
    case "timeout":
    case "quota_exceeded":
      return "busy";
    case "room_not_found":
      return "room_closed";
    default:
      return "unknown";
  }
}

/** Maps an HTTP status when the answer had no code, as from a proxy in between. */
export function reasonOfStatus(status: number): EndReason {
  if (status === 401) return "token_invalid";
  if (status === 403) return "forbidden";
  if (status === 429 || status === 503) return "busy";
  if (status === 502 || status === 504) return "unreachable";
  if (status >= 500) return "internal";
  return "unknown";
}

/** Reads a refused HTTP answer: ours by its code, any other by its status. */
export function endingOfAnswer(status: number, body: string, requestId?: string | null): Ending {
  const problem = parseProblem(body);
  if (problem) {
    return {
      reason: reasonOfCode(problem.code),
      detail: problem.detail ?? problem.code,
      requestId: problem.requestId ?? requestId ?? undefined,
    };
  }
  return {
    reason: reasonOfText(body) ?? reasonOfStatus(status),
    detail: summary(status, body),
    requestId: requestId ?? undefined,
  };
}

/** Signalling refuses in words for a person, with the code in brackets at the end: `… [room_full]`. */
export function reasonOfText(text: string): EndReason | undefined {
  const code = /\[([a-z_]+)\]\s*$/.exec(text)?.[1];
  return code === undefined ? undefined : reasonOfCode(code);
}

/** LiveKit's `DisconnectReason` by number, as leave messages carry it. */
export function reasonOfDisconnect(reason: number | undefined): EndReason {
  switch (reason) {
    case 1:
      return "left";
    case 2:
      return "duplicate_identity";
    case 3:
      return "server_stopped";
    case 4:
      return "removed";
    case 5:
      return "room_deleted";
    case 10:
      return "room_closed";
    case 14:
    case 15:
      return "media_blocked";
    default:
      return "unknown";
  }
}

function parseProblem(
  body: string,
): { code: string; detail: string | undefined; requestId: string | undefined } | undefined {
  try {
    const value: unknown = JSON.parse(body);
    if (typeof value !== "object" || value === null || !("code" in value)) return undefined;
    if (typeof value.code !== "string") return undefined;
    return {
      code: value.code,
      detail: "detail" in value && typeof value.detail === "string" ? value.detail : undefined,
      requestId:
        "request_id" in value && typeof value.request_id === "string"
          ? value.request_id
          : undefined,
    };
  } catch {
    return undefined;
  }
}

function summary(status: number, body: string): string {
  const words = body.replace(/\s+/g, " ").trim().slice(0, 200);
  return words.startsWith("<") || words === "" ? `HTTP ${status}` : `HTTP ${status}: ${words}`;
}
