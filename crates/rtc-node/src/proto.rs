//! Translation between `rtc_media`'s types and LiveKit's protobuf messages. Pure; both directions.
//!
//! [`info`] and [`signal`] go out, [`request`] comes in. What a client sends that we cannot use (foreign
//! ids, unknown enum values) is left out here, never an error of the whole message: clients newer than us
//! must keep working.

pub(crate) mod info;
pub(crate) mod request;
pub(crate) mod signal;
pub(crate) mod webhook;

pub(crate) use rtc_api::proto::*;
