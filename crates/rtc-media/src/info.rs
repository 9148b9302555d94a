//! What others may know of a room, a participant and a track. Snapshots, handed out by value.

use std::{collections::BTreeMap, time::SystemTime};

use rtc_model::{
    Codec, Identity, ParticipantId, ParticipantKind, Permissions, RoomId, RoomName, TrackFeatures,
    TrackId, TrackKind, TrackSource, VideoLayer,
};

/// A room as everybody in it may know it.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct RoomInfo {
    /// This lifetime of the room.
    pub id: RoomId,
    /// Its name within the app.
    pub name: RoomName,
    /// Free text of the app.
    pub metadata: String,
    /// When it was opened.
    pub created_at: SystemTime,
    /// How long it stays open unjoined, in seconds.
    pub empty_timeout_s: u32,
    /// How long it stays open after the last participant left, in seconds.
    pub departure_timeout_s: u32,
    /// Most participants; 0 means no limit.
    pub participants_max: u32,
    /// Visible participants now.
    pub participant_count: u32,
    /// Participants with at least one publication now.
    pub publisher_count: u32,
}

/// Where a participant is in its stay.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum ParticipantState {
    /// Authorized and in the list; media is not connected.
    Joined,
    /// Media is connected.
    Active,
    /// Gone; the last state anyone hears of it.
    Disconnected(rtc_model::LeaveReason),
}

/// A participant as others in the room may know it.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct ParticipantInfo {
    /// This stay.
    pub id: ParticipantId,
    /// Who.
    pub identity: Identity,
    /// Display name.
    pub name: String,
    /// Free text.
    pub metadata: String,
    /// Named free texts.
    pub attributes: BTreeMap<String, String>,
    /// Program kind.
    pub kind: ParticipantKind,
    /// Rights.
    pub permissions: Permissions,
    /// Where in its stay.
    pub state: ParticipantState,
    /// When it joined.
    pub joined_at: SystemTime,
    /// Grows with every change; receivers drop older ones.
    pub version: u32,
    /// Whether it ever published.
    pub is_publisher: bool,
    /// Published tracks, oldest first.
    pub tracks: Vec<TrackInfo>,
}

/// A published track as others may know it.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct TrackInfo {
    /// This publication.
    pub id: TrackId,
    /// Audio or video.
    pub kind: TrackKind,
    /// Camera, microphone, screen or its sound.
    pub source: TrackSource,
    /// The publisher's name for it.
    pub name: String,
    /// The publisher's group, for lip-sync (`camera`, `screen` or its own).
    pub stream: String,
    /// Whether the publisher (or the server) holds it back.
    pub muted: bool,
    /// Announced size in pixels; 0 when unknown.
    pub width: u32,
    /// Announced size in pixels; 0 when unknown.
    pub height: u32,
    /// The first codec is the one published; others are backups. Empty before negotiation.
    pub codecs: Vec<TrackCodec>,
    /// Audio negotiation properties.
    pub features: TrackFeatures,
    /// Values of LiveKit's `AudioTrackFeature`, passed through unread.
    pub audio_features: Vec<i32>,
    /// Value of LiveKit's `Encryption.Type`, passed through unread (0 is none).
    pub encryption: i32,
    /// Value of LiveKit's `BackupCodecPolicy`, passed through unread.
    pub backup_codec_policy: i32,
    /// Bumped with every change, for clients that compare versions; microseconds since the epoch.
    pub version_us: u64,
}

/// One codec a track is or may be published in.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct TrackCodec {
    /// Which codec.
    pub codec: Codec,
    /// The client's id for this codec's media section.
    pub cid: String,
    /// Announced encodings, lowest first; empty for audio.
    pub layers: Vec<VideoLayer>,
    /// Value of LiveKit's `VideoLayer.Mode`, passed through unread.
    pub layer_mode: i32,
}

/// One participant's loudness.
#[derive(Clone, Copy, Debug, PartialEq)]
pub struct Speaker {
    /// Who.
    pub participant: ParticipantId,
    /// Linear loudness, 0 to 1; 0 when not active.
    pub level: f32,
    /// Whether it counts as speaking.
    pub active: bool,
}

/// A connection's grade in words.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub enum ConnectionGrade {
    /// Nothing arrives although it should.
    Lost,
    /// Hard to use.
    Poor,
    /// Usable.
    Good,
    /// As it should be.
    Excellent,
}

/// One participant's connection quality.
#[derive(Clone, Copy, Debug, PartialEq)]
pub struct ConnectionQuality {
    /// Whose.
    pub participant: ParticipantId,
    /// In words.
    pub grade: ConnectionGrade,
    /// Mean opinion score, 1 to 5.
    pub score: f32,
}
