//! How the async side talks to packet threads: commands in, session events and reports out.
//!
//! Every queue here is bounded. Commands wait for their turn (and time out as `overloaded`); session events
//! that do not fit end the session, which then resumes; reports that do not fit are counted, except those
//! the registry depends on, which the thread keeps until they fit.

use std::{
    collections::BTreeMap,
    os::unix::net::UnixStream,
    sync::Arc,
    time::{Duration, SystemTime},
};

use rtc_api::{
    cluster::{Answer, RoomAnswer, RoomCall, RoomSettings},
    code::{ErrorCode, Refusal},
    proto,
};
use rtc_media::{
    command::{CommandError, Join, Joined, Request, Resume, SessionNumber},
    event::{Fact, Signal},
    info::{ParticipantInfo, RoomInfo},
    stats::RoomStats,
};
use rtc_model::{AppId, LeaveReason, ParticipantId, RoomId, RoomName};
use tokio::sync::{mpsc, oneshot};

use crate::data::RpcProgress;

/// Names an open room on this node.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub(crate) struct RoomKey {
    pub(crate) app: AppId,
    pub(crate) name: RoomName,
}

/// Addresses one lifetime of a room on its thread.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct RoomSlot {
    pub(crate) index: usize,
    pub(crate) id: RoomId,
}

/// Orders a room's openings; see [`crate::registry`].
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub(crate) struct Ticket(pub(crate) u64);

/// What a packet thread can be told.
pub(crate) enum ThreadCommand {
    /// A participant enters; the room is opened if it is not.
    Enter(Box<Enter>),
    /// A session comes back.
    Return(Box<Return>),
    /// What a participant asks for in its session.
    Ask { room: RoomSlot, from: ParticipantId, request: Request, subject: Subject },
    /// What a client had received before its connection broke; it gets what it missed.
    Missed { room: RoomSlot, participant: ParticipantId, last_seen: BTreeMap<ParticipantId, u32> },
    /// The signalling connection broke.
    SessionLost { room: RoomSlot, participant: ParticipantId, session: SessionNumber },
    /// The participant leaves.
    Leave { room: RoomSlot, participant: ParticipantId, reason: LeaveReason },
    /// The next resume of this participant fails on purpose, for tests of clients.
    SabotageResume { room: RoomSlot, participant: ParticipantId, how: Sabotage },
    /// A call of the server API on one room.
    Call { key: RoomKey, call: Box<RoomCall>, reply: oneshot::Sender<Answer<RoomAnswer>> },
    /// Opens a room without entering.
    Open {
        key: RoomKey,
        ticket: Ticket,
        settings: RoomSettings,
        reply: oneshot::Sender<Answer<RoomAnswer>>,
    },
    /// The app's open rooms, of these names or all.
    ListRooms { app: AppId, names: Vec<RoomName>, reply: oneshot::Sender<Vec<proto::Room>> },
    /// Calls a method of a participant.
    Rpc {
        key: RoomKey,
        request: Box<proto::PerformRpcRequest>,
        reply: oneshot::Sender<Answer<()>>,
        progress: mpsc::Sender<RpcProgress>,
    },
    /// Ends all rooms of an app, or of everybody.
    CloseRooms { app: Option<AppId>, reason: LeaveReason },
    /// The thread ends.
    Stop,
}

/// A participant's entry.
pub(crate) struct Enter {
    pub(crate) key: RoomKey,
    pub(crate) ticket: Ticket,
    pub(crate) settings: RoomSettings,
    pub(crate) join: Join,
    pub(crate) events: mpsc::Sender<SessionEvent>,
    pub(crate) reply: oneshot::Sender<Answer<Entered>>,
}

/// A session's return.
pub(crate) struct Return {
    pub(crate) key: RoomKey,
    pub(crate) resume: Resume,
    pub(crate) events: mpsc::Sender<SessionEvent>,
    pub(crate) reply: oneshot::Sender<Answer<Returned>>,
}

/// Where a participant now is.
pub(crate) struct Entered {
    pub(crate) room: RoomSlot,
    pub(crate) joined: Box<Joined>,
}

/// What a returning client is told.
pub(crate) struct Returned {
    pub(crate) room: RoomSlot,
    pub(crate) joined: Box<Joined>,
    /// Participants that left while the client could not hear of it.
    pub(crate) gone: Vec<Arc<ParticipantInfo>>,
    /// Sequence number of the last reliable message received from this client.
    pub(crate) last_sequence: u32,
    /// Fails this resume on purpose.
    pub(crate) sabotage: Option<Sabotage>,
}

/// How a resume fails on purpose.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Sabotage {
    /// After the first messages.
    AfterMessages,
    /// Before any message.
    BeforeMessages,
}

/// What a request was about, so that a refusal can say so.
#[derive(Clone, Debug, PartialEq)]
pub(crate) enum Subject {
    /// An offer or answer: without it the connection is useless.
    Description,
    /// An announced track.
    Publish(Box<proto::AddTrackRequest>),
    /// A numbered request.
    Numbered(u32),
    /// Nothing the client waits for.
    Other,
}

/// What a session hears from its room.
#[derive(Debug)]
pub(crate) enum SessionEvent {
    /// To be passed on.
    Signal(Signal),
    /// A request was refused.
    Refused { subject: Subject, error: CommandError },
    /// Another connection has taken over this stay.
    Superseded,
}

