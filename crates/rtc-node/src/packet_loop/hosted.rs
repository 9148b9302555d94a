//! One room on its thread: the sans-IO room, its participants' sessions and the data messages between them.

use std::{
    collections::{BTreeMap, BTreeSet, VecDeque},
    sync::Arc,
    time::{Duration, Instant, SystemTime},
};

use prost::Message as _;
use rtc_api::{
    cluster::Answer,
    code::{ErrorCode, Refusal},
};
use rtc_media::{
    Room,
    command::{
        Admin, Command, CommandError, Join, MessageChannel, Reply, Request, Resume, SessionNumber,
    },
    event::{Event, Fact, Signal},
    info::{ParticipantInfo, RoomInfo},
};
use rtc_model::{Identity, LeaveReason, ParticipantId, RejoinAdvice, RoomId};
use tokio::sync::mpsc;

use super::Shared;
use crate::{
    data::{self, DataDrop, Destinations, RecentMessages, RpcProgress},
    proto,
    thread::{
        Entered, Returned, RoomKey, RoomSlot, Sabotage, SessionEvent, Subject, ThreadReport, Ticket,
    },
};

/// A room with everything this thread keeps for it.
pub(super) struct HostedRoom {
    pub(super) key: RoomKey,
    pub(super) id: RoomId,
    /// The newest opening that led here.
    pub(super) ticket: Ticket,
    pub(super) room: Room,
    pub(super) is_touched: bool,
    members: BTreeMap<ParticipantId, Member>,
    gone: VecDeque<Gone>,
    recent: RecentMessages,
    rpc_calls: BTreeMap<String, RpcCall>,
    message_bytes_max: usize,
    occupancy_reported: usize,
    is_closing: bool,
    members_changed: bool,
}

/// Whether a room goes on.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Life {
    /// It does; it wants to be woken then.
    Open { next_timeout: Instant },
    /// It does not.
    Ended,
}

struct Member {
    session: SessionNumber,
    /// `None` while there is no signalling connection.
    events: Option<mpsc::Sender<SessionEvent>>,
    entered: Instant,
    /// Of the last reliable message taken from it.
    last_sequence: u32,
    sabotage: Option<Sabotage>,
}

struct Gone {
    at: Instant,
    info: Arc<ParticipantInfo>,
}

struct RpcCall {
    callee: ParticipantId,
    progress: mpsc::Sender<RpcProgress>,
}

impl HostedRoom {
    pub(super) fn new(
        key: RoomKey,
        id: RoomId,
        ticket: Ticket,
        room: Room,
        message_bytes_max: usize,
    ) -> Self {
        Self {
            key,
            id,
            ticket,
            room,
            is_touched: false,
            members: BTreeMap::new(),
            gone: VecDeque::new(),
            recent: RecentMessages::default(),
            rpc_calls: BTreeMap::new(),
            message_bytes_max,
            occupancy_reported: 0,
            is_closing: false,
            members_changed: false,
        }
    }

    /// Whether nobody can enter any more.
    pub(super) fn is_closing(&self) -> bool {
        self.is_closing
    }

    /// Participants, hidden ones included.
    pub(super) fn member_count(&self) -> usize {
        self.members.len()
    }

    /// A participant enters; from here on its session hears events.
    pub(super) fn enter(
        &mut self,
        now: Instant,
        index: usize,
        join: Join,
        events: mpsc::Sender<SessionEvent>,
    ) -> Answer<Entered> {
        let session = join.session;
        match self.room.handle_command(now, Command::Join(Box::new(join))) {
            Ok(Reply::Joined(joined)) => {
                let member = Member {
                    session,
                    events: Some(events),
                    entered: now,
                    last_sequence: 0,
                    sabotage: None,
                };
                self.members.insert(joined.participant.id, member);
                self.members_changed = true;
                Ok(Entered { room: RoomSlot { index, id: self.id }, joined })
            }
            Ok(_) => Err(ErrorCode::Internal.into()),
            Err(error) => Err(refusal(&error)),
        }
    }

