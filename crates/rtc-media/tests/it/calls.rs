//! People call each other.

use std::{collections::BTreeSet, time::Duration};

use rtc_media::{
    command::{Request, Topology, Wish},
    event::{Fact, Signal},
    info::ParticipantState,
};
use rtc_model::{LeaveReason, Quality, TrackKind};

use crate::world::{Received, World};

const TOPOLOGIES: [(Topology, Topology); 4] = [
    (Topology::Single, Topology::Single),
    (Topology::Dual, Topology::Dual),
    (Topology::Single, Topology::Dual),
    (Topology::Dual, Topology::Single),
];

/// Numbers without gaps or repeats, time never backwards.
fn assert_unbroken(packets: &[Received]) {
    for pair in packets.windows(2) {
        assert_eq!(pair[1].ext_seq, pair[0].ext_seq + 1, "after {:?}", pair[0]);
        let ahead = pair[1].timestamp.wrapping_sub(pair[0].timestamp);
        assert!(ahead < 1 << 31, "time runs backwards after {:?}", pair[0]);
    }
}

#[test]
fn two_people_see_and_hear_each_other_in_every_topology() {
    for (index, (first, second)) in TOPOLOGIES.into_iter().enumerate() {
        let mut world = World::new(7 + u64::try_from(index).unwrap());
        let alice = world.join("alice", first);
        let bob = world.join("bob", second);
        for person in [alice, bob] {
            world.publish(person, TrackKind::Audio, 1);
            world.publish(person, TrackKind::Video, 1);
        }
        world.run(Duration::from_secs(3));
        for (from, to) in [(alice, bob), (bob, alice)] {
            let audio = world.received(to, world.track_of(from, TrackKind::Audio));
            assert!(audio.len() > 100, "{first:?} {second:?}: {} audio packets", audio.len());
            assert_unbroken(audio);
            let video = world.received(to, world.track_of(from, TrackKind::Video));
            assert!(video.len() > 100, "{first:?} {second:?}: {} video packets", video.len());
            assert!(video[0].is_keyframe);
            assert_unbroken(video);
        }
        let everybody_active =
            world.room.participants().all(|info| info.state == ParticipantState::Active);
        assert!(everybody_active);
    }
}

#[test]
fn who_comes_late_gets_what_is_there() {
    for topology in [Topology::Single, Topology::Dual] {
        let mut world = World::new(21);
        let alice = world.join("alice", Topology::Single);
        world.publish(alice, TrackKind::Video, 1);
        world.publish(alice, TrackKind::Audio, 1);
        world.run(Duration::from_secs(2));
        let bob = world.join("bob", topology);
        world.run(Duration::from_secs(2));
        for kind in [TrackKind::Audio, TrackKind::Video] {
            let packets = world.received(bob, world.track_of(alice, kind));
            assert!(packets.len() > 50, "{topology:?} {kind:?}: {}", packets.len());
            assert_unbroken(packets);
        }
        let requests = world.clients[alice].keyframe_requests;
        assert!((1..=4).contains(&requests), "{requests} keyframe requests");
    }
}

#[test]
fn a_section_given_back_carries_another_track_later() {
    for topology in [Topology::Single, Topology::Dual] {
        let mut world = World::new(33);
        let alice = world.join("alice", Topology::Single);
        let bob = world.join("bob", topology);
        world.publish(alice, TrackKind::Video, 1);
        world.run(Duration::from_secs(1));
        let first = world.track_of(alice, TrackKind::Video);
        let leave = rtc_media::command::Command::Leave {
            participant: world.clients[alice].id,
            reason: LeaveReason::ClientInitiated,
        };
        world.room.handle_command(world.now, leave).unwrap();
        world.exchange();
        world.run(Duration::from_millis(200));
        let carol = world.join("carol", Topology::Single);
        world.publish(carol, TrackKind::Video, 1);
        world.run(Duration::from_secs(1));
        let second = world.track_of(carol, TrackKind::Video);
        assert_ne!(first, second);
        let before = world.received(bob, first).last().copied().unwrap();
        let after = world.received(bob, second);
        assert!(after.len() > 30, "{topology:?}: {}", after.len());
        assert!(after[0].is_keyframe);
        assert_unbroken(after);
        assert!(world.clients[bob].strays < 10);
        let mids: BTreeSet<String> = world.clients[bob]
            .signals
            .iter()
            .filter_map(|signal| match signal {
                Signal::Answer { mid_to_track, .. } | Signal::Offer { mid_to_track, .. } => {
                    Some(mid_to_track)
                }
                _ => None,
            })
            .flat_map(|map| map.iter().filter(|(_, t)| [first, second].contains(t)))
            .map(|(mid, _)| mid.clone())
            .collect();
        match topology {
            Topology::Single => {
                assert_eq!(mids.len(), 1, "the second track uses the first one's section");
                assert!(after[0].ext_seq > before.ext_seq, "one outbound stream goes on");
            }
            Topology::Dual => assert_eq!(mids.len(), 2, "native clients need a new section"),
        }
    }
}

