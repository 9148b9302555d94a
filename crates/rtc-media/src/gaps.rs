//! Which missing packets were padding.
//!
//! Clients without retransmission streams pad on the media stream itself, and never repeat padding. A lost one would
//! stay a hole in every outbound stream, and decoders wait for holes. So what is missing between two whole frames
//! with none between them is taken for padding and closed up.

use std::ops::Range;

/// Watches one inbound stream. Pure.
#[derive(Clone, Copy, Debug, Default)]
pub(crate) struct FrameGaps {
    /// The last packet known to stand between two frames: the end of one, or padding after it.
    tail: Option<Tail>,
    /// Timestamp of the last frame that began, and the usual step from one to the next.
    began: Option<u32>,
    interval: Option<u32>,
}

#[derive(Clone, Copy, Debug)]
struct Tail {
    ext_seq: u64,
    timestamp: u32,
}

/// A packet, as far as it matters here.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Seen {
    pub(crate) ext_seq: u64,
    pub(crate) timestamp: u32,
    /// RTP marker: the last packet of a frame.
    pub(crate) ends_frame: bool,
    /// The payload says that a frame begins here.
    pub(crate) starts_frame: bool,
    /// No payload: padding only.
    pub(crate) is_padding: bool,
}

/// Longest gap that is judged; anything longer is an outage, not a lost packet.
const GAP_MAX: u64 = 32;

impl FrameGaps {
    /// Takes the newest packet of the stream; gives the sequence numbers before it that were padding for sure.
    ///
    /// Packets that come late must not be given.
    pub(crate) fn note(&mut self, seen: Seen) -> Option<Range<u64>> {
        let gap = self.tail.map(|tail| tail.ext_seq + 1..seen.ext_seq);
        let gap = gap.filter(|gap| !gap.is_empty() && gap.end - gap.start <= GAP_MAX);
        let is_between = if seen.is_padding {
            self.tail.is_some_and(|tail| tail.timestamp == seen.timestamp)
        } else {
            seen.starts_frame && self.follows(seen.timestamp)
        };
        self.advance(seen);
        gap.filter(|_| is_between)
    }

    /// Whether a frame of this time is the next one after the last, by the usual step.
    fn follows(&self, timestamp: u32) -> bool {
        let (Some(began), Some(interval)) = (self.began, self.interval) else {
            return false;
        };
        let step = timestamp.wrapping_sub(began);
        step > 0 && step <= interval.saturating_add(interval / 2)
    }

    fn advance(&mut self, seen: Seen) {
        if seen.is_padding {
            if let Some(tail) = &mut self.tail
                && tail.timestamp == seen.timestamp
            {
                tail.ext_seq = seen.ext_seq;
            }
            return;
        }
        if seen.starts_frame && self.began != Some(seen.timestamp) {
            if let Some(began) = self.began {
                let step = seen.timestamp.wrapping_sub(began);
                if step < u32::MAX / 2 {
                    // The smallest step seen lately: it shrinks at once and grows slowly.
                    self.interval = Some(self.interval.map_or(step, |usual| {
                        if step < usual { step } else { usual + (step - usual) / 16 }
                    }));
                }
            }
            self.began = Some(seen.timestamp);
        }
        self.tail =
            seen.ends_frame.then_some(Tail { ext_seq: seen.ext_seq, timestamp: seen.timestamp });
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    /// A frame of one packet.
    fn frame(ext_seq: u64, timestamp: u32) -> Seen {
        Seen { ext_seq, timestamp, ends_frame: true, starts_frame: true, is_padding: false }
    }

    fn padding(ext_seq: u64, timestamp: u32) -> Seen {
        Seen { ext_seq, timestamp, ends_frame: false, starts_frame: false, is_padding: true }
    }

    /// A stream with a steady step of 4,500.
    fn steady() -> FrameGaps {
        let mut gaps = FrameGaps::default();
        for number in 0..4 {
            assert_eq!(gaps.note(frame(u64::from(number), number * 4_500)), None);
        }
        gaps
    }

    #[test]
    fn what_is_missing_between_neighbouring_frames_was_padding() {
        assert_eq!(steady().note(frame(7, 4 * 4_500)), Some(4..7));
    }

    #[test]
    fn a_missing_frame_is_no_padding() {
        assert_eq!(steady().note(frame(5, 5 * 4_500)), None);
    }

    #[test]
    fn the_missing_start_of_a_frame_is_no_padding() {
        let rest = Seen { starts_frame: false, ..frame(5, 4 * 4_500) };
        assert_eq!(steady().note(rest), None);
    }

    #[test]
    fn padding_proves_padding_before_it() {
        let mut gaps = steady();
        assert_eq!(gaps.note(padding(6, 3 * 4_500)), Some(4..6));
        assert_eq!(gaps.note(padding(7, 3 * 4_500)), None);
        assert_eq!(gaps.note(frame(8, 4 * 4_500)), None);
    }

    #[test]
    fn what_is_missing_inside_a_frame_is_no_padding() {
        let mut gaps = steady();
        let start = Seen { ends_frame: false, ..frame(4, 4 * 4_500) };
        assert_eq!(gaps.note(start), None);
        assert_eq!(gaps.note(Seen { starts_frame: false, ..frame(6, 4 * 4_500) }), None);
        assert_eq!(gaps.note(frame(7, 5 * 4_500)), None);
    }

    #[test]
    fn outages_and_wraps_are_survived() {
        assert_eq!(steady().note(frame(1_000, 4 * 4_500)), None);
        let mut gaps = FrameGaps::default();
        for number in 0..4_u32 {
            let timestamp = (number * 4_500).wrapping_sub(9_000);
            assert_eq!(gaps.note(frame(u64::from(number), timestamp)), None);
        }
        assert_eq!(gaps.note(frame(5, 9_000)), Some(4..5));
    }
}
