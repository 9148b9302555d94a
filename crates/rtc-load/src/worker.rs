//! The packet threads of the generator: each owns some clients with their sockets, sends what is
//! due, reads what came.
//!
//! A thread sleeps until a socket is readable, a packet is due or the clients' timers need a look.
//! Everything a packet needs happens on its thread; the only shared things are counters.

use std::{
    collections::HashMap,
    io::ErrorKind,
    net::UdpSocket,
    os::fd::{AsFd, AsRawFd},
    sync::{
        Arc, OnceLock,
        atomic::{AtomicU64, AtomicUsize, Ordering},
        mpsc,
    },
    thread::JoinHandle,
    time::{Duration, Instant},
};

use anyhow::Context;
use mio::{Events, Interest, Poll, Token, Waker, unix::SourceFd};
use nix::sys::{
    time::TimeSpec,
    timerfd::{ClockId, Expiration, TimerFd, TimerFlags, TimerSetTimeFlags},
};
use rtc_api::proto::{signal_request, signal_response};

use crate::{
    client::{Client, ClientEvent, Outbox},
    socket::{Receiver, wall_ns},
};

/// How far the clients of a run have come, counted over all threads.
#[derive(Debug, Default)]
pub struct Progress {
    /// Clients whose ICE and DTLS are up.
    pub connected: AtomicUsize,
    /// Tracks confirmed by the server.
    pub published: AtomicUsize,
    /// Tracks of which some receiver got its first packet, summed over receivers.
    pub flowing: AtomicUsize,
    /// Clients that cannot go on.
    pub failed: AtomicUsize,
    /// Datagrams the kernel did not take.
    pub send_failures: AtomicU64,
    first_failure: OnceLock<String>,
}

impl Progress {
    /// Counts a failed client.
    pub fn fail(&self, why: String) {
        self.failed.fetch_add(1, Ordering::Relaxed);
        // Later failures are counted only.
        drop(self.first_failure.set(why));
    }

    /// What the first failed client said.
    pub fn first_failure(&self) -> Option<&str> {
        self.first_failure.get().map(String::as_str)
    }
}

/// A client with its outside.
pub struct Seat {
    /// The participant.
    pub client: Client,
    /// Its socket.
    pub socket: UdpSocket,
    /// Its signalling connection.
    pub messages: tokio::sync::mpsc::Sender<signal_request::Message>,
}

/// Names a client among those of a run.
pub type ClientId = usize;

/// What a thread can be told.
pub enum Command {
    /// Takes over a client.
    Add(ClientId, Box<Seat>),
    /// The server said something.
    Signal(ClientId, Box<signal_response::Message>),
    /// The client publishes now.
    Publish(ClientId),
    /// The thread ends and gives its clients back.
    Stop,
}

/// A running thread.
pub struct Worker {
    commands: mpsc::SyncSender<Command>,
    waker: Arc<Waker>,
    thread: JoinHandle<anyhow::Result<Vec<Client>>>,
}

/// The way to a running thread.
#[derive(Clone)]
pub struct WorkerHandle {
    commands: mpsc::SyncSender<Command>,
    waker: Arc<Waker>,
}

impl Worker {
    /// Starts a thread.
    ///
    /// # Errors
    /// When the operating system refuses a thread or a poller.
    pub fn start(index: usize, progress: Arc<Progress>) -> anyhow::Result<Self> {
        let poll = Poll::new()?;
        let waker = Arc::new(Waker::new(poll.registry(), TOKEN_WAKER)?);
        let (commands, inbox) = mpsc::sync_channel(COMMANDS_MAX);
        let thread = std::thread::Builder::new()
            .name(format!("load-{index}"))
            .spawn(move || Loop::new(poll, inbox, progress)?.run())?;
        Ok(Self { commands, waker, thread })
    }

    /// The way to the thread, for sessions.
    pub fn handle(&self) -> WorkerHandle {
        WorkerHandle { commands: self.commands.clone(), waker: Arc::clone(&self.waker) }
    }

    /// Ends the thread.
    ///
    /// # Errors
    /// When the thread had to give up.
    pub fn stop(self) -> anyhow::Result<Vec<Client>> {
        self.handle().send(Command::Stop);
        self.thread.join().map_err(|_| anyhow::anyhow!("a packet thread panicked"))?
    }
}

