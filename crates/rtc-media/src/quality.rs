//! One participant's connection quality, from what was measured over a window.
//!
//! A transmission rating in the manner of the E-model (ITU-T G.107), R from 0 to 93:
//!
//! ```text
//!   delay   = rtt / 2 + 2 * jitter                       one way, with the jitter buffer it takes
//!   R_delay = delay / 40 ms                 up to 160 ms
//!           = 4 + (delay - 160 ms) / 10 ms  above
//!   R_loss  = 30 * ln(1 + 15 * loss)        loss as a share of packets, after repair if known
//!   R_rate  = 25 * ln(expected / actual)    only when less arrives than should; at most 60
//!   R       = 93.2 - R_delay - R_loss - R_rate
//!   score   = 1 + 0.035 R + 7e-6 R (R - 60) (100 - R)    ITU-T G.107 annex B: 1 to 4.5
//! ```
//!
//! A fall counts at once; a rise counts by a third per window, so that one good window after bad ones
//! does not yet say excellent.

use std::time::Duration;

use rtc_model::Bitrate;

use crate::info::ConnectionGrade;

/// How often a connection is graded.
pub(crate) const WINDOW: Duration = Duration::from_secs(5);
/// Nothing for this long although something should come means lost. Clients that see their own
/// connection lost for 10 s rejoin, so it is said only when it is true.
pub(crate) const LOST_AFTER: Duration = Duration::from_secs(5);

const RATING_MAX: f32 = 93.2;
/// From this rating on a connection is excellent (score 4.0); from the next on it is good (3.1).
const EXCELLENT_FROM: f32 = 80.0;
const GOOD_FROM: f32 = 60.0;
/// Share of a better rating that one window adds.
const RISE: f32 = 1.0 / 3.0;

/// What was measured of one participant's connection over one window.
#[derive(Clone, Copy, Debug, Default, PartialEq)]
pub(crate) struct QualitySample {
    /// Packets that should have arrived.
    pub(crate) packets_expected: u32,
    /// Packets of those that did not, repairs counted as arrived when known.
    pub(crate) packets_lost: u32,
    /// Interarrival jitter (RFC 3550 §6.4.1); of several streams, the worst.
    pub(crate) jitter: Duration,
    /// Round trip time; `None` when not measured.
    pub(crate) rtt: Option<Duration>,
    /// What should flow and what does; `None` when nothing is known to be missing.
    pub(crate) rates: Option<Rates>,
    /// How long nothing has arrived although something unmuted and wanted should; `None` when nothing
    /// is expected to.
    pub(crate) silent_for: Option<Duration>,
}

/// A rate that should be and the one that is.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct Rates {
    /// Announced or wished for.
    pub(crate) expected: Bitrate,
    /// Measured.
    pub(crate) actual: Bitrate,
}

/// A connection's quality, in words and as a number.
#[derive(Clone, Copy, Debug, PartialEq)]
pub(crate) struct Assessment {
    /// In words.
    pub(crate) grade: ConnectionGrade,
    /// Mean opinion score, 1 to 5.
    pub(crate) score: f32,
}

/// Grades one participant's connection, window by window.
#[derive(Clone, Copy, Debug, Default)]
pub(crate) struct QualityMeter {
    rating: Option<f32>,
    told: Option<Assessment>,
}

impl QualityMeter {
    /// Takes the sample of a window that is over. `Some`: the grade changed, or the score by at least
    /// a tenth; the first window always does.
    pub(crate) fn assess(&mut self, sample: &QualitySample) -> Option<Assessment> {
        let assessment = if sample.silent_for.is_some_and(|silent| silent >= LOST_AFTER) {
            self.rating = Some(0.0);
            Assessment { grade: ConnectionGrade::Lost, score: 1.0 }
        } else {
            let measured = rating(sample);
            let rating = match self.rating {
                Some(before) if measured > before => before + (measured - before) * RISE,
                Some(_) | None => measured,
            };
            self.rating = Some(rating);
            Assessment { grade: grade(rating), score: score(rating) }
        };
        let is_news = self.told.is_none_or(|told| {
            told.grade != assessment.grade || (told.score - assessment.score).abs() >= 0.1
        });
        if is_news {
            self.told = Some(assessment);
        }
        is_news.then_some(assessment)
    }
}

fn rating(sample: &QualitySample) -> f32 {
    let delay_ms = (sample.rtt.unwrap_or_default() / 2 + sample.jitter.saturating_mul(2))
        .min(DELAY_MAX)
        .as_secs_f32()
        * 1_000.0;
    let by_delay =
        if delay_ms <= 160.0 { delay_ms / 40.0 } else { 4.0 + (delay_ms - 160.0) / 10.0 };
    let by_loss = 30.0 * (1.0 + 15.0 * share(sample.packets_lost, sample.packets_expected)).ln();
    let by_rate = sample.rates.map_or(0.0, |rates| {
        let kbps = |rate: Bitrate| u32::try_from(rate.bps() / 1_000).unwrap_or(u32::MAX);
        let received = share(kbps(rates.actual), kbps(rates.expected)).max(0.01);
        if rates.expected > rates.actual { (-25.0 * received.ln()).min(60.0) } else { 0.0 }
    });
    (RATING_MAX - by_delay - by_loss - by_rate).clamp(0.0, RATING_MAX)
}

/// Beyond this no delay makes it worse.
const DELAY_MAX: Duration = Duration::from_secs(2);

/// `part` of `whole`, 0 to 1; 0 of nothing.
fn share(part: u32, whole: u32) -> f32 {
    if whole == 0 {
        return 0.0;
    }
    #[expect(clippy::cast_possible_truncation, reason = "a share needs no more than 24 bits")]
    let share = (f64::from(part.min(whole)) / f64::from(whole)) as f32;
    share
}

fn grade(rating: f32) -> ConnectionGrade {
    if rating >= EXCELLENT_FROM {
        ConnectionGrade::Excellent
    } else if rating >= GOOD_FROM {
        ConnectionGrade::Good
    } else {
        ConnectionGrade::Poor
    }
}

fn score(rating: f32) -> f32 {
    let curve = 7e-6 * rating * (rating - 60.0) * (100.0 - rating);
    (1.0 + 0.035 * rating + curve).clamp(1.0, 5.0)
}

#[cfg(test)]
mod tests;
