//! Rooms and who is in them.

use std::collections::BTreeMap;

use serde::{Deserialize, Serialize};
use utoipa::ToSchema;

/// The open rooms of an app.
#[derive(Clone, Debug, Serialize, Deserialize, ToSchema)]
pub struct RoomList {
    /// Rooms, by name.
    pub items: Vec<RoomView>,
}

/// An open room.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize, ToSchema)]
pub struct RoomView {
    /// This lifetime of the room; a room of the same name opened later has another.
    #[schema(example = "RM_7Q2M9XKD4PHT")]
    pub sid: String,
    /// The room's name.
    #[schema(example = "room001")]
    pub name: String,
    /// How many participants are in it.
    pub participants: u32,
    /// How many of them publish.
    pub publishers: u32,
    /// Most participants; 0 means no limit of its own.
    pub participants_max: u32,
    /// Free text about the room.
    pub metadata: String,
    /// When it was opened.
    #[schema(format = DateTime)]
    pub created_at: String,
}

/// Who is in a room.
#[derive(Clone, Debug, Serialize, Deserialize, ToSchema)]
pub struct ParticipantList {
    /// Participants, in the order they joined.
    pub items: Vec<ParticipantView>,
}

/// A participant of an open room.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize, ToSchema)]
pub struct ParticipantView {
    /// This stay in the room.
    #[schema(example = "PA_7Q2M9XKD4PHT")]
    pub sid: String,
    /// Who it is.
    #[schema(example = "user001")]
    pub identity: String,
    /// The name that others see.
    pub name: String,
    /// `joining`, `joined`, `active` or `disconnected`.
    #[schema(example = "active")]
    pub state: String,
    /// Free text about the participant.
    pub metadata: String,
    /// Named free texts about the participant.
    pub attributes: BTreeMap<String, String>,
    /// What it publishes.
    pub tracks: Vec<TrackView>,
    /// When it joined.
    #[schema(format = DateTime)]
    pub joined_at: String,
}

/// A published track.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize, ToSchema)]
pub struct TrackView {
    /// The publication.
    #[schema(example = "TR_7Q2M9XKD4PHT")]
    pub sid: String,
    /// The track's name.
    pub name: String,
    /// `audio`, `video` or `data`.
    #[schema(example = "video")]
    pub kind: String,
    /// `camera`, `microphone`, `screen_share`, `screen_share_audio` or `unknown`.
    #[schema(example = "camera")]
    pub source: String,
    /// Whether it is muted.
    pub muted: bool,
    /// Width in pixels; 0 for audio.
    pub width: u32,
    /// Height in pixels; 0 for audio.
    pub height: u32,
    /// Media type.
    #[schema(example = "video/VP8")]
    pub mime_type: String,
}
