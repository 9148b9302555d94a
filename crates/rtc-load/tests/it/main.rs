//! Tests of the generator as a whole.

mod answerer;
mod client;
mod server;
