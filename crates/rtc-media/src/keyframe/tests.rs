use super::*;
use crate::testing::{Chance, start};

fn ms(ms: u64) -> Duration {
    Duration::from_millis(ms)
}

/// Runs until `until`, asking the state machine when it wants; gives the times of requests sent.
fn run(requests: &mut KeyframeRequests, begin: Instant, until: Duration) -> Vec<u64> {
    let mut sent = Vec::new();
    while let Some(due) = requests.next_timeout().filter(|&due| due <= begin + until) {
        if requests.poll(due).is_some() {
            sent.push(u64::try_from((due - begin).as_millis()).unwrap());
        }
    }
    sent
}

#[test]
fn a_first_request_goes_out_at_once_and_others_join_it() {
    let mut requests = KeyframeRequests::default();
    let now = start();
    assert!(requests.request(now).is_some());
    for later in [0, 1, 100, 299] {
        assert!(requests.request(now + ms(later)).is_none());
        assert!(requests.poll(now + ms(later)).is_none());
    }
    requests.on_keyframe(now + ms(150));
    assert_eq!(requests.next_timeout(), None);
}

#[test]
fn a_request_too_soon_after_an_answer_waits_its_turn() {
    let mut requests = KeyframeRequests::default();
    let now = start();
    assert!(requests.request(now).is_some());
    requests.on_keyframe(now + ms(100));
    assert!(requests.request(now + ms(200)).is_none());
    assert_eq!(requests.next_timeout(), Some(now + ms(500)));
    assert!(requests.poll(now + ms(499)).is_none());
    assert!(requests.poll(now + ms(500)).is_some());
    requests.on_keyframe(now + ms(600));
    assert!(requests.request(now + ms(1_000)).is_some(), "500 ms after the last one");
}

#[test]
fn a_keyframe_that_comes_by_itself_answers_a_waiting_request() {
    let mut requests = KeyframeRequests::default();
    let now = start();
    assert!(requests.request(now).is_some());
    requests.on_keyframe(now + ms(100));
    assert!(requests.request(now + ms(200)).is_none());
    requests.on_keyframe(now + ms(300));
    assert_eq!(requests.next_timeout(), None);
    // Nobody asked, nothing changes.
    let mut fresh = KeyframeRequests::default();
    fresh.on_keyframe(now);
    assert!(fresh.request(now).is_some());
}

#[test]
fn an_unanswered_request_is_repeated_more_and_more_rarely_and_given_up() {
    let mut requests = KeyframeRequests::default();
    let now = start();
    assert!(requests.request(now).is_some());
    let sent = run(&mut requests, now, ms(60_000));
    assert_eq!(sent, [300, 900, 2_100, 4_500, 7_500, 10_500, 13_500]);
    assert_eq!(requests.next_timeout(), None);
    assert!(requests.request(now + ms(60_001)).is_some(), "a new request starts over");
}

#[test]
fn a_long_round_trip_stretches_the_waits() {
    let now = start();
    let rows = [(0, 300, 500), (100, 300, 500), (400, 600, 800), (60_000, 2_200, 4_000)];
    for (rtt, first_repeat, interval) in rows {
        let mut requests = KeyframeRequests::default();
        requests.set_rtt(ms(rtt));
        assert!(requests.request(now).is_some());
        assert_eq!(requests.next_timeout(), Some(now + ms(first_repeat)), "rtt {rtt}");
        requests.on_keyframe(now);
        assert!(requests.request(now).is_none());
        assert_eq!(requests.next_timeout(), Some(now + ms(interval)), "rtt {rtt}");
    }
}

#[test]
fn many_eager_subscribers_cause_at_most_two_requests_a_second() {
    let mut chance = Chance::new(0x5eed_0003);
    let mut requests = KeyframeRequests::default();
    let begin = start();
    let mut sent = Vec::new();
    let mut answer_at = None;
    for tick in 0..30_000 {
        let now = begin + ms(tick);
        let mut send = requests.poll(now).is_some();
        if chance.percent(20) {
            send |= requests.request(now).is_some();
        }
        if send {
            sent.push(tick);
            answer_at = Some(tick + 50 + chance.below(100));
        }
        if answer_at == Some(tick) {
            requests.on_keyframe(now);
            answer_at = None;
        }
    }
    assert!(sent.len() > 55 && sent.is_sorted_by(|a, b| b - a >= 500), "{sent:?}");
}
