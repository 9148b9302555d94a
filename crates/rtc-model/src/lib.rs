//! The vocabulary: ids, units, tracks, permissions, limits and reasons that every other crate shares.
//!
//! Values only. Nothing here does IO, is async, or knows a JSON or protobuf shape; ids and unit
//! newtypes carry serde because they are leaf values that must look the same everywhere.

#![warn(missing_docs, clippy::missing_errors_doc)]

mod app;
mod ids;
mod limits;
mod network;
mod permission;
mod reason;
mod track;
mod units;

pub use app::{AppKey, AppKind, AppStatus, UnknownWord};
pub use ids::{
    AppId, IdError, Identity, NodeId, ParticipantId, RandomBits, RoomId, RoomName, TrackId,
};
pub use limits::{NodeLimits, RoomLimits};
pub use network::{Network, NetworkError};
pub use permission::{ParticipantKind, Permissions, Role, SubscriptionPermission, TrackPermission};
pub use reason::{LeaveReason, RejoinAdvice};
pub use track::{
    Codec, Dtx, Layer, Quality, RedUse, Stereo, StreamState, TrackFeatures, TrackKind, TrackSource,
    VideoLayer,
};
pub use units::Bitrate;
