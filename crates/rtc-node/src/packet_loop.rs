//! Packet threads: each owns one UDP socket and a disjoint set of rooms, and nothing else touches them.
//!
//! ```text
//!        commands ──▶ ┌─────────────────────────────────────────────┐ ──▶ session events, reports
//!                     │ take commands · receive batch → demux → room │
//!   UDP batch in ───▶ │ timeouts · for each touched room: drain      │ ──▶ UDP batch out
//!                     └──────────── sleep until the nearest timeout ─┘
//! ```
//!
//! No lock, no await, and per packet no log and no allocation of ours. Each room's calls run under
//! `catch_unwind`: a panic closes that room only.

mod calls;
mod demux;
mod hosted;
mod socket;
mod timers;

use std::{
    collections::{BTreeMap, VecDeque},
    io::{self, Read as _},
    net::SocketAddr,
    os::{fd::AsFd as _, unix::net::UnixStream},
    panic::{AssertUnwindSafe, catch_unwind},
    sync::Arc,
    thread::JoinHandle,
    time::{Duration, Instant, SystemTime},
};

use nix::{
    poll::{PollFd, PollFlags, ppoll},
    sys::time::TimeSpec,
};
use rtc_api::{
    cluster::{Answer, RoomAnswer, RoomSettings},
    code::{ErrorCode, Refusal},
};
use rtc_media::{
    Handled, Room, RoomConfig, Seed, command::Path, stats::RoomStats, transmit::SendBatch,
};
use rtc_model::{AppId, LeaveReason, RandomBits, RoomId, RoomLimits, RoomName};
use tokio::sync::{mpsc, oneshot};

use self::{
    demux::Demux,
    hosted::{HostedRoom, Life},
    socket::BatchSocket,
    timers::Timers,
};
use crate::{
    addresses, proto,
    thread::{
        COMMAND_QUEUE, Enter, Return, RoomKey, RoomSlot, ThreadCommand, ThreadCounters,
        ThreadHandle, ThreadReport, Ticket, Undeliverable,
    },
};

/// What a packet thread is started with.
#[derive(Clone, Debug)]
pub(crate) struct ThreadConfig {
    /// Position among the node's threads.
    pub(crate) index: usize,
    /// Where its socket binds.
    pub(crate) bind: SocketAddr,
    /// The address announced instead of our own.
    pub(crate) public_ip: Option<std::net::IpAddr>,
    /// Bounds of rooms that say nothing else.
    pub(crate) room_limits: RoomLimits,
    /// Whether subscribers' bandwidth is estimated.
    pub(crate) estimate_bandwidth: bool,
}

/// A running packet thread.
pub(crate) struct PacketThread {
    /// How to talk to it.
    pub(crate) handle: ThreadHandle,
    /// Where its socket is bound.
    pub(crate) bound: SocketAddr,
    /// Ends after [`ThreadCommand::Stop`].
    pub(crate) join: JoinHandle<()>,
}

impl PacketThread {
    /// Binds the socket and starts the thread.
    pub(crate) fn start(
        config: ThreadConfig,
        reports: mpsc::Sender<ThreadReport>,
    ) -> io::Result<Self> {
        let socket = socket::bind(config.bind)?;
        let bound = socket::bound(&socket)?;
        let (wake_here, wake_there) = UnixStream::pair()?;
        wake_here.set_nonblocking(true)?;
        wake_there.set_nonblocking(true)?;
        let (commands, queue) = mpsc::channel(COMMAND_QUEUE);
        let name = format!("packets-{}", config.index);
        let run = move || match BatchSocket::new(socket) {
            Ok(socket) => PacketLoop::new(config, socket, queue, wake_there, reports).run(),
            Err(error) => tracing::error!(%error, "a packet thread cannot use its socket"),
        };
        let join = std::thread::Builder::new().name(name).spawn(run)?;
        let handle = ThreadHandle::new(commands, Arc::new(wake_here));
        Ok(Self { handle, bound, join })
    }
}

