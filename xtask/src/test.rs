//! `cargo xtask test`: every check and test, in the order of what fails soonest. Every step runs; at the
//! end stand the failures, each step's time, and the count.

use std::{
    path::{Path, PathBuf},
    process::Command,
    time::{Duration, Instant},
};

use anyhow::{Result, bail};

use crate::{
    place, provision,
    shell::{ask, cargo, has, npm, run_keeping, say},
    tidy,
};

mod count;
mod postgres;

use count::Count;

/// Runs everything; with `--quick` only what takes minutes.
pub(crate) fn test(args: &[String]) -> Result<()> {
    let quick = match args {
        [] => false,
        [flag] if flag == "--quick" => true,
        _ => bail!("test takes nothing but --quick"),
    };
    let mut report = Report::default();
    checks(&mut report);
    rust_tests(&mut report, quick);
    report.command("web tests", &mut npm(["test", "--silent"]));
    if !quick {
        browsers(&mut report);
        if has_examples() {
            let examples = ["test", "--quiet", "--doc", "--workspace"];
            report.command("documentation examples", &mut cargo(examples));
        }
        if has("cargo-deny") {
            let parts = ["deny", "check", "bans", "licenses", "sources"];
            report.command("cargo-deny", &mut cargo(parts));
        }
    }
    report.close()
}

/// What needs no built binary.
fn checks(report: &mut Report) {
    report.step("tidy", || tidy::run().map(|()| Count::default()));
    report.command("rustfmt", &mut cargo(["fmt", "--all", "--check"]));
    report.step("npm packages", || provision::npm_packages().map(|()| Count::default()));
    report.command("web format and lint", &mut npm(["run", "--silent", "lint"]));
    report.command("web types", &mut npm(["run", "--silent", "typecheck"]));
    report.command("page", &mut npm(["run", "--silent", "build"]));
    let clippy = ["clippy", "--quiet", "--workspace", "--all-targets", "--", "--deny", "warnings"];
    report.command("clippy", &mut cargo(clippy));
    let mut doc = cargo(["doc", "--quiet", "--workspace", "--no-deps", "--document-private-items"]);
    // The pages are for readers of the source, who may follow links to private items.
    let flags = "--deny warnings --allow rustdoc::private_intra_doc_links";
    report.command("rustdoc", doc.env("RUSTDOCFLAGS", flags));
}

/// Unit, simulation and service tests; the full run also has the suites on PostgreSQL.
fn rust_tests(report: &mut Report, quick: bool) {
    if quick {
        report.command("Rust tests", &mut rust_suite());
        return;
    }
    report.step("system packages", || provision::system_packages().map(|()| Count::default()));
    match postgres::Postgres::start() {
        Ok(postgres) => {
            let mut suite = rust_suite();
            suite.env("SPARKRTC_TEST_POSTGRES_URL", postgres.url());
            report.command("Rust tests", &mut suite);
        }
        Err(error) => {
            report.failed("PostgreSQL for the tests", &error);
            report.command("Rust tests", &mut rust_suite());
        }
    }
}

/// nextest where it is installed: a process for each test, so that none can disturb another.
fn rust_suite() -> Command {
    if has("cargo-nextest") || home_cargo("cargo-nextest").is_file() {
        let quiet = ["--show-progress=none", "--status-level=slow", "--final-status-level=fail"];
        let mut suite = cargo(["nextest", "run", "--workspace", "--no-fail-fast"]);
        suite.args(quiet);
        suite
    } else {
        cargo(["test", "--workspace", "--no-fail-fast", "--lib", "--bins", "--tests"])
    }
}

fn home_cargo(program: &str) -> PathBuf {
    let home = std::env::var_os("CARGO_HOME").map(PathBuf::from);
    let home =
        home.or_else(|| std::env::var_os("HOME").map(|home| PathBuf::from(home).join(".cargo")));
    home.unwrap_or_default().join("bin").join(program)
}

/// Real clients and browsers against the real binary.
fn browsers(report: &mut Report) {
    report.step("Python packages", || provision::python_packages().map(|()| Count::default()));
    // The whole workspace, so that dependencies keep the features the tests were built with.
    let build = ["build", "--quiet", "--workspace", "--bins"];
    report.command("binaries", &mut cargo(build));
    let binary = place::target().join("debug/sparkrtc");
    let e2e = place::web().join("e2e");
    let mut clients = Command::new("node");
    clients.arg("run.mjs").current_dir(&e2e);
    let mut sdks = node_tests(&e2e, "server-sdk");
    let mut page = node_tests(&e2e.join("playground"), "src");
    for (name, suite) in
        [("server SDKs", &mut sdks), ("the page", &mut page), ("real clients", &mut clients)]
    {
        suite
            .env("CARGO_TARGET_DIR", place::target())
            .env("SPARKRTC_BIN", &binary)
            .env("SPARKRTC_TEST_PYTHON", place::venv().join("bin/python"));
        report.command(name, suite);
    }
}

