//! One room's forwarding plane, sans-IO: datagrams, commands and time go in; datagrams, events and
//! (later) taps come out.
//!
//! The entry type is [`Room`]. Everything it decides is in small pure modules beside it.
//! This crate reads no clock, opens nothing, spawns nothing and locks nothing (INV-1); its own
//! randomness comes from [`Seed`]; wire input cannot make it panic (INV-5).

#![warn(missing_docs, clippy::missing_errors_doc, clippy::iter_over_hash_type)]

mod allocate;
pub mod command;
mod dynacast;
mod engine;
pub mod event;
mod gaps;
pub mod info;
mod keyframe;
mod layer;
mod participant;
mod payload;
mod peer;
mod publication;
mod quality;
mod rate;
mod red;
mod rewrite;
mod room;
pub mod route;
mod sdp;
mod speaker;
mod starvation;
pub mod stats;
mod subscription;
#[cfg(test)]
mod testing;
pub mod transmit;

/// A time that never comes within a process's life: thirty years.
pub(crate) const FAR_AWAY: std::time::Duration = std::time::Duration::from_secs(946_080_000);

pub use room::{Handled, Room, RoomConfig, Seed};
