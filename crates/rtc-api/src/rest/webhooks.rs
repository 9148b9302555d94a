//! Where an app's room events are sent.

use serde::{Deserialize, Serialize};
use utoipa::ToSchema;

/// The receivers of an app's room events.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize, ToSchema)]
pub struct WebhookList {
    /// Receivers, in the order they were set.
    pub items: Vec<WebhookView>,
}

/// A receiver of an app's room events.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize, ToSchema)]
pub struct WebhookView {
    /// Where events are posted.
    #[schema(example = "https://example.org/rtc-events")]
    pub url: String,
    /// The events that are sent; empty means all.
    #[schema(example = json!(["room_started", "room_finished"]))]
    pub events: Vec<String>,
    /// Whether the receiver could be connected to when the URL was set. `false` is a warning: the
    /// URL is used all the same.
    pub reachable: bool,
}

/// The receivers that an app's room events shall have.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize, ToSchema)]
#[serde(deny_unknown_fields)]
pub struct WebhooksReplace {
    /// Receivers, at most ten; an empty list removes them all.
    pub items: Vec<NewWebhook>,
}

/// A receiver to set.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize, ToSchema)]
#[serde(deny_unknown_fields)]
pub struct NewWebhook {
    /// Where events are posted: http or https, at most 2,048 bytes, without user name and password.
    /// It must lead to a public address, unless the server's configuration allows others.
    #[schema(max_length = 2048, example = "https://example.org/rtc-events")]
    pub url: String,
    /// The events wanted: `room_started`, `room_finished`, `participant_joined`,
    /// `participant_left`, `participant_connection_aborted`, `track_published`,
    /// `track_unpublished`. Empty means all.
    #[serde(default)]
    #[schema(example = json!(["room_started", "room_finished"]))]
    pub events: Vec<String>,
}
