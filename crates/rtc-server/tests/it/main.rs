//! The real binary, as people and programs meet it: each test has a server, ports and a directory of its own.

#![expect(clippy::unwrap_used, reason = "a test fails where something is missing")]

mod command_line;
mod configuration;
mod connections;
mod documents;
mod https;
mod lifecycle;
mod pages;
mod support;
