use rtc_model::RandomBits;

use super::*;
use crate::testing::{Chance, start};

struct Number(u64);

impl RandomBits for Number {
    fn next_bits(&mut self) -> u64 {
        self.0 << 4
    }
}

fn participant(number: u64) -> ParticipantId {
    ParticipantId::random(&mut Number(number))
}

/// A room with one audio track for each participant, fed with packets of 20 ms.
struct Room {
    now: Instant,
    speakers: ActiveSpeakers,
    tracks: Vec<(ParticipantId, AudioLevel)>,
    timestamp: u32,
}

impl Room {
    fn new(count: u64) -> Self {
        Self {
            now: start(),
            speakers: ActiveSpeakers::default(),
            tracks: (0..count).map(|number| (participant(number), AudioLevel::default())).collect(),
            timestamp: u32::MAX - 5_000,
        }
    }

    /// One window in which track `i` sends packets of `levels(i, packet)`; gives what changed.
    fn window(&mut self, levels: impl Fn(usize, u32) -> Option<u8>) -> Vec<Speaker> {
        for packet in 0..20 {
            for (index, (_, track)) in self.tracks.iter_mut().enumerate() {
                if let Some(level) = levels(index, packet) {
                    track.handle_packet(level, self.timestamp);
                    self.speakers.handle_packet(self.now);
                }
            }
            self.timestamp = self.timestamp.wrapping_add(960);
            self.now += Duration::from_millis(20);
        }
        let tracks = self.tracks.iter_mut().map(|(participant, track)| (*participant, track));
        self.speakers.poll(self.now, tracks)
    }
}

fn told(speakers: &[Speaker]) -> Vec<(f32, bool)> {
    speakers.iter().map(|speaker| (speaker.level, speaker.active)).collect()
}

#[test]
fn a_window_is_loud_from_forty_percent_above_the_threshold_on() {
    let rows = [
        ("all of it", 20, 20_u8, true),
        ("40 %", 8, 20, true),
        ("less than 40 %", 7, 20, false),
        ("at the threshold", 20, 35, true),
        ("below the threshold", 20, 36, false),
        ("as loud as can be", 20, 0, true),
        ("out of range", 20, 255, false),
    ];
    for (name, loud_packets, level, active) in rows {
        let mut room = Room::new(1);
        let changes =
            room.window(|_, packet| Some(if packet < loud_packets { level } else { 127 }));
        assert_eq!(!changes.is_empty(), active, "{name}");
        assert!(changes.iter().all(|speaker| speaker.active && speaker.level > 0.0), "{name}");
    }
}

#[test]
fn loudness_is_smoothed_told_in_steps_and_only_when_it_changes() {
    let mut room = Room::new(1);
    assert_eq!(told(&room.window(|_, _| Some(0))), [(0.75, true)]);
    assert_eq!(told(&room.window(|_, _| Some(0))), [(1.0, true)]);
    assert_eq!(told(&room.window(|_, _| Some(0))), []);
    assert_eq!(told(&room.window(|_, _| Some(0))), []);
    assert_eq!(told(&room.speakers.speaking()), [(1.0, true)]);
}

#[test]
fn silence_by_packets_or_without_them_fades_out() {
    for silent in [Some(127), None] {
        let mut room = Room::new(1);
        room.window(|_, _| Some(10));
        let mut levels = Vec::new();
        for _ in 0..12 {
            levels.extend(told(&room.window(|_, _| silent)));
        }
        assert_eq!(levels.last(), Some(&(0.0, false)));
        assert!(levels.len() <= 2, "{levels:?}");
        assert!(room.speakers.speaking().is_empty());
    }
}

#[test]
fn nothing_is_told_before_a_window_is_over() {
    let mut room = Room::new(1);
    room.tracks[0].1.handle_packet(0, 0);
    room.speakers.handle_packet(room.now);
    let early = room.now + WINDOW - Duration::from_millis(1);
    let tracks = room.tracks.iter_mut().map(|(participant, track)| (*participant, track));
    assert!(room.speakers.poll(early, tracks).is_empty());
}

#[test]
fn the_loudest_comes_first_and_several_tracks_are_one_participant() {
    let mut room = Room::new(3);
    room.tracks.push((participant(0), AudioLevel::default()));
    let levels = [30, 10, 20, 0];
    let changes = room.window(|track, _| Some(levels[track]));
    let order: Vec<_> = changes.iter().map(|speaker| speaker.participant).collect();
    assert_eq!(order, [participant(0), participant(1), participant(2)]);
}

#[test]
fn only_so_many_speak_at_once() {
    let mut room = Room::new(100);
    let changes = room.window(|track, _| Some(if track < 50 { 30 } else { 0 }));
    assert_eq!(changes.len(), 32);
    assert!(changes.iter().all(|speaker| speaker.level > 0.5));
}

#[test]
fn who_left_is_not_told_of() {
    let mut room = Room::new(2);
    room.window(|_, _| Some(10));
    room.speakers.remove(participant(0));
    room.tracks.remove(0);
    let changes: Vec<_> = (0..12).flat_map(|_| room.window(|_, _| None)).collect();
    assert!(changes.iter().all(|speaker| speaker.participant == participant(1)));
    assert_eq!(told(&changes).last(), Some(&(0.0, false)));
}

#[test]
fn long_packets_count_as_long_as_they_are_and_gaps_do_not() {
    let mut level = AudioLevel::default();
    // 60 ms packets: three are 180 ms after a first one of unknown length.
    for packet in 0..4_u32 {
        level.handle_packet(10, packet * 2_880);
    }
    assert!(level.end_window() > 0.0);
    let mut level = AudioLevel::default();
    // One packet every 400 ms, as comfort noise comes.
    for packet in 0..7_u32 {
        level.handle_packet(10, packet * 19_200);
    }
    assert!(level.end_window() == 0.0, "seven times 20 ms is not 40 %");
}

#[test]
fn any_packets_give_levels_within_bounds() {
    let mut chance = Chance::new(0x5eed_0007);
    let mut room = Room::new(4);
    for _ in 0..5_000 {
        let track = usize::try_from(chance.below(4)).unwrap();
        let timestamp = u32::try_from(chance.bits() >> 32).unwrap();
        room.tracks[track].1.handle_packet(chance.byte(), timestamp);
        room.speakers.handle_packet(room.now);
        room.now += Duration::from_millis(chance.below(100));
        let tracks = room.tracks.iter_mut().map(|(participant, track)| (*participant, track));
        for speaker in room.speakers.poll(room.now, tracks) {
            assert!((0.0..=1.0).contains(&speaker.level));
            assert_eq!(speaker.active, speaker.level > 0.0);
        }
    }
}