    /// A session comes back; from here on the new one hears events.
    pub(super) fn come_back(
        &mut self,
        now: Instant,
        index: usize,
        resume: Resume,
        events: mpsc::Sender<SessionEvent>,
    ) -> Answer<Returned> {
        let (session, participant) = (resume.session, resume.participant);
        let joined = match self.room.handle_command(now, Command::Resume(resume)) {
            Ok(Reply::Resumed(joined)) => joined,
            Ok(_) => return Err(ErrorCode::Internal.into()),
            Err(_) => return Err(ErrorCode::SessionNotResumable.into()),
        };
        let Some(member) = self.members.get_mut(&participant) else {
            return Err(ErrorCode::SessionNotResumable.into());
        };
        member.session = session;
        if let Some(former) = member.events.replace(events) {
            // A full queue ends the former session as well.
            let _ = former.try_send(SessionEvent::Superseded).ok();
        }
        let sabotage = member.sabotage.take();
        let (entered, last_sequence) = (member.entered, member.last_sequence);
        let gone = self.gone_since(entered, joined.participant.permissions.hidden);
        let room = RoomSlot { index, id: self.id };
        Ok(Returned { room, joined, gone, last_sequence, sabotage })
    }

    /// Carries out what a participant asks for; a refusal goes to its session.
    pub(super) fn ask(
        &mut self,
        now: Instant,
        from: ParticipantId,
        request: Request,
        subject: Subject,
    ) {
        let command = Command::Participant { from, request };
        if let Err(error) = self.room.handle_command(now, command) {
            self.tell(now, from, SessionEvent::Refused { subject, error });
        }
    }

    /// The signalling connection of a participant broke.
    pub(super) fn session_lost(
        &mut self,
        now: Instant,
        participant: ParticipantId,
        session: SessionNumber,
    ) {
        if let Some(member) = self.members.get_mut(&participant)
            && member.session == session
        {
            member.events = None;
        }
        // A participant that is gone has no session to lose.
        let _ = self.room.handle_command(now, Command::SessionLost { participant, session }).ok();
    }

    /// A participant leaves.
    pub(super) fn leave(&mut self, now: Instant, participant: ParticipantId, reason: LeaveReason) {
        // Gone already is as good.
        let _ = self.room.handle_command(now, Command::Leave { participant, reason }).ok();
        self.members_changed = true;
    }

    /// Everybody leaves and the room ends.
    pub(super) fn close(&mut self, now: Instant, reason: LeaveReason) {
        self.is_closing = true;
        // Closed already is as good.
        let _ = self.room.handle_command(now, Command::Close { reason }).ok();
    }

    /// What the app's server asks for.
    pub(super) fn admin(&mut self, now: Instant, admin: Admin) -> Answer<Reply> {
        self.members_changed = true;
        self.room.handle_command(now, Command::Admin(admin)).map_err(|error| refusal(&error))
    }

    pub(super) fn sabotage_resume(&mut self, participant: ParticipantId, how: Sabotage) {
        if let Some(member) = self.members.get_mut(&participant) {
            member.sabotage = Some(how);
        }
    }

    /// Sends a returned client the reliable messages it missed.
    pub(super) fn repeat_missed(
        &mut self,
        now: Instant,
        participant: ParticipantId,
        last_seen: &BTreeMap<ParticipantId, u32>,
    ) {
        self.recent.expire(now);
        let seen = |sender| last_seen.get(&sender).copied().unwrap_or(0);
        for payload in self.recent.missed(participant, seen) {
            self.send(now, vec![participant], MessageChannel::Reliable, payload);
        }
    }

    /// Sends a message of the app's server.
    pub(super) fn send_from_server(
        &mut self,
        now: Instant,
        user: proto::UserPacket,
        channel: MessageChannel,
        to: &Destinations,
    ) {
        let packet = data::from_server(user, channel, to);
        let receivers = data::receivers(to, None, self.room.participants());
        self.send(now, receivers, channel, packet.encode_to_vec().into());
    }

    /// Calls a method of a participant; its answers go to `progress`.
    pub(super) fn call_method(
        &mut self,
        now: Instant,
        request: &proto::PerformRpcRequest,
        progress: mpsc::Sender<RpcProgress>,
    ) -> Answer<()> {
        self.rpc_calls.retain(|_, call| !call.progress.is_closed());
        if self.rpc_calls.len() >= RPC_CALLS_MAX {
            return Err(ErrorCode::Overloaded.into());
        }
        let callee = self.find(&request.destination_identity)?.id;
        let id = format!("{:016x}{:016x}", rand::random::<u64>(), rand::random::<u64>());
        let caller = Identity::new(&format!("server-{id}"))
            .map_err(|_| Refusal::from(ErrorCode::Internal))?;
        let packet = data::rpc_request(&id, &caller, request);
        self.rpc_calls.insert(id, RpcCall { callee, progress });
        self.send(now, vec![callee], MessageChannel::Reliable, packet.encode_to_vec().into());
        Ok(())
    }

    /// The participant of this identity.
    pub(super) fn find(&self, identity: &str) -> Answer<Arc<ParticipantInfo>> {
        let found = self.room.participants().find(|info| info.identity.as_str() == identity);
        found.cloned().ok_or_else(|| ErrorCode::ParticipantNotFound.into())
    }

