/** Choices for people who test: kept in the page's query, so that a link shows another the same. */

export const CODECS = ["vp8", "h264", "vp9", "av1"] as const;
export type Codec = (typeof CODECS)[number];
export type PeerConnections = "single" | "dual";

export interface Settings {
  codec: Codec;
  /** Whether the camera is sent in several sizes at once (VP8, H.264) or as layers (VP9, AV1). */
  simulcast: boolean;
  /** One WebRTC connection both ways, or one for each direction. */
  peerConnections: PeerConnections;
  /** Makes the room reachable for scripts as `window.__sparkrtc`. */
  test: boolean;
}

export const DEFAULT_SETTINGS: Settings = {
  codec: "vp8",
  simulcast: true,
  peerConnections: "single",
  test: false,
};

/** Reads a page's query; what is missing or unknown is the default. */
export function parseSettings(query: string): Settings {
  const fields = new URLSearchParams(query);
  const codec = fields.get("codec")?.toLowerCase();
  return {
    codec: CODECS.find((known) => known === codec) ?? DEFAULT_SETTINGS.codec,
    simulcast: fields.get("simulcast") !== "0",
    peerConnections: fields.get("pc") === "dual" ? "dual" : "single",
    test: fields.get("test") === "1",
  };
}

/** The query that means these settings: empty for the defaults, else with its `?`. */
export function formatSettings(settings: Settings): string {
  const fields = new URLSearchParams();
  if (settings.test) fields.set("test", "1");
  if (settings.codec !== DEFAULT_SETTINGS.codec) fields.set("codec", settings.codec);
  if (!settings.simulcast) fields.set("simulcast", "0");
  if (settings.peerConnections === "dual") fields.set("pc", "dual");
  const query = fields.toString();
  return query ? `?${query}` : "";
}
