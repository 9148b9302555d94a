//! What a room can be told: by a participant's signalling session, or by the control plane.

use std::{collections::BTreeMap, net::SocketAddr, sync::Arc, time::SystemTime};

use rtc_model::{
    Codec, Identity, LeaveReason, ParticipantId, ParticipantKind, Permissions, Quality,
    SubscriptionPermission, TrackFeatures, TrackId, TrackKind, TrackSource, VideoLayer,
};

use crate::info::{ParticipantInfo, RoomInfo};

/// One instruction. Commands of one session are applied in the order given.
#[derive(Debug)]
pub enum Command {
    /// A new participant; replies [`Reply::Joined`]. The same identity's earlier stay ends.
    Join(Box<Join>),
    /// A session that comes back after its signalling connection broke; replies [`Reply::Resumed`].
    Resume(Resume),
    /// The signalling connection broke; the stay goes on while media lives.
    SessionLost {
        /// Whose.
        participant: ParticipantId,
        /// The value given in [`Join`] or [`Resume`]; an older session's end changes nothing.
        session: SessionNumber,
    },
    /// The stay ends.
    Leave {
        /// Whose.
        participant: ParticipantId,
        /// Why, as others will be told.
        reason: LeaveReason,
    },
    /// What a participant asks for in its own session.
    Participant {
        /// Who asks.
        from: ParticipantId,
        /// What.
        request: Request,
    },
    /// What the app's server asks for.
    Admin(Admin),
    /// A data message to be written to the named participants.
    SendMessage {
        /// To whom; those that are gone are skipped.
        to: Vec<ParticipantId>,
        /// By which channel.
        channel: MessageChannel,
        /// The bytes, as they go on the wire.
        payload: Arc<[u8]>,
    },
    /// Everybody leaves with this reason and the room ends.
    Close {
        /// Why.
        reason: LeaveReason,
    },
}

/// Counts the signalling connections of a participant.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub struct SessionNumber(pub u64);

/// How many peer connections a client keeps, and who offers what the server sends.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Topology {
    /// One connection; the client always offers (`/rtc/v1`).
    Single,
    /// The client offers what it publishes, the server offers what it sends (`/rtc`).
    Dual,
}

/// Which of a client's connections. With [`Topology::Single`] there is only the publisher's.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub enum PeerRole {
    /// The client offers.
    Publisher,
    /// The server offers.
    Subscriber,
}

/// Whether new tracks of others are subscribed without being asked for.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum AutoSubscribe {
    /// Everything that is permitted.
    On,
    /// Only what is asked for.
    Off,
}

/// A participant's entry.
#[derive(Clone, Debug)]
pub struct Join {
    /// Number of the signalling connection.
    pub session: SessionNumber,
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
    /// One or two peer connections.
    pub topology: Topology,
    /// Whether everything is subscribed at once.
    pub auto_subscribe: AutoSubscribe,
    /// Whether the client asks for layers by the size it shows; until it has, nothing above the lowest is sent.
    pub adaptive_stream: bool,
    /// Wall-clock time, for the list others see.
    pub joined_at: SystemTime,
    /// Signal protocol version; older ones do not get some replies.
    pub protocol: u32,
    /// True for clients whose `MediaStream` ids must be unique per track (Firefox).
    pub stream_per_track: bool,
    /// Tracks announced with the join request, before the offer is looked at.
    pub publish: Vec<Publish>,
    /// The offer that came with the join request (single topology).
    pub offer: Option<Description>,
}

/// A session description with the number that ties offer and answer.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Description {
    /// The offerer's number; an answer repeats it.
    pub id: u32,
    /// SDP text.
    pub sdp: String,
}

/// A session's return.
#[derive(Clone, Debug)]
pub struct Resume {
    /// Number of the new signalling connection.
    pub session: SessionNumber,
    /// Whose stay; must be of `identity`.
    pub participant: ParticipantId,
    /// Who.
    pub identity: Identity,
    /// One or two peer connections; must equal the stay's.
    pub topology: Topology,
}

