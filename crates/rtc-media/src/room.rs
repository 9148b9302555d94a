//! The only mutable owner of a room: routes commands, datagrams and timeouts.

use std::{
    net::SocketAddr,
    sync::Arc,
    time::{Instant, SystemTime},
};

use rtc_model::{RoomId, RoomLimits, RoomName};

use crate::{
    command::{Command, CommandError, Path, Reply},
    event::Event,
    info::{ParticipantInfo, RoomInfo},
    stats::RoomStats,
    transmit::SendBatch,
};

/// Fixes every random choice of a room, so that a run can be replayed.
#[derive(Clone)]
pub struct Seed(pub [u8; 32]);

/// What a room needs to know before its first participant.
pub struct RoomConfig {
    /// This lifetime of the room.
    pub id: RoomId,
    /// Its name within the app.
    pub name: RoomName,
    /// Free text of the app.
    pub metadata: String,
    /// Bounds.
    pub limits: RoomLimits,
    /// Wall-clock time of `now` at [`Room::new`].
    pub created_at: SystemTime,
    /// Source of ids and ICE passwords.
    pub seed: Seed,
    /// Our UDP addresses as announced to peers; the first is the one datagrams arrive at.
    pub candidates: Vec<SocketAddr>,
    /// Whether subscribers' bandwidth is estimated (otherwise everything wished for is sent).
    pub estimate_bandwidth: bool,
}

/// What became of a datagram.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Handled {
    /// Taken; datagrams from this address belong to this room from now on.
    Taken,
    /// Counted and dropped.
    Dropped,
}

/// A room.
pub struct Room {
    info: RoomInfo,
    stats: RoomStats,
}

impl Room {
    /// Creates an empty room.
    pub fn new(now: Instant, config: RoomConfig) -> Self {
        let _ = (now, config);
        todo!()
    }

    /// Applies one command from signalling or the control plane.
    ///
    /// # Errors
    /// [`CommandError`] when the command does not fit the room's state. The room is then unchanged.
    pub fn handle_command(&mut self, now: Instant, command: Command) -> Result<Reply, CommandError> {
        let _ = (now, command);
        todo!()
    }

    /// Takes one datagram. Malformed, replayed or unauthenticated input is counted in [`RoomStats`] and dropped.
    pub fn handle_datagram(&mut self, now: Instant, path: Path, datagram: &[u8]) -> Handled {
        let _ = (now, path, datagram);
        todo!()
    }

    /// Advances time. Call at or after [`Self::next_timeout`].
    pub fn handle_timeout(&mut self, now: Instant) {
        let _ = now;
        todo!()
    }

    /// Fills `batch` until it is full or nothing is left. `true`: it is full, send it and call again.
    ///
    /// Call any number of `handle_*` for one receive batch, then this until it returns `false`, then
    /// [`Self::poll_event`] until `None`.
    pub fn poll_transmit(&mut self, now: Instant, batch: &mut SendBatch) -> bool {
        let _ = (now, batch);
        todo!()
    }

    /// The next event, oldest first.
    pub fn poll_event(&mut self) -> Option<Event> {
        todo!()
    }

    /// When [`Self::handle_timeout`] is due.
    pub fn next_timeout(&self) -> Instant {
        todo!()
    }

    /// The room as everybody in it may know it.
    pub fn info(&self) -> &RoomInfo {
        &self.info
    }

    /// Every participant, hidden ones too, in order of joining.
    pub fn participants(&self) -> impl Iterator<Item = &Arc<ParticipantInfo>> {
        [].iter()
    }

    /// What has been counted.
    pub fn stats(&self) -> &RoomStats {
        &self.stats
    }
}
