//! Installs what page and tests need and the machine lacks.

use std::{
    fs,
    path::{Path, PathBuf},
    process::Command,
};

use anyhow::{Context, Result, bail};

use crate::{
    place,
    shell::{ask, has, npm, run, say},
};

/// A Debian package and how to see that it, or its like, is there.
struct Package {
    name: &'static str,
    what_for: &'static str,
    is_there: fn() -> bool,
}

const PACKAGES: [Package; 8] = [
    Package {
        name: "chromium",
        what_for: "browser tests",
        is_there: || has("chromium") || has("google-chrome"),
    },
    Package {
        name: "firefox-esr",
        what_for: "browser tests",
        is_there: || has("firefox-esr") || has("firefox"),
    },
    Package {
        name: "fonts-noto-cjk",
        what_for: "screenshots with Chinese words",
        is_there: || Path::new("/usr/share/fonts/opentype/noto/NotoSansCJK-Regular.ttc").exists(),
    },
    Package {
        name: "nftables",
        what_for: "tests that cut a network path",
        is_there: || has("nft"),
    },
    Package { name: "iproute2", what_for: "tests in network namespaces", is_there: || has("ip") },
    Package {
        name: "postgresql",
        what_for: "the database suite on PostgreSQL",
        is_there: || postgres_bin().is_some(),
    },
    Package {
        name: "python3-venv",
        what_for: "the Python client",
        is_there: || python_has("ensurepip") && python_has("venv"),
    },
    Package { name: "git", what_for: "the list of files", is_there: || has("git") },
];

/// Everything page and tests need.
pub(crate) fn everything() -> Result<()> {
    system_packages()?;
    npm_packages()?;
    python_packages()
}

/// Debian packages; asks for them with apt, as root or through sudo.
pub(crate) fn system_packages() -> Result<()> {
    let missing: Vec<&Package> = PACKAGES.iter().filter(|package| !(package.is_there)()).collect();
    if missing.is_empty() {
        return Ok(());
    }
    let names: Vec<&str> = missing.iter().map(|package| package.name).collect();
    say(&format!("Installing {}…", names.join(" ")));
    let by_hand = || {
        let wanted: Vec<String> = missing
            .iter()
            .map(|package| format!("  {} ({})", package.name, package.what_for))
            .collect();
        format!(
            "these packages are missing and could not be installed:\n{}\nInstall them by hand: \
             sudo apt-get install {}",
            wanted.join("\n"),
            names.join(" ")
        )
    };
    let Some(mut update) = apt() else { bail!(by_hand()) };
    // An outdated list still installs what it names.
    if let Err(error) = run(update.args(["update", "-qq"])) {
        say(&format!("warning: {error:#}"));
    }
    let Some(mut install) = apt() else { bail!(by_hand()) };
    install.args(["install", "-y", "-qq", "--no-install-recommends"]).args(&names);
    run(install.env("DEBIAN_FRONTEND", "noninteractive")).with_context(by_hand)
}

/// apt-get with the right to install, or `None`.
fn apt() -> Option<Command> {
    if !has("apt-get") {
        return None;
    }
    let is_root = ask(Command::new("id").arg("-u")).is_ok_and(|id| id.trim() == "0");
    if is_root {
        return Some(Command::new("apt-get"));
    }
    let may = has("sudo") && ask(Command::new("sudo").args(["-n", "true"])).is_ok();
    may.then(|| {
        let mut sudo = Command::new("sudo");
        sudo.args(["-n", "apt-get"]);
        sudo
    })
}

/// npm packages exactly as locked; nothing when they are there.
pub(crate) fn npm_packages() -> Result<()> {
    check_node()?;
    let lock = place::web().join("package-lock.json");
    let locked = fs::read(&lock).with_context(|| format!("cannot read {}", lock.display()))?;
    let stamp = place::web().join("node_modules/.installed-lock.json");
    if fs::read(&stamp).is_ok_and(|installed| installed == locked) {
        return Ok(());
    }
    say("Installing npm packages…");
    // Not `npm ci`: it refuses a lock file that lacks other platforms' optional packages, which npm
    // itself leaves out when it writes one (npm/cli #4828). This takes the locked versions too.
    run(&mut npm(["install", "--no-save", "--no-audit", "--no-fund", "--loglevel=error"]))?;
    fs::write(&stamp, locked).with_context(|| format!("cannot write {}", stamp.display()))
}

/// Vite's least version of Node.
const NODE_MIN: (u32, u32) = (20, 19);

fn check_node() -> Result<()> {
    let advice = format!("Node {}.{} or later is needed, with npm", NODE_MIN.0, NODE_MIN.1);
    let version = ask(Command::new("node").arg("--version")).with_context(|| advice.clone())?;
    let mut numbers = version.trim().trim_start_matches('v').split('.').map(str::parse::<u32>);
    let (Some(Ok(major)), Some(Ok(minor))) = (numbers.next(), numbers.next()) else {
        bail!("{advice}; `node --version` says {version}");
    };
    if (major, minor) < NODE_MIN || !has("npm") {
        bail!("{advice}; here is {}", version.trim());
    }
    Ok(())
}

/// The Python client, in an environment of its own; nothing when it is there.
pub(crate) fn python_packages() -> Result<()> {
    let wanted = place::web().join("e2e/requirements.txt");
    let listed = fs::read(&wanted).with_context(|| format!("cannot read {}", wanted.display()))?;
    let stamp = place::venv().join("installed-requirements.txt");
    if fs::read(&stamp).is_ok_and(|installed| installed == listed) {
        return Ok(());
    }
    say("Installing Python packages…");
    run(Command::new("python3").args(["-m", "venv"]).arg(place::venv()))?;
    let pip = ["-m", "pip", "install", "--quiet", "--disable-pip-version-check", "--requirement"];
    run(Command::new(place::venv().join("bin/python")).args(pip).arg(&wanted))?;
    fs::write(&stamp, listed).with_context(|| format!("cannot write {}", stamp.display()))
}

fn python_has(module: &str) -> bool {
    ask(Command::new("python3").args(["-c", &format!("import {module}")])).is_ok()
}

/// PostgreSQL's own programs, which Debian keeps out of `PATH`.
pub(crate) fn postgres_bin() -> Option<PathBuf> {
    let versions = fs::read_dir("/usr/lib/postgresql").ok()?;
    let mut bins: Vec<PathBuf> = versions
        .filter_map(|version| Some(version.ok()?.path().join("bin")))
        .filter(|bin| bin.join("initdb").is_file())
        .collect();
    bins.sort();
    bins.pop()
}
