//! One signalling connection of a participant: first message, then requests one way and events the other.
//!
//! ```text
//!             join ──▶ [greet: join response] ──┐
//!                                               ├──▶ [serve] ──▶ ended
//!   come back ──▶ [greet: reconnect, snapshot] ─┘       │
//!   not resumable ──▶ leave(reconnect) ─────────────────┴──▶ leave, or the connection breaks
//! ```
//!
//! The connection's end is not the stay's: the room hears `SessionLost` and decides.

mod greeting;
mod requests;
mod wire;

use std::{
    collections::BTreeMap,
    future::Future,
    pin::Pin,
    sync::Arc,
    time::{Duration, Instant},
};

use axum::extract::ws::WebSocket;
use rtc_api::{cluster::JoinGrant, code::Refusal};
use rtc_media::{
    command::{CommandError, Joined, SessionNumber, Topology},
    event::{RequestOutcome, Signal},
    info::{ParticipantInfo, ParticipantState},
};
use rtc_model::{Identity, LeaveReason, ParticipantId, RejoinAdvice};
use tokio::{
    sync::mpsc,
    time::{Interval, MissedTickBehavior, interval_at},
};

use self::wire::{Incoming, Wire};
use super::{
    parameters::JoinParameters,
    rate::{Bucket, Rate},
};
use crate::{
    metrics::JoinOutcome,
    node::Context,
    proto::{
        self, info, request_response::Reason, signal, signal_request::Message as Asked,
        signal_response::Message,
    },
    thread::{RoomSlot, Sabotage, SessionEvent, Subject, ThreadCommand, ThreadHandle},
};

/// A connection that is about to be upgraded.
pub(super) enum Opening {
    /// The participant is in its room.
    Attached(Box<Attached>),
    /// The stay is gone; the client is told to join afresh.
    NotResumable,
}

/// A participant in its room, as its session starts.
pub(super) struct Attached {
    link: Link,
    joined: Box<Joined>,
    grant: JoinGrant,
    protocol: u32,
    topology: Topology,
    events: mpsc::Receiver<SessionEvent>,
    returning: Option<Returning>,
}

/// What a session that comes back brings, and is told.
struct Returning {
    gone: Vec<Arc<ParticipantInfo>>,
    last_sequence: u32,
    sabotage: Option<Sabotage>,
    sync_state: Option<proto::SyncState>,
    publish: Vec<proto::AddTrackRequest>,
    offer: Option<proto::SessionDescription>,
}

/// The way to a participant's room. However a session ends, even before it began: the room hears of it.
struct Link {
    thread: ThreadHandle,
    room: RoomSlot,
    participant: ParticipantId,
    session: SessionNumber,
}

impl Drop for Link {
    fn drop(&mut self) {
        let (room, participant, session) = (self.room, self.participant, self.session);
        let lost = ThreadCommand::SessionLost { room, participant, session };
        if let Some(lost) = self.thread.try_send(lost)
            && let Ok(runtime) = tokio::runtime::Handle::try_current()
        {
            let thread = self.thread.clone();
            // A thread that takes nothing for seconds has lost its rooms' timers too; those then end the stay.
            drop(runtime.spawn(async move { thread.send(lost).await.ok() }));
        }
    }
}

impl Opening {
    /// A participant that has just entered.
    #[expect(
        clippy::too_many_arguments,
        reason = "everything a session consists of, moved in once"
    )]
    pub(super) fn joined(
        thread: ThreadHandle,
        room: RoomSlot,
        session: SessionNumber,
        joined: Box<Joined>,
        grant: JoinGrant,
        parameters: &JoinParameters,
        events: mpsc::Receiver<SessionEvent>,
    ) -> Self {
        let participant = joined.participant.id;
        Self::Attached(Box::new(Attached {
            link: Link { thread, room, participant, session },
            joined,
            grant,
            protocol: parameters.protocol,
            topology: parameters.topology,
            events,
            returning: None,
        }))
    }

    /// The same for one that has come back.
    pub(super) fn returning(
        self,
        gone: Vec<Arc<ParticipantInfo>>,
        last_sequence: u32,
        sabotage: Option<Sabotage>,
        parameters: JoinParameters,
    ) -> Self {
        let Self::Attached(mut attached) = self else { return self };
        let JoinParameters { sync_state, publish, offer, .. } = parameters;
        attached.returning =
            Some(Returning { gone, last_sequence, sabotage, sync_state, publish, offer });
        Self::Attached(attached)
    }

    /// A stay that is gone.
    pub(super) fn not_resumable() -> Self {
        Self::NotResumable
    }
}

