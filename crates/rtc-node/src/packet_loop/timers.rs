//! When which room wants to be woken. One entry per room, whatever it asks for. Pure.

use std::{
    collections::{BTreeMap, BTreeSet},
    time::Instant,
};

/// The rooms' timeouts, nearest first.
#[derive(Debug, Default)]
pub(crate) struct Timers {
    queue: BTreeSet<(Instant, usize)>,
    at: BTreeMap<usize, Instant>,
}

impl Timers {
    /// Sets or moves a room's timeout.
    pub(crate) fn set(&mut self, room: usize, at: Instant) {
        match self.at.insert(room, at) {
            Some(former) if former == at => return,
            Some(former) => self.queue.remove(&(former, room)),
            None => false,
        };
        self.queue.insert((at, room));
    }

    /// Forgets a room.
    pub(crate) fn remove(&mut self, room: usize) {
        if let Some(at) = self.at.remove(&room) {
            self.queue.remove(&(at, room));
        }
    }

    /// The nearest timeout.
    pub(crate) fn next(&self) -> Option<Instant> {
        self.queue.first().map(|(at, _)| *at)
    }

    /// Takes one room whose timeout is due.
    pub(crate) fn pop_due(&mut self, now: Instant) -> Option<usize> {
        let (at, room) = *self.queue.first()?;
        if at > now {
            return None;
        }
        self.remove(room);
        Some(room)
    }
}

#[cfg(test)]
mod tests {
    use std::time::Duration;

    use super::*;

    #[test]
    fn rooms_come_due_in_order_and_once_each() {
        let start = Instant::now();
        let at = |ms| start + Duration::from_millis(ms);
        let mut timers = Timers::default();
        timers.set(1, at(30));
        timers.set(2, at(10));
        timers.set(3, at(10));
        timers.set(1, at(5));
        timers.set(3, at(40));
        assert_eq!(timers.next(), Some(at(5)));
        assert_eq!(timers.pop_due(at(4)), None);
        assert_eq!(timers.pop_due(at(20)), Some(1));
        assert_eq!(timers.pop_due(at(20)), Some(2));
        assert_eq!(timers.pop_due(at(20)), None);
        timers.remove(3);
        timers.remove(3);
        assert_eq!(timers.next(), None);
        assert_eq!(timers.pop_due(at(100)), None);
    }
}
