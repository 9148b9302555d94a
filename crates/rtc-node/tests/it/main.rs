//! The node as clients and the control plane meet it: real sockets, a real bus, and a control plane that
//! grants by table.

#![expect(clippy::unwrap_used, reason = "a test fails where something is missing")]

mod admission;
mod calls;
mod sessions;
mod support;
