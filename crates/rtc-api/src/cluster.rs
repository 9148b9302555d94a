//! What control plane and nodes say to each other over the bus, as JSON.
//!
//! A request is one of [`ControlRequest`] (node → control) or [`NodeRequest`] (control → node); its answer is
//! `Result<…, Refusal>`. Announcements are fire-and-forget.

use std::collections::BTreeMap;

use livekit_protocol as proto;
use rtc_model::{AppId, Identity, NodeId, ParticipantKind, Permissions, RoomName};
use serde::{Deserialize, Serialize};

use crate::code::Refusal;

/// Subject of [`ControlRequest`].
pub const SUBJECT_CONTROL: &str = "control";
/// Subject of [`AppChanged`].
pub const SUBJECT_APP_CHANGED: &str = "control.app-changed";
/// Subject of [`RoomEvent`].
pub const SUBJECT_ROOM_EVENTS: &str = "node.room-events";

/// Subject of [`NodeRequest`] for one node.
pub fn subject_node(node: NodeId) -> String {
    format!("node.{node}")
}

/// What a node asks the control plane.
#[derive(Clone, Debug, Serialize, Deserialize)]
#[serde(tag = "ask", rename_all = "snake_case")]
pub enum ControlRequest {
    /// May the bearer of this token join? Answered with [`JoinGrant`].
    AuthorizeJoin {
        /// The JWT as received.
        token: String,
    },
    /// A fresh token for a participant, to resume with. Answered with [`MintedToken`].
    RefreshToken {
        /// The grant as it is now (rights, name and metadata may have changed since the join).
        grant: Box<JoinGrant>,
    },
}

/// A permitted join.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct JoinGrant {
    /// The app whose key signed the token.
    pub app: AppId,
    /// Which room.
    pub room: RoomName,
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
    /// The app is disabled or deleted: people inside may resume, nobody may enter.
    pub app_disabled: bool,
    /// End of the token in Unix seconds.
    pub expires_at_s: u64,
    /// How the room is set up if this join opens it.
    pub room_settings: RoomSettings,
}

/// How a room is set up when it is opened. `None`: the server's default.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct RoomSettings {
    /// How long it stays open unjoined, in seconds.
    pub empty_timeout_s: Option<u32>,
    /// How long it stays open after the last participant left, in seconds.
    pub departure_timeout_s: Option<u32>,
    /// Most participants; 0 means no limit.
    pub participants_max: Option<u32>,
    /// Free text.
    pub metadata: Option<String>,
}

/// A fresh token.
#[derive(Clone, Serialize, Deserialize)]
pub struct MintedToken {
    /// The JWT.
    pub token: String,
}

/// What the control plane asks a node, for one app's rooms. The caller has been authorized.
#[derive(Clone, Debug, Serialize, Deserialize)]
pub struct NodeRequest {
    /// Whose rooms.
    pub app: AppId,
    /// What.
    pub call: RoomCall,
}

/// The calls of LiveKit's `RoomService`.
#[derive(Clone, Debug, Serialize, Deserialize)]
#[serde(tag = "call", content = "request", rename_all = "snake_case")]
#[expect(clippy::large_enum_variant, reason = "made once and read once, never stored in numbers")]
pub enum RoomCall {
    /// Opens a room, or finds it. Answer [`RoomAnswer::Room`].
    CreateRoom(proto::CreateRoomRequest),
    /// Answer [`RoomAnswer::Rooms`].
    ListRooms(proto::ListRoomsRequest),
    /// Answer [`RoomAnswer::Done`].
    DeleteRoom(proto::DeleteRoomRequest),
    /// Answer [`RoomAnswer::Participants`].
    ListParticipants(proto::ListParticipantsRequest),
    /// Answer [`RoomAnswer::Participant`].
    GetParticipant(proto::RoomParticipantIdentity),
    /// Answer [`RoomAnswer::Done`].
    RemoveParticipant(proto::RoomParticipantIdentity),
    /// Answer [`RoomAnswer::Track`].
    MutePublishedTrack(proto::MuteRoomTrackRequest),
    /// Answer [`RoomAnswer::Participant`].
    UpdateParticipant(proto::UpdateParticipantRequest),
    /// Answer [`RoomAnswer::Done`].
    UpdateSubscriptions(proto::UpdateSubscriptionsRequest),
    /// Answer [`RoomAnswer::Done`].
    SendData(proto::SendDataRequest),
    /// Answer [`RoomAnswer::Room`].
    UpdateRoomMetadata(proto::UpdateRoomMetadataRequest),
    /// Calls a method of a participant and waits. Answer [`RoomAnswer::Rpc`].
    PerformRpc(proto::PerformRpcRequest),
    /// Ends every room of the app (the app was deleted). Answer [`RoomAnswer::Done`].
    CloseAll,
}

/// Answers to [`RoomCall`].
#[derive(Clone, Debug, Serialize, Deserialize)]
#[serde(tag = "answer", content = "body", rename_all = "snake_case")]
pub enum RoomAnswer {
    /// Nothing to say.
    Done,
    /// One room.
    Room(proto::Room),
    /// Open rooms.
    Rooms(Vec<proto::Room>),
    /// One participant.
    Participant(proto::ParticipantInfo),
    /// Participants of a room.
    Participants(Vec<proto::ParticipantInfo>),
    /// One track.
    Track(proto::TrackInfo),
    /// An RPC's payload.
    Rpc(proto::PerformRpcResponse),
}

/// An answer as it crosses the bus.
pub type Answer<T> = Result<T, Refusal>;

/// An app was changed, disabled, rotated or deleted: caches of its grants are stale.
#[derive(Clone, Debug, Serialize, Deserialize)]
pub struct AppChanged {
    /// Which.
    pub app: AppId,
}

/// Something happened in a room; the control plane makes webhooks of it.
#[derive(Clone, Debug, Serialize, Deserialize)]
pub struct RoomEvent {
    /// Whose room.
    pub app: AppId,
    /// LiveKit's event, without `id` (the sender of webhooks gives it).
    pub event: proto::WebhookEvent,
}
