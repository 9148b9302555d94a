//! When a publisher sends how many packets: pure arithmetic, so that a run is the same load every
//! time.

use std::time::{Duration, Instant};

/// A repeating plan of packets. Tick `n` is due at a fixed time after the start and holds some
/// packets.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Schedule {
    /// Single packets at even distances.
    Paced {
        /// RTP payload bits per second.
        bitrate_bps: u64,
        /// RTP payload bytes of every packet.
        packet_bytes: u64,
    },
    /// All packets of a video frame at once.
    Frames {
        /// RTP payload bits per second.
        bitrate_bps: u64,
        /// RTP payload bytes of every packet.
        packet_bytes: u64,
        /// Frames per second.
        fps: u64,
    },
}

impl Schedule {
    /// A schedule of video at `fps` frames per second; 0 means evenly paced single packets.
    pub fn video(bitrate_bps: u64, packet_bytes: u64, fps: u64) -> Self {
        match fps {
            0 => Self::Paced { bitrate_bps, packet_bytes },
            fps => Self::Frames { bitrate_bps, packet_bytes, fps },
        }
    }

    /// Time of tick `n` after the start. Rates of zero never come due.
    pub fn offset(self, n: u64) -> Duration {
        let (numerator, denominator) = match self {
            Self::Paced { bitrate_bps, packet_bytes } => {
                (u128::from(n) * u128::from(packet_bytes) * 8 * NANOS, u128::from(bitrate_bps))
            }
            Self::Frames { fps, .. } => (u128::from(n) * NANOS, u128::from(fps)),
        };
        let nanos = numerator.checked_div(denominator).unwrap_or(u128::from(u64::MAX));
        Duration::from_nanos(u64::try_from(nanos).unwrap_or(u64::MAX))
    }

    /// Packets of tick `n`; over time their number meets the rate exactly.
    pub fn packets(self, n: u64) -> u64 {
        match self {
            Self::Paced { .. } => 1,
            Self::Frames { bitrate_bps, packet_bytes, fps } => {
                let until = |tick: u128| {
                    (tick * u128::from(bitrate_bps))
                        .checked_div(u128::from(packet_bytes) * 8 * u128::from(fps))
                        .unwrap_or(0)
                };
                let n = u128::from(n);
                u64::try_from(until(n + 1) - until(n)).unwrap_or(0)
            }
        }
    }
}

/// Walks a schedule in real time.
#[derive(Debug)]
pub struct Pacer {
    schedule: Schedule,
    start: Instant,
    next: u64,
}

/// A tick that is due.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Tick {
    /// Number of the tick, from 0.
    pub index: u64,
    /// Packets to send.
    pub packets: u64,
    /// Time since it was due.
    pub late: Duration,
}

impl Pacer {
    /// Begins a schedule at `start`.
    pub fn new(schedule: Schedule, start: Instant) -> Self {
        Self { schedule, start, next: 0 }
    }

    /// When [`Pacer::take`] has something.
    pub fn next_due(&self) -> Instant {
        self.start + self.schedule.offset(self.next).min(FAR)
    }

    /// The next tick if it is due. Ticks are never skipped: a late publisher catches up, as late as
    /// it is.
    pub fn take(&mut self, now: Instant) -> Option<Tick> {
        let due = self.next_due();
        let late = now.checked_duration_since(due)?;
        let index = self.next;
        self.next += 1;
        Some(Tick { index, packets: self.schedule.packets(index), late })
    }
}

const NANOS: u128 = 1_000_000_000;
/// Stands for "never": a century fits into every clock.
const FAR: Duration = Duration::from_secs(3_155_760_000);

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn paced_packets_lie_at_even_distances() {
        let schedule = Schedule::video(2_000_000, 1_200, 0);
        let rows = [(0, 0), (1, 4_800_000), (2, 9_600_000), (1_000_000, 4_800_000_000_000)];
        for (n, nanos) in rows {
            assert_eq!(schedule.offset(n), Duration::from_nanos(nanos), "{n}");
            assert_eq!(schedule.packets(n), 1);
        }
    }

    #[test]
    fn frames_carry_exactly_the_rate() {
        // (bit rate, fps, seconds, packets in that time, most in one frame)
        let rows = [
            (2_000_000, 30, 60, 12_500, 7),
            (300_000, 30, 60, 1_875, 2),
            (150_000, 30, 64, 1_000, 1),
            (2_000_000, 25, 6, 1_250, 9),
            (0, 30, 1, 0, 0),
        ];
        for (bitrate_bps, fps, seconds, total, most) in rows {
            let schedule = Schedule::video(bitrate_bps, 1_200, fps);
            let counts: Vec<u64> = (0..seconds * fps).map(|n| schedule.packets(n)).collect();
            assert_eq!(counts.iter().sum::<u64>(), total, "{bitrate_bps} at {fps}");
            assert_eq!(counts.iter().max().copied(), Some(most), "{bitrate_bps} at {fps}");
            assert_eq!(schedule.offset(seconds * fps), Duration::from_secs(seconds));
        }
    }

    #[test]
    fn a_late_pacer_catches_up_tick_by_tick() {
        let start = Instant::now();
        let mut pacer = Pacer::new(Schedule::video(960_000, 1_200, 0), start);
        assert_eq!(pacer.take(start).map(|tick| tick.index), Some(0));
        assert_eq!(pacer.take(start + Duration::from_millis(9)), None);
        let now = start + Duration::from_millis(25);
        let late: Vec<_> = std::iter::from_fn(|| pacer.take(now)).map(|t| t.late).collect();
        assert_eq!(late, [Duration::from_millis(15), Duration::from_millis(5)]);
        assert_eq!(pacer.next_due(), start + Duration::from_millis(30));
    }

    #[test]
    fn a_rate_of_zero_never_comes_due_again() {
        let start = Instant::now();
        let mut pacer = Pacer::new(Schedule::video(0, 1_200, 0), start);
        assert_eq!(pacer.take(start + Duration::from_secs(3_600)), None);
    }
}
