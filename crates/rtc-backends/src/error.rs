//! What a back end reports when it cannot do what was asked.

use std::{error::Error, fmt};

/// A back end's failure: what kind, and privately what caused it.
///
/// The text names the situation only; loggers print the chain of sources, and nothing of the chain
/// may leave the process, because it can hold addresses and statements.
#[derive(Debug)]
pub struct BackendError {
    /// What kind of failure, to branch on.
    pub kind: BackendErrorKind,
    source: Option<Box<dyn Error + Send + Sync>>,
}

/// The kinds of failure of every back end.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum BackendErrorKind {
    /// The thing to change does not exist.
    NotFound,
    /// A unique name or id is taken.
    Conflict,
    /// The back end cannot be reached, or has no connection or space left. Nothing was changed.
    Unavailable,
    /// No answer in time. Whether the change was made is unknown.
    Timeout,
    /// What is stored cannot be understood.
    Corrupt,
    /// The data was written by a later version of this program.
    TooNew,
    /// The configuration cannot be used (a malformed URL, an unusable path).
    Misconfigured,
    /// Anything else: a bug of ours.
    Internal,
}

impl BackendError {
    /// A failure without a further cause.
    pub const fn new(kind: BackendErrorKind) -> Self {
        Self { kind, source: None }
    }

    /// A failure with its cause.
    pub fn with_source(
        kind: BackendErrorKind,
        source: impl Into<Box<dyn Error + Send + Sync>>,
    ) -> Self {
        Self { kind, source: Some(source.into()) }
    }

    /// Whether the same call may succeed later without anybody changing anything.
    pub const fn is_retryable(&self) -> bool {
        match self.kind {
            BackendErrorKind::Unavailable | BackendErrorKind::Timeout => true,
            BackendErrorKind::NotFound
            | BackendErrorKind::Conflict
            | BackendErrorKind::Corrupt
            | BackendErrorKind::TooNew
            | BackendErrorKind::Misconfigured
            | BackendErrorKind::Internal => false,
        }
    }
}

impl fmt::Display for BackendError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self.kind {
            BackendErrorKind::NotFound => "not found in the store",
            BackendErrorKind::Conflict => "conflicts with what is stored",
            BackendErrorKind::Unavailable => "the store is not available",
            BackendErrorKind::Timeout => "the store did not answer in time",
            BackendErrorKind::Corrupt => "the stored data cannot be understood",
            BackendErrorKind::TooNew => "the data was written by a later version of this program",
            BackendErrorKind::Misconfigured => "the store's configuration cannot be used",
            BackendErrorKind::Internal => "the store refused the request",
        })
    }
}

impl Error for BackendError {
    fn source(&self) -> Option<&(dyn Error + 'static)> {
        self.source.as_deref().map(|source| source as &(dyn Error + 'static))
    }
}
