//! `sparkrtc`: configuration, wiring, command line. No domain decisions are made here.

mod admin;
mod banner;
mod cli;
mod config;
mod data_dir;
mod demo;
mod http;
mod listener;
mod logs;
mod metrics;
mod output;
mod pages;
mod server;
mod tls;

use std::process::ExitCode;

use clap::Parser;

fn main() -> ExitCode {
    let cli = cli::Cli::parse();
    let format = cli.format();
    match cli.run() {
        Ok(()) => ExitCode::SUCCESS,
        Err(failure) => {
            format.print_failure(&failure);
            ExitCode::FAILURE
        }
    }
}
