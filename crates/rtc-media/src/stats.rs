//! Counters of a room: plain numbers, read by value, never locked.

/// Why a datagram or packet was dropped.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub enum DropReason {
    /// Not STUN, DTLS, RTP or RTCP by its first byte (RFC 7983), or too short.
    UnknownProtocol,
    /// No peer of this room has this address or user name fragment.
    NoPeer,
    /// The engine refused it.
    Refused,
    /// No publication for its SSRC.
    NoPublication,
    /// No subscription could use it: late after a switch, of an unwanted layer, before a keyframe.
    NotForwardable,
}

/// Everything a room counts; each only grows.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct RoomStats {
    /// Datagrams taken.
    pub datagrams_received_total: u64,
    /// RTP packets taken from publishers.
    pub packets_received_total: u64,
    /// Payload and header bytes of those.
    pub bytes_received_total: u64,
    /// RTP packets written to subscribers.
    pub packets_forwarded_total: u64,
    /// Payload and header bytes of those.
    pub bytes_forwarded_total: u64,
    /// Datagrams handed out for sending.
    pub datagrams_sent_total: u64,
    /// Drops by reason, in the order of [`DropReason`].
    pub dropped_total: [u64; 5],
    /// Keyframe requests sent to publishers.
    pub keyframe_requests_total: u64,
    /// Keyframe requests of subscribers merged into one already under way.
    pub keyframe_requests_merged_total: u64,
    /// Layer changes of subscriptions.
    pub layer_switches_total: u64,
    /// Subscriptions paused for lack of bandwidth.
    pub pauses_total: u64,
    /// Data messages received.
    pub messages_received_total: u64,
    /// Data messages written.
    pub messages_sent_total: u64,
    /// Data messages dropped: over the rate, too large, or the channel was not open or full.
    pub messages_dropped_total: u64,
}

impl RoomStats {
    /// Counts one drop.
    pub(crate) fn drop(&mut self, reason: DropReason) {
        let slot = match reason {
            DropReason::UnknownProtocol => 0,
            DropReason::NoPeer => 1,
            DropReason::Refused => 2,
            DropReason::NoPublication => 3,
            DropReason::NotForwardable => 4,
        };
        if let Some(count) = self.dropped_total.get_mut(slot) {
            *count += 1;
        }
    }

    /// The words for the slots of `dropped_total`.
    pub const DROP_REASONS: [&'static str; 5] =
        ["unknown_protocol", "no_peer", "refused", "no_publication", "not_forwardable"];
}
