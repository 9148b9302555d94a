//! Limits on everything that comes from outside.

use std::time::Duration;

/// Limits of one room. Exceeding one refuses the newcomer or the message, never harms the others.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct RoomLimits {
    /// Most participants; 0 means no limit of the room's own.
    pub participants_max: u32,
    /// Most tracks one participant may publish.
    pub tracks_per_participant_max: usize,
    /// Largest metadata of a room or participant, attributes included, in bytes.
    pub metadata_bytes_max: usize,
    /// Largest data message in bytes.
    pub message_bytes_max: usize,
    /// Data bytes per second one participant may send, averaged over a second.
    pub message_bytes_per_second_max: u32,
    /// Largest session description taken, in bytes.
    pub sdp_bytes_max: usize,
    /// Most media sections in a session description.
    pub sdp_sections_max: usize,
    /// How long an unjoined room stays open.
    pub empty_timeout: Duration,
    /// How long a room stays open after the last participant left.
    pub departure_timeout: Duration,
}

impl Default for RoomLimits {
    fn default() -> Self {
        Self {
            participants_max: 0,
            tracks_per_participant_max: 32,
            metadata_bytes_max: 64 * 1024,
            message_bytes_max: 64 * 1024,
            message_bytes_per_second_max: 2 * 1024 * 1024,
            sdp_bytes_max: 512 * 1024,
            sdp_sections_max: 512,
            empty_timeout: Duration::from_secs(300),
            departure_timeout: Duration::from_secs(20),
        }
    }
}

/// Limits of one node.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct NodeLimits {
    /// Most open rooms of one app.
    pub rooms_per_app_max: usize,
    /// Most participants of one app.
    pub participants_per_app_max: usize,
    /// Joins per second from one address, averaged over ten seconds.
    pub joins_per_address_per_second_max: u32,
    /// Largest signalling message in bytes.
    pub signal_bytes_max: usize,
}

impl Default for NodeLimits {
    fn default() -> Self {
        Self {
            rooms_per_app_max: 10_000,
            participants_per_app_max: 50_000,
            joins_per_address_per_second_max: 50,
            signal_bytes_max: 1024 * 1024,
        }
    }
}
