//! Real WebRTC clients in numbers, to load a running server and to measure it.
//!
//! Every client has its own UDP socket, ICE, DTLS and SRTP (str0m) and its own signalling
//! connection (`/rtc/v1`: the client always offers). [`client::Client`] is sans-IO; [`worker`]
//! gives it sockets and time, [`signal`] the WebSocket; [`run`] plays one load and [`mod@bench`] the
//! whole published matrix. Nothing here knows the server's internals: it sees what any client sees,
//! plus the operating system's accounting of the server's process.

pub mod bench;
pub mod client;
pub mod floor;
pub mod histogram;
pub mod ledger;
pub mod pacing;
pub mod payload;
pub mod process;
pub mod report;
pub mod run;
pub mod server;
pub mod signal;
pub mod socket;
pub mod token;
pub mod worker;
