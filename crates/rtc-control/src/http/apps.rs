//! Apps over HTTP.

use axum::{Json, extract::State};
use http::StatusCode;
use rtc_api::rest::{
    Problem as ProblemBody,
    apps::{AppCreate, AppList, AppListQuery, AppUpdate, AppView, KeyRotate},
};
use rtc_model::{AppId, AppStatus};

use super::{
    extract::{Authorized, Body, OptionalBody, Path, Query},
    problem::Problem,
};
use crate::{Context, apps};

/// List apps
///
/// Newest first, in parts; an app made meanwhile never moves the rest of the list. Private keys are
/// not listed.
#[utoipa::path(
    get, path = "/api/v1/apps", tag = "Apps", security(("admin_token" = [])),
    params(AppListQuery),
    responses(
        (status = 200, description = "A part of the list.", body = AppList),
        (status = "4XX", description = "invalid_argument, unauthenticated, token_invalid", body = ProblemBody, content_type = "application/problem+json"),
    )
)]
pub(super) async fn app_list(
    State(cx): State<Context>,
    Authorized(caller): Authorized,
    Query(query): Query<AppListQuery>,
) -> Result<Json<AppList>, Problem> {
    Ok(Json(apps::list(&cx, &caller, &query).await?))
}

/// Create an app
///
/// It is enabled at once. The answer holds its private key.
#[utoipa::path(
    post, path = "/api/v1/apps", tag = "Apps", security(("admin_token" = [])),
    request_body = AppCreate,
    responses(
        (status = 201, description = "The app with its private key.", body = AppView),
        (status = "4XX", description = "invalid_argument, conflict, too_large, unauthenticated, token_invalid", body = ProblemBody, content_type = "application/problem+json"),
    )
)]
pub(super) async fn app_create(
    State(cx): State<Context>,
    Authorized(caller): Authorized,
    Body(body): Body<AppCreate>,
) -> Result<(StatusCode, Json<AppView>), Problem> {
    Ok((StatusCode::CREATED, Json(apps::create(&cx, &caller, &body).await?)))
}

/// Show an app
///
/// With its private key.
#[utoipa::path(
    get, path = "/api/v1/apps/{app_id}", tag = "Apps", security(("admin_token" = [])),
    params(("app_id" = String, Path, description = "The app's id.")),
    responses(
        (status = 200, description = "The app with its private key.", body = AppView),
        (status = "4XX", description = "app_not_found, unauthenticated, token_invalid", body = ProblemBody, content_type = "application/problem+json"),
    )
)]
pub(super) async fn app_show(
    State(cx): State<Context>,
    Authorized(caller): Authorized,
    Path(id): Path<AppId>,
) -> Result<Json<AppView>, Problem> {
    Ok(Json(apps::show(&cx, &caller, &id).await?))
}

/// Change an app
///
/// What is left out stays as it is. Changes count at once.
#[utoipa::path(
    patch, path = "/api/v1/apps/{app_id}", tag = "Apps", security(("admin_token" = [])),
    params(("app_id" = String, Path, description = "The app's id.")),
    request_body = AppUpdate,
    responses(
        (status = 200, description = "The app as it is then.", body = AppView),
        (status = "4XX", description = "invalid_argument, app_not_found, conflict, too_large, unauthenticated, token_invalid", body = ProblemBody, content_type = "application/problem+json"),
    )
)]
pub(super) async fn app_update(
    State(cx): State<Context>,
    Authorized(caller): Authorized,
    Path(id): Path<AppId>,
    Body(body): Body<AppUpdate>,
) -> Result<Json<AppView>, Problem> {
    Ok(Json(apps::update(&cx, &caller, &id, &body).await?))
}

/// Delete an app
///
/// Its rooms end, its keys are void, its name is free again. This cannot be undone.
#[utoipa::path(
    delete, path = "/api/v1/apps/{app_id}", tag = "Apps", security(("admin_token" = [])),
    params(("app_id" = String, Path, description = "The app's id.")),
    responses(
        (status = 204, description = "The app is deleted."),
        (status = "4XX", description = "app_not_found, unauthenticated, token_invalid", body = ProblemBody, content_type = "application/problem+json"),
    )
)]
pub(super) async fn app_delete(
    State(cx): State<Context>,
    Authorized(caller): Authorized,
    Path(id): Path<AppId>,
) -> Result<StatusCode, Problem> {
    apps::delete(&cx, &caller, &id).await?;
    Ok(StatusCode::NO_CONTENT)
}

/// Enable an app
///
/// New rooms and joins are let in again. Enabling an enabled app changes nothing.
#[utoipa::path(
    post, path = "/api/v1/apps/{app_id}/enable", tag = "Apps", security(("admin_token" = [])),
    params(("app_id" = String, Path, description = "The app's id.")),
    responses(
        (status = 200, description = "The app as it is then.", body = AppView),
        (status = "4XX", description = "app_not_found, unauthenticated, token_invalid", body = ProblemBody, content_type = "application/problem+json"),
    )
)]
pub(super) async fn app_enable(
    State(cx): State<Context>,
    Authorized(caller): Authorized,
    Path(id): Path<AppId>,
) -> Result<Json<AppView>, Problem> {
    Ok(Json(apps::set_status(&cx, &caller, &id, AppStatus::Enabled).await?))
}

/// Disable an app
///
/// No new rooms and joins are let in; people inside stay. Disabling a disabled app changes nothing.
#[utoipa::path(
    post, path = "/api/v1/apps/{app_id}/disable", tag = "Apps", security(("admin_token" = [])),
    params(("app_id" = String, Path, description = "The app's id.")),
    responses(
        (status = 200, description = "The app as it is then.", body = AppView),
        (status = "4XX", description = "app_not_found, unauthenticated, token_invalid", body = ProblemBody, content_type = "application/problem+json"),
    )
)]
pub(super) async fn app_disable(
    State(cx): State<Context>,
    Authorized(caller): Authorized,
    Path(id): Path<AppId>,
) -> Result<Json<AppView>, Problem> {
    Ok(Json(apps::set_status(&cx, &caller, &id, AppStatus::Disabled).await?))
}

/// Replace an app's private key
///
/// Tokens and signatures of the old key count during the grace period; a key that was replaced
/// earlier ends at once.
#[utoipa::path(
    post, path = "/api/v1/apps/{app_id}/rotate-key", tag = "Apps", security(("admin_token" = [])),
    params(("app_id" = String, Path, description = "The app's id.")),
    request_body = Option<KeyRotate>,
    responses(
        (status = 200, description = "The app with its new key.", body = AppView),
        (status = "4XX", description = "invalid_argument, app_not_found, too_large, unauthenticated, token_invalid", body = ProblemBody, content_type = "application/problem+json"),
    )
)]
pub(super) async fn app_key_rotate(
    State(cx): State<Context>,
    Authorized(caller): Authorized,
    Path(id): Path<AppId>,
    OptionalBody(body): OptionalBody<KeyRotate>,
) -> Result<Json<AppView>, Problem> {
    Ok(Json(apps::rotate_key(&cx, &caller, &id, &body).await?))
}
