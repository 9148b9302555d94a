//! What is SQLite's own: the file, and the settings of a connection.

use std::{fs::OpenOptions, path::Path};

use crate::{BackendError, BackendErrorKind};

/// `FULL` syncs the log at every commit, so that an acknowledged write survives the machine, not
/// only the process.
pub(super) const PRAGMAS: &str = "PRAGMA journal_mode = WAL; PRAGMA synchronous = FULL; \
     PRAGMA foreign_keys = ON; PRAGMA busy_timeout = 4000; PRAGMA cache_size = -2000";

/// The URL of a database file, made with access for its owner only when it is missing: it holds
/// the apps' keys. SQLite gives the log beside it the same mode.
pub(super) fn url(path: &Path) -> Result<String, BackendError> {
    let path = std::path::absolute(path).map_err(unusable)?;
    let mut options = OpenOptions::new();
    options.create(true).append(true);
    #[cfg(unix)]
    std::os::unix::fs::OpenOptionsExt::mode(&mut options, 0o600);
    drop(options.open(&path).map_err(unusable)?);
    let text = path.to_str().ok_or_else(|| unusable("the path is not valid UTF-8"))?;
    Ok(format!("sqlite://{}", percent_encoded(text)))
}

/// The driver takes `%`, `?` and `#` for URL syntax; everything unusual is therefore escaped.
fn percent_encoded(path: &str) -> String {
    use std::fmt::Write as _;
    path.bytes().fold(String::with_capacity(path.len()), |mut url, byte| {
        if byte.is_ascii_alphanumeric() || b"/-_.~".contains(&byte) {
            url.push(char::from(byte));
        } else {
            write!(url, "%{byte:02X}").expect("invariant: a String takes any text");
        }
        url
    })
}

fn unusable(source: impl Into<Box<dyn std::error::Error + Send + Sync>>) -> BackendError {
    BackendError::with_source(BackendErrorKind::Misconfigured, source)
}
