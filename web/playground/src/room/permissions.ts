/** What one may send right now. A server can change it during the call, whatever the token said. */

import type { Sources } from "../invitation.ts";

/** LiveKit's `ParticipantPermission`, as far as it is read here. */
export interface Permission {
  canPublish: boolean;
  canPublishData: boolean;
  /** Numbers of LiveKit's `TrackSource`; empty means every source. */
  canPublishSources: readonly number[];
}

/** LiveKit's `TrackSource` by number. */
const CAMERA = 1;
const MICROPHONE = 2;
const SCREEN_SHARE = 3;

/** The server's word where it has given one, else the token's. */
export function sourcesNow(permission: Permission | undefined, byToken: Sources): Sources {
  if (!permission) return byToken;
  const { canPublish, canPublishData, canPublishSources } = permission;
  const may = (source: number) =>
    canPublish && (canPublishSources.length === 0 || canPublishSources.includes(source));
  return {
    camera: may(CAMERA),
    microphone: may(MICROPHONE),
    screen: may(SCREEN_SHARE),
    chat: canPublishData,
  };
}
