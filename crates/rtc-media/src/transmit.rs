//! Outgoing datagrams, collected for one batched send.

use std::{net::SocketAddr, ops::Range};

/// Datagrams ready to be sent, in order, in one buffer. Reused; never grows past its capacity.
#[derive(Debug)]
pub struct SendBatch {
    bytes: Vec<u8>,
    datagrams: Vec<Datagram>,
}

/// One datagram of a [`SendBatch`].
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Datagram {
    /// Where it goes.
    pub destination: SocketAddr,
    range: Range<usize>,
}

/// Most datagrams of one batch: past 64 a `sendmmsg` call gains nothing.
pub const BATCH_DATAGRAMS: usize = 64;
/// Room for [`BATCH_DATAGRAMS`] of an Ethernet frame's size.
const BATCH_BYTES: usize = BATCH_DATAGRAMS * 1_500;

impl SendBatch {
    /// An empty batch.
    pub fn new() -> Self {
        Self {
            bytes: Vec::with_capacity(BATCH_BYTES),
            datagrams: Vec::with_capacity(BATCH_DATAGRAMS),
        }
    }

    /// Whether another datagram fits.
    pub fn has_room(&self) -> bool {
        self.datagrams.len() < BATCH_DATAGRAMS && self.bytes.len() + 1_500 <= BATCH_BYTES
    }

    /// Adds one datagram; ask [`Self::has_room`] before.
    pub fn push(&mut self, destination: SocketAddr, datagram: &[u8]) {
        let start = self.bytes.len();
        self.bytes.extend_from_slice(datagram);
        self.datagrams.push(Datagram { destination, range: start..self.bytes.len() });
    }

    /// The datagrams with their bytes, in order of adding.
    pub fn iter(&self) -> impl Iterator<Item = (SocketAddr, &[u8])> {
        self.datagrams
            .iter()
            .map(|datagram| (datagram.destination, &self.bytes[datagram.range.clone()]))
    }

    /// How many datagrams.
    pub fn len(&self) -> usize {
        self.datagrams.len()
    }

    /// Whether there are none.
    pub fn is_empty(&self) -> bool {
        self.datagrams.is_empty()
    }

    /// Forgets all datagrams, keeps the memory.
    pub fn clear(&mut self) {
        self.bytes.clear();
        self.datagrams.clear();
    }
}

impl Default for SendBatch {
    fn default() -> Self {
        Self::new()
    }
}
