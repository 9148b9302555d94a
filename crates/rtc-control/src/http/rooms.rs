//! Rooms over HTTP.

use axum::{Json, extract::State};
use rtc_api::rest::{
    Problem as ProblemBody,
    rooms::{ParticipantList, RoomList},
};
use rtc_model::{AppId, RoomName};

use super::{
    extract::{Authorized, Path},
    problem::Problem,
};
use crate::{Context, rooms};

/// List open rooms
///
/// The rooms of one app that are open now, by name.
#[utoipa::path(
    get, path = "/api/v1/apps/{app_id}/rooms", tag = "Rooms", security(("admin_token" = [])),
    params(("app_id" = String, Path, description = "The app's id.")),
    responses(
        (status = 200, description = "The open rooms.", body = RoomList),
        (status = "4XX", description = "app_not_found, unauthenticated, token_invalid", body = ProblemBody, content_type = "application/problem+json"),
        (status = "5XX", description = "unavailable, timeout, overloaded", body = ProblemBody, content_type = "application/problem+json"),
    )
)]
pub(super) async fn room_list(
    State(cx): State<Context>,
    Authorized(caller): Authorized,
    Path(id): Path<AppId>,
) -> Result<Json<RoomList>, Problem> {
    Ok(Json(rooms::list(&cx, &caller, &id).await?))
}

/// List who is in a room
///
/// The participants of an open room and what they publish, in the order they joined.
#[utoipa::path(
    get, path = "/api/v1/apps/{app_id}/rooms/{room_id}/participants", tag = "Rooms", security(("admin_token" = [])),
    params(
        ("app_id" = String, Path, description = "The app's id."),
        ("room_id" = String, Path, description = "The room's name."),
    ),
    responses(
        (status = 200, description = "The participants.", body = ParticipantList),
        (status = "4XX", description = "app_not_found, room_not_found, unauthenticated, token_invalid", body = ProblemBody, content_type = "application/problem+json"),
        (status = "5XX", description = "unavailable, timeout, overloaded", body = ProblemBody, content_type = "application/problem+json"),
    )
)]
pub(super) async fn participant_list(
    State(cx): State<Context>,
    Authorized(caller): Authorized,
    Path((id, room)): Path<(AppId, RoomName)>,
) -> Result<Json<ParticipantList>, Problem> {
    Ok(Json(rooms::participants(&cx, &caller, &id, &room).await?))
}
