//! Whole rooms in virtual time: the real room, real WebRTC engines as clients, no sockets, no sleeps.

#![expect(
    clippy::unwrap_used,
    clippy::expect_used,
    clippy::print_stderr,
    clippy::disallowed_methods,
    reason = "tests print their seed, and take one reading of the clock to count from"
)]

mod calls;
mod hostile;
mod world;
