//! Every wire contract: REST bodies, error codes, tokens, the messages between control plane and nodes.
//!
//! Shapes and pure conversions only; no handlers, no storage. LiveKit's protobuf types come from the
//! `livekit-protocol` crate and are reached as [`proto`].

pub mod cluster;
pub mod code;
pub mod rest;
pub mod token;

pub use livekit_protocol as proto;
