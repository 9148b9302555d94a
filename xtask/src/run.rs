//! `cargo xtask run`: from a fresh clone to a running server with its page, with cargo and npm only.

use std::{os::unix::process::CommandExt, process::Command};

use anyhow::{Context, Result};

use crate::{
    place, provision,
    shell::{cargo, npm, run as shell_run, say},
};

/// Builds page and server, then becomes the server: Ctrl-C is its own.
pub(crate) fn run(args: &[String]) -> Result<()> {
    say("Building the page…");
    provision::npm_packages()?;
    shell_run(&mut npm(["run", "--silent", "build"]))?;
    say("Building the server (release; the first time takes minutes)…");
    shell_run(&mut cargo(["build", "--release", "--package", "rtc-server"]))?;
    let binary = place::target().join("release/sparkrtc");
    let error = Command::new(&binary).args(args).exec();
    Err(error).with_context(|| format!("cannot start {}", binary.display()))
}
