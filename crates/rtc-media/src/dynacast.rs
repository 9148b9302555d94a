//! Which encodings of a publication anybody needs, so that a publisher need not send the others.
//!
//! A need is told at once; that it ended is told after a while, because viewers change windows often
//! and every restart of an encoding costs a keyframe.

use std::time::{Duration, Instant};

use rtc_model::{Codec, Quality};

/// How long an encoding nobody watches goes on. Shorter saves the publisher more, and makes it restart
/// encodings more often.
pub(crate) const STOP_AFTER: Duration = Duration::from_secs(5);

/// What one consumer of a publication needs.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct Need {
    /// In which codec.
    pub(crate) codec: Codec,
    /// The largest encoding it may use; [`Quality::High`] for consumers that take what they can get,
    /// such as recorders.
    pub(crate) quality: Quality,
}

/// What a publisher should send: per codec, per announced quality, whether anybody needs it.
pub(crate) type SubscribedQualities = Vec<(Codec, Vec<(Quality, bool)>)>;

/// The needs of one publication.
#[derive(Clone, Debug, Default)]
pub(crate) struct Dynacast {
    codecs: Vec<CodecNeeds>,
}

#[derive(Clone, Debug)]
struct CodecNeeds {
    codec: Codec,
    /// Announced, lowest first.
    announced: Vec<Quality>,
    /// The highest one told to be needed.
    told: Option<Quality>,
    /// The highest one needed.
    needed: Option<Quality>,
    /// When less becomes true.
    lower_at: Option<Instant>,
}

impl CodecNeeds {
    /// What `quality` means here: the nearest announced one that is not above, or the lowest.
    fn nearest(&self, quality: Quality) -> Option<Quality> {
        let below = self.announced.iter().rev().find(|&&announced| announced <= quality);
        below.or(self.announced.first()).copied()
    }

    /// Takes the highest need; whether something is to be told at once.
    fn set(&mut self, now: Instant, needed: Option<Quality>) -> bool {
        self.needed = needed;
        if needed >= self.told {
            let rises = needed > self.told;
            self.told = needed;
            self.lower_at = None;
            return rises;
        }
        self.lower_at.get_or_insert(now + STOP_AFTER);
        false
    }

    fn poll(&mut self, now: Instant) -> bool {
        if self.lower_at.is_none_or(|at| now < at) {
            return false;
        }
        self.lower_at = None;
        self.told = self.needed;
        true
    }
}

impl Dynacast {
    /// Takes the codecs a publication is announced in, with their qualities; everything new counts as
    /// needed until [`STOP_AFTER`] is over without a need. Codecs announced before keep their state.
    pub(crate) fn announce(&mut self, now: Instant, codecs: &[(Codec, Vec<Quality>)]) {
        let mut before = std::mem::take(&mut self.codecs);
        for (codec, qualities) in codecs {
            let mut announced = qualities.clone();
            announced.sort_unstable();
            announced.dedup();
            let known = before.iter().position(|needs| needs.codec == *codec);
            let needs = match known.map(|index| before.swap_remove(index)) {
                Some(needs) if needs.announced == announced => needs,
                Some(_) | None => {
                    let told = announced.last().copied();
                    let lower_at = Some(now + STOP_AFTER);
                    CodecNeeds { codec: *codec, announced, told, needed: None, lower_at }
                }
            };
            self.codecs.push(needs);
        }
    }

    /// Takes the needs of all consumers as they are now. `Some`: tell the publisher.
    ///
    /// Needs in codecs that were not announced change nothing.
    pub(crate) fn update(
        &mut self,
        now: Instant,
        needs: impl IntoIterator<Item = Need> + Clone,
    ) -> Option<SubscribedQualities> {
        let mut changed = false;
        for codec in &mut self.codecs {
            let highest = needs
                .clone()
                .into_iter()
                .filter(|need| need.codec == codec.codec)
                .filter_map(|need| codec.nearest(need.quality))
                .max();
            changed |= codec.set(now, highest);
        }
        changed.then(|| self.subscribed())
    }

    /// Lets needs that ended long enough ago end. `Some`: tell the publisher.
    pub(crate) fn poll(&mut self, now: Instant) -> Option<SubscribedQualities> {
        let mut changed = false;
        for codec in &mut self.codecs {
            changed |= codec.poll(now);
        }
        changed.then(|| self.subscribed())
    }

    /// What the publisher should send as things stand.
    pub(crate) fn subscribed(&self) -> SubscribedQualities {
        self.codecs
            .iter()
            .map(|codec| {
                let enabled = |quality| codec.told.is_some_and(|told| quality <= told);
                let qualities = codec.announced.iter();
                (codec.codec, qualities.map(|&quality| (quality, enabled(quality))).collect())
            })
            .collect()
    }

    /// Whether the publisher is expected to send anything in `codec`.
    pub(crate) fn is_needed(&self, codec: Codec) -> bool {
        self.codecs.iter().any(|needs| needs.codec == codec && needs.told.is_some())
    }
}

#[cfg(test)]
mod tests;
