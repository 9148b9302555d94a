//! How often: joins per address, messages per session. Pure; token buckets.

use std::{
    collections::HashMap,
    net::{IpAddr, Ipv6Addr},
    sync::{Mutex, PoisonError},
    time::{Duration, Instant},
};

/// A token bucket: holds `capacity`, gains `per_second`.
#[derive(Clone, Copy, Debug)]
pub(super) struct Bucket {
    tokens: f64,
    at: Instant,
}

/// How large a bucket is and how fast it fills.
#[derive(Clone, Copy, Debug)]
pub(super) struct Rate {
    pub(super) capacity: f64,
    pub(super) per_second: f64,
}

impl Bucket {
    pub(super) fn full(now: Instant, rate: Rate) -> Self {
        Self { tokens: rate.capacity, at: now }
    }

    /// Takes one token, if there is one.
    pub(super) fn take(&mut self, now: Instant, rate: Rate) -> bool {
        self.fill(now, rate);
        if self.tokens < 1.0 {
            return false;
        }
        self.tokens -= 1.0;
        true
    }

    /// How long until there is a token.
    pub(super) fn wait(&mut self, now: Instant, rate: Rate) -> Duration {
        self.fill(now, rate);
        let missing = 1.0 - self.tokens;
        if missing <= 0.0 {
            Duration::ZERO
        } else {
            Duration::from_secs_f64(missing / rate.per_second)
        }
    }

    fn fill(&mut self, now: Instant, rate: Rate) {
        let passed = now.saturating_duration_since(self.at).as_secs_f64();
        self.tokens = (self.tokens + passed * rate.per_second).min(rate.capacity);
        self.at = now;
    }
}

/// Joins per address. IPv6 counts by /64, which is what one user is given.
pub(super) struct JoinRates {
    buckets: Mutex<HashMap<IpAddr, Bucket>>,
    rate: Rate,
}

/// Addresses remembered at once; past it, those with a full bucket are forgotten, and if none is, everybody.
const ADDRESSES_MAX: usize = 65_536;
/// The limit holds on average over this time.
const WINDOW_S: f64 = 10.0;

impl JoinRates {
    pub(super) fn new(per_second_max: u32) -> Self {
        let per_second = f64::from(per_second_max.max(1));
        let rate = Rate { capacity: per_second * WINDOW_S, per_second };
        Self { buckets: Mutex::new(HashMap::new()), rate }
    }

    /// Whether one more join from this address is within its rate.
    pub(super) fn take(&self, now: Instant, address: IpAddr) -> bool {
        let mut buckets = self.buckets.lock().unwrap_or_else(PoisonError::into_inner);
        let user = match address.to_canonical() {
            IpAddr::V4(address) => IpAddr::V4(address),
            IpAddr::V6(address) => {
                IpAddr::V6(Ipv6Addr::from_bits(address.to_bits() & (u128::MAX << 64)))
            }
        };
        if buckets.len() >= ADDRESSES_MAX && !buckets.contains_key(&user) {
            let rate = self.rate;
            buckets.retain(|_, bucket| {
                bucket.fill(now, rate);
                bucket.tokens < rate.capacity
            });
            if buckets.len() >= ADDRESSES_MAX {
                buckets.clear();
            }
        }
        buckets.entry(user).or_insert_with(|| Bucket::full(now, self.rate)).take(now, self.rate)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_burst_is_allowed_and_then_the_rate_holds() {
        let rates = JoinRates::new(2);
        let start = Instant::now();
        let address: IpAddr = "192.0.2.1".parse().unwrap();
        let allowed = (0..30).filter(|_| rates.take(start, address)).count();
        assert_eq!(allowed, 20);
        let later = start + Duration::from_secs(3);
        let allowed = (0..30).filter(|_| rates.take(later, address)).count();
        assert_eq!(allowed, 6);
        assert!(rates.take(start, "192.0.2.2".parse().unwrap()), "others are not affected");
    }

    #[test]
    fn neighbours_in_one_ipv6_prefix_count_together() {
        let rates = JoinRates::new(1);
        let now = Instant::now();
        let allowed = (0..30_u16)
            .filter(|n| rates.take(now, format!("2001:db8::{n:x}").parse().unwrap()))
            .count();
        assert_eq!(allowed, 10);
        assert!(rates.take(now, "2001:db8:0:1::1".parse().unwrap()));
    }

    #[test]
    fn the_memory_for_addresses_is_bounded() {
        let rates = JoinRates::new(1);
        let start = Instant::now();
        for n in 0..70_000_u32 {
            rates.take(start, IpAddr::V4(n.into()));
        }
        assert!(rates.buckets.lock().unwrap().len() <= ADDRESSES_MAX);
    }

    #[test]
    fn waiting_as_long_as_told_gives_a_token() {
        let rate = Rate { capacity: 1.0, per_second: 4.0 };
        let start = Instant::now();
        let mut bucket = Bucket::full(start, rate);
        assert_eq!(bucket.wait(start, rate), Duration::ZERO);
        assert!(bucket.take(start, rate));
        assert!(!bucket.take(start, rate));
        let wait = bucket.wait(start, rate);
        assert_eq!(wait, Duration::from_millis(250));
        assert!(bucket.take(start + wait, rate));
    }
}
