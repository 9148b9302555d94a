//! What every operation of the control plane is given.

use std::{sync::Arc, time::Duration};

use rtc_api::{
    cluster::{Answer, NodeRequest, RoomAnswer, RoomCall, subject_node},
    code::{ErrorCode, Refusal},
};
use rtc_backends::{Bus, Db, bus::BusError};
use rtc_model::{AppId, NodeId};
use serde::{Serialize, de::DeserializeOwned};

use crate::{
    Clock, ControlConfig, ControlLimits, Error, config::DevPair, config::Secret,
    webhooks::WebhooksConfig,
};

/// What every operation is given, and all it is given. Cheap to clone.
#[derive(Clone, Debug)]
pub struct Context {
    /// The store.
    pub db: Db,
    /// The way to the nodes.
    pub bus: Bus,
    /// The time.
    pub clock: Clock,
    /// Bounds of what callers may ask.
    pub limits: ControlLimits,
    /// What this installation is set to.
    pub settings: Arc<Settings>,
}

/// What this installation is set to.
#[derive(Debug)]
pub struct Settings {
    /// The bearer token of the REST API.
    pub admin_token: Secret,
    /// Where this server is reached, without a trailing slash.
    pub public_url: String,
    /// Base of the apps' domains.
    pub base_domain: String,
    /// The app of `--dev`.
    pub dev_pair: Option<DevPair>,
    /// How webhooks are sent.
    pub webhooks: WebhooksConfig,
    /// The node that runs the rooms.
    pub node: NodeId,
}

impl Context {
    /// Makes the context of a server, or of a command on a data directory (then with a bus of its
    /// own, on which no node answers: there are no rooms).
    pub fn new(config: &ControlConfig, db: Db, bus: Bus, node: NodeId) -> Self {
        Self {
            db,
            bus,
            clock: config.clock.clone(),
            limits: config.limits,
            settings: Arc::new(Settings {
                admin_token: config.admin_token.clone(),
                public_url: config.public_url.trim_end_matches('/').to_owned(),
                base_domain: config.base_domain.clone(),
                dev_pair: config.dev_pair.clone(),
                webhooks: config.webhooks.clone(),
                node,
            }),
        }
    }

    /// Asks the node that runs an app's rooms. The caller has been authorized.
    ///
    /// # Errors
    /// The node's refusal; [`Error::Bus`] when it does not answer.
    pub async fn ask_node(&self, app: &AppId, call: RoomCall) -> Result<RoomAnswer, Error> {
        self.ask_node_within(app, call, NODE_DEADLINE).await
    }

    /// As [`Context::ask_node`], for calls that wait for a participant.
    ///
    /// # Errors
    /// The node's refusal; [`Error::Bus`] when it does not answer within `deadline`.
    pub async fn ask_node_within(
        &self,
        app: &AppId,
        call: RoomCall,
        deadline: Duration,
    ) -> Result<RoomAnswer, Error> {
        let body = encode(&NodeRequest { app: app.clone(), call })?;
        let subject = subject_node(self.settings.node);
        let answer = self.bus.request(&subject, body, deadline).await.map_err(Error::Bus)?;
        decode::<Answer<RoomAnswer>>(&answer)?.map_err(Error::Refused)
    }

    /// Like [`Context::ask_node`], where no node at all means that there is nothing to do.
    ///
    /// # Errors
    /// The node's refusal; [`Error::Bus`] when a node is there but does not answer.
    pub async fn tell_node(&self, app: &AppId, call: RoomCall) -> Result<(), Error> {
        match self.ask_node(app, call).await {
            Ok(_) | Err(Error::Bus(BusError::NoServer)) => Ok(()),
            Err(error) => Err(error),
        }
    }
}

/// Writes a message of the bus.
pub(crate) fn encode(message: &impl Serialize) -> Result<Vec<u8>, Error> {
    serde_json::to_vec(message).map_err(|error| {
        tracing::error!(%error, "a message of ours cannot be written");
        Refusal::from(ErrorCode::Internal).into()
    })
}

/// Reads a message of the bus.
pub(crate) fn decode<T: DeserializeOwned>(body: &[u8]) -> Result<T, Error> {
    serde_json::from_slice(body).map_err(|error| {
        tracing::error!(%error, "a message of the bus cannot be read");
        Refusal::from(ErrorCode::Internal).into()
    })
}

/// A node answers in milliseconds; beyond this it is stuck or overloaded, and the caller's client
/// is about to give up.
const NODE_DEADLINE: Duration = Duration::from_secs(5);