/// The state of one thread: its rooms, and what they share.
struct PacketLoop {
    rooms: Vec<Option<HostedRoom>>,
    free: Vec<usize>,
    by_key: BTreeMap<RoomKey, usize>,
    touched: Vec<usize>,
    timers: Timers,
    commands: mpsc::Receiver<ThreadCommand>,
    wake: UnixStream,
    /// Counters of rooms that have ended.
    ended: RoomStats,
    report_due: Instant,
    is_stopping: bool,
    shared: Shared,
}

/// What every room of a thread uses while it is touched.
struct Shared {
    config: ThreadConfig,
    socket: BatchSocket,
    candidates: Vec<SocketAddr>,
    demux: Demux,
    batch: SendBatch,
    reports: mpsc::Sender<ThreadReport>,
    /// Reports the registry depends on, that did not fit yet; at most one per room that ended.
    unsent: VecDeque<ThreadReport>,
    counters: ThreadCounters,
}

impl Shared {
    /// Sends what has been collected.
    fn flush(&mut self) {
        if self.batch.is_empty() {
            return;
        }
        let sent = self.socket.send(&self.batch);
        self.counters.send_failures_total += u64::try_from(sent.failures).unwrap_or(0);
        self.batch.clear();
    }

    /// Reports what observers can do without.
    fn report(&mut self, report: ThreadReport) {
        if self.reports.try_send(report).is_err() {
            self.counters.facts_dropped_total += 1;
        }
    }

    /// Reports what the registry depends on: now, or once there is room.
    fn report_surely(&mut self, report: ThreadReport) {
        self.unsent.push_back(report);
        self.send_unsent();
    }

    fn send_unsent(&mut self) {
        while let Some(report) = self.unsent.pop_front() {
            match self.reports.try_send(report) {
                Ok(()) => {}
                Err(mpsc::error::TrySendError::Full(report)) => {
                    self.unsent.push_front(report);
                    return;
                }
                // The node is gone; nobody depends on anything.
                Err(mpsc::error::TrySendError::Closed(_)) => self.unsent.clear(),
            }
        }
    }
}

impl PacketLoop {
    fn new(
        config: ThreadConfig,
        socket: BatchSocket,
        commands: mpsc::Receiver<ThreadCommand>,
        wake: UnixStream,
        reports: mpsc::Sender<ThreadReport>,
    ) -> Self {
        let host = addresses::host_addresses();
        let candidates = addresses::candidates(socket.bound(), config.public_ip, &host);
        Self {
            rooms: Vec::new(),
            free: Vec::new(),
            by_key: BTreeMap::new(),
            touched: Vec::new(),
            timers: Timers::default(),
            commands,
            wake,
            ended: RoomStats::default(),
            report_due: Instant::now() + REPORT_EVERY,
            is_stopping: false,
            shared: Shared {
                config,
                socket,
                candidates,
                demux: Demux::default(),
                batch: SendBatch::new(),
                reports,
                unsent: VecDeque::new(),
                counters: ThreadCounters::default(),
            },
        }
    }

    fn run(mut self) {
        tracing::debug!(thread = self.shared.config.index, bound = %self.shared.socket.bound(),
            candidates = ?self.shared.candidates, "packet thread runs");
        while !self.is_stopping {
            let now = Instant::now();
            let taken = self.take_commands(now);
            let received = self.receive(now);
            self.handle_due(now);
            self.drain_touched(now);
            self.report_counters(now);
            let is_busy =
                taken == COMMANDS_PER_ROUND || received == rtc_media::transmit::BATCH_DATAGRAMS;
            if !is_busy && !self.is_stopping {
                self.sleep();
            }
        }
        self.drain_touched(Instant::now());
    }

    fn take_commands(&mut self, now: Instant) -> usize {
        let mut taken = 0;
        while taken < COMMANDS_PER_ROUND {
            let Ok(command) = self.commands.try_recv() else { break };
            self.handle_command(now, command);
            taken += 1;
        }
        taken
    }

