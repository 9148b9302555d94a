//! Runs rooms on this machine: packet threads, signalling sessions, and what the control plane asks of rooms.
//!
//! Two worlds meet here. *Packet threads* are plain OS threads: each owns one UDP socket and a disjoint set
//! of rooms, and never locks, awaits or logs per packet ([`packet_loop`]). Everything else (WebSockets, the
//! bus, metrics) is async and talks to them through bounded queues ([`thread`]).
//!
//! The entry type is [`Node`]. This crate decides nothing about media (that is `rtc_media::Room`) and
//! nothing about who may join (that is the control plane, asked over the bus).

mod addresses;
mod config;
mod data;
mod metrics;
mod node;
mod packet_loop;
mod proto;
mod registry;
mod room_calls;
mod signal;
mod thread;

pub use config::NodeConfig;
pub use node::{Node, NodeError};