    /// Takes everything the room has to say, until it is silent.
    pub(super) fn drain(&mut self, now: Instant, index: usize, shared: &mut Shared) -> Life {
        let mut has_closed = false;
        for _ in 0..DRAIN_ROUNDS_MAX {
            while self.room.poll_transmit(now, &mut shared.batch) {
                shared.flush();
            }
            let mut is_silent = true;
            while let Some(event) = self.room.poll_event() {
                is_silent = false;
                has_closed |= matches!(event, Event::Closed);
                self.handle_event(now, index, event, shared);
            }
            if is_silent {
                break;
            }
        }
        if has_closed {
            return Life::Ended;
        }
        if self.members_changed {
            self.members_changed = false;
            self.forget_departed();
            self.report_occupancy(shared);
        }
        Life::Open { next_timeout: self.room.next_timeout() }
    }

    /// Tells the sessions of a room whose own code must not run any more; gives the last fact.
    pub(super) fn bury(&mut self) -> ThreadReport {
        for member in self.members.values_mut() {
            if let Some(events) = member.events.take() {
                let leave = Signal::Leave {
                    reason: LeaveReason::Internal,
                    advice: RejoinAdvice::Reconnect,
                };
                // A full queue ends the session as well.
                let _ = events.try_send(SessionEvent::Signal(leave)).ok();
            }
        }
        let info: RoomInfo = self.room.info().clone();
        ThreadReport::Fact {
            app: self.key.app.clone(),
            room: Box::new(info.clone()),
            fact: Fact::RoomFinished(Arc::new(info)),
            at: SystemTime::now(),
        }
    }

    fn handle_event(&mut self, now: Instant, index: usize, event: Event, shared: &mut Shared) {
        match event {
            Event::Signal { to, signal } => {
                let ends = matches!(signal, Signal::Leave { .. });
                if self.tell(now, to, SessionEvent::Signal(signal)) == Told::QueueFull {
                    shared.counters.session_overflows_total += 1;
                }
                if ends {
                    self.members_changed = true;
                    if let Some(member) = self.members.get_mut(&to) {
                        member.events = None;
                    }
                }
            }
            Event::Fact(fact) => self.handle_fact(now, fact, shared),
            Event::Message { from, channel, payload } => {
                if let Err(reason) = self.handle_message(now, from, channel, &payload) {
                    let position = DataDrop::ALL.iter().position(|each| *each == reason);
                    if let Some(count) =
                        position.and_then(|at| shared.counters.data_dropped_total.get_mut(at))
                    {
                        *count += 1;
                    }
                }
            }
            Event::UfragBound(ufrag) => shared.demux.bind(ufrag, index),
            Event::UfragUnbound(ufrag) => shared.demux.unbind(&ufrag),
            Event::Closed => self.is_closing = true,
        }
    }

    fn handle_fact(&mut self, now: Instant, fact: Fact, shared: &mut Shared) {
        match &fact {
            Fact::ParticipantLeft(info, _) | Fact::ParticipantAborted(info, _) => {
                self.members_changed = true;
                self.remember_gone(now, info);
            }
            Fact::RoomFinished(_) => self.is_closing = true,
            _ => {}
        }
        let room = Box::new(self.room.info().clone());
        let app = self.key.app.clone();
        shared.report(ThreadReport::Fact { app, room, fact, at: SystemTime::now() });
    }

    fn handle_message(
        &mut self,
        now: Instant,
        from: ParticipantId,
        channel: MessageChannel,
        payload: &[u8],
    ) -> Result<(), DataDrop> {
        let sender = self.room.participants().find(|info| info.id == from).cloned();
        let (Some(sender), Some(member)) = (sender, self.members.get_mut(&from)) else {
            return Ok(());
        };
        let bytes_max = self.message_bytes_max;
        let accepted = data::accept(payload, channel, &sender, member.last_sequence, bytes_max)?;
        let sequence = accepted.packet.sequence;
        if channel == MessageChannel::Reliable && sequence != 0 {
            member.last_sequence = sequence;
        }
        if self.answers_call(from, &accepted.packet) {
            return Ok(());
        }
        let receivers = data::receivers(&accepted.to, Some(from), self.room.participants());
        let payload: Arc<[u8]> = accepted.packet.encode_to_vec().into();
        if channel == MessageChannel::Reliable {
            self.recent.push(now, from, sequence, &receivers, &payload);
        }
        self.send(now, receivers, channel, payload);
        Ok(())
    }

