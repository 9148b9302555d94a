//! What the control plane is told when it starts.

use std::fmt;

use rtc_model::{AppId, AppKey};

use crate::{Clock, webhooks::WebhooksConfig};

/// Everything the control plane needs to know beside its back ends.
#[derive(Clone, Debug)]
pub struct ControlConfig {
    /// The bearer token of the REST API (the content of `DATA/admin.token`).
    pub admin_token: Secret,
    /// Where people and programs reach this server, without a trailing slash
    /// (`http://127.0.0.1:7880`). Printed links and snippets start with it.
    pub public_url: String,
    /// Base of the apps' domains: `{app_id}.{base_domain}`.
    pub base_domain: String,
    /// An app that exists only while this process runs (`--dev`).
    pub dev_pair: Option<DevPair>,
    /// Bounds of what callers may ask.
    pub limits: ControlLimits,
    /// Who is told about rooms, and how persistently.
    pub webhooks: WebhooksConfig,
    /// The time.
    pub clock: Clock,
}

/// An app of the configuration: enabled, not in the store, not to be changed.
#[derive(Clone, Debug)]
pub struct DevPair {
    /// Its id (`devkey`).
    pub id: AppId,
    /// Its key (`secret`).
    pub key: AppKey,
}

impl DevPair {
    /// The customary development pair.
    pub fn customary() -> Self {
        let id = AppId::new("devkey").expect("invariant: the customary id is well-formed");
        Self { id, key: AppKey::new("secret") }
    }
}

/// Bounds of what callers may ask of the control plane.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct ControlLimits {
    /// Largest request body in bytes.
    pub body_bytes_max: usize,
    /// Longest life of a token made here, in seconds.
    pub token_lifetime_s_max: u64,
    /// Most items on one page of a list.
    pub page_items_max: u32,
    /// Requests of nodes waiting to be answered.
    pub bus_queue: usize,
    /// Requests of nodes being answered at once.
    pub bus_concurrency: usize,
}

impl Default for ControlLimits {
    fn default() -> Self {
        Self {
            body_bytes_max: 256 * 1024,
            // Thirty days: longer belongs to a server that signs for itself.
            token_lifetime_s_max: 30 * 24 * 3600,
            page_items_max: 100,
            bus_queue: 1_024,
            bus_concurrency: 64,
        }
    }
}

/// A text that no log may show.
#[derive(Clone)]
pub struct Secret(String);

impl Secret {
    /// Takes a text as a secret.
    pub fn new(text: impl Into<String>) -> Self {
        Self(text.into())
    }

    /// The secret itself.
    pub fn expose(&self) -> &str {
        &self.0
    }
}

impl fmt::Debug for Secret {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("Secret(..)")
    }
}
