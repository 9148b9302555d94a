//! What a token lets its bearer do.

use rtc_model::{ParticipantKind, Permissions, Role, RoomName, TrackSource};
use serde::{Deserialize, Serialize};

/// LiveKit's `video` grants, as they stand in a token.
///
/// Absent rights are `None`, because their defaults depend on each other.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase", default)]
#[expect(clippy::struct_excessive_bools, reason = "independent grants, named as on the wire")]
pub struct VideoGrants {
    /// May open and end rooms.
    #[serde(skip_serializing_if = "is_false")]
    pub room_create: bool,
    /// May list rooms.
    #[serde(skip_serializing_if = "is_false")]
    pub room_list: bool,
    /// May record rooms.
    #[serde(skip_serializing_if = "is_false")]
    pub room_record: bool,
    /// May steer the room `room`.
    #[serde(skip_serializing_if = "is_false")]
    pub room_admin: bool,
    /// May join the room `room`.
    #[serde(skip_serializing_if = "is_false")]
    pub room_join: bool,
    /// Which room.
    #[serde(skip_serializing_if = "String::is_empty")]
    pub room: String,
    /// May publish tracks; absent: yes.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub can_publish: Option<bool>,
    /// May receive tracks; absent: yes.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub can_subscribe: Option<bool>,
    /// May send data; absent: as `can_publish`.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub can_publish_data: Option<bool>,
    /// The only sources it may publish (`camera`, `microphone`, `screen_share`,
    /// `screen_share_audio`); empty: all.
    #[serde(skip_serializing_if = "Vec::is_empty")]
    pub can_publish_sources: Vec<String>,
    /// May change its own name, metadata and attributes; absent: no.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub can_update_own_metadata: Option<bool>,
    /// May manage ingress.
    #[serde(skip_serializing_if = "is_false")]
    pub ingress_admin: bool,
    /// Others do not see it.
    #[serde(skip_serializing_if = "is_false")]
    pub hidden: bool,
    /// It records the room.
    #[serde(skip_serializing_if = "is_false")]
    pub recorder: bool,
    /// It is a program that takes part.
    #[serde(skip_serializing_if = "is_false")]
    pub agent: bool,
    /// May receive others' metrics; absent: no.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub can_subscribe_metrics: Option<bool>,
    /// May manage agents' sessions; absent: no.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub can_manage_agent_session: Option<bool>,
    /// Where a participant may be moved or forwarded to.
    #[serde(skip_serializing_if = "String::is_empty")]
    pub destination_room: String,
}

impl VideoGrants {
    /// The grants that let a participant join `room` in one of the guide's roles.
    pub fn for_role(room: &RoomName, role: Role) -> Self {
        let (publish, subscribe) = match role {
            Role::Joiner => (true, true),
            Role::Player => (false, true),
            Role::Publisher => (true, false),
        };
        Self {
            room_join: true,
            room: room.as_str().to_owned(),
            can_publish: Some(publish),
            can_subscribe: Some(subscribe),
            can_publish_data: Some(publish),
            ..Self::default()
        }
    }

    /// What a participant with these grants may do in the room.
    ///
    /// Absent rights take LiveKit's defaults: publish and subscribe yes, data as publish, the rest
    /// no. Sources that are not known are left out; when none is left, nothing may be published.
    pub fn permissions(&self) -> Permissions {
        let sources: Vec<TrackSource> =
            self.can_publish_sources.iter().filter_map(|name| source(name)).collect();
        let only_unknown_sources = sources.is_empty() && !self.can_publish_sources.is_empty();
        let can_publish = self.can_publish.unwrap_or(true);
        Permissions {
            can_subscribe: self.can_subscribe.unwrap_or(true),
            can_publish: can_publish && !only_unknown_sources,
            can_publish_data: self.can_publish_data.unwrap_or(can_publish),
            can_publish_sources: sources,
            hidden: self.hidden,
            can_update_metadata: self.can_update_own_metadata.unwrap_or(false),
            can_subscribe_metrics: self.can_subscribe_metrics.unwrap_or(false),
        }
    }

    /// The grants that give a participant of `room` these permissions: the way back from
    /// [`VideoGrants::permissions`].
    pub fn from_permissions(room: &RoomName, permissions: &Permissions) -> Self {
        Self {
            room_join: true,
            room: room.as_str().to_owned(),
            can_publish: Some(permissions.can_publish),
            can_subscribe: Some(permissions.can_subscribe),
            can_publish_data: Some(permissions.can_publish_data),
            can_publish_sources: permissions
                .can_publish_sources
                .iter()
                .map(|&source| source_name(source).to_owned())
                .collect(),
            can_update_own_metadata: Some(permissions.can_update_metadata),
            hidden: permissions.hidden,
            can_subscribe_metrics: Some(permissions.can_subscribe_metrics),
            ..Self::default()
        }
    }
}

/// The program kind that a token names in `kind`; unknown words mean a standard client.
pub fn participant_kind(name: &str) -> ParticipantKind {
    KINDS.into_iter().find(|&kind| participant_kind_name(kind) == name).unwrap_or_default()
}

/// How a token names a program kind.
pub fn participant_kind_name(kind: ParticipantKind) -> &'static str {
    match kind {
        ParticipantKind::Standard => "standard",
        ParticipantKind::Ingress => "ingress",
        ParticipantKind::Egress => "egress",
        ParticipantKind::Sip => "sip",
        ParticipantKind::Agent => "agent",
        ParticipantKind::Connector => "connector",
        ParticipantKind::Bridge => "bridge",
    }
}

const KINDS: [ParticipantKind; 7] = [
    ParticipantKind::Standard,
    ParticipantKind::Ingress,
    ParticipantKind::Egress,
    ParticipantKind::Sip,
    ParticipantKind::Agent,
    ParticipantKind::Connector,
    ParticipantKind::Bridge,
];

const SOURCES: [TrackSource; 4] = [
    TrackSource::Camera,
    TrackSource::Microphone,
    TrackSource::ScreenShare,
    TrackSource::ScreenShareAudio,
];

/// Tokens write sources in lower case; some libraries write the protobuf name.
fn source(name: &str) -> Option<TrackSource> {
    let name = name.to_ascii_lowercase();
    SOURCES.into_iter().find(|&source| source_name(source) == name)
}

fn source_name(source: TrackSource) -> &'static str {
    match source {
        TrackSource::Unknown => "unknown",
        TrackSource::Camera => "camera",
        TrackSource::Microphone => "microphone",
        TrackSource::ScreenShare => "screen_share",
        TrackSource::ScreenShareAudio => "screen_share_audio",
    }
}

fn is_false(value: &bool) -> bool {
    !value
}
