//! Which webhook is sent next: order within a room, fairness between receivers, bounded waiting.
//!
//! Sans-IO: events and time go in, attempts come out, outcomes go in. A *lane* is one room's events
//! on their way to one URL; in a lane nothing overtakes, so `room_finished` never arrives before
//! `participant_left`. Lanes do not wait for each other, beyond a URL's share of attempts.
//!
//! ```text
//!            push               poll                 finish(delivered | given up)
//!   (none) ───────► ready ───────────► in flight ───────────────────────► ready or (none)
//!                     ▲                    │ finish(failed)
//!                     └──── due ◄── waiting ◄┘
//! ```

use std::{
    collections::{BTreeMap, BTreeSet, VecDeque},
    sync::Arc,
    time::{Duration, Instant},
};

use rand::{Rng, SeedableRng, rngs::StdRng};
use rtc_model::AppId;

use super::schedule::Schedule;

/// One event on its way to one URL.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) struct Delivery {
    pub(super) url: Arc<str>,
    pub(super) app: AppId,
    /// Name of the room, for order.
    pub(super) room: Arc<str>,
    pub(super) body: Arc<[u8]>,
    /// The body's signature; made once, as body and key do not change.
    pub(super) authorization: Arc<str>,
}

/// One delivery to be tried now.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) struct Attempt {
    pub(super) lane: LaneId,
    pub(super) delivery: Delivery,
    /// From 1.
    pub(super) number: u32,
}

/// How an attempt ended.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Outcome {
    Delivered,
    /// Another attempt may succeed. The receiver may have asked for a pause before it.
    Failed {
        pause: Option<Duration>,
    },
    /// The receiver does not want it, or it may not be sent there.
    Refused,
}

/// What became of a delivery after an attempt.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Fate {
    Delivered,
    /// Tried again later.
    Waits,
    /// Refused, or the last attempt failed.
    GivenUp,
}

/// Bounds of what waits and of what happens at a time.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) struct Bounds {
    /// Most deliveries waiting, all together.
    pub(super) deliveries_max: usize,
    /// Most deliveries waiting for one URL, so that a dead receiver cannot take all places.
    pub(super) deliveries_per_url_max: usize,
    /// Most body bytes waiting, all together. A body waiting for several URLs counts for each.
    pub(super) bytes_max: usize,
    /// Most attempts at a time, all together.
    pub(super) attempts_max: usize,
    /// Most attempts at a time to one URL.
    pub(super) attempts_per_url_max: usize,
}

impl Default for Bounds {
    fn default() -> Self {
        Self {
            deliveries_max: 20_000,
            deliveries_per_url_max: 5_000,
            bytes_max: 64 * 1024 * 1024,
            attempts_max: 128,
            attempts_per_url_max: 16,
        }
    }
}

/// A lane's number; never used twice.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub(super) struct LaneId(u64);

type LaneKey = (Arc<str>, AppId, Arc<str>);

#[derive(Debug)]
struct Lane {
    key: LaneKey,
    queue: VecDeque<Waiting>,
}

#[derive(Debug)]
struct Waiting {
    delivery: Delivery,
    since: Instant,
    attempts: u32,
}

/// What one URL has waiting.
#[derive(Debug, Default)]
struct Receiver {
    ready: VecDeque<LaneId>,
    deliveries: usize,
    in_flight: usize,
    /// It stands in [`Outbox::turns`].
    has_turn: bool,
}

/// All deliveries that are not done.
#[derive(Debug)]
pub(super) struct Outbox {
    schedule: Schedule,
    bounds: Bounds,
    jitter: StdRng,
    lanes: BTreeMap<LaneId, Lane>,
    lane_ids: BTreeMap<LaneKey, LaneId>,
    receivers: BTreeMap<Arc<str>, Receiver>,
    /// URLs with a ready lane and a free share, served in turn.
    turns: VecDeque<Arc<str>>,
    waiting: BTreeSet<(Instant, LaneId)>,
    deliveries: usize,
    bytes: usize,
    in_flight: usize,
    next_lane: u64,
}

