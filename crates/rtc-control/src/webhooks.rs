//! Tells apps' servers what happens in rooms.

use prometheus_client::registry::Registry;
use tokio_util::{sync::CancellationToken, task::TaskTracker};

use crate::{Context, Error};

/// How webhooks are sent.
#[derive(Clone, Debug, Default)]
pub struct WebhooksConfig {}

/// Starts the tasks that send webhooks; they end when `stop` is cancelled.
pub(crate) async fn start(
    _cx: &Context,
    _config: &WebhooksConfig,
    _tasks: &TaskTracker,
    _stop: &CancellationToken,
    _metrics: &mut Registry,
) -> Result<(), Error> {
    Ok(())
}
