use std::{collections::BTreeMap, net::Ipv4Addr};

use rtc_media::{
    command::{AutoSubscribe, Join, SessionNumber, Topology},
    event::{Fact, Signal},
};
use rtc_model::{Identity, ParticipantKind, Permissions};

use super::*;
use crate::thread::{Entered, REPORT_QUEUE, SESSION_QUEUE, SessionEvent};

struct World {
    packet_loop: PacketLoop,
    reports: mpsc::Receiver<ThreadReport>,
    _wake: UnixStream,
    _commands: mpsc::Sender<ThreadCommand>,
}

impl World {
    fn new() -> Self {
        let config = ThreadConfig {
            index: 0,
            bind: SocketAddr::from((Ipv4Addr::LOCALHOST, 0)),
            public_ip: None,
            room_limits: RoomLimits::default(),
            estimate_bandwidth: true,
        };
        let socket = BatchSocket::new(socket::bind(config.bind).unwrap()).unwrap();
        let (commands, queue) = mpsc::channel(COMMAND_QUEUE);
        let (wake, wake_there) = UnixStream::pair().unwrap();
        let (sender, reports) = mpsc::channel(REPORT_QUEUE);
        let packet_loop = PacketLoop::new(config, socket, queue, wake_there, sender);
        Self { packet_loop, reports, _wake: wake, _commands: commands }
    }

    fn enter(
        &mut self,
        room: &str,
        identity: &str,
        queue: usize,
    ) -> (Entered, mpsc::Receiver<SessionEvent>) {
        let (events, heard) = mpsc::channel(queue);
        let (reply, mut answer) = oneshot::channel();
        let enter = Enter {
            key: key(room),
            ticket: Ticket(1),
            settings: RoomSettings::default(),
            join: join(identity),
            events,
            reply,
        };
        self.packet_loop.handle_command(Instant::now(), ThreadCommand::Enter(Box::new(enter)));
        self.packet_loop.drain_touched(Instant::now());
        (answer.try_recv().unwrap().unwrap(), heard)
    }

    fn reported(&mut self) -> Vec<ThreadReport> {
        std::iter::from_fn(|| self.reports.try_recv().ok()).collect()
    }
}

fn key(name: &str) -> RoomKey {
    RoomKey { app: AppId::new("app").unwrap(), name: RoomName::new(name).unwrap() }
}

fn join(identity: &str) -> Join {
    Join {
        session: SessionNumber(1),
        identity: Identity::new(identity).unwrap(),
        name: String::new(),
        metadata: String::new(),
        attributes: BTreeMap::new(),
        kind: ParticipantKind::Standard,
        permissions: Permissions::default(),
        topology: Topology::Dual,
        auto_subscribe: AutoSubscribe::On,
        adaptive_stream: false,
        joined_at: SystemTime::now(),
        protocol: 17,
        stream_per_track: false,
        publish: Vec::new(),
        offer: None,
    }
}

fn is_leave(event: &SessionEvent, wanted: LeaveReason) -> bool {
    matches!(event, SessionEvent::Signal(Signal::Leave { reason, .. }) if *reason == wanted)
}

#[test]
fn a_panic_closes_that_room_only() {
    let mut world = World::new();
    let (doomed, mut alice) = world.enter("doomed", "alice", SESSION_QUEUE);
    let (_, mut bob) = world.enter("other", "bob", SESSION_QUEUE);
    world.reported();
    let result: Option<()> =
        world.packet_loop.with_room(doomed.room, |_, _| panic!("on purpose, for the test"));
    assert_eq!(result, None);
    world.packet_loop.drain_touched(Instant::now());

    let told: Vec<SessionEvent> = std::iter::from_fn(|| alice.try_recv().ok()).collect();
    assert!(told.iter().any(|event| is_leave(event, LeaveReason::Internal)), "{told:?}");
    assert!(alice.is_closed());
    let told: Vec<SessionEvent> = std::iter::from_fn(|| bob.try_recv().ok()).collect();
    assert!(!told.iter().any(|event| is_leave(event, LeaveReason::Internal)), "{told:?}");
    assert!(!bob.is_closed(), "the other room goes on");
    assert_eq!(world.packet_loop.shared.counters.rooms_panicked_total, 1);

    let reports = world.reported();
    let finished = |report: &ThreadReport| {
        matches!(report, ThreadReport::Fact { fact: Fact::RoomFinished(room), .. }
            if room.id == doomed.room.id)
    };
    assert!(reports.iter().any(finished), "{reports:?}");
    let vacant = |report: &ThreadReport| matches!(report, ThreadReport::Vacant { key: vacant, .. } if *vacant == key("doomed"));
    assert!(reports.iter().any(vacant), "{reports:?}");
    let (again, _alice) = world.enter("doomed", "alice", SESSION_QUEUE);
    assert_ne!(again.room.id, doomed.room.id, "the name is free");
}

#[test]
fn a_session_that_does_not_listen_is_cut_and_the_room_hears_of_it() {
    let mut world = World::new();
    let (_, mut alice) = world.enter("room", "alice", 4);
    while alice.try_recv().is_ok() {}
    for n in 0..20 {
        world.enter("room", &format!("guest {n}"), SESSION_QUEUE);
    }
    let mut heard = 0;
    while alice.try_recv().is_ok() {
        heard += 1;
    }
    assert_eq!(heard, 4);
    assert!(alice.is_closed(), "the session ends, and its client resumes");
    assert_eq!(world.packet_loop.shared.counters.session_overflows_total, 1);
}

#[test]
fn reports_the_registry_needs_are_kept_until_they_fit() {
    let mut world = World::new();
    for n in 0..REPORT_QUEUE {
        let key = key(&format!("filler {n}"));
        world.packet_loop.shared.report_surely(ThreadReport::Occupancy { key, participants: 0 });
    }
    world
        .packet_loop
        .shared
        .report_surely(ThreadReport::Vacant { key: key("r"), ticket: Ticket(1) });
    assert_eq!(world.packet_loop.shared.unsent.len(), 1);
    world.reported();
    world.packet_loop.drain_touched(Instant::now());
    let reports = world.reported();
    assert!(matches!(&reports[..], [ThreadReport::Vacant { .. }]), "{reports:?}");
}

#[test]
fn a_command_for_an_earlier_room_in_the_same_place_does_nothing() {
    let mut world = World::new();
    let (first, _alice) = world.enter("room", "alice", SESSION_QUEUE);
    world.packet_loop.close_rooms(Instant::now(), None, LeaveReason::RoomDeleted);
    world.packet_loop.drain_touched(Instant::now());
    let (second, mut bob) = world.enter("room", "bob", SESSION_QUEUE);
    assert_eq!(first.room.index, second.room.index, "the place is used again");
    let participant = second.joined.participant.id;
    let reason = LeaveReason::ParticipantRemoved;
    let stale = ThreadCommand::Leave { room: first.room, participant, reason };
    world.packet_loop.handle_command(Instant::now(), stale);
    world.packet_loop.drain_touched(Instant::now());
    while let Ok(event) = bob.try_recv() {
        assert!(!is_leave(&event, reason));
    }
    assert!(!bob.is_closed());
}