    fn handle_command(&mut self, now: Instant, command: ThreadCommand) {
        match command {
            ThreadCommand::Enter(enter) => self.enter(now, *enter),
            ThreadCommand::Return(back) => self.come_back(now, *back),
            ThreadCommand::Ask { room, from, request, subject } => {
                self.with_room(room, |hosted, _| hosted.ask(now, from, request, subject));
            }
            ThreadCommand::Missed { room, participant, last_seen } => {
                self.with_room(room, |hosted, _| {
                    hosted.repeat_missed(now, participant, &last_seen);
                });
            }
            ThreadCommand::SessionLost { room, participant, session } => {
                self.with_room(room, |hosted, _| hosted.session_lost(now, participant, session));
            }
            ThreadCommand::Leave { room, participant, reason } => {
                self.with_room(room, |hosted, _| hosted.leave(now, participant, reason));
            }
            ThreadCommand::SabotageResume { room, participant, how } => {
                self.with_room(room, |hosted, _| hosted.sabotage_resume(participant, how));
            }
            ThreadCommand::Call { key, call, reply } => {
                let answer = self
                    .with_key(&key, |hosted, _| calls::execute(hosted, now, *call))
                    .unwrap_or_else(|| Err(ErrorCode::RoomNotFound.into()));
                // A caller that waits no longer needs no answer; so with the replies below.
                let _ = reply.send(answer).ok();
            }
            ThreadCommand::Open { key, ticket, settings, reply } => {
                self.open_or_find(now, key, ticket, &settings, reply);
            }
            ThreadCommand::ListRooms { app, names, reply } => {
                let _ = reply.send(self.list(&app, &names)).ok();
            }
            ThreadCommand::Rpc { key, request, reply, progress } => {
                let answer = self
                    .with_key(&key, |hosted, _| hosted.call_method(now, &request, progress))
                    .unwrap_or_else(|| Err(ErrorCode::RoomNotFound.into()));
                let _ = reply.send(answer).ok();
            }
            ThreadCommand::CloseRooms { app, reason } => {
                self.close_rooms(now, app.as_ref(), reason);
            }
            ThreadCommand::Stop => self.is_stopping = true,
        }
    }

    fn enter(&mut self, now: Instant, enter: Enter) {
        // What happened before is told to those who were there, and not to the newcomer after its snapshot.
        self.drain_touched(now);
        let Enter { key, ticket, settings, join, events, reply } = enter;
        let (index, is_new) = match self.open_index(&key) {
            Some(index) => (index, false),
            None => match self.open(now, key.clone(), ticket, &settings) {
                Ok(index) => (index, true),
                Err(refusal) => {
                    self.shared.report_surely(ThreadReport::Vacant { key, ticket });
                    let _ = reply.send(Err(refusal)).ok();
                    return;
                }
            },
        };
        let entered = self.guarded(index, |hosted, _| {
            hosted.ticket = hosted.ticket.max(ticket);
            let entered = hosted.enter(now, index, join, events);
            if entered.is_err() && is_new {
                // Nobody came in, and nobody asked for the room itself.
                hosted.close(now, LeaveReason::RoomClosed);
            }
            entered
        });
        let entered = entered.unwrap_or_else(|| Err(ErrorCode::Internal.into()));
        if let Err(Ok(unheard)) = reply.send(entered) {
            // The client went away while it waited.
            let participant = unheard.joined.participant.id;
            let reason = LeaveReason::JoinFailure;
            self.guarded(index, |hosted, _| hosted.leave(now, participant, reason));
        }
    }

    fn come_back(&mut self, now: Instant, back: Return) {
        // As for newcomers; and who has just left is to be in the snapshot.
        self.drain_touched(now);
        let Return { key, resume, events, reply } = back;
        let (participant, session) = (resume.participant, resume.session);
        let index = self.open_index(&key);
        let returned = index.and_then(|index| {
            self.guarded(index, |hosted, _| hosted.come_back(now, index, resume, events))
        });
        let gone = || Err(ErrorCode::SessionNotResumable.into());
        if let (Err(Ok(_)), Some(index)) = (reply.send(returned.unwrap_or_else(gone)), index) {
            // The client went away while it waited.
            self.guarded(index, |hosted, _| hosted.session_lost(now, participant, session));
        }
    }

