//! Which layer a subscriber gets: from its wish, what is there, and what fits.

use std::time::Duration;

use rtc_model::{Bitrate, Layer, Quality, VideoLayer};

use crate::{
    command::Wish,
    payload::{FramePart, PacketInfo, SwitchUp},
};

/// A layer without a packet for this long is not there any more. Screen shares send a still picture
/// as rarely as once a second; half a second more covers a lost packet.
pub(crate) const LAYER_STALE_AFTER: Duration = Duration::from_millis(1_500);

/// Going up must leave this much free, in percent of the layer's rate. More is steadier, less uses more
/// of the bandwidth.
pub(crate) const HEADROOM_PERCENT: u64 = 10;

/// The highest temporal layer any codec has (three bits in VP9 and AV1).
pub(crate) const TEMPORAL_MAX: u8 = 7;

/// A layer that packets were seen of lately.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct SeenLayer {
    /// Which.
    pub(crate) layer: Layer,
    /// What forwarding it takes, all lower temporal layers of the same encoding included: payload
    /// bits per second, RTX and FEC excluded.
    pub(crate) bitrate: Bitrate,
}

/// Picks the layer to forward to one subscriber.
///
/// Returns the highest layer that is at most `wanted` and whose measured rate fits `budget`; `None`
/// when even the lowest does not fit (the caller then pauses video). Going above `current` needs
/// 10 % headroom, keeping it does not, so a steady budget never flaps.
///
/// `seen` holds only layers with a packet in the last [`LAYER_STALE_AFTER`], ordered by spatial then
/// temporal index, lowest first.
pub(crate) fn choose_layer(
    wanted: Layer,
    seen: &[SeenLayer],
    current: Option<Layer>,
    budget: Bitrate,
) -> Option<Layer> {
    seen.iter()
        .rev()
        .filter(|seen| is_at_most(seen.layer, wanted))
        .find(|seen| cost_to_take(seen, current) <= budget)
        .map(|seen| seen.layer)
}

/// Whether `layer` asks for nothing that `wanted` does not, in either direction.
pub(crate) const fn is_at_most(layer: Layer, wanted: Layer) -> bool {
    layer.spatial <= wanted.spatial && layer.temporal <= wanted.temporal
}

/// What must be free for `seen` to be taken: its rate, and 10 % more when it is above `current`.
pub(crate) fn cost_to_take(seen: &SeenLayer, current: Option<Layer>) -> Bitrate {
    if current.is_some_and(|current| seen.layer <= current) {
        seen.bitrate
    } else {
        seen.bitrate + seen.bitrate.percent(HEADROOM_PERCENT)
    }
}

/// What a subscriber that has not said anything yet is given.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum DefaultWish {
    /// The lowest: its client will ask for what it shows.
    Lowest,
    /// Everything.
    Highest,
}

/// The highest encoding a subscriber wants, as an index into `announced`; `None`: nothing for now.
///
/// `announced` are the publisher's encodings, lowest first; `track_size` is the announced size of the
/// track. A size wins over a quality, as clients give a quality only when they know no size.
/// A wished size is met by the smallest encoding whose short side is at most 10 % smaller. Without
/// announced sizes an encoding counts as the usual share of its track: a quarter, half, all.
pub(crate) fn wanted_spatial(
    wish: Option<&Wish>,
    default: DefaultWish,
    announced: &[VideoLayer],
    track_size: Option<(u32, u32)>,
) -> Option<u8> {
    let highest = index_of(announced.len().saturating_sub(1));
    let Some(wish) = wish else {
        return Some(match default {
            DefaultWish::Lowest => 0,
            DefaultWish::Highest => highest,
        });
    };
    if wish.disabled {
        return None;
    }
    if let Some(size) = wish.size.filter(|&(width, height)| width > 0 && height > 0) {
        return Some(spatial_for_size(size, announced, track_size).min(highest));
    }
    Some(wish.quality.map_or(highest, |quality| spatial_for_quality(quality, announced)))
}

/// The encoding named `quality`, or the nearest one below it, or the lowest.
fn spatial_for_quality(quality: Quality, announced: &[VideoLayer]) -> u8 {
    announced.iter().rposition(|layer| layer.quality <= quality).map_or(0, index_of)
}

fn spatial_for_size(
    (width, height): (u32, u32),
    announced: &[VideoLayer],
    track_size: Option<(u32, u32)>,
) -> u8 {
    let track = track_size
        .filter(|&(width, height)| width > 0 && height > 0)
        .or_else(|| announced.last().and_then(announced_size))
        .unwrap_or(SIZE_WHEN_UNKNOWN);
    let is_portrait = track.0 < track.1;
    let short_side = |(width, height): (u32, u32)| if is_portrait { width } else { height };
    let needed = u64::from(short_side((width, height))) * 9;
    let fits = |layer: &VideoLayer| {
        let size = announced_size(layer).unwrap_or_else(|| usual_share(track, layer.quality));
        u64::from(short_side(size)) * 10 >= needed
    };
    announced.iter().position(fits).map_or(u8::MAX, index_of)
}

fn announced_size(layer: &VideoLayer) -> Option<(u32, u32)> {
    (layer.width > 0 && layer.height > 0).then_some((layer.width, layer.height))
}

/// Publishers that say nothing send 720 lines at most, in steps of a half.
const SIZE_WHEN_UNKNOWN: (u32, u32) = (1_280, 720);

const fn usual_share((width, height): (u32, u32), quality: Quality) -> (u32, u32) {
    match quality {
        Quality::Low => (width / 4, height / 4),
        Quality::Medium => (width / 2, height / 2),
        Quality::High => (width, height),
    }
}

/// The highest temporal layer a subscriber wants.
///
/// `fps` is the wished frame rate, `source_fps` the measured one of the whole encoding with
/// `temporal_count` layers; each layer below the highest halves it. A rate is met by 10 % less. Where
/// the rate or the count is not known (0), all are wanted.
pub(crate) fn wanted_temporal(fps: Option<u32>, source_fps: u32, temporal_count: u8) -> u8 {
    let highest = temporal_count.saturating_sub(1).min(TEMPORAL_MAX);
    let is_known = source_fps > 0 && temporal_count > 0;
    let Some(fps) = fps.filter(|&fps| fps > 0 && is_known) else { return TEMPORAL_MAX };
    (0..=highest)
        .find(|&temporal| {
            let share = (u64::from(source_fps) * 10) >> (highest - temporal);
            share >= u64::from(fps) * 9
        })
        .unwrap_or(TEMPORAL_MAX)
}

/// Moves a subscriber's temporal limit towards `target`, before the packet is looked at.
///
/// Going down takes effect at the next frame; going up only where the stream allows it, or at a
/// keyframe. Frames of a temporal layer above the returned limit are left out.
pub(crate) fn step_temporal(current: u8, target: u8, info: &PacketInfo) -> u8 {
    if current == target {
        return current;
    }
    if target < current {
        return if info.part.is_start() { target } else { current };
    }
    if info.keyframe_start {
        return target;
    }
    // Without temporal layers every packet is of the lowest one and the limit means nothing.
    let Some(temporal) = info.temporal else { return target };
    let may_start = matches!(info.part, FramePart::Start | FramePart::Whole | FramePart::Unknown);
    match info.switch_up {
        SwitchUp::Here if may_start && temporal > current && temporal <= target => temporal,
        SwitchUp::After if temporal <= current => target,
        SwitchUp::Here | SwitchUp::After | SwitchUp::No => current,
    }
}

fn index_of(position: usize) -> u8 {
    u8::try_from(position).unwrap_or(u8::MAX)
}

#[cfg(test)]
mod tests;
