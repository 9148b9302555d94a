//! The data directory: everything that outlives the process, held by one process at a time.

use std::{
    fs::{self, File, OpenOptions},
    io::{self, Write},
    net::SocketAddr,
    os::unix::fs::{DirBuilderExt, OpenOptionsExt},
    path::{Path, PathBuf},
};

use nix::fcntl::{Flock, FlockArg};
use rand::RngCore;
use serde::Serialize;

use crate::config::Secret;

/// The directory, held: no other server or command changes it meanwhile.
#[derive(Debug)]
pub(crate) struct DataDir {
    path: PathBuf,
    _lock: Flock<File>,
}

/// Why the directory cannot be used.
#[derive(Debug, thiserror::Error)]
pub(crate) enum DataDirError {
    #[error("{0} is held by another process")]
    Held(PathBuf),
    #[error("there is no data directory {0}")]
    Missing(PathBuf),
    #[error("cannot use {path}")]
    Io { path: PathBuf, source: io::Error },
}

/// Where the server listens, for programs that start it: `ports.json`.
#[derive(Clone, Debug, PartialEq, Eq, Serialize)]
pub(crate) struct Ports {
    /// Pages, API and signalling.
    pub(crate) http: SocketAddr,
    /// One for each packet thread.
    pub(crate) media_udp: Vec<SocketAddr>,
}

impl DataDir {
    /// Makes the directory if needed (mode 0700) and takes hold of it.
    ///
    /// # Errors
    /// [`DataDirError::Held`] while another process has it.
    pub(crate) fn create(path: &Path) -> Result<Self, DataDirError> {
        fs::DirBuilder::new()
            .recursive(true)
            .mode(0o700)
            .create(path)
            .map_err(|source| DataDirError::Io { path: path.to_owned(), source })?;
        Self::open(path)
    }

    /// Takes hold of an existing directory.
    ///
    /// # Errors
    /// [`DataDirError::Held`] while another process has it, [`DataDirError::Missing`] when it is
    /// not there.
    pub(crate) fn open(path: &Path) -> Result<Self, DataDirError> {
        if !path.is_dir() {
            return Err(DataDirError::Missing(path.to_owned()));
        }
        let lock_path = path.join("lock");
        let file = OpenOptions::new()
            .create(true)
            .truncate(false)
            .write(true)
            .mode(0o600)
            .open(&lock_path)
            .map_err(|source| DataDirError::Io { path: lock_path.clone(), source })?;
        match Flock::lock(file, FlockArg::LockExclusiveNonblock) {
            Ok(lock) => Ok(Self { path: path.to_owned(), _lock: lock }),
            Err((_, nix::errno::Errno::EWOULDBLOCK)) => Err(DataDirError::Held(path.to_owned())),
            Err((_, errno)) => Err(DataDirError::Io { path: lock_path, source: errno.into() }),
        }
    }

    /// A file of the directory.
    pub(crate) fn file(&self, name: &str) -> PathBuf {
        self.path.join(name)
    }

    /// The socket through which commands reach the server that holds the directory.
    pub(crate) fn control_socket(path: &Path) -> PathBuf {
        path.join("control.sock")
    }

    /// The administrator's token, made at the first call.
    ///
    /// # Errors
    /// When the file cannot be read or written.
    pub(crate) fn admin_token(&self) -> Result<Secret, DataDirError> {
        if let Some(token) = Self::read_admin_token(&self.path)? {
            return Ok(token);
        }
        // 256 bits, as hex so that it survives every shell and header.
        let mut bits = [0_u8; 32];
        rand::rng().fill_bytes(&mut bits);
        let token = bits.iter().map(|byte| format!("{byte:02x}")).collect::<String>();
        self.write("admin.token", format!("{token}\n").as_bytes())?;
        Ok(Secret::new(token))
    }

    /// The administrator's token of a directory that somebody else may hold.
    ///
    /// # Errors
    /// When the file is there and cannot be read.
    pub(crate) fn read_admin_token(path: &Path) -> Result<Option<Secret>, DataDirError> {
        let path = path.join("admin.token");
        match fs::read_to_string(&path) {
            Ok(text) => Ok(Some(Secret::new(text.trim()))),
            Err(e) if e.kind() == io::ErrorKind::NotFound => Ok(None),
            Err(source) => Err(DataDirError::Io { path, source }),
        }
    }

    /// Writes a file of the directory, mode 0600, so that a reader sees the old or the new content
    /// and never a part.
    ///
    /// # Errors
    /// When the disk refuses; the old content then stands.
    pub(crate) fn write(&self, name: &str, content: &[u8]) -> Result<(), DataDirError> {
        let path = self.file(name);
        let fresh = self.file(&format!("{name}.new"));
        let write = || {
            let mut file = OpenOptions::new()
                .create(true)
                .truncate(true)
                .write(true)
                .mode(0o600)
                .open(&fresh)?;
            file.write_all(content)?;
            file.sync_all()?;
            fs::rename(&fresh, &path)
        };
        write().map_err(|source| DataDirError::Io { path: path.clone(), source })
    }

    /// Says where the server listens.
    ///
    /// # Errors
    /// When the disk refuses.
    pub(crate) fn write_ports(&self, ports: &Ports) -> Result<(), DataDirError> {
        let json = serde_json::to_vec(ports).unwrap_or_default();
        self.write("ports.json", &json)
    }

    /// Takes back what was said: nobody listens.
    pub(crate) fn remove_ports(&self) {
        self.remove("ports.json");
    }

    /// Removes a file of the directory; a missing one is fine.
    pub(crate) fn remove(&self, name: &str) {
        if let Err(error) = fs::remove_file(self.file(name))
            && error.kind() != io::ErrorKind::NotFound
        {
            tracing::warn!(file = name, %error, "cannot remove a file of the data directory");
        }
    }
}
