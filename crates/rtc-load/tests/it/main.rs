//! Tests of the generator as a whole.
#![expect(clippy::unwrap_used, reason = "what tests are built from may fail them")]

mod answerer;
mod client;
mod server;
