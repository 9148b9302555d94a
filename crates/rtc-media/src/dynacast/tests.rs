use Quality::{High, Low, Medium};

use super::*;
use crate::testing::{Chance, start};

const VP8: Codec = Codec::Vp8;

fn need(quality: Quality) -> Need {
    Need { codec: VP8, quality }
}

fn announced(now: Instant, qualities: &[Quality]) -> Dynacast {
    let mut dynacast = Dynacast::default();
    dynacast.announce(now, &[(VP8, qualities.to_vec())]);
    dynacast
}

/// The enabled qualities of all codecs, as letters.
fn told(subscribed: &SubscribedQualities) -> String {
    let letter = |&(quality, enabled): &(Quality, bool)| match (quality, enabled) {
        (_, false) => '-',
        (Low, true) => 'q',
        (Medium, true) => 'h',
        (High, true) => 'f',
    };
    let codecs: Vec<String> =
        subscribed.iter().map(|(_, qualities)| qualities.iter().map(letter).collect()).collect();
    codecs.join(" ")
}

#[test]
fn without_viewers_everything_stops_after_a_while() {
    let now = start();
    let mut dynacast = announced(now, &[Low, Medium, High]);
    assert_eq!(told(&dynacast.subscribed()), "qhf");
    assert_eq!(dynacast.poll(now + STOP_AFTER - Duration::from_millis(1)), None);
    assert_eq!(told(&dynacast.poll(now + STOP_AFTER).unwrap()), "---");
    assert!(!dynacast.is_needed(VP8));
}

#[test]
fn more_is_told_at_once_and_less_after_a_while() {
    let now = start();
    let mut dynacast = announced(now, &[Low, Medium, High]);
    assert_eq!(dynacast.update(now, [need(Low)]), None);
    assert_eq!(told(&dynacast.poll(now + STOP_AFTER).unwrap()), "q--");
    let later = now + STOP_AFTER * 2;
    assert_eq!(told(&dynacast.update(later, [need(Low), need(Medium)]).unwrap()), "qh-");
    assert_eq!(told(&dynacast.update(later, [need(High)]).unwrap()), "qhf");
    assert_eq!(dynacast.update(later, [need(High), need(High)]), None, "nothing new");
    assert_eq!(dynacast.update(later, []), None);
    assert_eq!(dynacast.update(later + STOP_AFTER / 2, [need(Low)]), None);
    assert_eq!(told(&dynacast.poll(later + STOP_AFTER).unwrap()), "q--", "since the first fall");
}

#[test]
fn a_need_that_comes_back_in_time_is_no_news() {
    let now = start();
    let mut dynacast = announced(now, &[Low, Medium, High]);
    assert_eq!(dynacast.update(now, [need(High)]), None);
    assert_eq!(dynacast.update(now, []), None);
    assert_eq!(dynacast.update(now + STOP_AFTER / 2, [need(High)]), None);
    assert_eq!(dynacast.poll(now + STOP_AFTER * 9), None);
}

#[test]
fn a_need_means_the_nearest_encoding_there_is() {
    let now = start();
    let rows: [(&[Quality], Quality, &str); 6] = [
        (&[High], Low, "f"),
        (&[Low], High, "q"),
        (&[Low, High], Medium, "q-"),
        (&[Medium, High], Low, "h-"),
        (&[High, Low, Medium, Low], Medium, "qh-"),
        (&[], High, ""),
    ];
    for (qualities, wished, expected) in rows {
        let mut dynacast = announced(now, qualities);
        dynacast.update(now, [need(wished)]);
        dynacast.poll(now + STOP_AFTER);
        assert_eq!(told(&dynacast.subscribed()), expected, "{qualities:?} {wished:?}");
    }
}

#[test]
fn codecs_have_their_own_needs() {
    let now = start();
    let mut dynacast = Dynacast::default();
    dynacast.announce(now, &[(Codec::Av1, vec![High]), (VP8, vec![Low, High])]);
    let mixed = [Need { codec: Codec::Av1, quality: High }, need(Low)];
    assert_eq!(dynacast.update(now, mixed), None);
    assert_eq!(told(&dynacast.poll(now + STOP_AFTER).unwrap()), "f q-");
    let foreign = [Need { codec: Codec::H265, quality: High }];
    assert_eq!(dynacast.update(now + STOP_AFTER, foreign), None);
    assert_eq!(told(&dynacast.poll(now + STOP_AFTER * 2).unwrap()), "- --");
    assert!(!dynacast.is_needed(Codec::H265));
}

#[test]
fn announcing_again_keeps_what_is_known() {
    let now = start();
    let mut dynacast = announced(now, &[Low, High]);
    dynacast.update(now, [need(Low)]);
    dynacast.poll(now + STOP_AFTER);
    let later = now + STOP_AFTER * 2;
    dynacast.announce(later, &[(Codec::Av1, vec![High]), (VP8, vec![Low, High])]);
    assert_eq!(told(&dynacast.subscribed()), "f q-");
    dynacast.announce(later, &[(VP8, vec![Low, Medium, High])]);
    assert_eq!(told(&dynacast.subscribed()), "qhf", "new encodings count as needed");
}

#[test]
fn what_is_told_always_covers_what_is_needed() {
    let mut chance = Chance::new(0x5eed_0008);
    let mut now = start();
    let mut dynacast = announced(now, &[Low, Medium, High]);
    let mut told_last = told(&dynacast.subscribed());
    for _ in 0..20_000 {
        now += Duration::from_millis(chance.below(3_000));
        let needs: Vec<_> = (0..chance.below(4))
            .map(|_| need([Low, Medium, High][usize::try_from(chance.below(3)).unwrap()]))
            .collect();
        for news in [dynacast.poll(now), dynacast.update(now, needs.iter().copied())] {
            let Some(news) = news.map(|news| told(&news)) else { continue };
            assert_ne!(news, told_last, "only changes are told");
            told_last = news;
        }
        let subscribed = dynacast.subscribed();
        let enabled = subscribed[0].1.iter().filter(|(_, enabled)| *enabled).map(|(q, _)| *q).max();
        assert!(needs.iter().map(|need| need.quality).max() <= enabled);
    }
}
