//! The room's peers by number, which of them have something to send, and when each wants to be called.

use std::{collections::BTreeSet, time::Instant};

use crate::peer::{Peer, PeerKey};

/// Every reference to a peer's number is removed together with the peer, so numbers can be used again.
#[derive(Default)]
pub(crate) struct Peers {
    slots: Vec<Entry>,
    dirty: BTreeSet<PeerKey>,
    due: BTreeSet<(Instant, PeerKey)>,
}

#[derive(Default)]
struct Entry {
    peer: Option<Box<Peer>>,
    /// As it stands in `due`.
    due: Option<Instant>,
}

impl Peers {
    pub(crate) fn insert(&mut self, peer: Peer) -> PeerKey {
        let index = self.slots.iter().position(|entry| entry.peer.is_none()).unwrap_or_else(|| {
            self.slots.push(Entry::default());
            self.slots.len() - 1
        });
        let key = PeerKey(u32::try_from(index).unwrap_or(u32::MAX));
        if let Some(entry) = self.slots.get_mut(index) {
            entry.peer = Some(Box::new(peer));
        }
        self.note(key);
        key
    }

    pub(crate) fn remove(&mut self, key: PeerKey) {
        if let Some(entry) = self.slots.get_mut(index(key)) {
            entry.peer = None;
            if let Some(due) = entry.due.take() {
                self.due.remove(&(due, key));
            }
        }
        self.dirty.remove(&key);
    }

    pub(crate) fn get(&self, key: PeerKey) -> Option<&Peer> {
        self.slots.get(index(key))?.peer.as_deref()
    }

    pub(crate) fn get_mut(&mut self, key: PeerKey) -> Option<&mut Peer> {
        self.slots.get_mut(index(key))?.peer.as_deref_mut()
    }

    /// Takes up what a peer says of itself: whether it must be flushed, and when it is due.
    pub(crate) fn note(&mut self, key: PeerKey) {
        let Some(entry) = self.slots.get_mut(index(key)) else {
            return;
        };
        let Some(peer) = &entry.peer else {
            return;
        };
        if peer.is_dirty {
            self.dirty.insert(key);
        }
        let due = Some(peer.next_timeout);
        if entry.due != due {
            if let Some(old) = entry.due {
                self.due.remove(&(old, key));
            }
            self.due.insert((peer.next_timeout, key));
            entry.due = due;
        }
    }

    pub(crate) fn pop_dirty(&mut self) -> Option<PeerKey> {
        self.dirty.pop_first()
    }

    pub(crate) fn pop_due(&mut self, now: Instant) -> Option<PeerKey> {
        let (due, key) = *self.due.first()?;
        if due > now {
            return None;
        }
        self.due.pop_first();
        if let Some(entry) = self.slots.get_mut(index(key)) {
            entry.due = None;
        }
        Some(key)
    }

    pub(crate) fn next_due(&self) -> Option<Instant> {
        self.due.first().map(|(due, _)| *due)
    }
}

fn index(key: PeerKey) -> usize {
    usize::try_from(key.0).unwrap_or(usize::MAX)
}