    /// Whether a message answers a call of ours; then it is nobody else's.
    fn answers_call(&mut self, from: ParticipantId, packet: &proto::DataPacket) -> bool {
        let Some((id, progress)) = data::rpc_progress(packet) else { return false };
        let Some(call) = self.rpc_calls.get(id).filter(|call| call.callee == from) else {
            return false;
        };
        let is_last = matches!(progress, RpcProgress::Answered(_));
        // The queue holds both messages of a call; a caller that went away waits for none.
        let _ = call.progress.try_send(progress).ok();
        if is_last {
            self.rpc_calls.remove(id);
        }
        true
    }

    fn send(
        &mut self,
        now: Instant,
        to: Vec<ParticipantId>,
        channel: MessageChannel,
        payload: Arc<[u8]>,
    ) {
        if to.is_empty() {
            return;
        }
        // The room counts what it cannot write.
        let _ = self.room.handle_command(now, Command::SendMessage { to, channel, payload }).ok();
    }

    /// Passes an event to a session. One whose queue is full is cut off: its client resumes and hears
    /// everything afresh, which no single lost message would bring about.
    fn tell(&mut self, now: Instant, to: ParticipantId, event: SessionEvent) -> Told {
        let Some(member) = self.members.get_mut(&to) else { return Told::Nobody };
        let Some(events) = &member.events else { return Told::Nobody };
        match events.try_send(event) {
            Ok(()) => Told::Queued,
            Err(mpsc::error::TrySendError::Closed(_)) => Told::Nobody,
            Err(mpsc::error::TrySendError::Full(_)) => {
                let session = member.session;
                self.session_lost(now, to, session);
                Told::QueueFull
            }
        }
    }

    fn remember_gone(&mut self, now: Instant, info: &Arc<ParticipantInfo>) {
        while self.gone.front().is_some_and(|gone| now.duration_since(gone.at) > GONE_KEPT_FOR)
            || self.gone.len() >= GONE_MAX
        {
            self.gone.pop_front();
        }
        if !info.permissions.hidden {
            self.gone.push_back(Gone { at: now, info: Arc::clone(info) });
        }
    }

    /// Who left since then and has not come back under the same identity.
    fn gone_since(&self, entered: Instant, _receiver_hidden: bool) -> Vec<Arc<ParticipantInfo>> {
        let present: BTreeSet<&Identity> =
            self.room.participants().map(|info| &info.identity).collect();
        self.gone
            .iter()
            .filter(|gone| gone.at >= entered && !present.contains(&gone.info.identity))
            .map(|gone| Arc::clone(&gone.info))
            .collect()
    }

    fn forget_departed(&mut self) {
        let present: BTreeSet<ParticipantId> =
            self.room.participants().map(|info| info.id).collect();
        self.members.retain(|id, _| present.contains(id));
    }

    fn report_occupancy(&mut self, shared: &mut Shared) {
        let participants = self.members.len();
        if participants != self.occupancy_reported {
            self.occupancy_reported = participants;
            let key = self.key.clone();
            shared.report_surely(ThreadReport::Occupancy { key, participants });
        }
    }
}

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Told {
    Queued,
    Nobody,
    QueueFull,
}

/// A room's refusal in the words of the API.
pub(super) fn refusal(error: &CommandError) -> Refusal {
    let code = match error {
        CommandError::ParticipantNotFound => ErrorCode::ParticipantNotFound,
        CommandError::TrackNotFound => ErrorCode::TrackNotFound,
        CommandError::RoomFull => ErrorCode::RoomFull,
        CommandError::Forbidden => ErrorCode::Forbidden,
        CommandError::TooLarge { .. } => ErrorCode::TooLarge,
        CommandError::BadDescription | CommandError::BadCandidate => ErrorCode::InvalidArgument,
        CommandError::StateMismatch => ErrorCode::SessionNotResumable,
        CommandError::RoomClosed => ErrorCode::RoomNotFound,
    };
    let detail = match error {
        CommandError::TooLarge { .. }
        | CommandError::BadDescription
        | CommandError::BadCandidate => {
            format!("The {error}.")
        }
        _ => code.title().to_owned(),
    };
    Refusal::new(code, detail)
}

/// Calls of methods under way in one room.
const RPC_CALLS_MAX: usize = 1_024;
/// A room and its data messages answer each other; more rounds than this are a bug, and go on next time.
const DRAIN_ROUNDS_MAX: usize = 64;
/// How long a departure is told to clients that come back: longer than they try to.
const GONE_KEPT_FOR: Duration = Duration::from_secs(60);
/// Departures remembered per room.
const GONE_MAX: usize = 256;