    fn open_or_find(
        &mut self,
        now: Instant,
        key: RoomKey,
        ticket: Ticket,
        settings: &RoomSettings,
        reply: oneshot::Sender<Answer<RoomAnswer>>,
    ) {
        let index = match self.open_index(&key) {
            Some(index) => Ok(index),
            None => self.open(now, key.clone(), ticket, settings),
        };
        let answer = index.and_then(|index| {
            let info = self.guarded(index, |hosted, _| {
                hosted.ticket = hosted.ticket.max(ticket);
                proto::info::room(hosted.room.info())
            });
            info.map(RoomAnswer::Room).ok_or_else(|| ErrorCode::Internal.into())
        });
        if answer.is_err() && !self.by_key.contains_key(&key) {
            self.shared.report_surely(ThreadReport::Vacant { key, ticket });
        }
        let _ = reply.send(answer).ok();
    }

    /// The room of this name that can still be entered. One that is closing gives its name free.
    fn open_index(&mut self, key: &RoomKey) -> Option<usize> {
        let index = *self.by_key.get(key)?;
        let is_closing =
            self.rooms.get(index).and_then(Option::as_ref).is_none_or(HostedRoom::is_closing);
        if is_closing {
            self.by_key.remove(key);
            return None;
        }
        Some(index)
    }

    fn open(
        &mut self,
        now: Instant,
        key: RoomKey,
        ticket: Ticket,
        settings: &RoomSettings,
    ) -> Result<usize, Refusal> {
        let id = RoomId::random(&mut OsBits);
        let mut limits = self.shared.config.room_limits.clone();
        if let Some(seconds) = settings.empty_timeout_s {
            limits.empty_timeout = Duration::from_secs(seconds.into());
        }
        if let Some(seconds) = settings.departure_timeout_s {
            limits.departure_timeout = Duration::from_secs(seconds.into());
        }
        if let Some(participants_max) = settings.participants_max {
            limits.participants_max = participants_max;
        }
        let message_bytes_max = limits.message_bytes_max;
        let config = RoomConfig {
            id,
            name: key.name.clone(),
            metadata: settings.metadata.clone().unwrap_or_default(),
            limits,
            created_at: SystemTime::now(),
            seed: Seed(rand::random()),
            candidates: self.shared.candidates.clone(),
            estimate_bandwidth: self.shared.config.estimate_bandwidth,
        };
        let room = catch_unwind(AssertUnwindSafe(|| Room::new(now, config)))
            .map_err(|_| Refusal::from(ErrorCode::Internal))?;
        let hosted = HostedRoom::new(key.clone(), id, ticket, room, message_bytes_max);
        let index = if let Some(index) = self.free.pop() {
            if let Some(slot) = self.rooms.get_mut(index) {
                *slot = Some(hosted);
            }
            index
        } else {
            self.rooms.push(Some(hosted));
            self.rooms.len() - 1
        };
        self.by_key.insert(key, index);
        self.touch(index);
        Ok(index)
    }

    fn list(&self, app: &AppId, names: &[RoomName]) -> Vec<proto::Room> {
        self.rooms
            .iter()
            .flatten()
            .filter(|hosted| hosted.key.app == *app && !hosted.is_closing())
            .filter(|hosted| names.is_empty() || names.contains(&hosted.key.name))
            .map(|hosted| proto::info::room(hosted.room.info()))
            .collect()
    }

    fn close_rooms(&mut self, now: Instant, app: Option<&AppId>, reason: LeaveReason) {
        for index in 0..self.rooms.len() {
            let hosted = self.rooms.get(index).and_then(Option::as_ref);
            if hosted.is_some_and(|hosted| app.is_none_or(|app| hosted.key.app == *app)) {
                self.guarded(index, |hosted, _| hosted.close(now, reason));
            }
        }
    }

    fn receive(&mut self, now: Instant) -> usize {
        let received = match self.shared.socket.receive() {
            Ok(received) => received,
            Err(error) => {
                tracing::error!(%error, "receiving failed");
                0
            }
        };
        for index in 0..received {
            self.handle_datagram(now, index);
        }
        received
    }

