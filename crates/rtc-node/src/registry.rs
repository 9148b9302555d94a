//! Which packet thread holds which room, and how much each app uses of this node.
//!
//! A name keeps its thread as long as a room of it may be open. Whoever is about to open a room takes a
//! ticket; when the thread has no room of that name left, it reports the newest ticket it saw. If that is
//! the newest given, nobody is on the way, and the name is free.

use std::{
    collections::HashMap,
    sync::{Mutex, MutexGuard, PoisonError},
};

use rtc_api::code::{ErrorCode, Refusal};
use rtc_model::{AppId, NodeLimits};

use crate::thread::{RoomKey, Ticket};

/// Shared by everything async on a node; packet threads never see it.
pub(crate) struct Registry {
    inner: Mutex<Inner>,
    rooms_per_app_max: usize,
    participants_per_app_max: usize,
}

#[derive(Default)]
struct Inner {
    rooms: HashMap<RoomKey, Entry>,
    apps: HashMap<AppId, Usage>,
    threads: Vec<Usage>,
    is_draining: bool,
}

struct Entry {
    thread: usize,
    ticket: Ticket,
    participants: usize,
}

/// What is open, of an app or on a thread.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
struct Usage {
    participants: usize,
    rooms: usize,
}

impl Registry {
    /// For so many threads (at least one).
    pub(crate) fn new(threads: usize, limits: &NodeLimits) -> Self {
        let inner = Inner { threads: vec![Usage::default(); threads.max(1)], ..Inner::default() };
        Self {
            inner: Mutex::new(inner),
            rooms_per_app_max: limits.rooms_per_app_max,
            participants_per_app_max: limits.participants_per_app_max,
        }
    }

    /// The thread on which a room is to be entered or opened, and the ticket for it.
    ///
    /// # Errors
    /// `quota_exceeded` when the app has all the rooms or participants it may have; `unavailable` while the
    /// node drains.
    pub(crate) fn enter(
        &self,
        key: &RoomKey,
        entering: Entering,
    ) -> Result<(usize, Ticket), Refusal> {
        let mut inner = self.lock();
        if inner.is_draining {
            return Err(Refusal::new(ErrorCode::Unavailable, "The server is stopping."));
        }
        let usage = inner.apps.get(&key.app).copied().unwrap_or_default();
        if entering == Entering::Participant && usage.participants >= self.participants_per_app_max
        {
            let limit = self.participants_per_app_max;
            let detail = format!("The app has all of its {limit} participants.");
            return Err(Refusal::new(ErrorCode::QuotaExceeded, detail));
        }
        if let Some(entry) = inner.rooms.get_mut(key) {
            entry.ticket = Ticket(entry.ticket.0 + 1);
            return Ok((entry.thread, entry.ticket));
        }
        if usage.rooms >= self.rooms_per_app_max {
            let detail = format!("The app has all of its {} open rooms.", self.rooms_per_app_max);
            return Err(Refusal::new(ErrorCode::QuotaExceeded, detail));
        }
        let load = |usage: &Usage| (usage.participants, usage.rooms);
        let quietest = inner.threads.iter().enumerate().min_by_key(|(_, usage)| load(usage));
        let thread = quietest.map_or(0, |(thread, _)| thread);
        let ticket = Ticket(1);
        inner.rooms.insert(key.clone(), Entry { thread, ticket, participants: 0 });
        inner.apps.entry(key.app.clone()).or_default().rooms += 1;
        if let Some(usage) = inner.threads.get_mut(thread) {
            usage.rooms += 1;
        }
        Ok((thread, ticket))
    }

    /// The thread of a room that may be open.
    pub(crate) fn find(&self, key: &RoomKey) -> Option<usize> {
        self.lock().rooms.get(key).map(|entry| entry.thread)
    }

    /// A thread has no room of this name, and has seen this ticket.
    pub(crate) fn vacate(&self, key: &RoomKey, ticket: Ticket) {
        let mut inner = self.lock();
        if inner.rooms.get(key).is_none_or(|entry| entry.ticket != ticket) {
            return;
        }
        inner.set_participants(key, 0);
        let Some(entry) = inner.rooms.remove(key) else { return };
        if let Some(usage) = inner.threads.get_mut(entry.thread) {
            usage.rooms = usage.rooms.saturating_sub(1);
        }
        if let Some(usage) = inner.apps.get_mut(&key.app) {
            usage.rooms = usage.rooms.saturating_sub(1);
            if *usage == Usage::default() {
                inner.apps.remove(&key.app);
            }
        }
    }

