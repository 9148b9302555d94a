//! When too little bandwidth for even the least of every picture is believed.
//!
//! The estimate also falls when a machine stalls for a moment, and a picture that is taken away for that is worse
//! than one that stutters. So the least of every picture goes on for a while; if the estimate stays low it is
//! paused, and tried again now and then, in case the estimate has nothing left to measure by.
//!
//! ```text
//!           too little              RIDE_OUT over             trial due
//!   Enough ───────────► Riding ───────────────────► Held ─────────────► Riding
//!     ▲                   │                           │
//!     └───────────────────┴──── enough again ─────────┘
//! ```

use std::time::{Duration, Instant};

use rtc_model::Bitrate;

/// How long a low estimate is ridden out. Longer survives longer stalls, shorter relieves a narrow path sooner.
const RIDE_OUT: Duration = Duration::from_secs(3);
/// First wait before pictures are tried again; doubles with each trial that fails.
const TRIAL_AFTER: Duration = Duration::from_secs(8);
const TRIAL_AFTER_MAX: Duration = Duration::from_secs(60);

/// One subscriber's state.
#[derive(Clone, Copy, Debug, Default)]
pub(crate) struct Starvation {
    state: State,
    trials: u32,
}

#[derive(Clone, Copy, Debug, Default)]
enum State {
    #[default]
    Enough,
    Riding {
        since: Instant,
    },
    Held {
        since: Instant,
    },
}

impl Starvation {
    /// The budget to share, given the estimate and what the least of everything takes.
    pub(crate) fn budget(&mut self, now: Instant, estimate: Bitrate, least: Bitrate) -> Bitrate {
        if estimate >= least {
            if matches!(self.state, State::Enough) {
                self.trials = 0;
            }
            self.state = State::Enough;
            return estimate;
        }
        self.state = match self.state {
            State::Enough => State::Riding { since: now },
            State::Riding { since } if elapsed(now, since) >= RIDE_OUT => {
                State::Held { since: now }
            }
            State::Held { since } if elapsed(now, since) >= self.trial_after() => {
                self.trials = self.trials.saturating_add(1);
                State::Riding { since: now }
            }
            State::Riding { .. } | State::Held { .. } => self.state,
        };
        match self.state {
            State::Enough | State::Riding { .. } => least,
            State::Held { .. } => estimate,
        }
    }

    fn trial_after(&self) -> Duration {
        TRIAL_AFTER.saturating_mul(1 << self.trials.min(3)).min(TRIAL_AFTER_MAX)
    }
}

fn elapsed(now: Instant, since: Instant) -> Duration {
    now.saturating_duration_since(since)
}

#[cfg(test)]
mod tests {
    use super::*;

    const LEAST: Bitrate = Bitrate::from_kbps(200);
    const LOW: Bitrate = Bitrate::from_kbps(100);
    const HIGH: Bitrate = Bitrate::from_kbps(900);

    #[test]
    fn a_dip_is_ridden_out_and_a_narrow_path_is_believed() {
        let start = crate::testing::start();
        let at = |ms| start + Duration::from_millis(ms);
        let mut starvation = Starvation::default();
        assert_eq!(starvation.budget(at(0), HIGH, LEAST), HIGH);
        assert_eq!(starvation.budget(at(100), LOW, LEAST), LEAST);
        assert_eq!(starvation.budget(at(3_000), LOW, LEAST), LEAST);
        assert_eq!(starvation.budget(at(3_050), HIGH, LEAST), HIGH);
        assert_eq!(starvation.budget(at(3_100), LOW, LEAST), LEAST);
        assert_eq!(starvation.budget(at(6_100), LOW, LEAST), LOW);
    }

    #[test]
    fn trials_come_ever_more_rarely_and_never_end() {
        let start = crate::testing::start();
        let mut starvation = Starvation::default();
        let mut trials = Vec::new();
        let mut before = LEAST;
        for second in 0..300 {
            let budget = starvation.budget(start + Duration::from_secs(second), LOW, LEAST);
            if budget == LEAST && before == LOW {
                trials.push(second);
            }
            before = budget;
        }
        assert_eq!(trials, [11, 30, 65, 128, 191, 254]);
    }
}
