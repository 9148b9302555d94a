//! Why a participant left, and what its client should do next.

use serde::{Deserialize, Serialize};

/// Why a participant's stay ended.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum LeaveReason {
    /// It said so.
    ClientInitiated,
    /// The same identity joined again.
    DuplicateIdentity,
    /// The server stops.
    ServerShutdown,
    /// An operator or the app's server removed it.
    ParticipantRemoved,
    /// The room was deleted.
    RoomDeleted,
    /// The room ended by itself.
    RoomClosed,
    /// Client and server no longer agree on the state.
    StateMismatch,
    /// It never got media or signalling running.
    JoinFailure,
    /// Signalling ended and did not come back in time.
    SignalClose,
    /// Media ended and did not come back in time.
    ConnectionTimeout,
    /// A bug of ours ended the room.
    Internal,
    /// The server's queues for this participant were full.
    Overloaded,
}

impl LeaveReason {
    /// The stable word for logs, metrics and the API.
    pub const fn as_str(self) -> &'static str {
        match self {
            Self::ClientInitiated => "client_initiated",
            Self::DuplicateIdentity => "duplicate_identity",
            Self::ServerShutdown => "server_shutdown",
            Self::ParticipantRemoved => "participant_removed",
            Self::RoomDeleted => "room_deleted",
            Self::RoomClosed => "room_closed",
            Self::StateMismatch => "state_mismatch",
            Self::JoinFailure => "join_failure",
            Self::SignalClose => "signal_close",
            Self::ConnectionTimeout => "connection_timeout",
            Self::Internal => "internal",
            Self::Overloaded => "overloaded",
        }
    }
}

/// What a client that is told to leave should do next.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum RejoinAdvice {
    /// Stay away.
    Disconnect,
    /// Open a new signalling connection for the same session.
    Resume,
    /// Join afresh.
    Reconnect,
}
