//! Tokens over HTTP.

use axum::{Json, extract::State};
use http::StatusCode;
use rtc_api::rest::{
    Problem as ProblemBody,
    tokens::{AccessToken, AccessTokenRequest, TemporaryToken, TokenCreate},
};
use rtc_model::AppId;

use super::{
    extract::{Authorized, Body, Path},
    problem::Problem,
};
use crate::{Context, tokens};

/// Generate a temporary token
///
/// For trying out and for support: a JWT for LiveKit SDKs, the access signature, and a link that
/// joins the room in the built-in page.
#[utoipa::path(
    post, path = "/api/v1/apps/{app_id}/tokens", tag = "Tokens", security(("admin_token" = [])),
    params(("app_id" = String, Path, description = "The app's id.")),
    request_body = TokenCreate,
    responses(
        (status = 201, description = "The token in both forms.", body = TemporaryToken),
        (status = "4XX", description = "invalid_argument, app_not_found, app_disabled, too_large, unauthenticated, token_invalid", body = ProblemBody, content_type = "application/problem+json"),
    )
)]
pub(super) async fn token_create(
    State(cx): State<Context>,
    Authorized(caller): Authorized,
    Path(id): Path<AppId>,
    Body(body): Body<TokenCreate>,
) -> Result<(StatusCode, Json<TemporaryToken>), Problem> {
    Ok((StatusCode::CREATED, Json(tokens::temporary(&cx, &caller, &id, &body).await?)))
}

/// Exchange an access signature for a token
///
/// Needs no admin token: the signature, made by the app's own server, is the authorization. The
/// token joins the room as the user, with the rights of the role.
#[utoipa::path(
    post, path = "/api/v1/apps/{app_id}/access-token", tag = "Tokens", security(()),
    params(("app_id" = String, Path, description = "The app's id.")),
    request_body = AccessTokenRequest,
    responses(
        (status = 200, description = "The token and where to take it.", body = AccessToken),
        (status = "4XX", description = "invalid_argument, app_not_found, token_invalid, token_expired, app_disabled, too_large", body = ProblemBody, content_type = "application/problem+json"),
    )
)]
pub(super) async fn access_token_create(
    State(cx): State<Context>,
    Path(id): Path<AppId>,
    Body(body): Body<AccessTokenRequest>,
) -> Result<Json<AccessToken>, Problem> {
    Ok(Json(tokens::exchange(&cx, &id, &body).await?))
}
