//! What a room says: to sessions, to observers, to its thread.

use std::{collections::BTreeMap, sync::Arc};

use rtc_model::{Codec, LeaveReason, ParticipantId, Quality, RejoinAdvice, StreamState, TrackId};

use crate::{
    command::{MessageChannel, PeerRole},
    info::{ConnectionQuality, ParticipantInfo, RoomInfo, Speaker, TrackInfo},
};

/// One thing that happened.
#[derive(Clone, Debug)]
pub enum Event {
    /// For one participant's session, in order.
    Signal {
        /// To whom.
        to: ParticipantId,
        /// What.
        signal: Signal,
    },
    /// A fact for observers: webhooks, logs, telemetry.
    Fact(Fact),
    /// A data message came in; who gets it is decided outside (the room does not read it).
    Message {
        /// From whom.
        from: ParticipantId,
        /// By which channel.
        channel: MessageChannel,
        /// The bytes as received.
        payload: Vec<u8>,
    },
    /// Datagrams with this ICE user name fragment belong to this room.
    UfragBound(String),
    /// No longer.
    UfragUnbound(String),
    /// The room ended; drop it after the last `poll_transmit`.
    Closed,
}

/// A message for a participant's signalling session; one variant per LiveKit `SignalResponse` we send.
#[derive(Clone, Debug)]
pub enum Signal {
    /// The answer to an offer on the publisher's connection.
    Answer {
        /// The offer's number.
        id: u32,
        /// SDP text.
        sdp: String,
        /// Which track each media section we send on carries.
        mid_to_track: BTreeMap<String, TrackId>,
    },
    /// The server's offer on the subscriber's connection.
    Offer {
        /// Our number.
        id: u32,
        /// SDP text.
        sdp: String,
        /// Which track each media section we send on carries.
        mid_to_track: BTreeMap<String, TrackId>,
    },
    /// More media sections are wanted (single topology); 0 and 0 asks for an offer only.
    MediaSectionsRequired {
        /// Further audio sections.
        audios: u32,
        /// Further video sections.
        videos: u32,
    },
    /// An announced track is taken.
    TrackPublished {
        /// The client's id.
        cid: String,
        /// The publication.
        track: Box<TrackInfo>,
    },
    /// The server ended a publication of this participant.
    TrackUnpublished {
        /// Which.
        track: TrackId,
    },
    /// Participants changed, came or went.
    Participants(Vec<Arc<ParticipantInfo>>),
    /// The room changed.
    Room(Arc<RoomInfo>),
    /// Who speaks changed.
    Speakers(Vec<Speaker>),
    /// Connection qualities changed.
    Quality(Vec<ConnectionQuality>),
    /// Subscribed streams were paused or resumed by the server.
    StreamStates(Vec<(ParticipantId, TrackId, StreamState)>),
    /// Which encodings of an own track anybody watches.
    SubscribedQuality {
        /// The track.
        track: TrackId,
        /// Per codec, per announced quality, whether it is watched.
        codecs: Vec<(Codec, Vec<(Quality, bool)>)>,
    },
    /// A right to subscribe was given or taken.
    SubscriptionPermission {
        /// The publisher.
        participant: ParticipantId,
        /// The track.
        track: TrackId,
        /// The right now.
        allowed: bool,
    },
    /// A subscription failed.
    SubscriptionFailed {
        /// The track.
        track: TrackId,
        /// Why.
        error: SubscriptionError,
    },
    /// Somebody subscribed to an own track for the first time.
    TrackSubscribed {
        /// The track.
        track: TrackId,
    },
    /// The server mutes or unmutes an own track.
    Mute {
        /// The track.
        track: TrackId,
        /// The new state.
        muted: bool,
    },
    /// Outcome of a numbered request.
    RequestResponse {
        /// The client's number.
        request_id: u32,
        /// How it went.
        outcome: RequestOutcome,
    },
    /// Rights, name or metadata changed: the session should refresh the token it will resume with.
    TokenStale,
    /// The stay, or this connection, ends; the session sends it and closes.
    Leave {
        /// Why.
        reason: LeaveReason,
        /// What the client should do next.
        advice: RejoinAdvice,
    },
}

/// Why a subscription failed.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum SubscriptionError {
    /// The track is not there.
    TrackNotFound,
    /// The subscriber negotiated none of the track's codecs.
    CodecUnsupported,
}

/// How a numbered request went.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum RequestOutcome {
    /// Done.
    Ok,
    /// The object is not there.
    NotFound,
    /// No right.
    NotAllowed,
    /// A limit on size.
    LimitExceeded,
}

/// Something observers may want to know.
#[derive(Clone, Debug)]
pub enum Fact {
    /// The room's first moment.
    RoomStarted(Arc<RoomInfo>),
    /// The room's last moment.
    RoomFinished(Arc<RoomInfo>),
    /// Media of a participant connected for the first time.
    ParticipantJoined(Arc<ParticipantInfo>),
    /// A participant that had been active left.
    ParticipantLeft(Arc<ParticipantInfo>, LeaveReason),
    /// A participant left before its media connected.
    ParticipantAborted(Arc<ParticipantInfo>, LeaveReason),
    /// A track was announced and its media section offered.
    TrackPublished(Arc<ParticipantInfo>, Box<TrackInfo>),
    /// A track is gone.
    TrackUnpublished(Arc<ParticipantInfo>, Box<TrackInfo>),
    /// A participant's ICE and DTLS state changed.
    PeerState {
        /// Whose.
        participant: ParticipantId,
        /// Which connection.
        role: PeerRole,
        /// Now.
        connected: bool,
    },
    /// A signalling session was resumed.
    Resumed(ParticipantId),
}
