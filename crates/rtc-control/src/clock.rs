//! The time, which tests set.

use std::{
    sync::{
        Arc,
        atomic::{AtomicI64, Ordering},
    },
    time::{SystemTime, UNIX_EPOCH},
};

/// Where the control plane reads the time of day.
#[derive(Clone, Debug, Default)]
pub enum Clock {
    /// The machine's clock.
    #[default]
    System,
    /// A clock that stands still until it is set, in milliseconds since 1970.
    Manual(Arc<AtomicI64>),
}

impl Clock {
    /// A clock that stands at `now_ms` until [`Clock::set_ms`] moves it.
    pub fn manual(now_ms: i64) -> Self {
        Self::Manual(Arc::new(AtomicI64::new(now_ms)))
    }

    /// Moves a manual clock and all its clones; the machine's clock stays as it is.
    pub fn set_ms(&self, now_ms: i64) {
        match self {
            Self::System => {}
            Self::Manual(clock) => clock.store(now_ms, Ordering::Relaxed),
        }
    }

    /// Milliseconds since 1970.
    pub fn now_ms(&self) -> i64 {
        match self {
            Self::System => SystemTime::now()
                .duration_since(UNIX_EPOCH)
                .map_or(0, |since| i64::try_from(since.as_millis()).unwrap_or(i64::MAX)),
            Self::Manual(clock) => clock.load(Ordering::Relaxed),
        }
    }

    /// Whole seconds since 1970; never negative.
    pub fn now_s(&self) -> u64 {
        u64::try_from(self.now_ms() / 1_000).unwrap_or(0)
    }
}
