//! `cargo xtask prove NAME`: measurements that take longer than a test run may.

use std::process::Command;

use anyhow::{Result, bail};

use crate::{
    place, provision,
    shell::{cargo, run as shell_run, say},
};

/// A measurement and what it shows.
struct Proof {
    name: &'static str,
    shows: &'static str,
    run: fn() -> Result<()>,
}

const PROOFS: [Proof; 1] = [Proof {
    name: "clients",
    shows: "every suite with real clients at the length of the acceptance figures",
    run: clients,
}];

/// Runs the named measurements, or lists them.
pub(crate) fn run(names: &[String]) -> Result<()> {
    if names.is_empty() {
        for Proof { name, shows, .. } in &PROOFS {
            say(&format!("{name:12} {shows}"));
        }
        return Ok(());
    }
    for name in names {
        let Some(proof) = PROOFS.iter().find(|proof| proof.name == name) else {
            bail!("there is no measurement \"{name}\"; `cargo xtask prove` lists them");
        };
        (proof.run)()?;
    }
    Ok(())
}

fn clients() -> Result<()> {
    provision::everything()?;
    shell_run(&mut cargo(["build", "--workspace", "--bins"]))?;
    let mut suites = Command::new("node");
    suites.args(["run.mjs", "--full"]).current_dir(place::web().join("e2e"));
    shell_run(
        suites
            .env("CARGO_TARGET_DIR", place::target())
            .env("SPARKRTC_BIN", place::target().join("debug/sparkrtc"))
            .env("SPARKRTC_TEST_PYTHON", place::venv().join("bin/python")),
    )
}