impl Outbox {
    pub(super) fn new(schedule: Schedule, bounds: Bounds, seed: u64) -> Self {
        Self {
            schedule,
            bounds,
            jitter: StdRng::seed_from_u64(seed),
            lanes: BTreeMap::new(),
            lane_ids: BTreeMap::new(),
            receivers: BTreeMap::new(),
            turns: VecDeque::new(),
            waiting: BTreeSet::new(),
            deliveries: 0,
            bytes: 0,
            in_flight: 0,
            next_lane: 0,
        }
    }

    /// Takes a delivery, or gives it back when there is no place for it. The newest goes, not the
    /// oldest: a receiver that saw the beginning of a story can ask for its end.
    pub(super) fn push(&mut self, now: Instant, delivery: Delivery) -> Result<(), Delivery> {
        let url = Arc::clone(&delivery.url);
        let per_url = self.receivers.get(&url).map_or(0, |receiver| receiver.deliveries);
        if self.deliveries >= self.bounds.deliveries_max
            || per_url >= self.bounds.deliveries_per_url_max
            || self.bytes.saturating_add(delivery.body.len()) > self.bounds.bytes_max
        {
            return Err(delivery);
        }
        self.deliveries += 1;
        self.bytes += delivery.body.len();
        self.receivers.entry(Arc::clone(&url)).or_default().deliveries += 1;
        let lane = self.lane_of(&delivery);
        let waiting = Waiting { delivery, since: now, attempts: 0 };
        let Some(entry) = self.lanes.get_mut(&lane) else { return Ok(()) };
        entry.queue.push_back(waiting);
        if entry.queue.len() == 1 {
            self.make_ready(&url, lane);
        }
        Ok(())
    }

    /// The next delivery to try, if one is due and an attempt is free. The caller tries it and
    /// says how it ended with [`Outbox::finish`].
    pub(super) fn poll(&mut self, now: Instant) -> Option<Attempt> {
        self.wake(now);
        if self.in_flight >= self.bounds.attempts_max {
            return None;
        }
        let url = self.turns.pop_front()?;
        let receiver = self.receivers.get_mut(&url)?;
        receiver.has_turn = false;
        let lane = receiver.ready.pop_front()?;
        receiver.in_flight += 1;
        self.in_flight += 1;
        self.give_turn(&url);
        let head = self.lanes.get_mut(&lane)?.queue.front_mut()?;
        head.attempts += 1;
        Some(Attempt { lane, delivery: head.delivery.clone(), number: head.attempts })
    }

    /// Takes the outcome of an attempt that [`Outbox::poll`] gave out.
    pub(super) fn finish(&mut self, now: Instant, lane: LaneId, outcome: Outcome) -> Fate {
        let Some(entry) = self.lanes.get(&lane) else { return Fate::GivenUp };
        let Some(head) = entry.queue.front() else { return Fate::GivenUp };
        let (url, attempts, since) = (Arc::clone(&entry.key.0), head.attempts, head.since);
        self.in_flight = self.in_flight.saturating_sub(1);
        if let Some(receiver) = self.receivers.get_mut(&url) {
            receiver.in_flight = receiver.in_flight.saturating_sub(1);
        }
        let retry_at = match outcome {
            Outcome::Delivered | Outcome::Refused => None,
            Outcome::Failed { pause } => self.retry_at(now, since, attempts, pause),
        };
        if let Some(due) = retry_at {
            self.waiting.insert((due, lane));
            self.give_turn(&url);
            return Fate::Waits;
        }
        self.drop_head(lane, &url);
        self.give_turn(&url);
        if outcome == Outcome::Delivered { Fate::Delivered } else { Fate::GivenUp }
    }

    /// When a waiting delivery becomes due; [`Outbox::poll`] has nothing new before, unless
    /// something is pushed or finished.
    pub(super) fn next_due(&self) -> Option<Instant> {
        self.waiting.first().map(|(due, _)| *due)
    }

    /// Deliveries not done, those being tried included.
    pub(super) fn len(&self) -> usize {
        self.deliveries
    }

