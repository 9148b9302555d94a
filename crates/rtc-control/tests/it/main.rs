//! The control plane as its users meet it: over HTTP, over the bus, and as a library.

mod apps;
mod joins;
mod openapi;
mod rest;
mod rooms;
mod secrets;
mod tokens;
mod world;
