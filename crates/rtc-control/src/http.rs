//! The REST API's HTTP skin: reads requests, calls the operation, writes the answer. Decides
//! nothing.
//!
//! Routes and document come from the same code: what is registered here with `routes!` stands in
//! the OpenAPI document, and nothing else does. Every refusal leaves as a problem document
//! (`problem`).

use axum::{
    Router,
    extract::DefaultBodyLimit,
    middleware,
    response::{IntoResponse, Response},
    routing::get,
};
use rtc_api::{
    code::{ErrorCode, Refusal},
    rest::Problem as ProblemBody,
};
use utoipa::{
    OpenApi,
    openapi::{
        OpenApi as Document,
        security::{HttpAuthScheme, HttpBuilder, SecurityScheme},
    },
};
use utoipa_axum::{router::OpenApiRouter, routes};

mod apps;
mod extract;
mod problem;
mod rooms;
mod tokens;
mod webhooks;

use problem::Problem;

use crate::Context;

/// `/api/v1/*`.
pub(crate) fn router(cx: &Context) -> Router {
    let (router, document) = api().split_for_parts();
    let document = document.to_json().map_err(|error| {
        tracing::error!(%error, "the OpenAPI document cannot be written");
    });
    router
        .route("/api/v1/openapi.json", get(move || serve_document(document.clone().ok())))
        .route("/api/v1/{*path}", axum::routing::any(no_such_path))
        .method_not_allowed_fallback(no_such_method)
        .layer(DefaultBodyLimit::max(cx.limits.body_bytes_max))
        .layer(middleware::from_fn(problem::write_problems))
        .with_state(cx.clone())
}

/// The OpenAPI document of the REST API.
pub fn document() -> Document {
    api().into_openapi()
}

/// The document as it is committed: pretty-printed JSON with a line break at its end.
///
/// # Errors
/// When the document cannot be written as JSON: a bug of ours.
pub fn document_text() -> Result<String, serde_json::Error> {
    document().to_pretty_json().map(|text| text + "\n")
}

fn api() -> OpenApiRouter<Context> {
    OpenApiRouter::with_openapi(Frame::openapi())
        .routes(routes!(apps::app_list, apps::app_create))
        .routes(routes!(apps::app_show, apps::app_update, apps::app_delete))
        .routes(routes!(apps::app_enable))
        .routes(routes!(apps::app_disable))
        .routes(routes!(apps::app_key_rotate))
        .routes(routes!(tokens::token_create))
        .routes(routes!(tokens::access_token_create))
        .routes(routes!(rooms::room_list))
        .routes(routes!(rooms::participant_list))
        .routes(routes!(webhooks::webhook_list, webhooks::webhook_replace))
}

/// What the document says beside its operations.
#[derive(OpenApi)]
#[openapi(
    info(
        title = "SparkRTC",
        description = "Apps, tokens and rooms of a SparkRTC server. All operations but the \
                       exchange of access signatures take the server's admin token as a bearer \
                       token. Refusals are problem documents (RFC 9457) with a stable `code`.",
        license(name = "Apache-2.0", identifier = "Apache-2.0")
    ),
    components(schemas(ProblemBody)),
    modifiers(&Bearer),
    tags(
        (name = "Apps", description = "Owners of a key pair, rooms and statistics."),
        (name = "Tokens", description = "What lets people join."),
        (name = "Rooms", description = "What is open, and who is inside."),
        (name = "Webhooks", description = "Who is told what happens in rooms."),
    )
)]
struct Frame;

struct Bearer;

impl utoipa::Modify for Bearer {
    fn modify(&self, document: &mut Document) {
        let scheme = HttpBuilder::new()
            .scheme(HttpAuthScheme::Bearer)
            .description(Some("The content of the file `admin.token` of the data directory."));
        let components = document.components.get_or_insert_default();
        components.add_security_scheme("admin_token", SecurityScheme::Http(scheme.build()));
    }
}

async fn serve_document(document: Option<String>) -> Response {
    match document {
        Some(json) => ([(::http::header::CONTENT_TYPE, "application/json")], json).into_response(),
        None => Problem::from(Refusal::from(ErrorCode::Internal)).into_response(),
    }
}

async fn no_such_path() -> Problem {
    Refusal::from(ErrorCode::NotFound).into()
}

async fn no_such_method() -> Problem {
    Refusal::from(ErrorCode::MethodNotAllowed).into()
}
