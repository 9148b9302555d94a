//! Input from people who mean harm, and from broken programs.

use std::time::Duration;

use rtc_media::{
    Handled,
    command::{CommandError, Description, Path, Request, Topology},
};
use rtc_model::TrackKind;

use crate::world::{Dice, World};

/// A call that must not notice anything.
fn call(seed: u64) -> (World, usize, usize) {
    let mut world = World::new(seed);
    let alice = world.join("alice", Topology::Single);
    let bob = world.join("bob", Topology::Dual);
    world.publish(alice, TrackKind::Video, 1);
    world.run(Duration::from_secs(1));
    (world, alice, bob)
}

#[test]
fn foreign_datagrams_are_counted_and_change_nothing() {
    let (mut world, alice, bob) = call(5);
    let mut dice = Dice::new(5);
    let local = "192.0.2.1:7882".parse().unwrap();
    for round in 0..20_000_u32 {
        let length = usize::try_from(dice.next() % 200).unwrap();
        let mut datagram: Vec<u8> = (0..length).map(|_| dice.next().to_le_bytes()[3]).collect();
        if let Some(first) = datagram.first_mut() {
            *first = [0, 1, 20, 22, 63, 128, 144, 191, *first][usize::try_from(round % 9).unwrap()];
        }
        // From strangers, and forged from a participant's address.
        let remote = if round % 2 == 0 { "203.0.113.9:4000" } else { "198.51.100.7:10000" };
        let path = Path { remote: remote.parse().unwrap(), local };
        let handled = world.room.handle_datagram(world.now, path, &datagram);
        if round % 2 == 0 {
            assert_eq!(handled, Handled::Dropped);
        }
    }
    let dropped: u64 = world.room.stats().dropped_total.iter().sum();
    assert!(dropped >= 10_000, "{dropped}");
    let track = world.track_of(alice, TrackKind::Video);
    let count = world.received(bob, track).len();
    world.run(Duration::from_secs(2));
    assert!(world.received(bob, track).len() > count + 80, "the call goes on");
}

#[test]
fn absurd_descriptions_are_refused_and_the_call_goes_on() {
    let (mut world, alice, bob) = call(6);
    let usable = {
        let carol = world.join("carol", Topology::Single);
        let _ = carol;
        "v=0\r\no=- 1 2 IN IP4 0.0.0.0\r\ns=-\r\nt=0 0\r\n".to_owned()
    };
    let many = format!("{usable}{}", "m=audio 9 UDP/TLS/RTP/SAVPF 111\r\na=mid:0\r\n".repeat(600));
    let mut texts = vec![
        String::new(),
        "hello".to_owned(),
        usable.clone(),
        many,
        "x".repeat(600_000),
        format!("{usable}m=\r\n"),
        format!("{usable}m=video 9 UDP/TLS/RTP/SAVPF 96\r\na=mid:\u{1F600}\r\n"),
    ];
    let mut dice = Dice::new(6);
    for _ in 0..500 {
        let length = usize::try_from(dice.next() % 300).unwrap();
        texts.push((0..length).map(|_| char::from(dice.next().to_le_bytes()[2] & 0x7f)).collect());
    }
    for text in texts {
        let mallory = world.clients.len() - 1;
        let offer = Request::Offer(Description { id: 9, sdp: text });
        match world.request(mallory, offer) {
            Err(
                CommandError::BadDescription
                | CommandError::TooLarge { .. }
                | CommandError::ParticipantNotFound,
            ) => {}
            other => panic!("{other:?}"),
        }
    }
    let track = world.track_of(alice, TrackKind::Video);
    let count = world.received(bob, track).len();
    world.run(Duration::from_secs(2));
    assert!(world.received(bob, track).len() > count + 80, "the call goes on");
}
