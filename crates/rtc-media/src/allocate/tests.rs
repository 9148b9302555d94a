use super::*;
use crate::testing::{Chance, start};

fn layer(spatial: u8, temporal: u8) -> Layer {
    Layer { spatial, temporal }
}

fn seen(spatial: u8, temporal: u8, kbps: u64) -> SeenLayer {
    SeenLayer { layer: layer(spatial, temporal), bitrate: Bitrate::from_kbps(kbps) }
}

/// Three encodings without temporal layers.
fn plain() -> [SeenLayer; 3] {
    [seen(0, 0, 150), seen(1, 0, 500), seen(2, 0, 1_700)]
}

const ALL: Layer = Layer { spatial: 7, temporal: 7 };

fn video(seen: &[SeenLayer], current: Current) -> VideoDemand<'_> {
    VideoDemand { priority: 0, content: Content::Camera, wanted: ALL, seen, current }
}

/// Long ago enough for everything.
fn granted(now: Instant, layer: Layer) -> Current {
    Current::Granted { layer, since: now - Duration::from_secs(60) }
}

fn paused(now: Instant) -> Current {
    Current::Paused { since: now - Duration::from_secs(60) }
}

/// The grants as text: audio as its rate, video as `spatial.temporal` or `-`.
fn told(now: Instant, kbps: u64, demands: &[Demand<'_>]) -> String {
    let grants = allocate(now, Bitrate::from_kbps(kbps), demands);
    assert_eq!(grants.len(), demands.len());
    let words: Vec<_> = demands
        .iter()
        .zip(&grants)
        .map(|(demand, grant)| match (demand, grant.layer) {
            (Demand::Audio(_), _) => format!("{}k", grant.bitrate.bps() / 1_000),
            (Demand::Video(_), Some(layer)) => format!("{}.{}", layer.spatial, layer.temporal),
            (Demand::Video(_), None) => "-".to_owned(),
        })
        .collect();
    words.join(" ")
}

#[test]
fn audio_comes_before_all_video() {
    let now = start();
    let plain = plain();
    let demands = [
        Demand::Video(VideoDemand { priority: u32::MAX, ..video(&plain, Current::New) }),
        Demand::Audio(Bitrate::from_kbps(40)),
        Demand::Audio(Bitrate::from_kbps(40)),
    ];
    let rows = [
        (0, "- 40k 40k"),
        (79, "- 40k 40k"),
        (229, "- 40k 40k"),
        (230, "0.0 40k 40k"),
        (580, "1.0 40k 40k"),
    ];
    for (kbps, expected) in rows {
        assert_eq!(told(now, kbps, &demands), expected, "{kbps} kbit/s");
    }
}

#[test]
fn everybody_gets_the_lowest_before_anybody_gets_more() {
    let now = start();
    let plain = plain();
    let demands = [Demand::Video(video(&plain, Current::New)); 3];
    let rows = [
        (149, "- - -"),
        (150, "0.0 - -"),
        (449, "0.0 0.0 -"),
        (450, "0.0 0.0 0.0"),
        (800, "1.0 0.0 0.0"),
        (1_500, "1.0 1.0 1.0"),
        (2_700, "2.0 1.0 1.0"),
        (5_100, "2.0 2.0 2.0"),
    ];
    for (kbps, expected) in rows {
        assert_eq!(told(now, kbps, &demands), expected, "{kbps} kbit/s");
    }
}

#[test]
fn priority_and_screens_go_first() {
    let now = start();
    let plain = plain();
    let camera = video(&plain, Current::New);
    let screen = VideoDemand { content: Content::Screen, ..camera };
    let pinned = VideoDemand { priority: 9, ..camera };
    let demands = [Demand::Video(camera), Demand::Video(screen), Demand::Video(pinned)];
    let rows = [
        (150, "- - 0.0"),
        (300, "- 0.0 0.0"),
        (450, "0.0 0.0 0.0"),
        (800, "0.0 0.0 1.0"),
        (1_150, "0.0 1.0 1.0"),
        (2_000, "0.0 0.0 2.0"),
        (2_350, "0.0 1.0 2.0"),
        (3_550, "0.0 2.0 2.0"),
    ];
    for (kbps, expected) in rows {
        assert_eq!(told(now, kbps, &demands), expected, "{kbps} kbit/s");
    }
}

#[test]
fn a_wish_is_a_limit() {
    let now = start();
    let plain = plain();
    let small = VideoDemand { wanted: layer(0, 7), ..video(&plain, Current::New) };
    let demands = [Demand::Video(small), Demand::Video(video(&plain, Current::New))];
    assert_eq!(told(now, 9_000, &demands), "0.0 2.0");
}

#[test]
fn larger_pictures_come_at_a_useful_frame_rate() {
    let now = start();
    let steps = [
        seen(0, 0, 40),
        seen(0, 1, 70),
        seen(0, 2, 100),
        seen(1, 0, 150),
        seen(1, 1, 260),
        seen(1, 2, 400),
    ];
    let rows = [(40, "0.0"), (99, "0.1"), (100, "0.2"), (259, "0.2"), (260, "1.1"), (400, "1.2")];
    let demands = [Demand::Video(video(&steps, Current::New))];
    for (kbps, expected) in rows {
        assert_eq!(told(now, kbps, &demands), expected, "{kbps} kbit/s");
    }
    let slow = VideoDemand { wanted: layer(7, 0), ..video(&steps, Current::New) };
    assert_eq!(told(now, 400, &[Demand::Video(slow)]), "1.0", "a slow one is what was wished for");
}

#[test]
fn rising_needs_headroom_and_quiet_falling_needs_nothing() {
    let now = start();
    let plain = plain();
    let just = Current::Granted { layer: layer(0, 0), since: now };
    let rows = [
        ("keeps its layer to the bit", granted(now, layer(1, 0)), 500, "1.0"),
        ("falls at once", Current::Granted { layer: layer(1, 0), since: now }, 499, "0.0"),
        ("pauses at once", Current::Granted { layer: layer(0, 0), since: now }, 149, "-"),
        ("rises with 10 %", granted(now, layer(0, 0)), 550, "1.0"),
        ("does not rise without", granted(now, layer(0, 0)), 549, "0.0"),
        ("does not rise too soon", just, 9_000, "0.0"),
        ("resumes with 10 %", paused(now), 165, "0.0"),
        ("does not resume without", paused(now), 164, "-"),
        ("does not resume too soon", Current::Paused { since: now }, 9_000, "-"),
        ("starts at once, without headroom", Current::New, 500, "1.0"),
    ];
    for (name, current, kbps, expected) in rows {
        assert_eq!(told(now, kbps, &[Demand::Video(video(&plain, current))]), expected, "{name}");
    }
    let edges = [
        (Current::Granted { layer: layer(0, 0), since: now - RISE_AFTER }, "2.0"),
        (Current::Paused { since: now - RESUME_AFTER }, "2.0"),
        (Current::Paused { since: now - RISE_AFTER }, "-"),
        (Current::Paused { since: now + RISE_AFTER }, "-"),
    ];
    for (current, expected) in edges {
        assert_eq!(told(now, 9_000, &[Demand::Video(video(&plain, current))]), expected);
    }
}

#[test]
fn a_newcomer_of_the_same_rank_takes_its_share() {
    let now = start();
    let plain = plain();
    let demands = [
        Demand::Video(video(&plain, granted(now, layer(2, 0)))),
        Demand::Video(video(&plain, Current::New)),
    ];
    assert_eq!(told(now, 2_199, &demands), "1.0 1.0", "nobody gets two steps before all have one");
    assert_eq!(told(now, 2_200, &demands), "2.0 1.0", "the last step goes to whoever is first");
}

#[test]
fn one_that_does_not_fit_leaves_room_for_smaller_ones() {
    let now = start();
    let large = [seen(0, 0, 2_000)];
    let plain = plain();
    let demands =
        [Demand::Video(video(&large, Current::New)), Demand::Video(video(&plain, Current::New))];
    assert_eq!(told(now, 500, &demands), "- 1.0");
}

#[test]
fn a_video_without_packets_takes_nothing() {
    let now = start();
    let plain = plain();
    let demands = [
        Demand::Video(video(&[], granted(now, layer(2, 0)))),
        Demand::Video(video(&plain, Current::New)),
    ];
    assert_eq!(told(now, 1_700, &demands), "- 2.0");
    assert!(allocate(now, Bitrate::ZERO, &[]).is_empty());
}

#[test]
fn what_is_desired_is_everything_wished_for() {
    let plain = plain();
    let small = VideoDemand { wanted: layer(1, 0), ..video(&plain, Current::New) };
    let demands = [
        Demand::Audio(Bitrate::from_kbps(40)),
        Demand::Video(small),
        Demand::Video(video(&plain, Current::New)),
        Demand::Video(video(&[], Current::New)),
    ];
    assert_eq!(desired(&demands), Bitrate::from_kbps(40 + 550 + 1_870));
    let huge = [SeenLayer { layer: layer(0, 0), bitrate: Bitrate::from_bps(u64::MAX) }];
    let demands = [Demand::Video(video(&huge, Current::New)); 2];
    assert_eq!(desired(&demands), Bitrate::from_bps(u64::MAX));
}

/// A random set of encodings; rates need not even be in order.
fn random_ladder(chance: &mut Chance) -> Vec<SeenLayer> {
    let temporals = 1 + chance.below(4);
    let mut ladder = Vec::new();
    for spatial in 0..chance.below(4) {
        for temporal in 0..temporals {
            let index = |value| u8::try_from(value).unwrap();
            ladder.push(seen(index(spatial), index(temporal), chance.below(3_000)));
        }
    }
    ladder
}

#[test]
fn grants_never_exceed_the_budget_and_never_the_wish() {
    let mut chance = Chance::new(0x5eed_0005);
    let now = start();
    for round in 0..20_000 {
        let ladders: Vec<_> = (0..chance.below(12)).map(|_| random_ladder(&mut chance)).collect();
        let mut demands = Vec::new();
        for ladder in &ladders {
            let wanted = layer(chance.byte() % 4, chance.byte() % 4);
            let since = now - Duration::from_millis(chance.below(5_000));
            let current = match chance.below(3) {
                0 => Current::New,
                1 => Current::Paused { since },
                _ => Current::Granted { layer: layer(chance.byte() % 4, chance.byte() % 4), since },
            };
            let content = if chance.percent(20) { Content::Screen } else { Content::Camera };
            let priority = u32::from(chance.byte() % 3);
            demands.push(if chance.percent(30) {
                Demand::Audio(Bitrate::from_kbps(chance.below(60)))
            } else {
                Demand::Video(VideoDemand { priority, content, wanted, seen: ladder, current })
            });
        }
        let budget = Bitrate::from_kbps(chance.below(12_000));
        let grants = allocate(now, budget, &demands);
        assert_eq!(grants.len(), demands.len());
        let audio: Bitrate = demands
            .iter()
            .map(|demand| match demand {
                Demand::Audio(bitrate) => *bitrate,
                Demand::Video(_) => Bitrate::ZERO,
            })
            .sum();
        let total: Bitrate = grants.iter().map(|grant| grant.bitrate).sum();
        assert!(total <= budget.max(audio), "round {round}");
        for (demand, grant) in demands.iter().zip(&grants) {
            match demand {
                Demand::Audio(bitrate) => assert_eq!(grant.bitrate, *bitrate),
                Demand::Video(video) => {
                    let Some(layer) = grant.layer else {
                        assert_eq!(grant.bitrate, Bitrate::ZERO);
                        continue;
                    };
                    assert!(is_at_most(layer, video.wanted), "round {round}");
                    let cost = video.seen.iter().find(|seen| seen.layer == layer).unwrap().bitrate;
                    assert_eq!(grant.bitrate, cost, "round {round}");
                }
            }
        }
    }
}

#[test]
fn a_steady_budget_settles_and_stays() {
    let mut chance = Chance::new(0x5eed_0006);
    for round in 0..2_000 {
        let mut now = start();
        let plain = plain();
        let mut currents = vec![Current::New; 1 + usize::try_from(chance.below(8)).unwrap()];
        let budget = Bitrate::from_kbps(chance.below(8_000));
        let mut changes_late = 0;
        for step in 0..40 {
            now += Duration::from_millis(500);
            let demands: Vec<_> =
                currents.iter().map(|&current| Demand::Video(video(&plain, current))).collect();
            let grants = allocate(now, budget, &demands);
            for (current, grant) in currents.iter_mut().zip(grants) {
                let next = match (*current, grant.layer) {
                    (Current::Granted { layer, .. }, Some(granted)) if layer == granted => continue,
                    (Current::Paused { .. }, None) => continue,
                    (_, Some(layer)) => Current::Granted { layer, since: now },
                    (_, None) => Current::Paused { since: now },
                };
                *current = next;
                changes_late += u32::from(step >= 20);
            }
        }
        assert_eq!(changes_late, 0, "round {round}, {budget}, {} videos", currents.len());
    }
}
