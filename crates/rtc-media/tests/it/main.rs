//! Whole rooms in virtual time: the real room, real WebRTC engines as clients, no sockets, no sleeps.

#![expect(clippy::unwrap_used, clippy::expect_used, reason = "tests fail by panicking")]

mod calls;
mod hostile;
mod world;
