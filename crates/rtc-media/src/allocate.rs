//! Sharing one subscriber's bandwidth among its tracks.
//!
//! Audio is always served. What is left goes first to the lowest layer of every video, then step by
//! step upwards, by rank; what does not fit is paused. Falling is immediate. Rising (a higher layer, or
//! a resume) needs 10 % headroom and some quiet time since the last change, so that a steady budget
//! gives a steady picture.

use std::time::{Duration, Instant};

use rtc_model::{Bitrate, Layer};

use crate::layer::{SeenLayer, choose_layer, cost_to_take, is_at_most};

/// Quiet time before a layer may rise. Longer is steadier, shorter recovers sooner.
pub(crate) const RISE_AFTER: Duration = Duration::from_secs(1);
/// Quiet time before a paused video may resume: a picture that comes and goes is worse than none.
pub(crate) const RESUME_AFTER: Duration = Duration::from_secs(3);

/// What one subscription asks of the budget.
#[derive(Clone, Copy, Debug)]
pub(crate) enum Demand<'a> {
    /// Sound at this measured rate.
    Audio(Bitrate),
    /// Pictures.
    Video(VideoDemand<'a>),
}

/// What one video subscription asks of the budget.
#[derive(Clone, Copy, Debug)]
pub(crate) struct VideoDemand<'a> {
    /// Larger is served first.
    pub(crate) priority: u32,
    /// At the same priority a shared screen is served before a camera.
    pub(crate) content: Content,
    /// The highest layer wished for.
    pub(crate) wanted: Layer,
    /// What is there, ordered by spatial then temporal index, lowest first (see
    /// [`crate::layer::choose_layer`]). Layers above `wanted` are not looked at.
    pub(crate) seen: &'a [SeenLayer],
    /// What it has now.
    pub(crate) current: Current,
}

/// What a video shows.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub(crate) enum Content {
    /// People and the like.
    Camera,
    /// A shared screen.
    Screen,
}

/// What a video subscription has before the allocation.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Current {
    /// Nothing was decided for it yet: it may start at once.
    New,
    /// Paused for lack of bandwidth.
    Paused {
        /// Since when.
        since: Instant,
    },
    /// This layer was granted.
    Granted {
        /// Which.
        layer: Layer,
        /// Since when.
        since: Instant,
    },
}

/// What one subscription gets.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct Grant {
    /// The layer; `None`: paused (always `None` for audio, which is never paused).
    pub(crate) layer: Option<Layer>,
    /// Its share of the budget.
    pub(crate) bitrate: Bitrate,
}

