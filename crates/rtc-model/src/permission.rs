//! What a participant may do.

use serde::{Deserialize, Serialize};

use crate::{Identity, TrackId, TrackSource};

/// A participant's rights in its room. The defaults are those of a token that says nothing.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[expect(clippy::struct_excessive_bools, reason = "independent rights, named as on the wire")]
pub struct Permissions {
    /// May receive others' tracks.
    pub can_subscribe: bool,
    /// May publish tracks.
    pub can_publish: bool,
    /// May send data messages.
    pub can_publish_data: bool,
    /// The only sources it may publish; empty means all.
    pub can_publish_sources: Vec<TrackSource>,
    /// Others do not see it.
    pub hidden: bool,
    /// May change its own name, metadata and attributes.
    pub can_update_metadata: bool,
    /// May receive others' metrics.
    pub can_subscribe_metrics: bool,
}

impl Permissions {
    /// Whether a track of this source may be published.
    pub fn may_publish(&self, source: TrackSource) -> bool {
        self.can_publish
            && (self.can_publish_sources.is_empty() || self.can_publish_sources.contains(&source))
    }
}

impl Default for Permissions {
    fn default() -> Self {
        Self {
            can_subscribe: true,
            can_publish: true,
            can_publish_data: true,
            can_publish_sources: Vec::new(),
            hidden: false,
            can_update_metadata: false,
            can_subscribe_metrics: false,
        }
    }
}

/// The guide's roles.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Role {
    /// Sends and receives.
    #[default]
    Joiner,
    /// Receives only.
    Player,
    /// Sends only.
    Publisher,
}

/// What kind of program a participant is.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum ParticipantKind {
    /// A person's client.
    #[default]
    Standard,
    /// Brings media in from elsewhere.
    Ingress,
    /// Records or streams out.
    Egress,
    /// A telephone line.
    Sip,
    /// A program that takes part.
    Agent,
    /// A connector to another platform.
    Connector,
    /// A bridge to another room.
    Bridge,
}

/// Who may subscribe to a publisher's tracks, as the publisher says.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum SubscriptionPermission {
    /// Everybody, everything: the default.
    Everybody,
    /// Only those named.
    Only(Vec<TrackPermission>),
}

/// One participant's right to a publisher's tracks.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct TrackPermission {
    /// Who.
    pub identity: Identity,
    /// Which tracks; `None` means all.
    pub tracks: Option<Vec<TrackId>>,
}
