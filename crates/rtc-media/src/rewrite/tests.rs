use std::collections::BTreeMap;

use rtc_model::Codec;

use super::*;
use crate::{
    payload::inspect,
    testing::{Chance, start},
};

const START: Start = Start { ext_seq: 1_000, timestamp: 50_000 };

fn rewrite() -> Rewrite {
    Rewrite::new(START, 90_000)
}

fn ms(ms: u64) -> Duration {
    Duration::from_millis(ms)
}

fn plain(ext_seq: u64, timestamp: u32) -> SourcePacket {
    SourcePacket { ext_seq, timestamp, vp8: None }
}

/// A VP8 packet with all numbers and a picture id of 15 bits.
fn vp8(ext_seq: u64, timestamp: u32, picture: u16, tl0: u8, temporal: u8) -> SourcePacket {
    let [high, low] = picture.to_be_bytes();
    let key_idx = 3;
    let payload = [0x90, 0xf0, 0x80 | high, low, tl0, temporal << 6 | key_idx, 1];
    SourcePacket { ext_seq, timestamp, vp8: inspect(Codec::Vp8, &payload).vp8 }
}

/// The picture id, TL0 index and key index a receiver reads.
fn read(packet: &SourcePacket, out: &OutPacket) -> (u16, u8, u8) {
    let header = match &out.vp8_patch {
        Some(patch) => patch.as_bytes().to_vec(),
        None => {
            let vp8 = packet.vp8.unwrap();
            return (vp8.picture_id.unwrap().value, vp8.tl0_pic_idx.unwrap(), vp8.key_idx.unwrap());
        }
    };
    let vp8 = inspect(Codec::Vp8, &[&header[..], &[1]].concat()).vp8.unwrap();
    (vp8.picture_id.unwrap().value, vp8.tl0_pic_idx.unwrap(), vp8.key_idx.unwrap())
}

#[test]
fn the_first_packet_gets_the_numbers_of_the_start() {
    for first in [0, 1, 65_535, 65_536, u64::MAX] {
        let out = rewrite().forward(start(), &plain(first, u32::MAX)).unwrap();
        assert_eq!(out, OutPacket { ext_seq: 1_000, timestamp: 50_000, vp8_patch: None });
    }
}

#[test]
fn holes_of_the_source_stay_holes() {
    let mut rewrite = rewrite();
    let now = start();
    let mut place = |ext_seq| rewrite.forward(now, &plain(ext_seq, 0)).map(|out| out.ext_seq);
    assert_eq!(place(10), Some(1_000));
    assert_eq!(place(11), Some(1_001));
    assert_eq!(place(15), Some(1_005));
    assert_eq!(place(13), Some(1_003), "late, in its place");
    assert_eq!(place(13), Some(1_003), "repeated, in the same place");
    assert_eq!(place(16), Some(1_006));
    assert_eq!(place(9), None, "before the first");
}

#[test]
fn what_is_left_out_closes_up() {
    let mut rewrite = rewrite();
    let now = start();
    assert_eq!(rewrite.forward(now, &plain(10, 0)).unwrap().ext_seq, 1_000);
    assert_eq!(rewrite.drop_packet(&plain(11, 0)), None);
    assert_eq!(rewrite.drop_packet(&plain(12, 0)), None);
    assert_eq!(rewrite.forward(now, &plain(14, 0)).unwrap().ext_seq, 1_002);
    assert_eq!(rewrite.forward(now, &plain(13, 0)).unwrap().ext_seq, 1_001);
    assert_eq!(rewrite.forward(now, &plain(12, 0)), None, "a repeated one stays out");
    assert_eq!(rewrite.drop_packet(&plain(11, 0)), None, "a repeated one stays out");
    assert_eq!(rewrite.forward(now, &plain(15, 0)).unwrap().ext_seq, 1_003);
}

#[test]
fn a_late_packet_that_nobody_wants_has_a_place_to_fill() {
    let mut rewrite = rewrite();
    let now = start();
    rewrite.forward(now, &plain(10, 900)).unwrap();
    rewrite.forward(now, &plain(12, 900)).unwrap();
    let filler = OutPacket { ext_seq: 1_001, timestamp: 50_000, vp8_patch: None };
    assert_eq!(rewrite.drop_packet(&plain(11, 900)), Some(Promised::Filler(filler)));
}

