//! What outlives a process or crosses nodes: the control plane's database and the bus between
//! control plane and nodes, each as a closed set of variants behind one enum.
//!
//! Knows no HTTP and no media. Whoever opens a back end owns it; nothing here is global.

#![warn(missing_docs, clippy::missing_errors_doc)]

pub mod bus;
pub mod db;
mod error;

pub use bus::Bus;
pub use db::{Db, DbConfig};
pub use error::{BackendError, BackendErrorKind};
