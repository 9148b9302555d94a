//! Where things are.

use std::path::{Path, PathBuf};

/// The repository.
pub(crate) fn root() -> &'static Path {
    Path::new(env!("CARGO_MANIFEST_DIR")).parent().unwrap_or(Path::new("."))
}

/// The web workspace.
pub(crate) fn web() -> PathBuf {
    root().join("web")
}

/// Where cargo builds: as told by `CARGO_TARGET_DIR`; else a directory `target` beside the clone, if
/// somebody put one there to be shared by clones; else the clone's own.
pub(crate) fn target() -> PathBuf {
    if let Some(told) = std::env::var_os("CARGO_TARGET_DIR") {
        return root().join(told);
    }
    let shared = root().join("../target");
    if shared.is_dir() { shared } else { root().join("target") }
}

/// The Python environment of the tests.
pub(crate) fn venv() -> PathBuf {
    target().join("test-venv")
}