#[test]
fn nothing_is_left_out_of_a_stream_that_has_not_begun() {
    let mut rewrite = rewrite();
    assert_eq!(rewrite.drop_packet(&plain(10, 0)), None);
    assert_eq!(rewrite.forward(start(), &plain(11, 0)).unwrap().ext_seq, 1_000);
}

#[test]
fn numbers_too_far_back_have_no_place() {
    let mut rewrite = rewrite();
    let now = start();
    rewrite.forward(now, &plain(10_000, 0)).unwrap();
    for ext_seq in 10_001..=12_000 {
        rewrite.forward(now, &plain(ext_seq, 0)).unwrap();
    }
    assert_eq!(rewrite.forward(now, &plain(12_000 - 1_023, 0)).unwrap().ext_seq, 3_000 - 1_023);
    assert_eq!(rewrite.forward(now, &plain(12_000 - 1_024, 0)), None);
    assert_eq!(rewrite.drop_packet(&plain(12_000 - 1_024, 0)), None);
}

#[test]
fn a_leap_becomes_a_hole_of_one() {
    let mut rewrite = rewrite();
    let now = start();
    rewrite.forward(now, &plain(10, 0)).unwrap();
    rewrite.drop_packet(&plain(11, 0));
    let rows = [(11 + 1_023, 1_000 + 1_023), (9_000_000, 2_025), (9_000_001, 2_026)];
    for (ext_seq, expected) in rows {
        assert_eq!(rewrite.forward(now, &plain(ext_seq, 0)).unwrap().ext_seq, expected);
    }
    assert_eq!(rewrite.forward(now, &plain(8_999_999, 0)), None, "before the leap");
    // Leaping onto a packet that is left out.
    assert_eq!(rewrite.drop_packet(&plain(20_000_000, 0)), None);
    assert_eq!(rewrite.forward(now, &plain(20_000_001, 0)).unwrap().ext_seq, 2_028);
}

#[test]
fn a_switch_counts_on_and_moves_time_by_arrival() {
    let mut rewrite = rewrite();
    let now = start();
    rewrite.forward(now, &plain(10, 700)).unwrap();
    rewrite.forward(now + ms(33), &plain(11, 700 + 2_970)).unwrap();
    rewrite.switch(ClockBridge::Arrival);
    let out = rewrite.forward(now + ms(66), &plain(60_000, 5)).unwrap();
    assert_eq!(out, OutPacket { ext_seq: 1_002, timestamp: 50_000 + 2 * 2_970, vp8_patch: None });
    let late = rewrite.forward(now + ms(67), &plain(59_999, 0));
    assert_eq!(late, None, "late_packet_after_switch_is_dropped");
    let next = rewrite.forward(now + ms(99), &plain(60_001, 5 + 2_970)).unwrap();
    assert_eq!((next.ext_seq, next.timestamp), (1_003, 50_000 + 3 * 2_970));
}

#[test]
fn time_always_moves_forward_over_a_switch() {
    let now = start();
    let rows = [
        ("same moment", ms(0), ClockBridge::Arrival, 1),
        ("10 ms by arrival", ms(10), ClockBridge::Arrival, 900),
        ("clocks say 20 ms", ms(10), ClockBridge::Offset(2_700), 1_800),
        ("clocks say the same frame", ms(10), ClockBridge::Offset(900), 1),
        ("clocks say earlier", ms(10), ClockBridge::Offset(0), 1),
        ("clocks are minutes off", ms(10), ClockBridge::Offset(90_000_000), 900),
        (
            "clocks are minutes behind",
            ms(10),
            ClockBridge::Offset(0_u32.wrapping_sub(90_000_000)),
            900,
        ),
    ];
    for (name, elapsed, bridge, ticks) in rows {
        let mut rewrite = Rewrite::new(Start { ext_seq: 0, timestamp: u32::MAX }, 90_000);
        rewrite.forward(now, &plain(1, 1_000)).unwrap();
        rewrite.switch(bridge);
        // The new source's clock shows 100: with an offset of 900 that is the old one's 1,000.
        let out = rewrite.forward(now + elapsed, &plain(1, 100)).unwrap();
        assert_eq!(out.timestamp, u32::MAX.wrapping_add(ticks), "{name}");
    }
}