    fn handle_datagram(&mut self, now: Instant, index: usize) {
        let Shared { socket, demux, candidates, counters, .. } = &mut self.shared;
        let Some((received, datagram)) = socket.datagram(index) else { return };
        let route = if received.is_truncated {
            Err(Undeliverable::Oversized)
        } else {
            demux.route(received.remote, datagram)
        };
        let route = match route {
            Ok(route) => route,
            Err(reason) => {
                if let Some(count) = counters.undeliverable_total.get_mut(reason.index()) {
                    *count += 1;
                }
                return;
            }
        };
        let Some(local) = addresses::arrived_at(candidates, received.destination) else { return };
        let path = Path { remote: received.remote, local };
        let Some(hosted) = self.rooms.get_mut(route.room).and_then(Option::as_mut) else { return };
        let handled =
            catch_unwind(AssertUnwindSafe(|| hosted.room.handle_datagram(now, path, datagram)));
        match handled {
            Ok(Handled::Taken) => {
                if let Some(ufrag) = &route.ufrag {
                    demux.learn(received.remote, ufrag);
                }
                self.touch(route.room);
            }
            Ok(Handled::Dropped) => self.touch(route.room),
            Err(_) => self.bury(route.room),
        }
    }

    fn handle_due(&mut self, now: Instant) {
        while let Some(index) = self.timers.pop_due(now) {
            self.guarded(index, |hosted, _| hosted.room.handle_timeout(now));
        }
    }

    /// Runs `f` on a room; a panic in it closes the room. `None`: no such room, or it panicked.
    fn guarded<R>(
        &mut self,
        index: usize,
        f: impl FnOnce(&mut HostedRoom, &mut Shared) -> R,
    ) -> Option<R> {
        let hosted = self.rooms.get_mut(index)?.as_mut()?;
        let shared = &mut self.shared;
        match catch_unwind(AssertUnwindSafe(|| f(hosted, shared))) {
            Ok(result) => {
                self.touch(index);
                Some(result)
            }
            Err(_) => {
                self.bury(index);
                None
            }
        }
    }

    fn with_room<R>(
        &mut self,
        slot: RoomSlot,
        f: impl FnOnce(&mut HostedRoom, &mut Shared) -> R,
    ) -> Option<R> {
        let hosted = self.rooms.get(slot.index)?.as_ref()?;
        (hosted.id == slot.id).then_some(())?;
        self.guarded(slot.index, f)
    }

    fn with_key<R>(
        &mut self,
        key: &RoomKey,
        f: impl FnOnce(&mut HostedRoom, &mut Shared) -> R,
    ) -> Option<R> {
        let index = self.open_index(key)?;
        self.guarded(index, f)
    }

    fn touch(&mut self, index: usize) {
        let hosted = self.rooms.get_mut(index).and_then(Option::as_mut);
        if let Some(hosted) = hosted
            && !hosted.is_touched
        {
            hosted.is_touched = true;
            self.touched.push(index);
        }
    }

    fn drain_touched(&mut self, now: Instant) {
        while let Some(index) = self.touched.pop() {
            let Some(hosted) = self.rooms.get_mut(index).and_then(Option::as_mut) else { continue };
            hosted.is_touched = false;
            let shared = &mut self.shared;
            let drained = catch_unwind(AssertUnwindSafe(|| hosted.drain(now, index, shared)));
            match drained {
                Ok(Life::Open { next_timeout }) => {
                    // A room that asks for the past must not make the thread spin.
                    self.timers.set(index, next_timeout.max(now + TIMER_GRAIN));
                }
                Ok(Life::Ended) => self.remove(index),
                Err(_) => self.bury(index),
            }
        }
        self.shared.flush();
        self.shared.send_unsent();
    }

    /// Closes a room that panicked. Nothing of its own code runs any more.
    fn bury(&mut self, index: usize) {
        self.shared.counters.rooms_panicked_total += 1;
        let Some(hosted) = self.rooms.get_mut(index).and_then(Option::as_mut) else { return };
        tracing::error!(room = %hosted.id, name = %hosted.key.name, app = %hosted.key.app,
            "a bug closed a room");
        let fact = hosted.bury();
        self.shared.report(fact);
        self.remove(index);
    }

