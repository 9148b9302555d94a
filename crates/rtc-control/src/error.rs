//! Why the control plane did not do what it was asked.

use rtc_api::code::{ErrorCode, Refusal};
use rtc_backends::{BackendError, BackendErrorKind, bus::BusError};

/// Why an operation was not done.
#[derive(Debug, thiserror::Error)]
pub enum Error {
    /// The caller must change something: credentials, values, or what exists.
    #[error(transparent)]
    Refused(#[from] Refusal),
    /// The store failed.
    #[error("the store failed")]
    Store(#[from] BackendError),
    /// A node did not answer.
    #[error("no node answered")]
    Bus(#[from] BusError),
}

impl Error {
    /// A refusal with a sentence of its own.
    pub fn refused(code: ErrorCode, detail: impl Into<String>) -> Self {
        Self::Refused(Refusal::new(code, detail))
    }

    /// The stable code.
    pub fn code(&self) -> ErrorCode {
        match self {
            Self::Refused(refusal) => refusal.code,
            Self::Store(error) => match error.kind {
                BackendErrorKind::NotFound => ErrorCode::NotFound,
                BackendErrorKind::Conflict => ErrorCode::Conflict,
                BackendErrorKind::Unavailable => ErrorCode::Unavailable,
                BackendErrorKind::Timeout => ErrorCode::Timeout,
                BackendErrorKind::Corrupt
                | BackendErrorKind::TooNew
                | BackendErrorKind::Misconfigured
                | BackendErrorKind::Internal => ErrorCode::Internal,
            },
            Self::Bus(error) => match error {
                BusError::NoServer | BusError::NoAnswer => ErrorCode::Unavailable,
                BusError::Overloaded => ErrorCode::Overloaded,
                BusError::Timeout => ErrorCode::Timeout,
                BusError::SubjectTaken => ErrorCode::Internal,
            },
        }
    }

    /// What the caller is told: the code and a sentence, nothing from inside.
    pub fn refusal(&self) -> Refusal {
        match self {
            Self::Refused(refusal) => refusal.clone(),
            Self::Store(_) | Self::Bus(_) => self.code().into(),
        }
    }

    /// Logs what a person should look at, once, where the error is handled. Callers' faults are
    /// not among it.
    pub fn log(&self) {
        match self {
            Self::Refused(refusal) if refusal.code == ErrorCode::Internal => {
                tracing::error!(detail = refusal.detail, "an operation failed by our own fault");
            }
            Self::Refused(_) => {}
            Self::Store(error) => {
                tracing::error!(error = error as &dyn std::error::Error, "the store failed");
            }
            Self::Bus(error) => tracing::warn!(%error, "a node did not answer"),
        }
    }
}