#[test]
fn a_push_forward_is_taken_back_by_the_next_switch() {
    let now = start();
    let mut rewrite = Rewrite::new(Start { ext_seq: 0, timestamp: 0 }, 90_000);
    // The small encoding is 9,000 ticks ahead when the large one's keyframe comes.
    rewrite.forward(now, &plain(1, 0)).unwrap();
    rewrite.forward(now + ms(100), &plain(2, 9_000)).unwrap();
    rewrite.switch(ClockBridge::Offset(0));
    let pushed = rewrite.forward(now + ms(101), &plain(1, 0)).unwrap();
    assert_eq!(pushed.timestamp, 9_001);
    rewrite.switch(ClockBridge::Offset(0));
    let back = rewrite.forward(now + ms(201), &plain(50, 18_000)).unwrap();
    assert_eq!(back.timestamp, 18_000);
}

#[test]
fn a_clock_offset_reads_one_moment_on_both_clocks() {
    let ntp = SystemTime::UNIX_EPOCH + Duration::from_secs(1_000);
    let old = ClockReading { ntp, timestamp: 10_000 };
    let rows = [
        ("same moment", ntp, 3_000, 7_000),
        ("new report a second later", ntp + ms(1_000), 93_000, 7_000),
        ("new report a second earlier", ntp - ms(1_000), 3_000_u32.wrapping_sub(90_000), 7_000),
        ("new clock ahead", ntp, 17_000, 0_u32.wrapping_sub(7_000)),
    ];
    for (name, ntp, timestamp, expected) in rows {
        assert_eq!(clock_offset(old, ClockReading { ntp, timestamp }, 90_000), expected, "{name}");
    }
}

#[test]
fn vp8_without_switches_and_drops_goes_out_untouched() {
    let mut rewrite = rewrite();
    let now = start();
    for (ext_seq, picture) in [(1, 0x7ffe), (2, 0x7fff), (3, 0), (5, 2), (4, 1)] {
        let packet = vp8(ext_seq, 0, picture, 255, 0);
        assert_eq!(rewrite.forward(now, &packet).unwrap().vp8_patch, None, "{picture}");
    }
}

#[test]
fn vp8_numbers_count_on_over_a_switch() {
    let mut rewrite = rewrite();
    let now = start();
    let last = vp8(1, 0, 0x7fff, 255, 0);
    rewrite.forward(now, &last).unwrap();
    rewrite.switch(ClockBridge::Arrival);
    let first = vp8(70, 0, 4_000, 17, 0);
    let out = rewrite.forward(now + ms(40), &first).unwrap();
    assert_eq!(read(&first, &out), (0, 0, 4));
    let second = vp8(71, 3_000, 4_001, 18, 0);
    let out = rewrite.forward(now + ms(70), &second).unwrap();
    assert_eq!(read(&second, &out), (1, 1, 4));
}

#[test]
fn vp8_pictures_close_up_where_frames_are_left_out() {
    let mut rewrite = rewrite();
    let now = start();
    // Two packets a frame; every other frame is of the upper temporal layer and left out.
    for frame in 0..300_u16 {
        for part in 0..2 {
            let ext_seq = 10 + u64::from(frame) * 2 + part;
            let picture = (0x7ff0 + frame) & 0x7fff;
            let tl0 = u8::try_from(frame / 2 % 256).unwrap();
            let packet =
                vp8(ext_seq, u32::from(frame) * 3_000, picture, tl0, u8::from(frame % 2 == 1));
            if frame % 2 == 1 {
                assert_eq!(rewrite.drop_packet(&packet), None);
                continue;
            }
            let out = rewrite.forward(now, &packet).unwrap();
            assert_eq!(out.ext_seq, 1_000 + u64::from(frame) + part);
            assert_eq!(read(&packet, &out).0, (0x7ff0 + frame / 2) & 0x7fff);
            assert_eq!(read(&packet, &out).1, tl0);
        }
    }
}

#[test]
fn a_late_frame_nobody_wants_is_sent_whole_when_its_places_are_promised() {
    let mut rewrite = rewrite();
    let now = start();
    rewrite.forward(now, &vp8(10, 0, 5, 0, 0)).unwrap();
    // Frame 6 (packets 11 and 12) is lost on the way to us, frame 7 is not.
    let seven = vp8(13, 6_000, 7, 1, 0);
    assert_eq!(read(&seven, &rewrite.forward(now, &seven).unwrap()).0, 7);
    for (ext_seq, place) in [(11, 1_001), (12, 1_002)] {
        let Some(Promised::Packet(out)) = rewrite.drop_packet(&vp8(ext_seq, 3_000, 6, 0, 1)) else {
            panic!("the frame's number is promised too");
        };
        assert_eq!((out.ext_seq, out.timestamp), (place, 53_000));
    }
}

