//! A server of its own for each test.

use std::{
    fs::{self, File},
    net::SocketAddr,
    os::unix::process::ExitStatusExt,
    path::{Path, PathBuf},
    process::{Child, Command, Output, Stdio},
    sync::atomic::{AtomicU32, Ordering},
    time::Duration,
};

use nix::{
    sys::signal::{Signal, kill},
    unistd::Pid,
};
use serde_json::Value as Json;

/// Longest wait for anything here; a loaded machine needs some seconds to start a process.
const DEADLINE: Duration = Duration::from_secs(30);

/// A directory that goes with the value.
pub(crate) struct Directory(PathBuf);

impl Directory {
    pub(crate) fn new() -> Self {
        static COUNT: AtomicU32 = AtomicU32::new(0);
        let count = COUNT.fetch_add(1, Ordering::Relaxed);
        let path = std::env::temp_dir().join(format!("sparkrtc-it-{}-{count}", std::process::id()));
        fs::create_dir_all(&path).unwrap();
        Self(path)
    }

    pub(crate) fn path(&self) -> &Path {
        &self.0
    }

    /// The server's data directory in it.
    pub(crate) fn data(&self) -> PathBuf {
        self.0.join("data")
    }

    pub(crate) fn read(&self, name: &str) -> String {
        fs::read_to_string(self.0.join(name)).unwrap_or_default()
    }
}

impl Drop for Directory {
    fn drop(&mut self) {
        drop(fs::remove_dir_all(&self.0));
    }
}

/// Runs the binary to its end on the data directory of `directory`.
pub(crate) fn sparkrtc(directory: &Directory, args: &[&str]) -> Output {
    sparkrtc_with(directory, args, &[])
}

pub(crate) fn sparkrtc_with(
    directory: &Directory,
    args: &[&str],
    environment: &[(&str, &str)],
) -> Output {
    command(directory, args, environment).output().unwrap()
}

fn command(directory: &Directory, args: &[&str], environment: &[(&str, &str)]) -> Command {
    let mut command = Command::new(env!("CARGO_BIN_EXE_sparkrtc"));
    command.current_dir(directory.path()).arg("--data-dir").arg(directory.data()).args(args);
    for (name, _) in std::env::vars_os() {
        if name.to_string_lossy().starts_with("SPARKRTC_") {
            command.env_remove(name);
        }
    }
    command.envs(environment.iter().copied()).stdin(Stdio::null());
    command
}

/// The JSON a successful command printed.
pub(crate) fn json(output: &Output) -> Json {
    assert!(output.status.success(), "{output:?}");
    serde_json::from_slice(&output.stdout).unwrap()
}

/// The code of the error a failed command printed with `--json`.
pub(crate) fn error_code(output: &Output) -> String {
    assert_eq!(output.status.code(), Some(1), "{output:?}");
    let error: Json = serde_json::from_slice(&output.stderr).unwrap();
    for part in ["message", "advice"] {
        assert!(!error["error"][part].as_str().unwrap().is_empty(), "{error}");
    }
    error["error"]["code"].as_str().unwrap().to_owned()
}

/// A running server.
pub(crate) struct Server {
    child: Child,
    pub(crate) directory: Directory,
    pub(crate) http: SocketAddr,
    pub(crate) media: Vec<SocketAddr>,
}

impl Server {
    /// A server with the defaults, on free ports.
    pub(crate) async fn start() -> Self {
        Self::start_with(Directory::new(), &[], &[]).await
    }

    pub(crate) async fn start_with(
        directory: Directory,
        args: &[&str],
        environment: &[(&str, &str)],
    ) -> Self {
        let mut all = args.to_vec();
        if !args.contains(&"--http") {
            all.extend(["--http", "127.0.0.1:0"]);
        }
        let file = |name| File::create(directory.path().join(name)).unwrap();
        let mut child = command(&directory, &all, environment)
            .stdout(file("stdout"))
            .stderr(file("stderr"))
            .spawn()
            .unwrap();
        let pid = child.id();
        let ports = until("ports.json of this process", async || {
            if let Some(status) = child.try_wait().unwrap() {
                panic!("the server ended with {status}: {}", directory.read("stderr"));
            }
            // A killed server leaves its file; the lock names the holder's life, the log ours.
            let said = directory.read("stdout");
            let ports = fs::read(directory.data().join("ports.json")).ok()?;
            said.contains("is running").then_some(ports)
        })
        .await;
        assert_eq!(child.id(), pid);
        let ports: Json = serde_json::from_slice(&ports).unwrap();
        let address = |value: &Json| value.as_str().unwrap().parse().unwrap();
        let http = address(&ports["http"]);
        let media = ports["media_udp"].as_array().unwrap().iter().map(address).collect();
        Self { child, directory, http, media }
    }

    pub(crate) fn url(&self, path: &str) -> String {
        format!("http://{}{path}", self.http)
    }

    pub(crate) fn admin_token(&self) -> String {
        self.directory.read("data/admin.token").trim().to_owned()
    }

    pub(crate) fn signal(&self, signal: Signal) {
        kill(Pid::from_raw(self.child.id().try_into().unwrap()), signal).unwrap();
    }

    /// Waits for the end; the code it ended with, or `None` after a signal.
    pub(crate) async fn ended(mut self) -> (Option<i32>, Directory) {
        let status = until("the server's end", async || self.child.try_wait().unwrap()).await;
        assert!(status.code().is_some() || status.signal().is_some());
        let directory = std::mem::replace(&mut self.directory, Directory::new());
        (status.code(), directory)
    }

    /// Stops in order; nothing in the log may ask for a person.
    pub(crate) async fn stop(self) -> Directory {
        self.signal(Signal::SIGTERM);
        let (code, directory) = self.ended().await;
        let log = directory.read("stderr");
        assert_eq!(code, Some(0), "{log}");
        // A busy disk is the machine's, not the server's.
        let lines = log.lines().filter(|line| !line.contains("the database is slow"));
        for line in lines {
            let is_trouble = ["WARN", "ERROR", "panicked"].iter().any(|word| line.contains(word));
            assert!(!is_trouble, "{log}");
        }
        directory
    }
}

impl Drop for Server {
    fn drop(&mut self) {
        // It has ended already, or a test failed.
        drop(self.child.kill());
        drop(self.child.wait());
    }
}

/// Waits until there is an answer.
pub(crate) async fn until<T>(what: &str, mut ask: impl AsyncFnMut() -> Option<T>) -> T {
    let wait = async {
        let mut ticks = tokio::time::interval(Duration::from_millis(10));
        loop {
            ticks.tick().await;
            if let Some(answer) = ask().await {
                return answer;
            }
        }
    };
    match tokio::time::timeout(DEADLINE, wait).await {
        Ok(answer) => answer,
        Err(_) => panic!("waited {DEADLINE:?} for {what}"),
    }
}

/// The status and text of an answer.
pub(crate) async fn get(url: &str) -> (u16, String) {
    let answer = reqwest::get(url).await.unwrap();
    (answer.status().as_u16(), answer.text().await.unwrap())
}