    fn remove(&mut self, index: usize) {
        let Some(hosted) = self.rooms.get_mut(index).and_then(Option::take) else { return };
        if self.by_key.get(&hosted.key) == Some(&index) {
            self.by_key.remove(&hosted.key);
        }
        self.timers.remove(index);
        self.shared.demux.forget_room(index);
        self.free.push(index);
        add_stats(&mut self.ended, hosted.room.stats());
        self.shared
            .report_surely(ThreadReport::Vacant { key: hosted.key.clone(), ticket: hosted.ticket });
        // Dropping a room that panicked may panic again.
        let _ = catch_unwind(AssertUnwindSafe(|| drop(hosted))).ok();
    }

    fn report_counters(&mut self, now: Instant) {
        if now < self.report_due {
            return;
        }
        self.report_due = now + REPORT_EVERY;
        let mut counters = self.shared.counters.clone();
        counters.rooms = self.ended.clone();
        for hosted in self.rooms.iter().flatten() {
            add_stats(&mut counters.rooms, hosted.room.stats());
            counters.rooms_open += 1;
            counters.participants += u64::try_from(hosted.member_count()).unwrap_or(0);
        }
        let thread = self.shared.config.index;
        // A snapshot that does not fit is made up for by the next.
        let report = ThreadReport::Counters { thread, counters: Box::new(counters) };
        let _ = self.shared.reports.try_send(report).ok();
    }

    /// Waits for a datagram, a command or the nearest timeout.
    fn sleep(&mut self) {
        let until = self.timers.next().map_or(self.report_due, |timer| timer.min(self.report_due));
        let timeout = until.saturating_duration_since(Instant::now());
        let mut fds = [
            PollFd::new(self.shared.socket.as_fd(), PollFlags::POLLIN),
            PollFd::new(self.wake.as_fd(), PollFlags::POLLIN),
        ];
        // An interrupted wait is a short one; an impossible error must not make the thread spin.
        let _ = ppoll(&mut fds, Some(TimeSpec::from_duration(timeout)), None).ok();
        let is_woken = fds[1].revents().is_some_and(|events| !events.is_empty());
        if is_woken {
            let mut scrap = [0; 64];
            while self.wake.read(&mut scrap).is_ok_and(|read| read == scrap.len()) {}
        }
    }
}

/// Ids from the operating system's randomness.
pub(crate) struct OsBits;

impl RandomBits for OsBits {
    fn next_bits(&mut self) -> u64 {
        rand::random()
    }
}

fn add_stats(sum: &mut RoomStats, stats: &RoomStats) {
    sum.datagrams_received_total += stats.datagrams_received_total;
    sum.packets_received_total += stats.packets_received_total;
    sum.bytes_received_total += stats.bytes_received_total;
    sum.packets_forwarded_total += stats.packets_forwarded_total;
    sum.bytes_forwarded_total += stats.bytes_forwarded_total;
    sum.datagrams_sent_total += stats.datagrams_sent_total;
    for (sum, each) in sum.dropped_total.iter_mut().zip(stats.dropped_total) {
        *sum += each;
    }
    sum.keyframe_requests_total += stats.keyframe_requests_total;
    sum.keyframe_requests_merged_total += stats.keyframe_requests_merged_total;
    sum.layer_switches_total += stats.layer_switches_total;
    sum.pauses_total += stats.pauses_total;
    sum.messages_received_total += stats.messages_received_total;
    sum.messages_sent_total += stats.messages_sent_total;
    sum.messages_dropped_total += stats.messages_dropped_total;
}

/// Commands taken before packets get their turn again.
const COMMANDS_PER_ROUND: usize = 64;
/// How often counters are reported.
const REPORT_EVERY: Duration = Duration::from_secs(1);
/// Nearer timeouts than this gain nothing but wake-ups.
const TIMER_GRAIN: Duration = Duration::from_micros(250);

#[cfg(test)]
mod tests;