#[test]
fn the_rest_of_a_frame_that_was_left_out_fills_its_place() {
    let mut rewrite = rewrite();
    let now = start();
    rewrite.forward(now, &vp8(10, 0, 5, 0, 0)).unwrap();
    assert_eq!(rewrite.drop_packet(&vp8(11, 3_000, 6, 0, 1)), None);
    // Packet 12, of the same frame, is late.
    assert_eq!(rewrite.forward(now, &vp8(13, 6_000, 7, 1, 0)).unwrap().ext_seq, 1_002);
    let rest = vp8(12, 3_000, 6, 0, 1);
    let Some(Promised::Filler(out)) = rewrite.drop_packet(&rest) else {
        panic!("its frame has no number");
    };
    assert_eq!(out.ext_seq, 1_001);
    assert_eq!(rewrite.forward(now, &rest), None, "not even if wanted later");
}

#[test]
fn a_frame_is_never_cut_in_half_by_a_change_of_mind() {
    let mut rewrite = rewrite();
    let now = start();
    rewrite.forward(now, &vp8(10, 0, 5, 0, 0)).unwrap();
    assert_eq!(rewrite.drop_packet(&vp8(11, 3_000, 6, 0, 1)), None);
    assert_eq!(rewrite.forward(now, &vp8(12, 3_000, 6, 0, 1)), None);
    let next = vp8(13, 6_000, 7, 1, 0);
    let out = rewrite.forward(now, &next).unwrap();
    assert_eq!((out.ext_seq, read(&next, &out).0), (1_001, 6));
}

#[test]
fn short_picture_ids_wrap_in_seven_bits() {
    let short = |ext_seq, picture: u8| {
        let vp8 = inspect(Codec::Vp8, &[0x90, 0x80, picture, 1]).vp8;
        SourcePacket { ext_seq, timestamp: 0, vp8 }
    };
    let mut rewrite = rewrite();
    let now = start();
    for frame in 0..400_u64 {
        let packet = short(frame, u8::try_from(frame % 128).unwrap());
        if frame % 4 == 3 {
            assert_eq!(rewrite.drop_packet(&packet), None);
            continue;
        }
        let out = rewrite.forward(now, &packet).unwrap();
        let place = u8::try_from((frame - frame / 4) % 128).unwrap();
        let expected = [0x90, 0x80, place];
        match out.vp8_patch {
            Some(patch) => assert_eq!(patch.as_bytes(), expected),
            None => assert_eq!(u64::from(place), frame % 128),
        }
    }
}

#[test]
fn a_source_without_vp8_numbers_between_two_with_them_is_survived() {
    let mut rewrite = rewrite();
    let now = start();
    let numbered = vp8(1, 0, 100, 7, 0);
    rewrite.forward(now, &numbered).unwrap();
    rewrite.switch(ClockBridge::Arrival);
    let bare = SourcePacket { ext_seq: 9, timestamp: 0, vp8: inspect(Codec::Vp8, &[0x10, 0]).vp8 };
    assert_eq!(rewrite.forward(now, &bare).unwrap().vp8_patch, None);
    // Numbers that appear in the middle of a source stay what they are.
    let appearing = vp8(10, 0, 55, 5, 0);
    assert_eq!(read(&appearing, &rewrite.forward(now, &appearing).unwrap()).0, 55);
    rewrite.switch(ClockBridge::Arrival);
    let out = rewrite.forward(now, &numbered).unwrap();
    assert_eq!(read(&numbered, &out).0, 101);
}

#[test]
fn everything_wraps() {
    let now = start();
    let mut rewrite = Rewrite::new(Start { ext_seq: 65_530, timestamp: u32::MAX - 10 }, 90_000);
    let first = u64::MAX - 5;
    for step in 0..20_u64 {
        let packet = plain(first.wrapping_add(step), u32::MAX - 3);
        let out = rewrite.forward(now, &packet).unwrap();
        assert_eq!(out.ext_seq, 65_530 + step);
    }
    let out = rewrite.forward(now, &plain(first.wrapping_add(20), 7)).unwrap();
    assert_eq!(out.timestamp, u32::MAX.wrapping_add(1));
}

/// One source as its publisher sends it, through a network that loses, delays and repeats: packets of
/// two temporal layers, the upper one of every other frame.
struct Source {
    ext_seq: u64,
    picture: u16,
    tl0: u8,
    timestamp: u32,
    frame: u64,
    /// Frames to wait, and the packet with its temporal layer.
    in_flight: Vec<(u64, SourcePacket, u8)>,
    lost: u64,
}

