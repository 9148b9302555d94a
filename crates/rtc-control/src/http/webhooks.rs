//! Receivers of room events over HTTP.

use axum::{Json, extract::State};
use rtc_api::rest::{
    Problem as ProblemBody,
    webhooks::{WebhookList, WebhooksReplace},
};
use rtc_model::AppId;

use super::{
    extract::{Authorized, Body, Path},
    problem::Problem,
};
use crate::{Context, webhooks};

/// List an app's webhooks
///
/// The receivers of its room events, in the order they were set. URLs of the server's configuration
/// are not among them.
#[utoipa::path(
    get, path = "/api/v1/apps/{app_id}/webhooks", tag = "Webhooks", security(("admin_token" = [])),
    params(("app_id" = String, Path, description = "The app's id.")),
    responses(
        (status = 200, description = "The receivers.", body = WebhookList),
        (status = "4XX", description = "app_not_found, unauthenticated, token_invalid", body = ProblemBody, content_type = "application/problem+json"),
    )
)]
pub(super) async fn webhook_list(
    State(cx): State<Context>,
    Authorized(caller): Authorized,
    Path(id): Path<AppId>,
) -> Result<Json<WebhookList>, Problem> {
    Ok(Json(webhooks::list(&cx, &caller, &id).await?))
}

/// Replace an app's webhooks
///
/// The list given is the list from the next event on. Events are posted as LiveKit's webhooks are:
/// JSON of type `application/webhook+json`, with a token in the `Authorization` header that is
/// signed with the app's private key and carries the body's SHA-256.
#[utoipa::path(
    put, path = "/api/v1/apps/{app_id}/webhooks", tag = "Webhooks", security(("admin_token" = [])),
    params(("app_id" = String, Path, description = "The app's id.")),
    request_body = WebhooksReplace,
    responses(
        (status = 200, description = "The receivers, and whether each could be reached.", body = WebhookList),
        (status = "4XX", description = "invalid_argument, app_not_found, too_large, unauthenticated, token_invalid", body = ProblemBody, content_type = "application/problem+json"),
    )
)]
pub(super) async fn webhook_replace(
    State(cx): State<Context>,
    Authorized(caller): Authorized,
    Path(id): Path<AppId>,
    Body(body): Body<WebhooksReplace>,
) -> Result<Json<WebhookList>, Problem> {
    Ok(Json(webhooks::replace(&cx, &caller, &id, &body).await?))
}