    /// A room has so many participants.
    pub(crate) fn occupy(&self, key: &RoomKey, participants: usize) {
        self.lock().set_participants(key, participants);
    }

    /// From now on nobody enters.
    pub(crate) fn drain(&self) {
        self.lock().is_draining = true;
    }

    fn lock(&self) -> MutexGuard<'_, Inner> {
        // Nothing in here can leave it half done.
        self.inner.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

/// Who takes a ticket.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Entering {
    /// A participant joins.
    Participant,
    /// The room is only opened.
    Nobody,
}

impl Inner {
    fn set_participants(&mut self, key: &RoomKey, participants: usize) {
        let Some(entry) = self.rooms.get_mut(key) else { return };
        let former = std::mem::replace(&mut entry.participants, participants);
        let thread = entry.thread;
        let change = |usage: &mut Usage| {
            usage.participants = (usage.participants + participants).saturating_sub(former);
        };
        if let Some(usage) = self.threads.get_mut(thread) {
            change(usage);
        }
        if let Some(usage) = self.apps.get_mut(&key.app) {
            change(usage);
        }
    }
}

#[cfg(test)]
mod tests {
    use rtc_model::RoomName;

    use super::*;

    fn key(app: &str, name: &str) -> RoomKey {
        RoomKey { app: AppId::new(app).unwrap(), name: RoomName::new(name).unwrap() }
    }

    fn registry(rooms: usize, participants: usize) -> Registry {
        let limits = NodeLimits {
            rooms_per_app_max: rooms,
            participants_per_app_max: participants,
            ..NodeLimits::default()
        };
        Registry::new(2, &limits)
    }

    #[test]
    fn rooms_go_to_the_quietest_thread_and_stay_there() {
        let registry = registry(10, 10);
        let (first, _) = registry.enter(&key("a", "1"), Entering::Participant).unwrap();
        registry.occupy(&key("a", "1"), 3);
        let (second, _) = registry.enter(&key("a", "2"), Entering::Participant).unwrap();
        assert_ne!(first, second);
        registry.occupy(&key("a", "2"), 1);
        assert_eq!(registry.enter(&key("b", "1"), Entering::Participant).unwrap().0, second);
        assert_eq!(registry.enter(&key("a", "1"), Entering::Participant).unwrap().0, first);
        assert_eq!(registry.find(&key("a", "1")), Some(first));
    }

    #[test]
    fn a_name_is_free_only_when_nobody_is_on_the_way() {
        let registry = registry(10, 10);
        let room = key("a", "1");
        let (_, first) = registry.enter(&room, Entering::Participant).unwrap();
        let (_, second) = registry.enter(&room, Entering::Participant).unwrap();
        registry.vacate(&room, first);
        assert!(registry.find(&room).is_some(), "the second is on the way");
        registry.vacate(&room, second);
        assert_eq!(registry.find(&room), None);
        assert!(registry.lock().apps.is_empty());
        assert_eq!(registry.lock().threads, [Usage::default(); 2]);
    }

    #[test]
    fn quotas_are_per_app() {
        let registry = registry(1, 2);
        registry.enter(&key("a", "1"), Entering::Participant).unwrap();
        registry.occupy(&key("a", "1"), 2);
        let refused = |key, entering| registry.enter(&key, entering).unwrap_err().code;
        assert_eq!(refused(key("a", "1"), Entering::Participant), ErrorCode::QuotaExceeded);
        assert_eq!(refused(key("a", "2"), Entering::Nobody), ErrorCode::QuotaExceeded);
        assert!(registry.enter(&key("a", "1"), Entering::Nobody).is_ok());
        assert!(registry.enter(&key("b", "1"), Entering::Participant).is_ok());
        registry.occupy(&key("a", "1"), 1);
        assert!(registry.enter(&key("a", "1"), Entering::Participant).is_ok());
    }

    #[test]
    fn nobody_enters_a_draining_node() {
        let registry = registry(1, 2);
        registry.drain();
        let refused = registry.enter(&key("a", "1"), Entering::Participant).unwrap_err();
        assert_eq!(refused.code, ErrorCode::Unavailable);
    }
}
