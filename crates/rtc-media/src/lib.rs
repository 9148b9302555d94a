//! One room's forwarding plane, sans-IO: datagrams, commands and time go in; datagrams, events and
//! (later) taps come out.
//!
//! The entry type is [`Room`]. Everything it decides is in small pure modules beside it.
//! This crate reads no clock, opens nothing, spawns nothing and locks nothing (INV-1); its own
//! randomness comes from [`Seed`]; wire input cannot make it panic (INV-5).

#![warn(missing_docs, clippy::missing_errors_doc, clippy::iter_over_hash_type)]

pub mod command;
pub mod event;
pub mod info;
mod room;
pub mod stats;
pub mod transmit;

pub use room::{Handled, Room, RoomConfig, Seed};