/// What a participant can ask for.
#[derive(Clone, Debug)]
pub enum Request {
    /// An offer for the publisher's connection.
    Offer(Description),
    /// An answer to the server's offer on the subscriber's connection.
    Answer(Description),
    /// A remote ICE candidate (the text after `candidate:` or with it).
    Candidate {
        /// Of which connection.
        role: PeerRole,
        /// As in `RTCIceCandidateInit.candidate`.
        candidate: String,
    },
    /// Announces a track; matched with a media section of an offer by `cid`, in either order.
    Publish(Box<Publish>),
    /// Mutes or unmutes an own track.
    Mute {
        /// Which.
        track: TrackId,
        /// The new state.
        muted: bool,
    },
    /// Changes what is announced of an own track; `None` leaves a value.
    UpdateTrack {
        /// Which.
        track: TrackId,
        /// New width.
        width: Option<u32>,
        /// New height.
        height: Option<u32>,
        /// New audio features.
        audio_features: Option<Vec<i32>>,
    },
    /// Subscribes to or unsubscribes from tracks.
    Subscribe {
        /// Which.
        tracks: Vec<TrackId>,
        /// True to receive.
        subscribe: bool,
    },
    /// Wishes for subscribed tracks.
    TrackSettings {
        /// Which.
        tracks: Vec<TrackId>,
        /// How.
        wish: Wish,
    },
    /// Who may subscribe to own tracks.
    SubscriptionPermission(SubscriptionPermission),
    /// Changes own name, metadata, attributes. Needs the right; replies with [`crate::event::Signal::RequestResponse`].
    UpdateMetadata {
        /// The client's number for this request.
        request_id: u32,
        /// The change.
        change: ParticipantChange,
    },
    /// What the client believes after a resume.
    SyncState(SyncState),
    /// Asks the server to misbehave, for tests of clients.
    Simulate(Simulation),
}

/// A track about to be published.
#[derive(Clone, Debug)]
pub struct Publish {
    /// The client's id: the track part of `a=msid`.
    pub cid: String,
    /// An existing publication that gets a backup codec.
    pub existing: Option<TrackId>,
    /// Audio or video.
    pub kind: TrackKind,
    /// Camera, microphone, screen or its sound.
    pub source: TrackSource,
    /// The publisher's name for it.
    pub name: String,
    /// The publisher's group, for lip-sync; empty for the source's default.
    pub stream: String,
    /// Starts muted.
    pub muted: bool,
    /// Width in pixels; 0 when unknown.
    pub width: u32,
    /// Height in pixels; 0 when unknown.
    pub height: u32,
    /// Encodings of the first codec.
    pub layers: Vec<VideoLayer>,
    /// Wanted codecs, preferred first; empty means what the offer prefers.
    pub codecs: Vec<PublishCodec>,
    /// Audio negotiation properties.
    pub features: TrackFeatures,
    /// LiveKit's values, passed through.
    pub audio_features: Vec<i32>,
    /// LiveKit's value, passed through.
    pub encryption: i32,
    /// LiveKit's value, passed through.
    pub backup_codec_policy: i32,
}

/// One codec of a track about to be published.
#[derive(Clone, Debug)]
pub struct PublishCodec {
    /// Which codec.
    pub codec: Codec,
    /// The client's id for its media section; empty for a backup not yet published.
    pub cid: String,
    /// Its encodings; empty: as the track's.
    pub layers: Vec<VideoLayer>,
    /// LiveKit's value, passed through.
    pub layer_mode: i32,
}

/// What a subscriber wants of a track.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Wish {
    /// Nothing for now.
    pub disabled: bool,
    /// The encoding, when no size is given.
    pub quality: Option<Quality>,
    /// The size it is shown at, in pixels.
    pub size: Option<(u32, u32)>,
    /// Most frames per second.
    pub fps: Option<u32>,
    /// Larger is served first.
    pub priority: u32,
}

/// A change of what is known of a participant; `None` leaves a value.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct ParticipantChange {
    /// New display name.
    pub name: Option<String>,
    /// New metadata.
    pub metadata: Option<String>,
    /// Attributes to set; an empty value deletes.
    pub attributes: BTreeMap<String, String>,
}