/// Shares `budget` among `demands`; grants come in the order of the demands.
///
/// The sum of the grants is at most `budget`, unless audio alone exceeds it: then audio is granted in
/// full and all video is paused. A video with nothing in `seen` gets nothing and takes nothing.
pub(crate) fn allocate(now: Instant, budget: Bitrate, demands: &[Demand<'_>]) -> Vec<Grant> {
    if desired(demands) <= budget && demands.iter().all(|demand| demand.may_rise(now)) {
        return demands.iter().map(|demand| demand.grant_wish(budget)).collect();
    }
    let mut free = budget;
    let mut grants = Vec::with_capacity(demands.len());
    let mut videos = Vec::with_capacity(demands.len());
    for (index, demand) in demands.iter().enumerate() {
        let bitrate = match demand {
            Demand::Audio(bitrate) => *bitrate,
            Demand::Video(video) => {
                videos.push(Climber::new(now, index, *video));
                Bitrate::ZERO
            }
        };
        free = free.saturating_sub(bitrate);
        grants.push(Grant { layer: None, bitrate });
    }
    videos.sort_by_key(|video| std::cmp::Reverse(video.rank()));
    for video in &mut videos {
        video.climb(&mut free);
    }
    for group in videos.chunk_by_mut(|a, b| a.rank() == b.rank()) {
        // One step each in turn, until nobody of this rank can go on.
        let mut anyone = true;
        while anyone {
            anyone = false;
            for video in &mut *group {
                anyone |= video.climb(&mut free);
            }
        }
    }
    for video in &videos {
        if let Some(grant) = grants.get_mut(video.index) {
            *grant = video.grant;
        }
    }
    grants
}

/// What the demands would take if everything wished for were granted, with headroom to rise: what
/// the bandwidth estimation should probe for.
pub(crate) fn desired(demands: &[Demand<'_>]) -> Bitrate {
    demands
        .iter()
        .map(|demand| match demand {
            Demand::Audio(bitrate) => *bitrate,
            Demand::Video(video) => video
                .seen
                .iter()
                .rev()
                .find(|seen| is_at_most(seen.layer, video.wanted))
                .map_or(Bitrate::ZERO, |seen| cost_to_take(seen, None)),
        })
        .sum()
}

impl Demand<'_> {
    /// Whether enough quiet time has passed for more.
    fn may_rise(&self, now: Instant) -> bool {
        match self {
            Self::Audio(_) => true,
            Self::Video(video) => video.current.may_rise(now),
        }
    }

    /// Grants what is wished for, which is known to fit.
    fn grant_wish(&self, budget: Bitrate) -> Grant {
        match self {
            Self::Audio(bitrate) => Grant { layer: None, bitrate: *bitrate },
            Self::Video(video) => {
                let layer = choose_layer(video.wanted, video.seen, None, budget);
                let granted = video.seen.iter().find(|seen| Some(seen.layer) == layer);
                Grant { layer, bitrate: granted.map_or(Bitrate::ZERO, |seen| seen.bitrate) }
            }
        }
    }
}

impl Current {
    fn may_rise(self, now: Instant) -> bool {
        let quiet = |since| now.saturating_duration_since(since);
        match self {
            Self::New => true,
            Self::Paused { since } => quiet(since) >= RESUME_AFTER,
            Self::Granted { since, .. } => quiet(since) >= RISE_AFTER,
        }
    }
}

/// A video on its way up its ladder of layers.
struct Climber<'a> {
    index: usize,
    demand: VideoDemand<'a>,
    /// The part of `seen` that is still above.
    above: &'a [SeenLayer],
    grant: Grant,
    may_rise: bool,
}

impl<'a> Climber<'a> {
    fn new(now: Instant, index: usize, demand: VideoDemand<'a>) -> Self {
        let grant = Grant { layer: None, bitrate: Bitrate::ZERO };
        let may_rise = demand.current.may_rise(now);
        Self { index, demand, above: demand.seen, grant, may_rise }
    }

    fn rank(&self) -> (u32, Content) {
        (self.demand.priority, self.demand.content)
    }

    /// Goes up one step if it fits into `free`, which it then takes; otherwise stops for good.
    fn climb(&mut self, free: &mut Bitrate) -> bool {
        let Some(step) = self.take_step() else { return false };
        let current = match self.demand.current {
            Current::New => Some(step.layer),
            Current::Paused { .. } => None,
            Current::Granted { layer, .. } => Some(layer),
        };
        let rises = current.is_none_or(|current| step.layer > current);
        let available = *free + self.grant.bitrate;
        if rises && !self.may_rise || cost_to_take(step, current) > available {
            self.above = &[];
            return false;
        }
        *free = available.saturating_sub(step.bitrate);
        self.grant = Grant { layer: Some(step.layer), bitrate: step.bitrate };
        true
    }

    /// The next layer up that is worth a step.
    fn take_step(&mut self) -> Option<&'a SeenLayer> {
        let wanted = self.demand.wanted;
        loop {
            let (step, above) = self.above.split_first()?;
            self.above = above;
            let is_first = self.grant.layer.is_none();
            if is_at_most(step.layer, wanted) && (is_first || !self.is_choppy(step.layer)) {
                return Some(step);
            }
        }
    }

    /// A larger picture at a quarter of the frame rate is no improvement: of three or more temporal
    /// layers only the upper two are steps on the larger encodings.
    fn is_choppy(&self, layer: Layer) -> bool {
        let highest = self
            .demand
            .seen
            .iter()
            .filter(|seen| seen.layer.spatial == layer.spatial)
            .map(|seen| seen.layer.temporal.min(self.demand.wanted.temporal))
            .max()
            .unwrap_or(0);
        layer.spatial > 0 && layer.temporal.saturating_add(1) < highest
    }
}

#[cfg(test)]
mod tests;
