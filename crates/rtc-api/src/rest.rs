//! Bodies of the REST API, one file per resource.
//!
//! The doc comments here are what the OpenAPI document says; they are written for users of the
//! API. Times are RFC 3339 in UTC, durations carry their unit in their name.

use rtc_model::{AppKind, AppStatus, Role};
use serde::{Deserialize, Serialize};
use utoipa::{
    ToSchema,
    openapi::{
        Object,
        schema::{ObjectBuilder, Type},
    },
};

pub mod apps;
pub mod rooms;
pub mod time;
pub mod tokens;
pub mod webhooks;

/// Why a request was refused (RFC 9457, `application/problem+json`).
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize, ToSchema)]
pub struct Problem {
    /// The kind of problem as a URI: `urn:sparkrtc:error:` and the code.
    #[serde(rename = "type")]
    #[schema(example = "urn:sparkrtc:error:app_not_found")]
    pub kind: String,
    /// What happened, in one sentence; the same for every problem of this code.
    #[schema(example = "There is no such app.")]
    pub title: String,
    /// The HTTP status.
    #[schema(example = 404)]
    pub status: u16,
    /// What exactly happened here, and what to do.
    #[schema(example = "Check the app ID.")]
    pub detail: String,
    /// The stable code to branch on.
    #[schema(example = "app_not_found")]
    pub code: String,
    /// Names this request in the server's log.
    #[schema(example = "5e1f0c1be3d94d5c8b54d3cf1a1c9f21")]
    pub request_id: String,
}

fn app_kind_schema() -> Object {
    words(AppKind::ALL.map(AppKind::as_str), AppKind::Other.as_str())
}

fn app_status_schema() -> Object {
    words(AppStatus::ALL.map(AppStatus::as_str), AppStatus::Enabled.as_str())
}

fn role_schema() -> Object {
    words(["joiner", "player", "publisher"], "joiner")
}

/// The vocabulary's enums know no OpenAPI; their words are listed here.
fn words<const N: usize>(words: [&str; N], example: &str) -> Object {
    ObjectBuilder::new()
        .schema_type(Type::String)
        .enum_values(Some(words))
        .examples([example])
        .build()
}

/// The role of a participant that asks for none: sends and receives.
fn default_role() -> Role {
    Role::Joiner
}
