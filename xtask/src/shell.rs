//! Runs programs and shows what they say.

use std::{
    ffi::OsStr,
    io::{self, BufRead, BufReader, IsTerminal, Read, Write},
    os::unix::process::CommandExt,
    path::Path,
    process::{Child, Command, Stdio},
    sync::mpsc::{self, RecvTimeoutError, SyncSender},
    time::{Duration, Instant},
};

use anyhow::{Context, Result, bail};

use crate::place;

/// A command of cargo that builds in the shared place.
pub(crate) fn cargo<S: AsRef<OsStr>>(args: impl IntoIterator<Item = S>) -> Command {
    let cargo = std::env::var_os("CARGO").unwrap_or_else(|| "cargo".into());
    let mut command = Command::new(cargo);
    command.args(args).current_dir(place::root()).env("CARGO_TARGET_DIR", place::target());
    command
}

/// A command of npm in the web workspace.
pub(crate) fn npm<S: AsRef<OsStr>>(args: impl IntoIterator<Item = S>) -> Command {
    let mut command = Command::new("npm");
    command.args(args).current_dir(place::web()).env("NO_UPDATE_NOTIFIER", "1");
    command
}

/// Runs a command, its output on the terminal.
pub(crate) fn run(command: &mut Command) -> Result<()> {
    let status = command.status().with_context(|| cannot_start(command))?;
    if !status.success() {
        bail!("{} ended with {status}", words(command));
    }
    Ok(())
}

/// Runs a command and shows its output while keeping it. The flag says whether it succeeded.
///
/// A command that takes longer than [`STEP_DEADLINE`] is ended with its children, and has failed.
pub(crate) fn run_keeping(command: &mut Command) -> Result<(bool, String)> {
    // Without a terminal nobody can end what hangs, so it gets a process group to be ended by. With
    // one, Ctrl-C must reach the children, which it does only in our own group.
    let has_group = !io::stdin().is_terminal();
    if has_group {
        command.process_group(0);
    }
    let mut child = command
        .stdin(Stdio::null())
        .stdout(Stdio::piped())
        .stderr(Stdio::piped())
        .spawn()
        .with_context(|| cannot_start(command))?;
    let (sender, lines) = mpsc::sync_channel(256);
    pump(child.stdout.take(), &sender);
    pump(child.stderr.take(), &sender);
    drop(sender);
    let deadline = Instant::now() + STEP_DEADLINE;
    let mut kept = String::new();
    loop {
        match lines.recv_timeout(deadline.saturating_duration_since(Instant::now())) {
            Ok(line) => {
                show(&line);
                kept.push_str(&line);
            }
            Err(RecvTimeoutError::Disconnected) => break,
            Err(RecvTimeoutError::Timeout) => {
                say(&format!("error: not done after {} s; ended", STEP_DEADLINE.as_secs()));
                end(&mut child, has_group);
                return Ok((false, kept));
            }
        }
    }
    let status = child.wait().with_context(|| cannot_start(command))?;
    Ok((status.success(), kept))
}

/// A step that takes longer hangs: the longest takes some ten minutes on two cores.
const STEP_DEADLINE: Duration = Duration::from_secs(25 * 60);

/// Sends each line to `to` until the pipe closes.
fn pump(from: Option<impl Read + Send + 'static>, to: &SyncSender<String>) {
    let to = to.clone();
    std::thread::spawn(move || {
        let Some(from) = from else { return };
        let mut from = BufReader::new(from);
        let mut line = Vec::new();
        while matches!(from.read_until(b'\n', &mut line), Ok(1..)) {
            let text = String::from_utf8_lossy(&line).into_owned();
            line.clear();
            if to.send(text).is_err() {
                return;
            }
        }
    });
}

fn end(child: &mut Child, has_group: bool) {
    if has_group {
        let group = format!("-{}", child.id());
        drop(Command::new("kill").args(["-KILL", "--", &group]).status());
    }
    // It may have ended just now.
    drop(child.kill());
    drop(child.wait());
}

/// The output of a command that is only asked.
pub(crate) fn ask(command: &mut Command) -> Result<String> {
    let output = command.output().with_context(|| cannot_start(command))?;
    if !output.status.success() {
        let said = String::from_utf8_lossy(&output.stderr);
        bail!("{} ended with {}: {}", words(command), output.status, said.trim());
    }
    Ok(String::from_utf8_lossy(&output.stdout).into_owned())
}

/// Whether a program is installed.
pub(crate) fn has(program: &str) -> bool {
    let path = std::env::var_os("PATH").unwrap_or_default();
    let places = std::env::split_paths(&path).chain(["/usr/sbin".into(), "/sbin".into()]);
    places.map(|place| place.join(program)).any(|file| is_file(&file))
}

fn is_file(path: &Path) -> bool {
    path.is_file()
}

fn cannot_start(command: &Command) -> String {
    format!("cannot run {}", words(command))
}

fn words(command: &Command) -> String {
    let words = std::iter::once(command.get_program()).chain(command.get_args());
    words.map(OsStr::to_string_lossy).collect::<Vec<_>>().join(" ")
}

/// Prints a line. A closed terminal is nobody to tell.
pub(crate) fn say(text: &str) {
    show(&format!("{text}\n"));
}

fn show(text: &str) {
    let mut out = io::stdout().lock();
    drop(out.write_all(text.as_bytes()).and_then(|()| out.flush()));
}