impl WorkerHandle {
    /// Hands a command over; waits while the thread has more than it can take.
    pub fn send(&self, command: Command) {
        // A thread that has ended takes no commands; its error is seen when it is joined.
        if self.commands.send(command).is_ok() {
            drop(self.waker.wake());
        }
    }
}

struct Loop {
    poll: Poll,
    inbox: mpsc::Receiver<Command>,
    progress: Arc<Progress>,
    timer: TimerFd,
    timer_at: Option<Instant>,
    seats: Vec<Seat>,
    by_id: HashMap<ClientId, usize>,
    /// When each seat's client wants its timers looked at, and when it sends next: beside the seats
    /// and dense, because all are looked through many times a second.
    timeouts: Vec<Instant>,
    sends: Vec<Option<Instant>>,
    next_scan: Instant,
    receiver: Receiver,
    outbox: Outbox,
}

impl Loop {
    fn new(
        poll: Poll,
        inbox: mpsc::Receiver<Command>,
        progress: Arc<Progress>,
    ) -> anyhow::Result<Self> {
        let flags = TimerFlags::TFD_NONBLOCK | TimerFlags::TFD_CLOEXEC;
        let timer = TimerFd::new(ClockId::CLOCK_MONOTONIC, flags)?;
        let fd = timer.as_fd().as_raw_fd();
        poll.registry().register(&mut SourceFd(&fd), TOKEN_TIMER, Interest::READABLE)?;
        Ok(Self {
            poll,
            inbox,
            progress,
            timer,
            timer_at: None,
            seats: Vec::new(),
            by_id: HashMap::new(),
            timeouts: Vec::new(),
            sends: Vec::new(),
            next_scan: Instant::now(),
            receiver: Receiver::default(),
            outbox: Outbox::default(),
        })
    }

    fn run(mut self) -> anyhow::Result<Vec<Client>> {
        let mut events = Events::with_capacity(EVENTS_MAX);
        loop {
            if !self.handle_commands()? {
                return Ok(self.seats.into_iter().map(|seat| seat.client).collect());
            }
            let now = Instant::now();
            self.send_due(now);
            self.scan_timers(now);
            self.arm_timer(now)?;
            match self.poll.poll(&mut events, None) {
                Ok(()) => {}
                Err(error) if error.kind() == ErrorKind::Interrupted => continue,
                Err(error) => return Err(error).context("waiting for sockets"),
            }
            for (number, event) in events.iter().enumerate() {
                if number % SOCKETS_BETWEEN_SENDS == SOCKETS_BETWEEN_SENDS - 1 {
                    self.send_due(Instant::now());
                }
                if let Some(index) = seat_of(event.token()) {
                    self.receive(index)?;
                }
            }
        }
    }

    /// False when the thread is to end.
    fn handle_commands(&mut self) -> anyhow::Result<bool> {
        while let Ok(command) = self.inbox.try_recv() {
            let now = Instant::now();
            match command {
                Command::Add(id, seat) => self.add(id, *seat)?,
                Command::Signal(id, message) => self.with(id, |client, outbox| {
                    client.handle_signal(now, *message, outbox);
                }),
                Command::Publish(id) => self.with(id, |client, outbox| {
                    client.publish(outbox);
                    client.handle_timeout(now, outbox);
                }),
                Command::Stop => return Ok(false),
            }
        }
        Ok(true)
    }

    fn add(&mut self, id: ClientId, seat: Seat) -> anyhow::Result<()> {
        let index = self.seats.len();
        let fd = seat.socket.as_raw_fd();
        let token = Token(index + FIRST_SEAT_TOKEN);
        self.poll.registry().register(&mut SourceFd(&fd), token, Interest::READABLE)?;
        self.timeouts.push(seat.client.next_timeout());
        self.sends.push(seat.client.next_send());
        self.seats.push(seat);
        self.by_id.insert(id, index);
        Ok(())
    }

    fn with(&mut self, id: ClientId, work: impl FnOnce(&mut Client, &mut Outbox)) {
        if let Some(index) = self.by_id.get(&id).copied() {
            work(&mut self.seats[index].client, &mut self.outbox);
            self.flush(index);
        }
    }

