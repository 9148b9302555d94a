//! Apps.

use std::fmt;

use rtc_model::{AppId, AppKind, AppStatus};
use serde::{Deserialize, Serialize};
use utoipa::{IntoParams, ToSchema};

/// An app to create.
#[derive(Clone, Debug, Serialize, Deserialize, ToSchema)]
#[serde(deny_unknown_fields)]
pub struct AppCreate {
    /// 1 to 64 letters, digits, hyphens and underscores; no two apps have the same name.
    #[schema(
        min_length = 1,
        max_length = 64,
        pattern = "^[A-Za-z0-9_-]{1,64}$",
        example = "class"
    )]
    pub name: String,
    /// What the app is for. It changes nothing in how the app works; the EXCLUSIVE types are kept
    /// for special arrangements.
    #[serde(rename = "type", default)]
    #[schema(value_type = super::AppKindSchema)]
    pub kind: AppKind,
}

/// What to change about an app; what is left out stays as it is.
#[derive(Clone, Debug, Default, Serialize, Deserialize, ToSchema)]
#[serde(deny_unknown_fields)]
pub struct AppUpdate {
    /// A new name.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    #[schema(min_length = 1, max_length = 64, pattern = "^[A-Za-z0-9_-]{1,64}$")]
    pub name: Option<String>,
    /// A new type.
    #[serde(rename = "type", default, skip_serializing_if = "Option::is_none")]
    #[schema(value_type = Option<super::AppKindSchema>)]
    pub kind: Option<AppKind>,
    /// `disabled` lets no new rooms and joins in; people inside stay.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    #[schema(value_type = Option<super::AppStatusSchema>)]
    pub status: Option<AppStatus>,
    /// How joining is checked.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub authentication: Option<AuthenticationUpdate>,
}

/// What to change about the checks on joining; what is left out stays as it is.
#[derive(Clone, Debug, Default, Serialize, Deserialize, ToSchema)]
#[serde(deny_unknown_fields)]
pub struct AuthenticationUpdate {
    /// `false` lets anybody join who names the app: for a first try only.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub enabled: Option<bool>,
    /// How many seconds after its `ctime` an access signature still counts: 60 to 2,592,000.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    #[schema(minimum = 60, maximum = 2_592_000)]
    pub tolerance_s: Option<u32>,
}

/// An app.
#[derive(Clone, PartialEq, Eq, Serialize, Deserialize, ToSchema)]
pub struct AppView {
    /// The app's id: the issuer of its tokens, LiveKit's *API key*.
    #[schema(value_type = String, example = "60d539ba00d861ef0802742ce404400c")]
    pub app_id: AppId,
    /// The app's private key: the secret of its tokens and signatures, LiveKit's *API secret*.
    /// Stands in the answers for a single app, never in lists.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    #[schema(example = "0123456789ABCDEF0123456789ABCDEF")]
    pub app_key: Option<String>,
    /// The app's name.
    #[schema(example = "class")]
    pub name: String,
    /// What the app is for.
    #[serde(rename = "type")]
    #[schema(value_type = super::AppKindSchema)]
    pub kind: AppKind,
    /// The app's domain name, which leads to this server where DNS knows it.
    #[schema(example = "60d539ba00d861ef0802742ce404400c.localhost")]
    pub domain: String,
    /// Whether new rooms and joins are let in.
    #[schema(value_type = super::AppStatusSchema)]
    pub status: AppStatus,
    /// How joining is checked.
    pub authentication: Authentication,
    /// Until when the key before the last rotation still counts; absent when there is none.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    #[schema(format = DateTime)]
    pub previous_key_until: Option<String>,
    /// When the app was created.
    #[schema(format = DateTime, example = "2026-11-22T09:05:07.123Z")]
    pub created_at: String,
    /// When it was last changed.
    #[schema(format = DateTime, example = "2026-11-22T09:05:07.123Z")]
    pub updated_at: String,
}

impl fmt::Debug for AppView {
    /// Leaves the key out.
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("AppView")
            .field("app_id", &self.app_id)
            .field("name", &self.name)
            .field("status", &self.status)
            .finish_non_exhaustive()
    }
}

/// How joining an app's rooms is checked.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize, ToSchema)]
pub struct Authentication {
    /// Whether joining needs a good token or signature. `false`: naming the app is enough.
    pub enabled: bool,
    /// How many seconds after its `ctime` an access signature still counts.
    #[schema(example = 300)]
    pub tolerance_s: u32,
}

/// A part of the list of apps.
#[derive(Clone, Debug, Serialize, Deserialize, ToSchema)]
pub struct AppList {
    /// Apps, newest first, without their keys.
    pub items: Vec<AppView>,
    /// What to send as `after` to get the next part; absent at the end of the list.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub next: Option<String>,
}

/// Which apps to list.
#[derive(Clone, Debug, Default, Serialize, Deserialize, IntoParams)]
#[serde(deny_unknown_fields)]
#[into_params(parameter_in = Query)]
pub struct AppListQuery {
    /// Only apps of this status.
    #[serde(default)]
    #[param(value_type = Option<super::AppStatusSchema>)]
    pub status: Option<AppStatus>,
    /// `next` of the part before.
    #[serde(default)]
    pub after: Option<String>,
    /// At most so many: 1 to 100.
    #[serde(default)]
    #[param(minimum = 1, maximum = 100, default = 50)]
    pub limit: Option<u32>,
}

/// How to replace an app's key.
#[derive(Clone, Debug, Default, Serialize, Deserialize, ToSchema)]
#[serde(deny_unknown_fields)]
pub struct KeyRotate {
    /// For how many seconds the old key still counts: 0 to 2,592,000.
    #[serde(default)]
    #[schema(minimum = 0, maximum = 2_592_000, default = 86_400)]
    pub grace_s: Option<u32>,
}