    /// Makes every waiting delivery due: nothing is worth waiting for when the server stops.
    pub(super) fn hurry(&mut self) {
        for (_, lane) in std::mem::take(&mut self.waiting) {
            if let Some(entry) = self.lanes.get(&lane) {
                let url = Arc::clone(&entry.key.0);
                self.make_ready(&url, lane);
            }
        }
    }

    fn retry_at(
        &mut self,
        now: Instant,
        since: Instant,
        attempts: u32,
        pause: Option<Duration>,
    ) -> Option<Instant> {
        let wait = self.schedule.wait_after(attempts, self.jitter.random())?;
        let wait = wait.max(pause.unwrap_or_default().min(self.schedule.longest));
        let due = now + wait;
        (due.saturating_duration_since(since) <= self.schedule.age_max).then_some(due)
    }

    fn lane_of(&mut self, delivery: &Delivery) -> LaneId {
        let key = (Arc::clone(&delivery.url), delivery.app.clone(), Arc::clone(&delivery.room));
        if let Some(lane) = self.lane_ids.get(&key) {
            return *lane;
        }
        let lane = LaneId(self.next_lane);
        self.next_lane += 1;
        self.lane_ids.insert(key.clone(), lane);
        self.lanes.insert(lane, Lane { key, queue: VecDeque::new() });
        lane
    }

    fn wake(&mut self, now: Instant) {
        while let Some(&(due, lane)) = self.waiting.first() {
            if due > now {
                return;
            }
            self.waiting.pop_first();
            if let Some(entry) = self.lanes.get(&lane) {
                let url = Arc::clone(&entry.key.0);
                self.make_ready(&url, lane);
            }
        }
    }

    fn make_ready(&mut self, url: &Arc<str>, lane: LaneId) {
        if let Some(receiver) = self.receivers.get_mut(url) {
            receiver.ready.push_back(lane);
            self.give_turn(url);
        }
    }

    /// Queues a URL for its turn, once, while it has something ready and a share left.
    fn give_turn(&mut self, url: &Arc<str>) {
        let Some(receiver) = self.receivers.get_mut(url) else { return };
        let entitled =
            !receiver.ready.is_empty() && receiver.in_flight < self.bounds.attempts_per_url_max;
        if entitled && !receiver.has_turn {
            receiver.has_turn = true;
            self.turns.push_back(Arc::clone(url));
        }
    }

