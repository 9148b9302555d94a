//! The node as clients and the control plane meet it: real sockets, a real bus, and a control plane that
//! grants by table.

mod admission;
mod calls;
mod sessions;
mod support;
