//! One room's forwarding plane, sans-IO: datagrams, commands and time go in; datagrams, events and
//! (later) taps come out.
//!
//! The entry type is [`Room`]. Everything it decides is in small pure modules beside it.
//! This crate reads no clock, opens nothing, spawns nothing and locks nothing (INV-1); its own
//! randomness comes from [`Seed`]; wire input cannot make it panic (INV-5).

#![warn(missing_docs, clippy::missing_errors_doc, clippy::iter_over_hash_type)]

#[cfg_attr(not(test), expect(dead_code, reason = "the room takes it up piece by piece"))]
mod allocate;
pub mod command;
#[cfg_attr(not(test), expect(dead_code, reason = "the room takes it up piece by piece"))]
mod dynacast;
pub mod event;
pub mod info;
#[cfg_attr(not(test), expect(dead_code, reason = "the room takes it up piece by piece"))]
mod keyframe;
#[cfg_attr(not(test), expect(dead_code, reason = "the room takes it up piece by piece"))]
mod layer;
#[cfg_attr(not(test), expect(dead_code, reason = "the room takes it up piece by piece"))]
mod payload;
#[cfg_attr(not(test), expect(dead_code, reason = "the room takes it up piece by piece"))]
mod quality;
#[cfg_attr(not(test), expect(dead_code, reason = "the room takes it up piece by piece"))]
mod rate;
#[cfg_attr(not(test), expect(dead_code, reason = "the room takes it up piece by piece"))]
mod rewrite;
mod room;
#[cfg_attr(not(test), expect(dead_code, reason = "the room takes it up piece by piece"))]
mod speaker;
pub mod stats;
#[cfg(test)]
mod testing;
pub mod transmit;

pub use room::{Handled, Room, RoomConfig, Seed};
