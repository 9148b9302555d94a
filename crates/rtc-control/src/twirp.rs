//! LiveKit's `RoomService` over Twirp.

use axum::Router;

use crate::Context;

/// `/twirp/*`.
pub(crate) fn router(cx: Context) -> Router {
    Router::new().with_state(cx)
}
