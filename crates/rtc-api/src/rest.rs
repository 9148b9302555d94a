//! Bodies of the REST API, one file per resource.
//!
//! The doc comments here are what the OpenAPI document says; they are written for users of the
//! API. Times are RFC 3339 in UTC, durations carry their unit in their name.

use std::borrow::Cow;

use rtc_model::{AppKind, AppStatus, Role};
use serde::{Deserialize, Serialize};
use utoipa::{
    PartialSchema, ToSchema,
    openapi::{
        RefOr,
        schema::{ObjectBuilder, Schema, Type},
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

/// What an app is for. It changes nothing in how the app works; the EXCLUSIVE types are kept for
/// special arrangements.
#[derive(Debug)]
pub struct AppKindSchema;

/// Whether new rooms and joins are let in.
#[derive(Debug)]
pub struct AppStatusSchema;

/// What a participant may do: `joiner` sends and receives, `player` receives, `publisher` sends.
#[derive(Debug)]
pub struct RoleSchema;

// The vocabulary's enums know no OpenAPI; these stand for them in the document.

impl PartialSchema for AppKindSchema {
    fn schema() -> RefOr<Schema> {
        let about = "What an app is for. It changes nothing in how the app works; the EXCLUSIVE \
                     types are kept for special arrangements.";
        words(about, &AppKind::ALL.map(AppKind::as_str))
    }
}

impl ToSchema for AppKindSchema {
    fn name() -> Cow<'static, str> {
        "AppType".into()
    }
}

impl PartialSchema for AppStatusSchema {
    fn schema() -> RefOr<Schema> {
        let about = "Whether new rooms and joins are let in. People inside a disabled app's rooms \
                     stay.";
        words(about, &AppStatus::ALL.map(AppStatus::as_str))
    }
}

impl ToSchema for AppStatusSchema {
    fn name() -> Cow<'static, str> {
        "AppStatus".into()
    }
}

impl PartialSchema for RoleSchema {
    fn schema() -> RefOr<Schema> {
        let about = "What a participant may do: a `joiner` sends and receives, a `player` \
                     receives, a `publisher` sends.";
        words(about, &["joiner", "player", "publisher"])
    }
}

impl ToSchema for RoleSchema {
    fn name() -> Cow<'static, str> {
        "Role".into()
    }
}

fn words(about: &str, words: &[&'static str]) -> RefOr<Schema> {
    ObjectBuilder::new()
        .schema_type(Type::String)
        .description(Some(about))
        .enum_values(Some(words.iter().copied()))
        .into()
}

/// The role of a participant that asks for none: sends and receives.
fn default_role() -> Role {
    Role::Joiner
}
