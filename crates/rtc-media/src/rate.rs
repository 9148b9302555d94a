//! A bit rate over the last second.

use std::time::{Duration, Instant};

use rtc_model::Bitrate;

/// How much time one slot covers.
const SLOT: Duration = Duration::from_millis(100);
/// Slots of a window: one second. Longer smooths more and reacts later.
const SLOTS: usize = 10;
/// A window that has just begun counts as at least this long, so that a first burst is not taken
/// for a high rate.
const SPAN_MIN: Duration = Duration::from_millis(300);

/// Measures a bit rate over a sliding window of one second.
#[derive(Clone, Debug, Default)]
pub(crate) struct RateMeter {
    bytes: [u32; SLOTS],
    /// Index of the newest slot, and when it began; `None` before the first bytes.
    newest: Option<(usize, Instant)>,
    /// Slots that are over and still in the window.
    filled: u32,
}

impl RateMeter {
    /// Counts `bytes` at `now`. Time that runs backwards counts as standing still.
    pub(crate) fn add(&mut self, now: Instant, bytes: usize) {
        let index = self.advance(now);
        if let Some(slot) = self.bytes.get_mut(index) {
            *slot = slot.saturating_add(u32::try_from(bytes).unwrap_or(u32::MAX));
        }
    }

    /// The rate over the window that ends at `now`; zero when nothing came in it.
    pub(crate) fn rate(&mut self, now: Instant) -> Bitrate {
        self.advance(now);
        let Some((_, began)) = self.newest else { return Bitrate::ZERO };
        let bits: u64 = self.bytes.iter().map(|&bytes| u64::from(bytes) * 8).sum();
        let span = SLOT * self.filled + now.saturating_duration_since(began).min(SLOT);
        let span_us = u64::try_from(span.max(SPAN_MIN).as_micros()).unwrap_or(u64::MAX);
        Bitrate::from_bps(bits.saturating_mul(1_000_000) / span_us)
    }

    /// Moves the window to end at `now`; returns the index of the newest slot.
    fn advance(&mut self, now: Instant) -> usize {
        let Some((index, began)) = self.newest else {
            self.newest = Some((0, now));
            return 0;
        };
        let over = now.saturating_duration_since(began).as_millis() / SLOT.as_millis();
        let over = usize::try_from(over).unwrap_or(usize::MAX);
        if over == 0 {
            return index;
        }
        if over >= SLOTS {
            // Nothing of the window is left; a silence is measured as such, not as a new beginning.
            self.bytes = [0; SLOTS];
            self.filled = SLOTS_BEFORE_NEWEST;
            self.newest = Some((0, now));
            return 0;
        }
        let mut newest = index;
        for _ in 0..over {
            newest = (newest + 1) % SLOTS;
            if let Some(slot) = self.bytes.get_mut(newest) {
                *slot = 0;
            }
            self.filled = (self.filled + 1).min(SLOTS_BEFORE_NEWEST);
        }
        let steps = u32::try_from(over).unwrap_or(0);
        self.newest = Some((newest, began + SLOT * steps));
        newest
    }
}

/// All slots of the window but the newest.
const SLOTS_BEFORE_NEWEST: u32 = 9;

#[cfg(test)]
mod tests;