/// Why a session ended.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Ending {
    /// The client left.
    ClientLeft,
    /// The connection broke, or the client fell silent.
    Lost,
    /// The client was told to leave.
    Told,
    /// Another connection has taken over, or this one is to look broken: nothing is said.
    Silent,
    /// The server could not keep up with this session.
    Overloaded,
    /// The client's state is of no use; it should join afresh.
    StateMismatch,
}

type Refreshed = Pin<Box<dyn Future<Output = Result<String, Refusal>> + Send>>;

/// One signalling connection.
pub(super) struct Session {
    cx: Arc<Context>,
    opening: Opening,
}

/// A session once it is attached.
struct Serving {
    cx: Arc<Context>,
    link: Link,
    grant: JoinGrant,
    protocol: u32,
    names: BTreeMap<ParticipantId, Identity>,
    refresh: Option<Refreshed>,
    /// Rights changed while a token was being made: it is out of date already.
    refresh_again: bool,
    budget: Bucket,
    heard: Instant,
}

impl Session {
    pub(super) fn new(cx: Arc<Context>, opening: Opening) -> Self {
        Self { cx, opening }
    }

    /// Runs until the connection or the stay ends.
    pub(super) async fn run(self, socket: WebSocket) {
        let mut wire = Wire::new(socket);
        match self.opening {
            Opening::NotResumable => {
                self.cx.metrics.join(JoinOutcome::NotResumable);
                let leave = signal::leave(LeaveReason::StateMismatch, RejoinAdvice::Reconnect);
                // A client that is gone needs no farewell.
                let _ = wire.send(Message::Leave(leave)).await.ok();
                wire.close_after_leave().await;
            }
            Opening::Attached(attached) => {
                self.cx.metrics.sessions.inc();
                let sessions = self.cx.metrics.sessions.clone();
                Box::pin(attached.run(self.cx, wire)).await;
                sessions.dec();
            }
        }
    }
}

impl Attached {
    async fn run(self, cx: Arc<Context>, mut wire: Wire) {
        let Self { link, joined, grant, protocol, topology, mut events, returning } = self;
        let mut serving = Serving {
            cx,
            link,
            grant,
            protocol,
            names: BTreeMap::new(),
            refresh: None,
            refresh_again: false,
            budget: Bucket::full(Instant::now(), REQUEST_RATE),
            heard: Instant::now(),
        };
        let greeted = match returning {
            None => serving.greet(&mut wire, &joined, topology).await,
            Some(returning) => serving.greet_returning(&mut wire, &joined, returning).await,
        };
        let ending = match greeted {
            Ok(()) => serving.serve(&mut wire, &mut events).await,
            Err(ending) => ending,
        };
        tracing::debug!(participant = %serving.link.participant, ?ending, "session ended");
        let farewell = match ending {
            Ending::Overloaded => Some((LeaveReason::Overloaded, RejoinAdvice::Resume)),
            Ending::StateMismatch => Some((LeaveReason::StateMismatch, RejoinAdvice::Reconnect)),
            Ending::ClientLeft | Ending::Lost | Ending::Told | Ending::Silent => None,
        };
        if let Some((reason, advice)) = farewell {
            let leave = Message::Leave(signal::leave(reason, advice));
            // A client that is gone needs no farewell.
            let _ = wire.send(leave).await.ok();
        }
        // The room hears of the end before the client does, who may be back at once.
        drop(serving);
        if farewell.is_some() || ending == Ending::Told {
            wire.close_after_leave().await;
        } else {
            wire.close().await;
        }
    }
}

impl Serving {
    async fn greet(
        &mut self,
        wire: &mut Wire,
        joined: &Joined,
        topology: Topology,
    ) -> Result<(), Ending> {
        self.learn(joined);
        let response = greeting::join_response(&self.cx, joined, topology);
        wire.send(Message::Join(response)).await?;
        self.cx.metrics.join(JoinOutcome::Joined);
        Ok(())
    }