/// What a packet thread tells the rest of the node.
#[derive(Debug)]
pub(crate) enum ThreadReport {
    /// No room of this name is open any more, as of this ticket.
    Vacant { key: RoomKey, ticket: Ticket },
    /// How many participants a room has.
    Occupancy { key: RoomKey, participants: usize },
    /// Something observers may want to know.
    Fact { app: AppId, room: Box<RoomInfo>, fact: Fact, at: SystemTime },
    /// The thread's counters, at most once a second.
    Counters { thread: usize, counters: Box<ThreadCounters> },
}

/// What a packet thread counts; each only grows, except the gauges.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub(crate) struct ThreadCounters {
    /// Sums over the rooms, ended ones included.
    pub(crate) rooms: RoomStats,
    /// Datagrams that belong to no room, by [`Undeliverable`].
    pub(crate) undeliverable_total: [u64; 4],
    /// Datagrams the kernel did not take.
    pub(crate) send_failures_total: u64,
    /// Rooms closed by a bug.
    pub(crate) rooms_panicked_total: u64,
    /// Sessions closed because their queue was full.
    pub(crate) session_overflows_total: u64,
    /// Facts that found the report queue full.
    pub(crate) facts_dropped_total: u64,
    /// Data messages not let through, in the order of [`crate::data::DataDrop::ALL`].
    pub(crate) data_dropped_total: [u64; 5],
    /// Open rooms now.
    pub(crate) rooms_open: u64,
    /// Participants now.
    pub(crate) participants: u64,
}

/// Why a datagram belongs to no room.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Undeliverable {
    /// Neither STUN, DTLS, RTP nor RTCP by its first byte (RFC 7983), or too short.
    UnknownProtocol,
    /// From an address no peer has proven to own.
    UnknownAddress,
    /// A STUN request for nobody here, or one that cannot be read.
    UnknownUser,
    /// Longer than a datagram of ours can be.
    Oversized,
}

impl Undeliverable {
    /// The stable words for metrics, in the order of the counters.
    pub(crate) const WORDS: [&'static str; 4] =
        ["unknown_protocol", "unknown_address", "unknown_user", "oversized"];

    /// The counter's index.
    pub(crate) const fn index(self) -> usize {
        match self {
            Self::UnknownProtocol => 0,
            Self::UnknownAddress => 1,
            Self::UnknownUser => 2,
            Self::Oversized => 3,
        }
    }
}

/// The async side's end of a packet thread.
#[derive(Clone)]
pub(crate) struct ThreadHandle {
    commands: mpsc::Sender<ThreadCommand>,
    wake: Arc<UnixStream>,
}

impl ThreadHandle {
    /// `wake` is a non-blocking socket whose other end the thread polls.
    pub(crate) fn new(commands: mpsc::Sender<ThreadCommand>, wake: Arc<UnixStream>) -> Self {
        Self { commands, wake }
    }

    /// Hands a command over, waiting for room in the queue.
    ///
    /// # Errors
    /// `overloaded` when there was no room for [`COMMAND_WAIT_MAX`], or the thread has ended.
    pub(crate) async fn send(&self, command: ThreadCommand) -> Result<(), Refusal> {
        let sent = tokio::time::timeout(COMMAND_WAIT_MAX, self.commands.send(command)).await;
        match sent {
            Ok(Ok(())) => {
                self.wake();
                Ok(())
            }
            Ok(Err(_)) => Err(Refusal::new(ErrorCode::Unavailable, "The server is stopping.")),
            Err(_) => Err(ErrorCode::Overloaded.into()),
        }
    }

    /// Hands a command over and waits for the answer that `make` lets the thread send.
    ///
    /// # Errors
    /// As [`Self::send`]; `internal` when the thread drops the command (a bug closed the room).
    pub(crate) async fn ask<T>(
        &self,
        make: impl FnOnce(oneshot::Sender<T>) -> ThreadCommand,
    ) -> Result<T, Refusal> {
        let (reply, answer) = oneshot::channel();
        self.send(make(reply)).await?;
        match tokio::time::timeout(ANSWER_WAIT_MAX, answer).await {
            Ok(Ok(answer)) => Ok(answer),
            Ok(Err(_)) => Err(ErrorCode::Internal.into()),
            Err(_) => Err(ErrorCode::Overloaded.into()),
        }
    }

    /// Hands a command over if there is room in the queue at once, else gives it back.
    pub(crate) fn try_send(&self, command: ThreadCommand) -> Option<ThreadCommand> {
        match self.commands.try_send(command) {
            Ok(()) => {
                self.wake();
                None
            }
            Err(mpsc::error::TrySendError::Full(command)) => Some(command),
            // Nothing is left that the command could matter to.
            Err(mpsc::error::TrySendError::Closed(_)) => None,
        }
    }

    fn wake(&self) {
        // A full pipe means that the thread has a wake-up to read already.
        let _ = std::io::Write::write(&mut &*self.wake, &[1]).ok();
    }
}

/// Most commands waiting for one thread.
pub(crate) const COMMAND_QUEUE: usize = 1_024;
/// Most events waiting for one session. A join into a room of hundreds brings a burst of some hundred.
pub(crate) const SESSION_QUEUE: usize = 1_024;
/// Most reports waiting for the node.
pub(crate) const REPORT_QUEUE: usize = 4_096;
/// How long a command waits for room in the queue before its sender is told `overloaded`.
const COMMAND_WAIT_MAX: Duration = Duration::from_secs(2);
/// How long an answer may take; threads answer at once unless they starve.
const ANSWER_WAIT_MAX: Duration = Duration::from_secs(5);
