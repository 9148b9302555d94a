//! Who speaks, from the audio levels in RTP header extensions (RFC 6464).
//!
//! Every 400 ms each track's packets are summed up: it is loud when at least 40 % of the time was
//! above the threshold. The loudness is smoothed over two windows and told in steps of an eighth, and
//! only what changed is told. A track without packets (muted, DTX, gone) is silent.

use std::{
    collections::BTreeMap,
    time::{Duration, Instant},
};

use rtc_model::ParticipantId;

use crate::info::Speaker;

/// The window over which a track is loud or not.
pub(crate) const WINDOW: Duration = Duration::from_millis(400);
/// Quietest level that counts as speech, in -dBov: 35 means -35 dBov. Higher hears whispers and fans.
const THRESHOLD: u8 = 35;
/// Share of a window that must be above the threshold, in percent. Higher ignores coughs and clicks.
const ACTIVE_PERCENT: u128 = 40;
/// Weight of the newest window in the smoothed loudness: 2 / (N + 1) for N = 2 windows.
const SMOOTHING: f32 = 2.0 / 3.0;
/// Quiet windows after which a track is silent: a pause between words is shorter.
const QUIET_WINDOWS: u8 = 2;
/// Loudness is told in steps of 1 / this, so that breathing is not news.
const STEPS: f32 = 8.0;
/// Most participants that are told to speak at once; the loudest win.
const SPEAKERS_MAX: usize = 32;
/// Length of a packet when its timestamp does not tell.
const PACKET_DEFAULT: Duration = Duration::from_millis(20);
/// Longest packet of Opus (RFC 7587 §4.2); a larger step is a silence, not one packet.
const PACKET_MAX: Duration = Duration::from_millis(120);
/// Opus and RED always count at this rate (RFC 7587 §4.1).
const CLOCK_RATE: u32 = 48_000;

/// Sums up the levels of one audio track.
#[derive(Clone, Debug, Default)]
pub(crate) struct AudioLevel {
    /// Time above the threshold in this window.
    active: Duration,
    /// Lowest -dBov in this window.
    loudest: Option<u8>,
    timestamp: Option<u32>,
    smoothed: f32,
    quiet_windows: u8,
}

impl AudioLevel {
    /// Takes one packet's level in -dBov, 0 (loudest) to 127 (silence), and its RTP timestamp. Larger
    /// levels count as silence. Late packets count as one packet each.
    pub(crate) fn handle_packet(&mut self, level: u8, timestamp: u32) {
        let step = self.timestamp.map_or(0, |before| timestamp.wrapping_sub(before));
        self.timestamp = Some(timestamp);
        let length = Duration::from_micros(u64::from(step) * 1_000_000 / u64::from(CLOCK_RATE));
        if level > THRESHOLD {
            return;
        }
        let usable = step > 0 && length <= PACKET_MAX;
        self.active += if usable { length } else { PACKET_DEFAULT };
        self.loudest = Some(self.loudest.map_or(level, |loudest| loudest.min(level)));
    }

    /// Ends the window: the smoothed loudness, 0 to 1; 0 is not speaking.
    fn end_window(&mut self) -> f32 {
        let active = self.active.min(WINDOW).as_micros() * 100;
        let heard = match self.loudest {
            Some(level) if active >= WINDOW.as_micros() * ACTIVE_PERCENT => {
                10_f32.powf(-f32::from(level) / 20.0)
            }
            _ => 0.0,
        };
        self.active = Duration::ZERO;
        self.loudest = None;
        self.quiet_windows = if heard > 0.0 { 0 } else { self.quiet_windows.saturating_add(1) };
        if self.quiet_windows >= QUIET_WINDOWS {
            self.smoothed = 0.0;
        } else {
            self.smoothed += (heard - self.smoothed) * SMOOTHING;
        }
        self.smoothed
    }

    /// Whether nothing is left to decay or to sum up.
    fn is_silent(&self) -> bool {
        self.smoothed <= 0.0 && self.loudest.is_none()
    }
}

/// Tells who speaks in a room.
#[derive(Clone, Debug, Default)]
pub(crate) struct ActiveSpeakers {
    /// What was told last of everybody who speaks, in steps.
    told: BTreeMap<ParticipantId, u8>,
    window_end: Option<Instant>,
}

impl ActiveSpeakers {
    /// Starts a window if none is running. Call it with every audio packet that has a level.
    pub(crate) fn handle_packet(&mut self, now: Instant) {
        self.window_end.get_or_insert(now + WINDOW);
    }

    /// Ends the window when it is over at `now`, over all audio tracks of the room, in any order; a
    /// participant with several counts as its loudest. Gives what changed, loudest first.
    pub(crate) fn poll<'a>(
        &mut self,
        now: Instant,
        tracks: impl IntoIterator<Item = (ParticipantId, &'a mut AudioLevel)>,
    ) -> Vec<Speaker> {
        if self.window_end.is_none_or(|end| now < end) {
            return Vec::new();
        }
        let mut loud = BTreeMap::new();
        let mut all_silent = true;
        for (participant, track) in tracks {
            let level = steps(track.end_window());
            all_silent &= track.is_silent();
            if level > 0 {
                let loudest = loud.entry(participant).or_insert(level);
                *loudest = level.max(*loudest);
            }
        }
        self.window_end = if all_silent { None } else { Some(now + WINDOW) };
        keep_loudest(&mut loud);
        let changes = changes(&self.told, &loud);
        self.told = loud;
        changes
    }

    /// Forgets a participant that left; its clients know from the list of participants.
    pub(crate) fn remove(&mut self, participant: ParticipantId) {
        self.told.remove(&participant);
    }

    /// Everybody who speaks now, for a newcomer, loudest first.
    pub(crate) fn speaking(&self) -> Vec<Speaker> {
        changes(&BTreeMap::new(), &self.told)
    }
}

fn keep_loudest(loud: &mut BTreeMap<ParticipantId, u8>) {
    if loud.len() <= SPEAKERS_MAX {
        return;
    }
    let mut levels: Vec<_> =
        loud.iter().map(|(&participant, &level)| (level, participant)).collect();
    levels.sort_unstable_by(|a, b| b.cmp(a));
    for (_, participant) in levels.drain(SPEAKERS_MAX..) {
        loud.remove(&participant);
    }
}

fn changes(
    before: &BTreeMap<ParticipantId, u8>,
    after: &BTreeMap<ParticipantId, u8>,
) -> Vec<Speaker> {
    let speaker = |(&participant, &level): (&ParticipantId, &u8)| Speaker {
        participant,
        level: f32::from(level) / STEPS,
        active: level > 0,
    };
    let mut changes: Vec<_> = after
        .iter()
        .filter(|(participant, level)| before.get(participant) != Some(level))
        .map(speaker)
        .collect();
    changes.sort_by(|a, b| b.level.total_cmp(&a.level));
    let ended = before.keys().filter(|participant| !after.contains_key(participant));
    changes.extend(ended.map(|participant| speaker((participant, &0))));
    changes
}

/// A loudness in whole steps, rounded up: whoever speaks has at least one.
fn steps(level: f32) -> u8 {
    let level = (level * STEPS).ceil().clamp(0.0, STEPS);
    (0..=8).find(|&step| f32::from(step) >= level).unwrap_or(8)
}

#[cfg(test)]
mod tests;
