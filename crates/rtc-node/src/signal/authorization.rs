//! Asks the control plane who may join, and remembers its answers for a moment: a client retries, validates
//! and resumes with the same token in quick succession.

use std::{
    collections::HashMap,
    sync::{Mutex, MutexGuard, PoisonError},
    time::{Duration, Instant, SystemTime, UNIX_EPOCH},
};

use rtc_api::{
    cluster::{Answer, ControlRequest, JoinGrant, MintedToken, SUBJECT_CONTROL},
    code::{ErrorCode, Refusal},
};
use rtc_backends::bus::{Bus, BusError};
use rtc_model::AppId;
use serde::de::DeserializeOwned;

/// The control plane as signalling sees it.
pub(crate) struct Authorizer {
    bus: Bus,
    recent: Mutex<Recent>,
}

#[derive(Default)]
struct Recent {
    /// By token. Tokens are secrets: nothing here is ever printed.
    grants: HashMap<String, (Instant, JoinGrant)>,
    refusals: HashMap<String, (Instant, Refusal)>,
    /// Counts changes of apps; an answer asked for before one is not remembered.
    generation: u64,
}

impl Authorizer {
    pub(crate) fn new(bus: Bus) -> Self {
        Self { bus, recent: Mutex::default() }
    }

    /// What the bearer of a token may do.
    ///
    /// # Errors
    /// The control plane's refusal; `unavailable` when it does not answer.
    pub(crate) async fn authorize(&self, token: &str) -> Result<JoinGrant, Refusal> {
        let now = Instant::now();
        let generation = {
            let recent = self.lock();
            if let Some((at, grant)) = recent.grants.get(token)
                && now.saturating_duration_since(*at) < REMEMBERED_FOR
                && grant.expires_at_s > unix_now_s()
            {
                return Ok(grant.clone());
            }
            recent.generation
        };
        let request = ControlRequest::AuthorizeJoin { token: token.to_owned() };
        let grant: JoinGrant = self.ask(&request).await?;
        let mut recent = self.lock();
        if recent.generation == generation && token.len() <= REMEMBERED_TOKEN_BYTES_MAX {
            recent.trim(now);
            recent.grants.insert(token.to_owned(), (now, grant.clone()));
        }
        Ok(grant)
    }

    /// A token to come back with, for a participant with these rights.
    ///
    /// # Errors
    /// As [`Self::authorize`].
    pub(crate) async fn refresh(&self, grant: &JoinGrant) -> Result<String, Refusal> {
        let request = ControlRequest::RefreshToken { grant: Box::new(grant.clone()) };
        let minted: MintedToken = self.ask(&request).await?;
        Ok(minted.token)
    }

    /// An app was changed: what is remembered of it may be wrong.
    pub(crate) fn forget(&self, app: &AppId) {
        let mut recent = self.lock();
        recent.generation += 1;
        recent.grants.retain(|_, (_, grant)| grant.app != *app);
        recent.refusals.clear();
    }

    /// Remembers why a join failed, for the client that asks a moment later.
    pub(crate) fn remember_refusal(&self, token: &str, refusal: &Refusal) {
        let now = Instant::now();
        let mut recent = self.lock();
        if token.len() <= REMEMBERED_TOKEN_BYTES_MAX {
            recent.trim(now);
            recent.refusals.insert(token.to_owned(), (now, refusal.clone()));
        }
    }

    /// Why the last join with this token failed, if that was just now. Told once.
    pub(crate) fn recent_refusal(&self, token: &str) -> Option<Refusal> {
        let (at, refusal) = self.lock().refusals.remove(token)?;
        (at.elapsed() < REMEMBERED_FOR).then_some(refusal)
    }

    async fn ask<T: DeserializeOwned>(&self, request: &ControlRequest) -> Result<T, Refusal> {
        let body = serde_json::to_vec(request).map_err(|_| ErrorCode::Internal)?;
        let answer = self.bus.request(SUBJECT_CONTROL, body, ANSWER_WITHIN).await;
        let answer = answer.map_err(|error| match error {
            BusError::Overloaded => ErrorCode::Overloaded,
            BusError::NoServer
            | BusError::Timeout
            | BusError::NoAnswer
            | BusError::SubjectTaken => ErrorCode::Unavailable,
        })?;
        let answer: Answer<T> = serde_json::from_slice(&answer).map_err(|error| {
            tracing::error!(%error, "the control plane's answer cannot be read");
            ErrorCode::Internal
        })?;
        answer
    }

    fn lock(&self) -> MutexGuard<'_, Recent> {
        self.recent.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

impl Recent {
    fn trim(&mut self, now: Instant) {
        let is_fresh = |at: &Instant| now.saturating_duration_since(*at) < REMEMBERED_FOR;
        if self.grants.len() >= REMEMBERED_MAX {
            self.grants.retain(|_, (at, _)| is_fresh(at));
            if self.grants.len() >= REMEMBERED_MAX {
                self.grants.clear();
            }
        }
        if self.refusals.len() >= REMEMBERED_MAX {
            self.refusals.retain(|_, (at, _)| is_fresh(at));
            if self.refusals.len() >= REMEMBERED_MAX {
                self.refusals.clear();
            }
        }
    }
}

fn unix_now_s() -> u64 {
    SystemTime::now().duration_since(UNIX_EPOCH).unwrap_or_default().as_secs()
}

/// How long an answer is good. Longer would let a removed key in; shorter would ask twice per join.
const REMEMBERED_FOR: Duration = Duration::from_secs(5);
/// Answers remembered at once.
const REMEMBERED_MAX: usize = 4_096;
/// Longer tokens are asked about each time.
const REMEMBERED_TOKEN_BYTES_MAX: usize = 4_096;
/// Clients give up after five seconds.
const ANSWER_WITHIN: Duration = Duration::from_secs(4);
