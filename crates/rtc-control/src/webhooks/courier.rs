//! Brings one webhook to its receiver: one HTTP request, or a few when it is redirected.

use std::{error::Error as _, sync::Arc, time::Duration};

use reqwest::{
    Client, Response, StatusCode, Url,
    header::{AUTHORIZATION, CONTENT_TYPE, LOCATION, RETRY_AFTER},
    redirect,
};

use super::{
    outbox::{Delivery, Outcome},
    policy::{OutboundPolicy, PermittedAddresses, UrlRefusal},
};

/// Sends requests where the policy permits.
#[derive(Clone, Debug)]
pub(super) struct Courier {
    client: Client,
    policy: Arc<OutboundPolicy>,
    deadline: Duration,
}

/// Why a webhook did not arrive, for the log; the receiver's own words do not stand in it.
#[derive(Debug, thiserror::Error)]
pub(super) enum DeliveryError {
    #[error("the URL is not used: {0}")]
    Url(#[from] UrlRefusal),
    #[error("the receiver answered with status {status}")]
    Status { status: StatusCode, pause: Option<Duration> },
    #[error("the receiver redirects without a usable address, or too often")]
    Redirect,
    #[error("the receiver did not answer in time")]
    Timeout,
    #[error("the receiver could not be reached")]
    Transport(#[source] reqwest::Error),
}

impl DeliveryError {
    /// Whether trying again can help.
    pub(super) fn outcome(&self) -> Outcome {
        match self {
            Self::Url(_) | Self::Redirect => Outcome::Refused,
            Self::Status { status, pause } if is_passing(*status) => {
                Outcome::Failed { pause: *pause }
            }
            Self::Status { .. } => Outcome::Refused,
            Self::Timeout | Self::Transport(_) => Outcome::Failed { pause: None },
        }
    }
}

impl Courier {
    /// # Errors
    /// When TLS cannot be set up.
    pub(super) fn new(policy: Arc<OutboundPolicy>) -> Result<Self, reqwest::Error> {
        let client = Client::builder()
            .user_agent(concat!("SparkRTC/", env!("CARGO_PKG_VERSION")))
            // A proxy would resolve names for us, past the policy.
            .no_proxy()
            .dns_resolver(Arc::new(PermittedAddresses(Arc::clone(&policy))))
            // Followed by hand, because each step is judged.
            .redirect(redirect::Policy::none())
            .connect_timeout(CONNECT_TIMEOUT)
            .pool_idle_timeout(POOL_IDLE_TIMEOUT)
            .pool_max_idle_per_host(POOL_IDLE_PER_HOST)
            .build()?;
        Ok(Self { client, policy, deadline: ATTEMPT_DEADLINE })
    }

    /// Tries once, within [`ATTEMPT_DEADLINE`].
    pub(super) async fn deliver(&self, delivery: &Delivery) -> Result<(), DeliveryError> {
        match tokio::time::timeout(self.deadline, self.post_following(delivery)).await {
            Ok(result) => result,
            Err(_) => Err(DeliveryError::Timeout),
        }
    }

    /// Whether a connection to the URL can be made at all; nothing is sent beyond what TLS says.
    pub(super) async fn is_reachable(&self, url: &Url) -> bool {
        // Any answer will do: HEAD changes nothing at the receiver.
        let head = self.client.head(url.clone()).timeout(CONNECT_TIMEOUT).send();
        matches!(tokio::time::timeout(CONNECT_TIMEOUT, head).await, Ok(Ok(_)))
    }

    async fn post_following(&self, delivery: &Delivery) -> Result<(), DeliveryError> {
        let mut url = self.policy.check(&delivery.url)?;
        for _ in 0..=REDIRECTS_MAX {
            let response = self.post(url.clone(), delivery).await?;
            let status = response.status();
            if status.is_success() {
                drain(response).await;
                return Ok(());
            }
            if !is_redirect_of_a_post(status) {
                return Err(DeliveryError::Status { status, pause: pause_asked(&response) });
            }
            url = self.next_step(&url, &response)?;
        }
        Err(DeliveryError::Redirect)
    }

    async fn post(&self, url: Url, delivery: &Delivery) -> Result<Response, DeliveryError> {
        self.client
            .post(url)
            .header(CONTENT_TYPE, "application/webhook+json")
            .header(AUTHORIZATION, &*delivery.authorization)
            .body(delivery.body.to_vec())
            .send()
            .await
            .map_err(transport_error)
    }

    /// Where a redirect leads, if it may be followed: never from https back to http.
    fn next_step(&self, from: &Url, response: &Response) -> Result<Url, DeliveryError> {
        let location = response.headers().get(LOCATION).and_then(|value| value.to_str().ok());
        let to = location
            .filter(|location| location.len() <= super::policy::URL_BYTES_MAX)
            .and_then(|location| from.join(location).ok())
            .ok_or(DeliveryError::Redirect)?;
        if from.scheme() == "https" && to.scheme() != "https" {
            return Err(DeliveryError::Redirect);
        }
        self.policy.check_parsed(&to)?;
        Ok(to)
    }
}

/// Our resolver's refusal comes back wrapped in the client's errors.
fn transport_error(error: reqwest::Error) -> DeliveryError {
    let mut source = error.source();
    while let Some(cause) = source {
        if let Some(refusal) = cause.downcast_ref::<UrlRefusal>() {
            return DeliveryError::Url(*refusal);
        }
        source = cause.source();
    }
    DeliveryError::Transport(error)
}

/// Reads the rest of a small answer, so that its connection can be used again.
async fn drain(mut response: Response) {
    let mut read = 0;
    while let Ok(Some(chunk)) = response.chunk().await {
        read += chunk.len();
        if read > DRAINED_BYTES_MAX {
            return;
        }
    }
}

/// RFC 9110 §15.4: the other redirects turn a POST into a GET.
fn is_redirect_of_a_post(status: StatusCode) -> bool {
    matches!(status, StatusCode::TEMPORARY_REDIRECT | StatusCode::PERMANENT_REDIRECT)
}

/// The receiver's trouble, as opposed to its verdict on our request.
fn is_passing(status: StatusCode) -> bool {
    status.is_server_error()
        || matches!(
            status,
            StatusCode::REQUEST_TIMEOUT | StatusCode::TOO_EARLY | StatusCode::TOO_MANY_REQUESTS
        )
}

/// `Retry-After` in seconds; the form with a date is not worth a calendar.
fn pause_asked(response: &Response) -> Option<Duration> {
    let value = response.headers().get(RETRY_AFTER)?.to_str().ok()?;
    value.trim().parse().ok().map(Duration::from_secs)
}

/// From the first packet to the end of the answer, redirects included. A receiver should queue,
/// not work, while we wait.
const ATTEMPT_DEADLINE: Duration = Duration::from_secs(10);
const CONNECT_TIMEOUT: Duration = Duration::from_secs(5);
/// Shorter than the keep-alive of usual servers, so that we seldom meet a connection just closed.
const POOL_IDLE_TIMEOUT: Duration = Duration::from_secs(30);
const POOL_IDLE_PER_HOST: usize = 4;
const REDIRECTS_MAX: u32 = 3;
const DRAINED_BYTES_MAX: usize = 16 * 1024;

#[cfg(test)]
mod tests;
