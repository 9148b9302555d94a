//! A start of time and repeatable chance for tests.

use std::time::{Duration, Instant};

/// Some instant; tests only ever add to it.
#[expect(
    clippy::disallowed_methods,
    reason = "the only clock reading of the tests: any origin will do"
)]
pub(crate) fn start() -> Instant {
    // Far enough from the clock's own start that tests may also subtract.
    Instant::now() + Duration::from_secs(3_600)
}

/// `SplitMix64`: enough for tests, the same on every machine.
#[derive(Debug)]
pub(crate) struct Chance(u64);

impl Chance {
    /// Prints the seed, so that a failing run can be repeated.
    pub(crate) fn new(seed: u64) -> Self {
        println!("seed {seed:#x}");
        Self(seed)
    }

    /// 64 random bits.
    pub(crate) fn bits(&mut self) -> u64 {
        self.0 = self.0.wrapping_add(0x9e37_79b9_7f4a_7c15);
        let mut z = self.0;
        z = (z ^ (z >> 30)).wrapping_mul(0xbf58_476d_1ce4_e5b9);
        z = (z ^ (z >> 27)).wrapping_mul(0x94d0_49bb_1331_11eb);
        z ^ (z >> 31)
    }

    /// A number from 0 to `end` - 1.
    pub(crate) fn below(&mut self, end: u64) -> u64 {
        self.bits() % end.max(1)
    }

    /// True in `percent` of a hundred calls.
    pub(crate) fn percent(&mut self, percent: u64) -> bool {
        self.below(100) < percent
    }

    /// A random byte.
    pub(crate) fn byte(&mut self) -> u8 {
        self.bits().to_le_bytes()[0]
    }
}
