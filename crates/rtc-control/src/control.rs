//! The control plane as a running server.

use std::time::Duration;

use axum::Router;
use prometheus_client::registry::Registry;
use rtc_backends::{Bus, Db};
use rtc_model::NodeId;
use tokio_util::{sync::CancellationToken, task::TaskTracker};

use crate::{Context, ControlConfig, Error, http, joins, metrics::Metrics, twirp, webhooks};

/// The control plane of this process. [`Control::shutdown`] stops it.
#[derive(Debug)]
pub struct Control {
    cx: Context,
    tasks: TaskTracker,
    stop: CancellationToken,
}

impl Control {
    /// Starts answering nodes on the bus and sending webhooks. The HTTP side starts when
    /// [`Control::router`] is served.
    ///
    /// # Errors
    /// [`Error::Bus`] when another control plane serves this bus.
    pub async fn start(
        config: ControlConfig,
        db: Db,
        bus: Bus,
        node: NodeId,
        metrics: &mut Registry,
    ) -> Result<Self, Error> {
        let cx = Context::new(&config, db, bus, node);
        let tasks = TaskTracker::new();
        let stop = CancellationToken::new();
        joins::serve(&cx, Metrics::register(metrics, &cx.bus), &tasks, &stop)?;
        webhooks::start(&cx, &config.webhooks, &tasks, &stop, metrics).await?;
        Ok(Self { cx, tasks, stop })
    }

    /// The context, to call operations with from within the process.
    pub const fn context(&self) -> &Context {
        &self.cx
    }

    /// Everything the control plane serves: `/api/v1`, `/twirp`.
    pub fn router(&self) -> Router {
        http::router(&self.cx).merge(twirp::router(self.cx.clone()))
    }

    /// Stops taking requests of nodes, lets webhooks under way end, and aborts what is left after
    /// `deadline`.
    pub async fn shutdown(self, deadline: Duration) {
        self.stop.cancel();
        self.tasks.close();
        if tokio::time::timeout(deadline, self.tasks.wait()).await.is_err() {
            tracing::warn!(tasks = self.tasks.len(), "some work of the control plane was cut off");
        }
    }
}