    /// Removes a lane's first delivery, and what is thereby empty.
    fn drop_head(&mut self, lane: LaneId, url: &Arc<str>) {
        let Some(entry) = self.lanes.get_mut(&lane) else { return };
        let Some(done) = entry.queue.pop_front() else { return };
        self.deliveries -= 1;
        self.bytes -= done.delivery.body.len();
        if entry.queue.is_empty() {
            let key = entry.key.clone();
            self.lanes.remove(&lane);
            self.lane_ids.remove(&key);
        } else {
            self.make_ready(url, lane);
        }
        if let Some(receiver) = self.receivers.get_mut(url) {
            receiver.deliveries -= 1;
            // Without deliveries it has no ready lane, and so no turn.
            if receiver.deliveries == 0 {
                self.receivers.remove(url);
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const BOUNDS: Bounds = Bounds {
        deliveries_max: 6,
        deliveries_per_url_max: 4,
        bytes_max: 1000,
        attempts_max: 3,
        attempts_per_url_max: 2,
    };
    const FAILED: Outcome = Outcome::Failed { pause: None };

    /// An outbox whose clock stands still until moved.
    struct World {
        outbox: Outbox,
        now: Instant,
    }

    impl World {
        fn new() -> Self {
            let outbox = Outbox::new(Schedule::default(), BOUNDS, 7);
            Self { outbox, now: Instant::now() }
        }

        /// `to` is `url/room`.
        fn push(&mut self, to: &str, body: &str) -> bool {
            self.outbox.push(self.now, delivery(to, body)).is_ok()
        }

        /// Everything that can be tried now, as `url/room/body#attempt`, with the lanes.
        fn poll(&mut self) -> (Vec<String>, Vec<LaneId>) {
            std::iter::from_fn(|| self.outbox.poll(self.now))
                .map(|Attempt { lane, delivery: d, number }| {
                    let body = String::from_utf8_lossy(&d.body);
                    (format!("{}/{}/{body}#{number}", d.url, d.room), lane)
                })
                .unzip()
        }

        fn finish(&mut self, lane: LaneId, outcome: Outcome) -> Fate {
            self.outbox.finish(self.now, lane, outcome)
        }

        /// Moves the clock to the next due time and gives the wait.
        fn wait(&mut self) -> Duration {
            let due = self.outbox.next_due().expect("something waits");
            let waited = due - self.now;
            self.now = due;
            waited
        }

        fn assert_empty(&self) {
            let outbox = &self.outbox;
            assert_eq!((outbox.deliveries, outbox.bytes, outbox.in_flight), (0, 0, 0));
            assert!(outbox.lanes.is_empty() && outbox.lane_ids.is_empty());
            assert!(outbox.receivers.is_empty() && outbox.turns.is_empty());
            assert!(outbox.waiting.is_empty());
        }
    }

    fn delivery(to: &str, body: &str) -> Delivery {
        let (url, room) = to.split_once('/').unwrap();
        Delivery {
            url: url.into(),
            app: AppId::new("app").unwrap(),
            room: room.into(),
            body: body.as_bytes().into(),
            authorization: "".into(),
        }
    }

    #[test]
    fn a_room_s_events_arrive_one_after_the_other() {
        let mut world = World::new();
        for body in ["1", "2", "3"] {
            assert!(world.push("u/a", body));
        }
        for body in ["1", "2", "3"] {
            let (attempts, lanes) = world.poll();
            assert_eq!(attempts, [format!("u/a/{body}#1")]);
            assert_eq!(world.finish(lanes[0], Outcome::Delivered), Fate::Delivered);
        }
        assert!(world.poll().0.is_empty());
        world.assert_empty();
    }

    #[test]
    fn a_failed_event_is_tried_again_before_its_successors() {
        let mut world = World::new();
        world.push("u/a", "1");
        world.push("u/a", "2");
        let (_, lanes) = world.poll();
        assert_eq!(world.finish(lanes[0], FAILED), Fate::Waits);
        assert!(world.poll().0.is_empty());
        let waited = world.wait();
        assert!((375..=625).contains(&waited.as_millis()), "{waited:?}");
        let (attempts, lanes) = world.poll();
        assert_eq!(attempts, ["u/a/1#2"]);
        assert_eq!(world.finish(lanes[0], Outcome::Refused), Fate::GivenUp);
        let (attempts, lanes) = world.poll();
        assert_eq!(attempts, ["u/a/2#1"]);
        world.finish(lanes[0], Outcome::Delivered);
        world.assert_empty();
    }

    #[test]
    fn attempts_end_after_the_eighth() {
        let mut world = World::new();
        world.push("u/a", "1");
        let mut waited = Duration::ZERO;
        for number in 1..=8 {
            let (attempts, lanes) = world.poll();
            assert_eq!(attempts, [format!("u/a/1#{number}")]);
            let fate = world.finish(lanes[0], FAILED);
            assert_eq!(fate, if number < 8 { Fate::Waits } else { Fate::GivenUp });
            if number < 8 {
                waited += world.wait();
            }
        }
        assert!((38..=65).contains(&waited.as_secs()), "{waited:?}");
        world.assert_empty();
    }

    #[test]
    fn an_event_too_old_is_given_up_early() {
        let mut world = World::new();
        world.push("u/a", "1");
        let (_, lanes) = world.poll();
        world.now += Duration::from_secs(300);
        assert_eq!(world.finish(lanes[0], FAILED), Fate::GivenUp);
        world.assert_empty();
    }

    #[test]
    fn a_receiver_s_pause_is_kept_but_not_without_end() {
        for (asked_s, kept_s) in [(0, 0), (5, 5), (3600, 20)] {
            let mut world = World::new();
            world.push("u/a", "1");
            let (_, lanes) = world.poll();
            let pause = Some(Duration::from_secs(asked_s));
            assert_eq!(world.finish(lanes[0], Outcome::Failed { pause }), Fate::Waits);
            assert_eq!(world.wait().as_secs(), kept_s);
        }
    }

    #[test]
    fn rooms_and_receivers_do_not_wait_for_each_other() {
        let mut world = World::new();
        for to in ["u/a", "u/b", "u/c", "v/a"] {
            world.push(to, "1");
        }
        // Two attempts for one URL, three in all.
        let (attempts, lanes) = world.poll();
        assert_eq!(attempts, ["u/a/1#1", "v/a/1#1", "u/b/1#1"]);
        assert_eq!(world.finish(lanes[0], FAILED), Fate::Waits);
        let (attempts, more) = world.poll();
        assert_eq!(attempts, ["u/c/1#1"]);
        for lane in [lanes[1], lanes[2], more[0]] {
            world.finish(lane, Outcome::Delivered);
        }
        world.wait();
        let (attempts, lanes) = world.poll();
        assert_eq!(attempts, ["u/a/1#2"]);
        world.finish(lanes[0], Outcome::Delivered);
        world.assert_empty();
    }

    #[test]
    fn what_has_no_place_is_given_back() {
        let mut world = World::new();
        assert!((0..4).all(|_| world.push("u/a", "1")));
        assert!(!world.push("u/b", "1"), "the URL's places are taken");
        assert!(world.push("v/a", "1"));
        assert!(!world.push("v/a", &"x".repeat(1000)), "too many bytes");
        assert!(world.push("w/a", "1"));
        assert!(!world.push("x/a", "1"), "all places are taken");
        assert_eq!(world.outbox.len(), 6);
        while world.outbox.len() > 0 {
            for lane in world.poll().1 {
                world.finish(lane, Outcome::Delivered);
            }
        }
        world.assert_empty();
    }

    #[test]
    fn in_a_hurry_nothing_waits() {
        let mut world = World::new();
        world.push("u/a", "1");
        let (_, lanes) = world.poll();
        world.finish(lanes[0], FAILED);
        world.outbox.hurry();
        assert_eq!(world.outbox.next_due(), None);
        assert_eq!(world.poll().0, ["u/a/1#2"]);
    }

    #[test]
    fn any_order_of_outcomes_keeps_rooms_in_order_and_leaves_nothing_behind() {
        let seed = rand::random();
        eprintln!("seed {seed}");
        let mut random = StdRng::seed_from_u64(seed);
        let bounds = Bounds { deliveries_max: 500, deliveries_per_url_max: 500, ..BOUNDS };
        let mut world = World::new();
        world.outbox = Outbox::new(Schedule::default(), bounds, seed);
        let mut done: BTreeMap<String, u32> = BTreeMap::new();
        let mut flying: Vec<(String, LaneId)> = Vec::new();
        let mut next: BTreeMap<String, u32> = BTreeMap::new();
        let mut pushes = 400;
        while pushes > 0 || world.outbox.len() > 0 {
            if pushes > 0 && random.random_bool(0.4) {
                pushes -= 1;
                let to = format!("u{}/r{}", random.random_range(0..3), random.random_range(0..4));
                let number = next.entry(to.clone()).or_default();
                *number += 1;
                assert!(world.outbox.push(world.now, delivery(&to, &number.to_string())).is_ok());
            }
            let (attempts, lanes) = world.poll();
            flying.extend(attempts.into_iter().zip(lanes));
            assert!(flying.len() <= bounds.attempts_max);
            if flying.is_empty() {
                if world.outbox.next_due().is_some() {
                    world.wait();
                }
                continue;
            }
            let (attempt, lane) = flying.swap_remove(random.random_range(0..flying.len()));
            let fate = match random.random_range(0..10) {
                0..5 => world.finish(lane, Outcome::Delivered),
                5 => world.finish(lane, Outcome::Refused),
                _ => world.finish(lane, FAILED),
            };
            if fate != Fate::Waits {
                let (to, rest) = attempt.rsplit_once('/').unwrap();
                let number: u32 = rest.split('#').next().unwrap().parse().unwrap();
                let last = done.insert(to.to_owned(), number).unwrap_or_default();
                assert_eq!(number, last + 1, "{attempt}");
            }
        }
        assert_eq!(done, next);
        world.assert_empty();
    }
}