impl Source {
    fn new(chance: &mut Chance) -> Self {
        Self {
            ext_seq: chance.below(70_000),
            picture: u16::try_from(chance.below(0x8000)).unwrap(),
            tl0: chance.byte(),
            timestamp: u32::try_from(chance.below(1 << 32)).unwrap(),
            frame: 0,
            in_flight: Vec::new(),
            lost: 0,
        }
    }

    /// Sends one frame; gives the packets that arrive meanwhile. The very first one always does.
    fn frame(&mut self, chance: &mut Chance) -> Vec<(SourcePacket, u8)> {
        let temporal = u8::from(self.frame % 2 == 1);
        self.tl0 = self.tl0.wrapping_add(1 - temporal);
        self.picture = (self.picture + 1) & 0x7fff;
        self.timestamp = self.timestamp.wrapping_add(3_000);
        for part in 0..=chance.below(3) {
            self.ext_seq += 1;
            let packet = vp8(self.ext_seq, self.timestamp, self.picture, self.tl0, temporal);
            let is_first = self.frame == 0 && part == 0;
            if !is_first && chance.percent(2) {
                self.lost += 1;
                continue;
            }
            let delay = if !is_first && chance.percent(5) { 1 + chance.below(30) } else { 0 };
            self.in_flight.push((delay, packet, temporal));
            if chance.percent(3) {
                self.in_flight.push((delay + chance.below(10), packet, temporal));
            }
        }
        self.frame += 1;
        let due = self.in_flight.extract_if(.., |(delay, ..)| *delay == 0);
        let due = due.map(|(_, packet, temporal)| (packet, temporal)).collect();
        self.in_flight.iter_mut().for_each(|(delay, ..)| *delay -= 1);
        due
    }
}

/// A receiver that checks what it gets against what a decoder needs.
#[derive(Default)]
struct Receiver {
    /// By outbound number: source, its number, and the outbound timestamp.
    places: BTreeMap<u64, (u32, u64, u32)>,
    /// By source and source picture: outbound picture.
    pictures: BTreeMap<(u32, u16), u16>,
}

impl Receiver {
    /// Each place belongs to one packet and each picture has one number, however often they come.
    fn take(&mut self, source: u32, packet: &SourcePacket, temporal: u8, out: &OutPacket) {
        let arrived = (source, packet.ext_seq, out.timestamp);
        let before = self.places.insert(out.ext_seq, arrived);
        assert!(before.is_none_or(|before| before == arrived));
        if temporal == 0 {
            let number = packet.vp8.unwrap().picture_id.unwrap().value;
            let picture = read(packet, out).0;
            let before = self.pictures.insert((source, number), picture);
            assert!(before.is_none_or(|before| before == picture));
        }
    }

    /// Nothing is missing but what was lost on the way to us, and time never runs back.
    fn check(&self, lost: u64) {
        let (&first, _) = self.places.first_key_value().unwrap();
        let (&last, _) = self.places.last_key_value().unwrap();
        assert_eq!(first, START.ext_seq);
        let missing = last - first + 1 - u64::try_from(self.places.len()).unwrap();
        assert!(missing <= lost, "{missing} missing, {lost} lost");
        let times: Vec<_> = self.places.values().map(|&(_, _, timestamp)| timestamp).collect();
        assert!(times.is_sorted_by(|a, b| b.wrapping_sub(*a).cast_signed() >= 0));
    }
}

/// Loss, reordering, repetition, drops and switches at random.
#[test]
fn random_streams_stay_unbroken() {
    for seed in 0..60 {
        let mut chance = Chance::new(seed);
        let mut now = start();
        let mut rewrite = rewrite();
        let mut receiver = Receiver::default();
        let mut lost = 0;
        for index in 0..8 {
            let mut source = Source::new(&mut chance);
            rewrite.switch(ClockBridge::Arrival);
            for _ in 0..chance.below(400) {
                now += ms(33);
                for (packet, temporal) in source.frame(&mut chance) {
                    let out = match temporal {
                        0 => rewrite.forward(now, &packet),
                        _ => rewrite.drop_packet(&packet).map(|promised| match promised {
                            Promised::Packet(out) | Promised::Filler(out) => out,
                        }),
                    };
                    if let Some(out) = out {
                        receiver.take(index, &packet, temporal, &out);
                    }
                }
            }
            // What is in flight when a source ends never arrives.
            lost += source.lost + u64::try_from(source.in_flight.len()).unwrap();
        }
        receiver.check(lost);
    }
}
