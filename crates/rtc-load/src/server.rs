//! Starts a server of its own for a measurement, in a directory of its own on free ports.

use std::{
    fs,
    net::SocketAddr,
    path::{Path, PathBuf},
    process::{Child, Command, Stdio},
    time::{Duration, Instant},
};

use anyhow::{Context, bail};
use serde::Deserialize;

/// A running server; ends when dropped.
pub struct Server {
    child: Child,
    directory: PathBuf,
    ports: Ports,
}

/// `ports.json` of the server's data directory.
#[derive(Clone, Debug, Deserialize)]
pub struct Ports {
    /// HTTP and signalling.
    pub http: SocketAddr,
    /// Media.
    pub media_udp: Vec<SocketAddr>,
}

impl Server {
    /// Starts `binary` with the customary development key pair and waits until it is ready.
    ///
    /// `environment` holds settings that differ from the defaults.
    ///
    /// # Errors
    /// When it does not start, ends, or is not ready in time; its log is part of the message.
    pub fn start(binary: &Path, environment: &[(&str, String)]) -> anyhow::Result<Self> {
        let name = format!("sparkrtc-load-{}-{:016x}", std::process::id(), rand::random::<u64>());
        let directory = std::env::temp_dir().join(name);
        fs::create_dir(&directory)?;
        let log = fs::File::create(directory.join("server.log"))?;
        let child = Command::new(binary)
            .arg("--data-dir")
            .arg(directory.join("data"))
            .args(["--http", "127.0.0.1:0", "--dev"])
            .envs(environment.iter().map(|(key, value)| (key, value)))
            .stdin(Stdio::null())
            .stdout(log.try_clone()?)
            .stderr(log)
            .spawn()
            .with_context(|| format!("starting {}", binary.display()))?;
        let nowhere = SocketAddr::from(([0, 0, 0, 0], 0));
        let ports = Ports { http: nowhere, media_udp: Vec::new() };
        let mut server = Self { child, directory, ports };
        server.ports = server.wait_ready()?;
        Ok(server)
    }

    fn wait_ready(&mut self) -> anyhow::Result<Ports> {
        let begin = Instant::now();
        let file = self.directory.join("data/ports.json");
        loop {
            if let Some(status) = self.child.try_wait()? {
                bail!("the server ended ({status}); its log:\n{}", self.log());
            }
            // The file can be seen before it is whole; then it does not parse.
            let ports = fs::read(&file).ok().and_then(|text| serde_json::from_slice(&text).ok());
            if let Some(ports) = ports {
                return Ok(ports);
            }
            if begin.elapsed() > READY_WITHIN {
                bail!("the server was not ready in {READY_WITHIN:?}; its log:\n{}", self.log());
            }
            std::thread::park_timeout(LOOK_EVERY);
        }
    }

    /// What it printed.
    pub fn log(&self) -> String {
        fs::read_to_string(self.directory.join("server.log")).unwrap_or_default()
    }

    /// Where HTTP and signalling are.
    pub fn url(&self) -> String {
        format!("http://{}", self.ports.http)
    }

    /// Its process.
    pub fn pid(&self) -> u32 {
        self.child.id()
    }

    /// Its media ports.
    pub fn media_ports(&self) -> Vec<u16> {
        self.ports.media_udp.iter().map(SocketAddr::port).collect()
    }
}

impl Drop for Server {
    fn drop(&mut self) {
        // Nothing to be done about a process that is gone already or a directory that stays.
        drop(self.child.kill());
        drop(self.child.wait());
        drop(fs::remove_dir_all(&self.directory));
    }
}

const READY_WITHIN: Duration = Duration::from_secs(20);
const LOOK_EVERY: Duration = Duration::from_millis(10);
