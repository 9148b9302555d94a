//! The control plane: apps, tokens, who may do what, the REST and `RoomService` APIs, webhooks.
//!
//! Decisions stand in one file per resource ([`apps`], [`tokens`], [`rooms`]) and know no HTTP:
//! the CLI calls them as the HTTP handlers do, with a [`Context`] and a [`Caller`]. The first line
//! of each is the authorization. [`Control`] runs them as a server.
//!
//! A [`Context`] is a small typed value, cloned and passed as the first argument: the store, the
//! bus, the clock, the limits and the settings, and nothing else. There is no global state.

mod body;
mod caller;
mod clock;
mod config;
mod context;
mod control;
mod error;
mod metrics;
mod random;

pub mod apps;
pub mod auth;
pub mod http;
pub mod joins;
pub mod rooms;
pub mod tokens;
pub mod twirp;
pub mod webhooks;

pub use caller::{Caller, Permission, Target};
pub use clock::Clock;
pub use config::{ControlConfig, ControlLimits, DevPair, Secret};
pub use context::{Context, Settings};
pub use control::Control;
pub use error::Error;
