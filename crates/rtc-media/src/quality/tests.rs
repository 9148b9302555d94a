use super::*;
use crate::testing::Chance;

fn ms(ms: u64) -> Duration {
    Duration::from_millis(ms)
}

fn sample(loss_percent: u32, rtt_ms: u64, jitter_ms: u64) -> QualitySample {
    QualitySample {
        packets_expected: 100,
        packets_lost: loss_percent,
        rtt: Some(ms(rtt_ms)),
        jitter: ms(jitter_ms),
        ..QualitySample::default()
    }
}

fn rates(expected: u64, actual: u64) -> QualitySample {
    let rates =
        Rates { expected: Bitrate::from_kbps(expected), actual: Bitrate::from_kbps(actual) };
    QualitySample { rates: Some(rates), ..sample(0, 20, 1) }
}

#[test]
fn a_window_has_the_grade_users_would_give_it() {
    use ConnectionGrade::{Excellent, Good, Poor};
    let rows = [
        ("nothing measured", QualitySample::default(), Excellent),
        ("a fine network", sample(0, 20, 1), Excellent),
        ("across an ocean", sample(0, 200, 10), Excellent),
        ("1 % loss", sample(1, 50, 5), Excellent),
        ("5 % loss at 80 ms", sample(5, 80, 5), Good),
        ("20 % loss", sample(20, 80, 5), Poor),
        ("everything lost", sample(100, 0, 0), Poor),
        ("satellite", sample(0, 700, 30), Good),
        ("a second of delay", sample(0, 2_000, 100), Poor),
        ("jitter", sample(0, 50, 150), Good),
        ("all that was wished for", rates(1_000, 1_000), Excellent),
        ("more than was wished for", rates(1_000, 3_000), Excellent),
        ("two thirds of the rate", rates(1_500, 1_000), Excellent),
        ("half the rate", rates(1_000, 500), Good),
        ("a fifth of the rate", rates(1_000, 200), Poor),
        ("nothing of the rate", rates(1_000, 0), Poor),
        ("no rate expected", rates(0, 0), Excellent),
    ];
    for (name, sample, grade) in rows {
        let assessment = QualityMeter::default().assess(&sample).unwrap();
        assert_eq!(assessment.grade, grade, "{name}: {}", assessment.score);
    }
}

#[test]
fn scores_are_those_of_the_e_model() {
    // ITU-T G.107 annex B: R 93.2 is 4.41, R 80 is 4.03, R 60 is 3.1, R 0 is 1.
    for (rating, expected) in [(93.2, 4.41), (80.0, 4.03), (60.0, 3.1), (0.0, 1.0)] {
        assert!((score(rating) - expected).abs() < 0.02, "{rating}: {}", score(rating));
    }
}

#[test]
fn lost_is_said_only_after_five_seconds_of_nothing() {
    let silent = |silent_for| QualitySample { silent_for, ..QualitySample::default() };
    let rows = [
        (None, ConnectionGrade::Excellent),
        (Some(ms(4_999)), ConnectionGrade::Excellent),
        (Some(ms(5_000)), ConnectionGrade::Lost),
        (Some(Duration::MAX), ConnectionGrade::Lost),
    ];
    for (silent_for, grade) in rows {
        let assessment = QualityMeter::default().assess(&silent(silent_for)).unwrap();
        assert_eq!(assessment.grade, grade, "{silent_for:?}");
    }
    let everything_lost = sample(100, 2_000, 2_000);
    let assessment = QualityMeter::default().assess(&everything_lost).unwrap();
    assert_eq!(assessment.grade, ConnectionGrade::Poor, "reports come, so it is not lost");
}

#[test]
fn falling_is_at_once_rising_takes_windows() {
    let mut meter = QualityMeter::default();
    let (fine, bad) = (sample(0, 20, 1), sample(20, 80, 5));
    assert_eq!(meter.assess(&fine).unwrap().grade, ConnectionGrade::Excellent);
    assert_eq!(meter.assess(&fine), None, "no news");
    assert_eq!(meter.assess(&bad).unwrap().grade, ConnectionGrade::Poor);
    let grades: Vec<_> =
        (0..12).filter_map(|_| meter.assess(&fine)).map(|news| news.grade).collect();
    assert!(grades.is_sorted(), "{grades:?}");
    assert_eq!(grades.first(), Some(&ConnectionGrade::Good));
    assert_eq!(grades.last(), Some(&ConnectionGrade::Excellent));
}

#[test]
fn lost_ends_with_the_first_packets() {
    let mut meter = QualityMeter::default();
    let silent = QualitySample { silent_for: Some(ms(6_000)), ..QualitySample::default() };
    assert_eq!(meter.assess(&silent).unwrap().grade, ConnectionGrade::Lost);
    assert_eq!(meter.assess(&silent), None);
    assert_eq!(meter.assess(&sample(0, 20, 1)).unwrap().grade, ConnectionGrade::Poor);
}

#[test]
fn any_sample_gives_a_score_within_bounds() {
    let mut chance = Chance::new(0x5eed_0009);
    let mut meter = QualityMeter::default();
    for _ in 0..20_000 {
        let wide = |chance: &mut Chance| chance.bits() >> chance.below(64);
        let narrow = |chance: &mut Chance| u32::try_from(wide(chance) >> 32).unwrap();
        let rates = Rates {
            expected: Bitrate::from_bps(wide(&mut chance)),
            actual: Bitrate::from_bps(wide(&mut chance)),
        };
        let sample = QualitySample {
            packets_expected: narrow(&mut chance),
            packets_lost: narrow(&mut chance),
            jitter: ms(wide(&mut chance)),
            rtt: Some(ms(wide(&mut chance))),
            rates: Some(rates),
            silent_for: chance.percent(10).then(|| ms(wide(&mut chance))),
        };
        if let Some(told) = meter.assess(&sample) {
            assert!((1.0..=5.0).contains(&told.score), "{sample:?}");
        }
    }
}