    async fn greet_returning(
        &mut self,
        wire: &mut Wire,
        joined: &Joined,
        returning: Returning,
    ) -> Result<(), Ending> {
        self.learn(joined);
        if returning.sabotage == Some(Sabotage::BeforeMessages) {
            return Err(Ending::Silent);
        }
        let response = greeting::reconnect_response(&self.cx, returning.last_sequence);
        wire.send(Message::Reconnect(response)).await?;
        let mut participants: Vec<proto::ParticipantInfo> =
            returning.gone.iter().map(|each| greeting::departed(each)).collect();
        participants.push(info::participant(&joined.participant));
        participants.extend(joined.others.iter().map(|each| info::participant(each)));
        wire.send(Message::Update(proto::ParticipantUpdate { participants })).await?;
        let room = Some(info::room(&joined.room));
        wire.send(Message::RoomUpdate(proto::RoomUpdate { room })).await?;
        self.cx.metrics.join(JoinOutcome::Resumed);
        if returning.sabotage == Some(Sabotage::AfterMessages) {
            return Err(Ending::Silent);
        }
        for track in returning.publish {
            self.handle(wire, Asked::AddTrack(track)).await?;
        }
        if let Some(state) = returning.sync_state {
            self.handle(wire, Asked::SyncState(state)).await?;
        }
        if let Some(offer) = returning.offer {
            self.handle(wire, Asked::Offer(offer)).await?;
        }
        Ok(())
    }

    async fn serve(
        &mut self,
        wire: &mut Wire,
        events: &mut mpsc::Receiver<SessionEvent>,
    ) -> Ending {
        let mut pings = every(PING_EVERY);
        let mut refreshes = every(REFRESH_EVERY);
        loop {
            let wait = self.budget.wait(Instant::now(), REQUEST_RATE);
            let step = tokio::select! {
                event = events.recv() => match event {
                    Some(event) => self.pass_on(wire, event).await,
                    None => Err(Ending::Overloaded),
                },
                incoming = wire.receive(), if wait.is_zero() => {
                    self.take_in(wire, incoming).await
                }
                // A client that asks too fast is read no further until its budget allows.
                () = tokio::time::sleep(wait), if !wait.is_zero() => {
                    self.cx.metrics.signals_throttled.inc();
                    Ok(())
                }
                _ = pings.tick() => check_silence(wire, self.heard).await,
                _ = refreshes.tick() => {
                    self.start_refresh();
                    Ok(())
                }
                token = next(&mut self.refresh) => self.refreshed(wire, token).await,
            };
            if let Err(ending) = step {
                let is_gone = ending == Ending::StateMismatch;
                return if is_gone && pass_on_leave(wire, events).await {
                    Ending::Told
                } else {
                    ending
                };
            }
        }
    }

    /// Passes an event to the client.
    async fn pass_on(&mut self, wire: &mut Wire, event: SessionEvent) -> Result<(), Ending> {
        let signal = match event {
            SessionEvent::Signal(signal) => signal,
            SessionEvent::Refused { subject, error } => {
                return refuse(wire, self.link.participant, subject, &error).await;
            }
            SessionEvent::Superseded => return Err(Ending::Silent),
        };
        match &signal {
            Signal::Participants(participants) => {
                for participant in participants {
                    self.notice(participant);
                }
            }
            Signal::TokenStale => self.start_refresh(),
            // Older clients take any answer for a failure.
            Signal::RequestResponse { outcome: RequestOutcome::Ok, .. }
                if self.protocol < PROTOCOL_WITH_OK_RESPONSES =>
            {
                return Ok(());
            }
            _ => {}
        }
        if let Some(message) = signal::message(&signal) {
            wire.send(message).await?;
        }
        if matches!(signal, Signal::Leave { .. }) { Err(Ending::Told) } else { Ok(()) }
    }

    async fn take_in(&mut self, wire: &mut Wire, incoming: Incoming) -> Result<(), Ending> {
        self.heard = Instant::now();
        match incoming {
            Incoming::Request(request) => {
                self.budget.take(self.heard, REQUEST_RATE);
                self.handle(wire, *request).await
            }
            Incoming::Alive => Ok(()),
            Incoming::Malformed => {
                self.budget.take(self.heard, REQUEST_RATE);
                self.cx.metrics.signals_malformed.inc();
                Ok(())
            }
            Incoming::Lost => Err(Ending::Lost),
        }
    }

    fn start_refresh(&mut self) {
        if self.refresh.is_some() {
            self.refresh_again = true;
            return;
        }
        let (cx, grant) = (Arc::clone(&self.cx), self.grant.clone());
        self.refresh =
            Some(Box::pin(async move { cx.signalling.authorizer.refresh(&grant).await }));
    }

    async fn refreshed(
        &mut self,
        wire: &mut Wire,
        token: Result<String, Refusal>,
    ) -> Result<(), Ending> {
        self.refresh = None;
        if std::mem::take(&mut self.refresh_again) {
            self.start_refresh();
            return Ok(());
        }
        match token {
            Ok(token) => wire.send(Message::RefreshToken(token)).await,
            Err(refusal) => {
                // The client keeps the token it has; the next round tries again.
                tracing::debug!(code = refusal.code.as_str(), "no fresh token");
                Ok(())
            }
        }
    }

