//! When a delivery that failed is tried again.

use std::time::Duration;

/// How long a webhook is tried, and how often.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) struct Schedule {
    /// Wait after the first failed attempt; doubles with each further one.
    pub(super) first: Duration,
    /// Longest wait between two attempts.
    pub(super) longest: Duration,
    /// Most attempts at one event.
    pub(super) attempts_max: u32,
    /// An event older than this is given up: what it told is no longer news, and later events of
    /// its room wait behind it.
    pub(super) age_max: Duration,
}

impl Default for Schedule {
    /// Eight attempts over about a minute: long enough for a receiver's restart, short enough that
    /// a room's later events are not held up by a dead one.
    fn default() -> Self {
        Self {
            first: Duration::from_millis(500),
            longest: Duration::from_secs(20),
            attempts_max: 8,
            age_max: Duration::from_secs(300),
        }
    }
}

impl Schedule {
    /// The wait after the failed attempt number `attempt` (from 1), or `None` when that was the
    /// last one. `jitter` in 0..1 places it between 75 % and 125 % of its nominal length, so that
    /// receivers coming back are not met by everybody at once.
    pub(super) fn wait_after(&self, attempt: u32, jitter: f64) -> Option<Duration> {
        if attempt >= self.attempts_max {
            return None;
        }
        let doublings = attempt.saturating_sub(1).min(31);
        let nominal = self.first.saturating_mul(1 << doublings).min(self.longest);
        Some(nominal.mul_f64(0.75 + 0.5 * jitter.clamp(0.0, 1.0)))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn waits_double_up_to_the_longest_and_end_with_the_last_attempt() {
        let schedule = Schedule::default();
        let nominal: Vec<_> = (1..=8).map(|attempt| schedule.wait_after(attempt, 0.5)).collect();
        let seconds = |wait: f64| Some(Duration::from_secs_f64(wait));
        let wanted = [0.5, 1.0, 2.0, 4.0, 8.0, 16.0, 20.0].map(seconds);
        assert_eq!(nominal[..7], wanted);
        assert_eq!(nominal[7], None);
    }

    #[test]
    fn jitter_moves_a_wait_by_a_quarter_at_most() {
        let schedule = Schedule::default();
        let table = [(0.0, 375), (0.5, 500), (1.0, 625), (-3.0, 375), (7.0, 625)];
        for (jitter, wait_ms) in table {
            let wait = schedule.wait_after(1, jitter);
            assert_eq!(wait, Some(Duration::from_millis(wait_ms)), "{jitter}");
        }
    }

    #[test]
    fn absurd_numbers_do_not_overflow() {
        let schedule = Schedule { attempts_max: u32::MAX, ..Schedule::default() };
        assert_eq!(schedule.wait_after(u32::MAX - 1, 0.5), Some(Duration::from_secs(20)));
        assert_eq!(schedule.wait_after(0, 0.5), Some(Duration::from_millis(500)));
        let none = Schedule { attempts_max: 0, ..schedule };
        assert_eq!(none.wait_after(1, 0.5), None);
    }
}