/// What a client believes after a resume.
#[derive(Clone, Debug, Default)]
pub struct SyncState {
    /// Its last offer (single topology and publisher side).
    pub offer: Option<Description>,
    /// Its last answer (dual topology, subscriber side).
    pub answer: Option<Description>,
    /// Tracks it thinks it publishes.
    pub published: Vec<TrackId>,
    /// Tracks whose subscription it set itself, and how.
    pub subscriptions: Vec<(TrackId, bool)>,
    /// Tracks it had disabled.
    pub disabled: Vec<TrackId>,
}

/// A scenario of LiveKit's `SimulateScenario` that the room plays (others are the session's).
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Simulation {
    /// Pretends the participant speaks for so many seconds.
    SpeakerUpdate {
        /// How long.
        seconds: u32,
    },
    /// Tells the client to rejoin afresh.
    LeaveFullReconnect,
    /// The participant's stay ends as if its media had failed.
    NodeFailure,
    /// Caps the estimate for this subscriber; `None` lifts the cap.
    SubscriberBandwidth {
        /// In bits per second.
        bps: Option<u64>,
    },
}

/// What the app's server can ask for.
#[derive(Clone, Debug)]
pub enum Admin {
    /// Removes a participant.
    Remove {
        /// Who.
        identity: Identity,
    },
    /// Mutes or unmutes a track; the participant is told.
    MuteTrack {
        /// Whose.
        identity: Identity,
        /// Which.
        track: TrackId,
        /// The new state.
        muted: bool,
    },
    /// Changes a participant.
    UpdateParticipant {
        /// Who.
        identity: Identity,
        /// What others know of it.
        change: ParticipantChange,
        /// Its rights.
        permissions: Option<Permissions>,
    },
    /// Subscribes a participant to tracks, or unsubscribes it.
    UpdateSubscriptions {
        /// Who.
        identity: Identity,
        /// Which tracks.
        tracks: Vec<TrackId>,
        /// True to receive.
        subscribe: bool,
    },
    /// Replaces the room's metadata.
    UpdateRoomMetadata {
        /// The new text.
        metadata: String,
    },
}

/// A data channel (both directions).
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub enum MessageChannel {
    /// Ordered, repeated until received (`_reliable`).
    Reliable,
    /// Unordered, never repeated (`_lossy`).
    Lossy,
}

/// What a command gives back at once.
#[derive(Debug)]
pub enum Reply {
    /// Nothing to say.
    Done,
    /// The newcomer's first view of the room.
    Joined(Box<Joined>),
    /// The session is attached again.
    Resumed(Box<Joined>),
    /// A participant as changed.
    Participant(Arc<ParticipantInfo>),
    /// The room as changed.
    Room(Box<RoomInfo>),
}

/// A participant's view of the room at its entry or return.
#[derive(Clone, Debug)]
pub struct Joined {
    /// The room.
    pub room: RoomInfo,
    /// Itself.
    pub participant: Arc<ParticipantInfo>,
    /// Everybody else it may see.
    pub others: Vec<Arc<ParticipantInfo>>,
}

/// Why a command was not carried out; the room is unchanged.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub enum CommandError {
    /// No such participant here.
    #[error("participant is not in the room")]
    ParticipantNotFound,
    /// No such track here.
    #[error("track is not published in the room")]
    TrackNotFound,
    /// The room has as many participants as it may.
    #[error("room is full")]
    RoomFull,
    /// The participant's rights do not cover it.
    #[error("participant has no right to do this")]
    Forbidden,
    /// A limit on size or number.
    #[error("{what} exceeds its limit of {limit}")]
    TooLarge {
        /// What.
        what: &'static str,
        /// The limit, in bytes or pieces.
        limit: usize,
    },
    /// The session description cannot be used.
    #[error("session description is unusable")]
    BadDescription,
    /// The ICE candidate cannot be used.
    #[error("ICE candidate is unusable")]
    BadCandidate,
    /// Client and server do not agree any more: the client should rejoin afresh.
    #[error("session cannot be resumed")]
    StateMismatch,
    /// The room is closed.
    #[error("room is closed")]
    RoomClosed,
}

/// Where a datagram came from and arrived.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct Path {
    /// The peer's address.
    pub remote: SocketAddr,
    /// Ours, as announced in the candidate.
    pub local: SocketAddr,
}