/// The `*.test.mjs` of a directory, one after the other. (Node 20 expands no patterns.) What a failed
/// test left behind does not keep Node from ending.
fn node_tests(package: &Path, directory: &str) -> Command {
    let entries = std::fs::read_dir(package.join(directory)).into_iter().flatten();
    let mut files: Vec<PathBuf> = entries.filter_map(|entry| Some(entry.ok()?.path())).collect();
    files.retain(|file| file.to_string_lossy().ends_with(".test.mjs"));
    files.sort();
    let mut node = Command::new("node");
    node.args(["--test", "--test-concurrency=1", "--test-force-exit", "--test-reporter=spec"]);
    node.args(files).current_dir(package);
    node
}

/// Whether any documentation has code to try; finding out by compiling takes cargo two minutes.
fn has_examples() -> bool {
    let mut git = Command::new("git");
    git.args(["grep", "-h", "-E", "^ *//[/!] ```", "--", "crates/*.rs"]);
    let fences = ask(git.current_dir(place::root())).unwrap_or_default();
    let of_kind = |kind: &str| fences.lines().filter(|line| line.ends_with(kind)).count();
    // A drawing opens with ```text and closes with ```; whatever else there is opens an example.
    fences.lines().count() != 2 * of_kind("```text")
}

/// Writes the generated files anew: each is a snapshot that a test compares.
pub(crate) fn codegen() -> Result<()> {
    let mut suite = cargo(["test", "--quiet", "--workspace", "--lib", "--bins", "--tests", "--"]);
    suite.args(["fresh", "committed_document"]);
    let (ok, _) = run_keeping(suite.env("UPDATE_EXPECT", "1"))?;
    if ok { Ok(()) } else { bail!("not everything could be generated") }
}

/// What ran, how long it took, and how it ended.
#[derive(Default)]
struct Report {
    steps: Vec<Step>,
    total: Count,
}

struct Step {
    name: String,
    took: Duration,
    count: Count,
    failure: Option<String>,
}

impl Report {
    /// Runs a program as a step; it fails with the program.
    fn command(&mut self, name: &str, command: &mut Command) {
        self.step(name, || {
            let (ok, said) = run_keeping(command)?;
            let mut count = Count::read(&said);
            if !ok && count.failed == 0 {
                count.failed = 1;
            }
            Ok(count)
        });
    }

    fn step(&mut self, name: &str, work: impl FnOnce() -> Result<Count>) {
        say(&format!("\n── {name}"));
        let began = Instant::now();
        let (count, failure) = match work() {
            Ok(count) if count.failed > 0 => (count, Some(format!("{} failed", count.failed))),
            Ok(count) => (count, None),
            Err(error) => {
                say(&format!("error: {error:#}"));
                (Count { passed: 0, failed: 1 }, Some(format!("{error:#}")))
            }
        };
        self.add(Step { name: name.to_owned(), took: began.elapsed(), count, failure });
    }

    fn failed(&mut self, name: &str, error: &anyhow::Error) {
        self.step(name, || bail!("{error:#}"));
    }

    fn add(&mut self, mut step: Step) {
        // A check without tests of its own counts as one.
        if step.count == Count::default() {
            step.count.passed = 1;
        }
        self.total.passed += step.count.passed;
        self.total.failed += step.count.failed;
        self.steps.push(step);
    }

    fn close(self) -> Result<()> {
        say("\n── Steps");
        for Step { name, took, count, failure } in &self.steps {
            let mark = if failure.is_none() { "ok  " } else { "FAIL" };
            let seconds = took.as_secs_f64();
            say(&format!(
                "{mark} {seconds:>7.1} s  {name} ({} passed, {} failed)",
                count.passed, count.failed
            ));
        }
        let failures: Vec<&Step> =
            self.steps.iter().filter(|step| step.failure.is_some()).collect();
        if !failures.is_empty() {
            say("\n── Failures");
        }
        for step in &failures {
            say(&format!("{}: {}", step.name, step.failure.as_deref().unwrap_or_default()));
        }
        let Count { passed, failed } = self.total;
        say(&format!("\n{passed} passed, {failed} failed"));
        // The count is the last line: no error is printed after it.
        if failures.is_empty() { Ok(()) } else { std::process::exit(1) }
    }
}