    fn send_due(&mut self, now: Instant) {
        for index in 0..self.sends.len() {
            if self.sends[index].is_some_and(|at| at <= now) {
                self.seats[index].client.send_due(now, wall_ns(), &mut self.outbox);
                self.flush(index);
            }
        }
    }

    fn scan_timers(&mut self, now: Instant) {
        if now < self.next_scan {
            return;
        }
        self.next_scan = now + TIMER_SCAN;
        for index in 0..self.timeouts.len() {
            if self.timeouts[index] <= now {
                self.seats[index].client.handle_timeout(now, &mut self.outbox);
                self.flush(index);
            }
        }
    }

    /// Sleeps no longer than until the next packet is due or the timers need a look. A timer
    /// descriptor is used because a poller's own timeout has whole milliseconds only.
    fn arm_timer(&mut self, now: Instant) -> anyhow::Result<()> {
        let send = self.sends.iter().flatten().min().copied();
        let scan = (!self.seats.is_empty()).then_some(self.next_scan);
        let at = send.into_iter().chain(scan).min();
        if at == self.timer_at {
            return Ok(());
        }
        self.timer_at = at;
        match at {
            Some(at) => {
                // Zero would disarm the timer.
                let wait = at.saturating_duration_since(now).max(Duration::from_nanos(1));
                let expiration = Expiration::OneShot(TimeSpec::from_duration(wait));
                self.timer.set(expiration, TimerSetTimeFlags::empty())?;
            }
            None => self.timer.unset()?,
        }
        Ok(())
    }

    fn receive(&mut self, index: usize) -> anyhow::Result<()> {
        loop {
            let (now, now_ns) = (Instant::now(), wall_ns());
            let Seat { client, socket, .. } = &mut self.seats[index];
            let outbox = &mut self.outbox;
            let take = |source, datagram: &[u8], received_ns| {
                // The kernel's arrival time, so that a busy generator does not look like a busy
                // network in the feedback.
                let ago = Duration::from_nanos(now_ns.saturating_sub(received_ns));
                let arrived = now.checked_sub(ago).unwrap_or(now);
                client.handle_datagram(arrived, source, datagram, received_ns, outbox);
            };
            let more = self.receiver.receive(socket, take).context("reading a client's socket")?;
            self.flush(index);
            if !more {
                return Ok(());
            }
        }
    }

    fn flush(&mut self, index: usize) {
        let seat = &mut self.seats[index];
        self.timeouts[index] = seat.client.next_timeout();
        self.sends[index] = seat.client.next_send();
        for datagram in self.outbox.datagrams.drain(..) {
            if seat.socket.send_to(&datagram.contents, datagram.destination).is_err() {
                self.progress.send_failures.fetch_add(1, Ordering::Relaxed);
            }
        }
        for message in self.outbox.messages.drain(..) {
            if seat.messages.try_send(message).is_err() {
                self.progress.fail("a signalling connection is gone or takes no messages".into());
            }
        }
        for event in self.outbox.events.drain(..) {
            let progress = &self.progress;
            match event {
                ClientEvent::Connected => progress.connected.fetch_add(1, Ordering::Relaxed),
                ClientEvent::Published => progress.published.fetch_add(1, Ordering::Relaxed),
                ClientEvent::TrackFlowing => progress.flowing.fetch_add(1, Ordering::Relaxed),
                ClientEvent::Failed(why) => {
                    progress.fail(why);
                    0
                }
            };
        }
    }
}

fn seat_of(token: Token) -> Option<usize> {
    token.0.checked_sub(FIRST_SEAT_TOKEN)
}

const TOKEN_WAKER: Token = Token(0);
const TOKEN_TIMER: Token = Token(1);
const FIRST_SEAT_TOKEN: usize = 2;
/// Sockets looked at per wake-up; the rest keeps until the next.
const EVENTS_MAX: usize = 1_024;
/// Sockets read before publishers get their turn: a fraction of a millisecond.
const SOCKETS_BETWEEN_SENDS: usize = 32;
/// Commands under way to one thread; senders wait beyond.
const COMMANDS_MAX: usize = 4_096;
/// How exactly the clients' own timers are kept: a fraction of the 50 ms in which feedback goes
/// out.
const TIMER_SCAN: Duration = Duration::from_millis(2);
