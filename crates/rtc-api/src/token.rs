//! LiveKit's tokens and the guide's access signature: their shape, making and checking.

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
    /// `screen_share_audio`); goes before `can_publish` unless empty.
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

fn is_false(value: &bool) -> bool {
    !value
}