#[test]
fn the_layer_follows_the_wish() {
    let mut world = World::new(44);
    let alice = world.join("alice", Topology::Single);
    let bob = world.join("bob", Topology::Single);
    world.publish(alice, TrackKind::Video, 3);
    world.run(Duration::from_secs(4));
    let track = world.track_of(alice, TrackKind::Video);
    let highest = world.received(bob, track).last().unwrap().encoding;
    assert_eq!(highest, 2, "without a wish the best is sent");
    for (quality, encoding) in [(Quality::Low, 0), (Quality::Medium, 1), (Quality::High, 2)] {
        let wish = Wish { quality: Some(quality), ..Wish::default() };
        let request = Request::TrackSettings { tracks: vec![track], wish };
        world.request(bob, request).unwrap();
        world.run(Duration::from_secs(4));
        let packets = world.received(bob, track);
        assert_eq!(packets.last().unwrap().encoding, encoding, "{quality:?}");
        assert_unbroken(packets);
    }
    let count = world.received(bob, track).len();
    let wish = Wish { disabled: true, ..Wish::default() };
    world.request(bob, Request::TrackSettings { tracks: vec![track], wish }).unwrap();
    world.run(Duration::from_secs(1));
    assert!(world.received(bob, track).len() <= count + 2, "a disabled track costs nothing");
}

#[test]
fn a_muted_track_is_not_forwarded_and_comes_back_with_a_keyframe() {
    let mut world = World::new(55);
    let alice = world.join("alice", Topology::Single);
    let bob = world.join("bob", Topology::Dual);
    world.publish(alice, TrackKind::Video, 1);
    world.run(Duration::from_secs(1));
    let track = world.track_of(alice, TrackKind::Video);
    world.request(alice, Request::Mute { track, muted: true }).unwrap();
    let count = world.received(bob, track).len();
    world.run(Duration::from_secs(1));
    assert!(world.received(bob, track).len() <= count + 2);
    let count = world.received(bob, track).len();
    world.request(alice, Request::Mute { track, muted: false }).unwrap();
    world.run(Duration::from_secs(2));
    let packets = world.received(bob, track);
    assert!(packets[count].is_keyframe);
    assert_unbroken(packets);
}

#[test]
fn the_same_identity_joining_again_replaces_the_earlier_stay() {
    let mut world = World::new(66);
    let first = world.join("alice", Topology::Single);
    world.run(Duration::from_millis(500));
    world.join("alice", Topology::Single);
    let told = world.clients[first].signals.iter().any(|signal| {
        matches!(signal, Signal::Leave { reason: LeaveReason::DuplicateIdentity, .. })
    });
    assert!(told);
    assert_eq!(world.room.participants().count(), 1);
}

#[test]
fn a_resume_brings_media_back_with_everything_intact() {
    for topology in [Topology::Single, Topology::Dual] {
        let mut world = World::new(77);
        let alice = world.join("alice", Topology::Single);
        let bob = world.join("bob", topology);
        world.publish(alice, TrackKind::Video, 1);
        world.publish(bob, TrackKind::Audio, 1);
        world.run(Duration::from_secs(1));
        let view = world.resume(bob);
        assert_eq!(view.others.len(), 1);
        assert_eq!(view.participant.tracks.len(), 1);
        let track = world.track_of(alice, TrackKind::Video);
        let count = world.received(bob, track).len();
        world.run(Duration::from_secs(3));
        assert!(world.received(bob, track).len() > count + 50, "{topology:?}");
        let audio = world.track_of(bob, TrackKind::Audio);
        assert!(world.received(alice, audio).len() > 100);
    }
}

#[test]
fn a_client_that_vanishes_is_forgotten_and_an_empty_room_ends() {
    let mut world = World::new(88);
    let alice = world.join("alice", Topology::Single);
    world.publish(alice, TrackKind::Audio, 1);
    world.run(Duration::from_secs(1));
    world.clients[alice].is_cut = true;
    let lost = rtc_media::command::Command::SessionLost {
        participant: world.clients[alice].id,
        session: world.clients[alice].session,
    };
    world.room.handle_command(world.now, lost).unwrap();
    world.run(Duration::from_secs(5));
    assert_eq!(world.room.participants().count(), 1, "a short silence is forgiven");
    world.run(Duration::from_secs(10));
    assert_eq!(world.room.participants().count(), 0);
    assert!(world.facts.iter().any(|fact| matches!(fact, Fact::ParticipantLeft(..))));
    world.run(Duration::from_secs(21));
    assert!(world.is_closed);
}

#[test]
fn lost_packets_are_repaired_both_ways() {
    let mut world = World::new(99);
    let alice = world.join("alice", Topology::Single);
    let bob = world.join("bob", Topology::Single);
    world.publish(alice, TrackKind::Video, 1);
    world.run(Duration::from_secs(1));
    world.loss_percent = 5;
    world.run(Duration::from_secs(10));
    world.loss_percent = 0;
    world.run(Duration::from_secs(2));
    let track = world.track_of(alice, TrackKind::Video);
    let mut numbers: Vec<u64> = world.received(bob, track).iter().map(|p| p.ext_seq).collect();
    numbers.sort_unstable();
    numbers.dedup();
    let span = numbers.last().unwrap() - numbers.first().unwrap() + 1;
    let missing = span - u64::try_from(numbers.len()).unwrap();
    assert!(missing * 200 <= span, "{missing} of {span} missing after repair");
}
