use super::*;
use crate::testing::Chance;

fn layer(spatial: u8, temporal: u8) -> Layer {
    Layer { spatial, temporal }
}

fn seen(spatial: u8, temporal: u8, kbps: u64) -> SeenLayer {
    SeenLayer { layer: layer(spatial, temporal), bitrate: Bitrate::from_kbps(kbps) }
}

/// The usual three encodings with two temporal layers each.
fn ladder() -> [SeenLayer; 6] {
    [
        seen(0, 0, 90),
        seen(0, 1, 150),
        seen(1, 0, 300),
        seen(1, 1, 500),
        seen(2, 0, 1_000),
        seen(2, 1, 1_700),
    ]
}

#[test]
fn the_highest_layer_that_fits_is_chosen() {
    let all = layer(2, 1);
    type Row = (&'static str, Layer, Option<Layer>, u64, Option<Layer>);
    let rows: [Row; 16] = [
        ("nothing fits", all, None, 98, None),
        ("the lowest fits with headroom", all, None, 99, Some(layer(0, 0))),
        ("keeping needs no headroom", all, Some(layer(0, 0)), 90, Some(layer(0, 0))),
        ("keeping needs its rate", all, Some(layer(0, 0)), 89, None),
        ("rising needs headroom", all, Some(layer(0, 1)), 329, Some(layer(0, 1))),
        ("rising with headroom", all, Some(layer(0, 1)), 330, Some(layer(1, 0))),
        ("falling is to what fits", all, Some(layer(2, 1)), 1_699, Some(layer(2, 0))),
        ("falling far", all, Some(layer(2, 1)), 200, Some(layer(0, 1))),
        ("falling to nothing", all, Some(layer(2, 1)), 1, None),
        ("everything fits", all, None, 1_870, Some(layer(2, 1))),
        ("a wish caps the size", layer(1, 1), None, 9_000, Some(layer(1, 1))),
        ("a wish caps the frame rate", layer(2, 0), None, 9_000, Some(layer(2, 0))),
        ("a wish below the current one", layer(0, 0), Some(layer(2, 1)), 9_000, Some(layer(0, 0))),
        ("more than there is", layer(7, 7), None, 9_000, Some(layer(2, 1))),
        ("current is gone", layer(2, 1), Some(layer(3, 3)), 1_700, Some(layer(2, 1))),
        ("no budget", all, None, 0, None),
    ];
    for (name, wanted, current, budget, expected) in rows {
        let chosen = choose_layer(wanted, &ladder(), current, Bitrate::from_kbps(budget));
        assert_eq!(chosen, expected, "{name}");
    }
}

#[test]
fn nothing_seen_gives_nothing() {
    let budget = Bitrate::from_kbps(9_000);
    assert_eq!(choose_layer(layer(2, 2), &[], None, budget), None);
    assert_eq!(choose_layer(layer(0, 2), &ladder()[2..], None, budget), None, "only larger ones");
    let free = [seen(0, 0, 0)];
    assert_eq!(choose_layer(layer(0, 0), &free, None, Bitrate::ZERO), Some(layer(0, 0)));
    let huge = [SeenLayer { layer: layer(0, 0), bitrate: Bitrate::from_bps(u64::MAX) }];
    assert_eq!(choose_layer(layer(0, 0), &huge, None, Bitrate::from_bps(u64::MAX - 1)), None);
}

#[test]
fn a_steady_budget_never_flaps() {
    let mut chance = Chance::new(0x5eed_0004);
    for _ in 0..2_000 {
        let budget = Bitrate::from_kbps(chance.below(2_500));
        let first = choose_layer(layer(2, 1), &ladder(), None, budget);
        let second = choose_layer(layer(2, 1), &ladder(), first, budget);
        let third = choose_layer(layer(2, 1), &ladder(), second, budget);
        assert_eq!(first, second);
        assert_eq!(second, third);
    }
}

fn announced(sizes: &[(Quality, u32, u32)]) -> Vec<VideoLayer> {
    sizes
        .iter()
        .map(|&(quality, width, height)| VideoLayer {
            quality,
            width,
            height,
            bitrate: Bitrate::ZERO,
        })
        .collect()
}

fn sized(width: u32, height: u32) -> Wish {
    Wish { size: Some((width, height)), ..Wish::default() }
}

fn quality(quality: Quality) -> Wish {
    Wish { quality: Some(quality), ..Wish::default() }
}

#[test]
fn a_wish_becomes_an_encoding() {
    use Quality::{High, Low, Medium};
    let three = announced(&[(Low, 320, 180), (Medium, 640, 360), (High, 1_280, 720)]);
    let portrait = announced(&[(Low, 180, 320), (Medium, 360, 640), (High, 720, 1_280)]);
    let silent = announced(&[(Low, 0, 0), (Medium, 0, 0), (High, 0, 0)]);
    let two = announced(&[(Low, 640, 360), (High, 1_280, 720)]);
    let one = announced(&[(High, 1_280, 720)]);
    let rows: [(&str, &[VideoLayer], Wish, u8); 22] = [
        ("no word", &three, Wish::default(), 2),
        ("low", &three, quality(Low), 0),
        ("medium", &three, quality(Medium), 1),
        ("high", &three, quality(High), 2),
        ("medium is not there", &two, quality(Medium), 0),
        ("low of a single one", &one, quality(Low), 0),
        ("the very size", &three, sized(320, 180), 0),
        ("a tenth more", &three, sized(352, 200), 0),
        ("more than a tenth more", &three, sized(356, 202), 1),
        ("a tile", &three, sized(500, 281), 1),
        ("full screen", &three, sized(1_920, 1_080), 2),
        ("tiny", &three, sized(1, 1), 0),
        ("absurd", &three, sized(u32::MAX, u32::MAX), 2),
        ("no size", &three, sized(0, 0), 2),
        ("half a size", &three, sized(0, 180), 2),
        ("landscape is measured by its height", &three, sized(300, 600), 2),
        ("portrait is measured by its width", &portrait, sized(300, 600), 1),
        ("announced without sizes", &silent, sized(320, 180), 0),
        ("announced without sizes, large", &silent, sized(700, 700), 2),
        ("nothing announced", &[], sized(700, 700), 0),
        ("nothing announced, by quality", &[], quality(High), 0),
        ("size wins", &three, Wish { quality: Some(Low), ..sized(640, 360) }, 1),
    ];
    for (name, layers, wish, expected) in rows {
        let spatial = wanted_spatial(Some(&wish), DefaultWish::Highest, layers, None);
        assert_eq!(spatial, Some(expected), "{name}");
    }
    let disabled = Wish { disabled: true, ..sized(640, 360) };
    assert_eq!(wanted_spatial(Some(&disabled), DefaultWish::Highest, &three, None), None);
}

#[test]
fn encodings_without_sizes_are_shares_of_their_track() {
    use Quality::{High, Low, Medium};
    let silent = announced(&[(Low, 0, 0), (Medium, 0, 0), (High, 0, 0)]);
    let rows = [((1_920, 1_080), 270, 0), ((1_920, 1_080), 300, 0), ((1_920, 1_080), 540, 1)];
    for (track, height, expected) in rows {
        let wish = sized(1_920, height);
        let spatial = wanted_spatial(Some(&wish), DefaultWish::Lowest, &silent, Some(track));
        assert_eq!(spatial, Some(expected), "{height} of {track:?}");
    }
}

#[test]
fn who_said_nothing_gets_the_default() {
    use Quality::{High, Low, Medium};
    let three = announced(&[(Low, 320, 180), (Medium, 640, 360), (High, 1_280, 720)]);
    assert_eq!(wanted_spatial(None, DefaultWish::Lowest, &three, None), Some(0));
    assert_eq!(wanted_spatial(None, DefaultWish::Highest, &three, None), Some(2));
    assert_eq!(wanted_spatial(None, DefaultWish::Highest, &[], None), Some(0));
}

#[test]
fn a_frame_rate_becomes_a_temporal_layer() {
    let rows = [
        ("no wish", None, 30, 3, TEMPORAL_MAX),
        ("a wish of nothing", Some(0), 30, 3, TEMPORAL_MAX),
        ("source not measured", Some(15), 0, 3, TEMPORAL_MAX),
        ("all", Some(30), 30, 3, 2),
        ("half", Some(15), 30, 3, 1),
        ("a little less than half", Some(16), 30, 3, 1),
        ("more than half", Some(20), 30, 3, 2),
        ("a quarter", Some(7), 30, 3, 0),
        ("more than there is", Some(60), 30, 3, TEMPORAL_MAX),
        ("one layer", Some(1), 30, 1, 0),
        ("no layer seen yet", Some(1), 30, 0, TEMPORAL_MAX),
        ("absurd", Some(u32::MAX), u32::MAX, u8::MAX, 7),
    ];
    for (name, fps, source_fps, count, expected) in rows {
        assert_eq!(wanted_temporal(fps, source_fps, count), expected, "{name}");
    }
}

#[test]
fn the_temporal_limit_rises_only_where_it_may() {
    let packet = |temporal: Option<u8>, switch_up, part| PacketInfo {
        temporal,
        switch_up,
        part,
        ..PacketInfo::default()
    };
    let key = PacketInfo { keyframe_start: true, ..PacketInfo::default() };
    let (start, middle) = (FramePart::Start, FramePart::Middle);
    let rows = [
        ("there already", 1, 1, packet(Some(0), SwitchUp::No, start), 1),
        ("down at a frame's start", 2, 0, packet(Some(2), SwitchUp::No, start), 0),
        ("not down in a frame", 2, 0, packet(Some(2), SwitchUp::No, middle), 2),
        ("keyframe", 0, 2, key, 2),
        ("no switching point", 0, 2, packet(Some(0), SwitchUp::No, start), 0),
        ("sync frame of the middle layer", 0, 2, packet(Some(1), SwitchUp::Here, start), 1),
        ("sync frame of the upper layer", 0, 2, packet(Some(2), SwitchUp::Here, start), 2),
        ("sync frame above the target", 0, 1, packet(Some(2), SwitchUp::Here, start), 0),
        ("the rest of a sync frame", 0, 2, packet(Some(1), SwitchUp::Here, middle), 0),
        ("sync frame, parts unknown", 0, 1, packet(Some(1), SwitchUp::Here, FramePart::Unknown), 1),
        ("point in a lower layer", 0, 2, packet(Some(0), SwitchUp::After, start), 2),
        ("point in a higher layer", 0, 2, packet(Some(1), SwitchUp::After, start), 0),
        ("no temporal layers", 0, 2, packet(None, SwitchUp::No, middle), 2),
    ];
    for (name, current, target, info, expected) in rows {
        assert_eq!(step_temporal(current, target, &info), expected, "{name}");
    }
}
