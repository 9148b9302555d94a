//! Who may ask for a keyframe, and when.
//!
//! A keyframe is dear for everybody, so requests of many subscribers become one, a request that
//! brings nothing is repeated, and one that never brings anything is given up.
//!
//! ```text
//!            request, interval over              on_keyframe
//!   Idle ──────────────────────────► Waiting ────────────────► Idle
//!    │ request, too soon    ▲          │ │ tries used up          ▲
//!    └────────► Scheduled ──┘          │ └────────────────────────┤
//!                   │ poll: send       └─ poll: send again        │
//!                   └── on_keyframe ──────────────────────────────┘
//! ```

use std::time::{Duration, Instant};

/// Least time between a keyframe request that was answered and the next one. Encoders ignore faster
/// ones, and every keyframe costs all subscribers several frames' worth of bits.
const INTERVAL_MIN: Duration = Duration::from_millis(500);
/// First wait for an answer, beside the round trip: time to encode and to send a large frame.
const ANSWER_TIME: Duration = Duration::from_millis(200);
/// Bounds of a wait for an answer. The lower one keeps a publisher on a fast network from being
/// asked twice for the same keyframe.
const WAIT_MIN: Duration = Duration::from_millis(300);
const WAIT_MAX: Duration = Duration::from_secs(3);
/// Requests sent before giving up: with doubling waits about 15 s. A new request starts over.
const TRIES_MAX: u32 = 8;
/// A round trip of more than this is not believed.
const RTT_MAX: Duration = Duration::from_secs(2);

/// The caller now sends one PLI (RFC 4585 §6.3.1) for this encoding.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
#[must_use]
pub(crate) struct SendPli;

/// The keyframe requests for one encoding of one publication.
#[derive(Clone, Debug, Default)]
pub(crate) struct KeyframeRequests {
    state: State,
    rtt: Duration,
}

#[derive(Clone, Copy, Debug, Default)]
enum State {
    /// Nobody waits for a keyframe.
    #[default]
    Fresh,
    /// Nobody waits; the last request went out then.
    Idle { sent: Instant },
    /// Somebody waits, but it is too soon to ask.
    Scheduled { at: Instant },
    /// Asked for; no keyframe came yet.
    Waiting { sent: Instant, tries: u32 },
}

impl KeyframeRequests {
    /// Takes the publisher's round trip time, which stretches the waits.
    pub(crate) fn set_rtt(&mut self, rtt: Duration) {
        self.rtt = rtt.min(RTT_MAX);
    }

    /// Somebody needs a keyframe. Repeating this changes nothing while it is under way.
    pub(crate) fn request(&mut self, now: Instant) -> Option<SendPli> {
        match self.state {
            State::Fresh => Some(self.send(now, 1)),
            State::Idle { sent } => {
                let at = sent + self.interval();
                if now >= at {
                    return Some(self.send(now, 1));
                }
                self.state = State::Scheduled { at };
                None
            }
            State::Scheduled { .. } | State::Waiting { .. } => None,
        }
    }

    /// A keyframe began: everybody who waited has it.
    pub(crate) fn on_keyframe(&mut self, now: Instant) {
        self.state = match self.state {
            State::Fresh => State::Fresh,
            State::Idle { sent } | State::Waiting { sent, .. } => State::Idle { sent },
            State::Scheduled { .. } => State::Idle { sent: now },
        };
    }

    /// Sends what is due at `now`. Call at or after [`Self::next_timeout`].
    pub(crate) fn poll(&mut self, now: Instant) -> Option<SendPli> {
        if self.next_timeout().is_none_or(|due| now < due) {
            return None;
        }
        match self.state {
            State::Fresh | State::Idle { .. } => None,
            State::Scheduled { .. } => Some(self.send(now, 1)),
            State::Waiting { sent, tries } => {
                if tries < TRIES_MAX {
                    return Some(self.send(now, tries + 1));
                }
                self.state = State::Idle { sent };
                None
            }
        }
    }

    /// When [`Self::poll`] has something to do.
    pub(crate) fn next_timeout(&self) -> Option<Instant> {
        match self.state {
            State::Fresh | State::Idle { .. } => None,
            State::Scheduled { at } => Some(at),
            State::Waiting { sent, tries } => Some(sent + self.wait(tries)),
        }
    }

    /// Nobody needs a keyframe any more.
    pub(crate) fn cancel(&mut self, now: Instant) {
        self.on_keyframe(now);
    }

    fn send(&mut self, now: Instant, tries: u32) -> SendPli {
        self.state = State::Waiting { sent: now, tries };
        SendPli
    }

    fn interval(&self) -> Duration {
        INTERVAL_MIN.max(self.rtt * 2)
    }

    /// How long to wait for the answer to request number `tries`.
    fn wait(&self, tries: u32) -> Duration {
        let doubled = 1 << tries.saturating_sub(1).min(5);
        ((self.rtt + ANSWER_TIME).max(WAIT_MIN) * doubled).min(WAIT_MAX)
    }
}

#[cfg(test)]
mod tests;