    fn learn(&mut self, joined: &Joined) {
        self.notice(&joined.participant);
        for participant in &joined.others {
            self.notice(participant);
        }
    }

    /// Keeps names for requests that name participants by id, and the own grant for fresh tokens.
    fn notice(&mut self, participant: &ParticipantInfo) {
        if matches!(participant.state, ParticipantState::Disconnected(_)) {
            self.names.remove(&participant.id);
            return;
        }
        self.names.insert(participant.id, participant.identity.clone());
        if participant.id == self.link.participant {
            self.grant.name.clone_from(&participant.name);
            self.grant.metadata.clone_from(&participant.metadata);
            self.grant.attributes.clone_from(&participant.attributes);
            self.grant.permissions.clone_from(&participant.permissions);
        }
    }
}

/// Passes on the room's own farewell, if one is under way: a request that crosses a removal is refused before the
/// reason of the removal is read.
async fn pass_on_leave(wire: &mut Wire, events: &mut mpsc::Receiver<SessionEvent>) -> bool {
    let leave = async {
        loop {
            match events.recv().await {
                Some(SessionEvent::Signal(signal @ Signal::Leave { .. })) => return Some(signal),
                Some(_) => {}
                None => return None,
            }
        }
    };
    let leave = tokio::time::timeout(LEAVE_WAIT, leave).await.ok().flatten();
    match leave.as_ref().and_then(signal::message) {
        Some(message) => wire.send(message).await.is_ok(),
        None => false,
    }
}

/// How long the reason of a removal may follow the refusal of what crossed it.
const LEAVE_WAIT: Duration = Duration::from_millis(500);

/// Tells the client that what it asked for is not done, if it waits for an answer.
async fn refuse(
    wire: &mut Wire,
    participant: ParticipantId,
    subject: Subject,
    error: &CommandError,
) -> Result<(), Ending> {
    tracing::debug!(%participant, ?subject, %error, "refused");
    let reason = match error {
        CommandError::ParticipantNotFound | CommandError::TrackNotFound => Reason::NotFound,
        CommandError::Forbidden => Reason::NotAllowed,
        CommandError::TooLarge { .. } | CommandError::RoomFull => Reason::LimitExceeded,
        CommandError::BadDescription | CommandError::BadCandidate => Reason::InvalidRequest,
        CommandError::StateMismatch | CommandError::RoomClosed => {
            return Err(Ending::StateMismatch);
        }
    };
    let (request_id, request) = match subject {
        // The connection cannot work without it, and the client would wait for ever.
        Subject::Description => return Err(Ending::StateMismatch),
        Subject::Publish(request) => {
            (0, Some(proto::request_response::Request::AddTrack(*request)))
        }
        Subject::Numbered(request_id) => (request_id, None),
        Subject::Other => return Ok(()),
    };
    wire.send(Message::RequestResponse(proto::RequestResponse {
        request_id,
        reason: reason.into(),
        message: error.to_string(),
        request,
    }))
    .await
}

/// Ends the session of a client that has fallen silent, else asks for a sign of life.
async fn check_silence(wire: &mut Wire, heard: Instant) -> Result<(), Ending> {
    if heard.elapsed() > SILENCE_MAX {
        return Err(Ending::Lost);
    }
    wire.ping().await
}

/// The future's outcome, or never.
async fn next(future: &mut Option<Refreshed>) -> Result<String, Refusal> {
    match future {
        Some(future) => future.await,
        None => std::future::pending().await,
    }
}

fn every(period: Duration) -> Interval {
    let mut interval = interval_at(tokio::time::Instant::now() + period, period);
    interval.set_missed_tick_behavior(MissedTickBehavior::Delay);
    interval
}

/// WebSocket pings keep middleboxes from closing an idle connection.
const PING_EVERY: Duration = Duration::from_secs(10);
/// A client that answers neither pings of its own accord nor ours is gone.
const SILENCE_MAX: Duration = Duration::from_secs(30);
/// A fresh token well before the ten minutes it is valid.
const REFRESH_EVERY: Duration = Duration::from_secs(300);
/// Clients up to this version take every `request_response` for an error.
const PROTOCOL_WITH_OK_RESPONSES: u32 = 15;
/// A page of a hundred tiles that is resized asks a hundred times at once, and a few times a second.
const REQUEST_RATE: Rate = Rate { capacity: 1_000.0, per_second: 200.0 };
