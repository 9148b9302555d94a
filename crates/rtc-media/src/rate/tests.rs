use super::*;
use crate::testing::{Chance, start};

fn ms(ms: u64) -> Duration {
    Duration::from_millis(ms)
}

/// Adds 125 bytes every 10 ms, from `from` to `to`: 100 kbit/s.
fn add_100_kbps(meter: &mut RateMeter, from: Instant, to: Instant) {
    let mut now = from;
    while now < to {
        meter.add(now, 125);
        now += ms(10);
    }
}

#[test]
fn a_steady_rate_is_measured_from_early_on() {
    let mut meter = RateMeter::default();
    assert_eq!(meter.rate(start()), Bitrate::ZERO);
    let begin = start();
    for (from, to) in [(0, 500), (500, 1_000), (1_000, 5_030)] {
        add_100_kbps(&mut meter, begin + ms(from), begin + ms(to));
        let rate = meter.rate(begin + ms(to)).bps();
        assert!((95_000..=105_000).contains(&rate), "{rate} after {to} ms");
    }
}

#[test]
fn a_first_packet_is_not_taken_for_a_high_rate() {
    let mut meter = RateMeter::default();
    meter.add(start(), 1_200);
    assert_eq!(meter.rate(start()), Bitrate::from_bps(32_000));
}

#[test]
fn silence_fades_within_a_second() {
    let mut meter = RateMeter::default();
    let begin = start();
    add_100_kbps(&mut meter, begin, begin + ms(2_000));
    let rows = [(2_500, 40_000..60_000), (3_100, 0..1), (3_600_000, 0..1)];
    for (at, expected) in rows {
        let rate = meter.rate(begin + ms(at)).bps();
        assert!(expected.contains(&rate), "{rate} at {at} ms");
    }
    // One packet after a long silence is one packet a second, not the start of a stream.
    meter.add(begin + ms(3_700_000), 1_250);
    assert!(meter.rate(begin + ms(3_700_000)).bps() <= 12_000);
}

#[test]
fn time_that_runs_back_is_survived() {
    let mut meter = RateMeter::default();
    let begin = start();
    meter.add(begin, 100);
    meter.add(begin - ms(5_000), 100);
    assert!(meter.rate(begin - ms(9_000)) > Bitrate::ZERO);
}

#[test]
fn huge_counts_saturate() {
    let mut meter = RateMeter::default();
    for _ in 0..3 {
        meter.add(start(), usize::MAX);
    }
    assert!(meter.rate(start()) > Bitrate::from_kbps(1_000_000));
}

#[test]
fn any_order_of_calls_is_survived_and_bounded_by_what_was_added() {
    let mut chance = Chance::new(0x5eed_0002);
    for _ in 0..200 {
        let mut meter = RateMeter::default();
        let mut now = start();
        let mut total = 0;
        for _ in 0..200 {
            now += ms(chance.below(300));
            let bytes = chance.below(1_500);
            total += bytes;
            meter.add(now, usize::try_from(bytes).unwrap());
            let rate = meter.rate(now).bps();
            assert!(rate <= total * 8 * 4, "a window is at least 300 ms");
        }
    }
}
