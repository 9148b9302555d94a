//! The bus of a single process: one bounded channel per server and subscriber.

use std::{
    collections::HashMap,
    sync::{
        Arc, Mutex, MutexGuard, PoisonError,
        atomic::{AtomicU64, Ordering},
    },
    time::Duration,
};

use tokio::{
    sync::{
        mpsc::{self, error::TrySendError},
        oneshot,
    },
    time::{Instant, timeout_at},
};

use super::{BusError, BusRequest, Requests, Subscription};

/// The shared state of a bus inside one process.
#[derive(Clone, Debug, Default)]
pub struct InProcess {
    shared: Arc<Shared>,
}

#[derive(Debug, Default)]
struct Shared {
    servers: Mutex<HashMap<String, mpsc::Sender<BusRequest>>>,
    subscribers: Mutex<HashMap<String, Vec<mpsc::Sender<Vec<u8>>>>>,
    dropped: AtomicU64,
}

impl InProcess {
    pub(super) async fn request(
        &self,
        subject: &str,
        body: Vec<u8>,
        deadline: Duration,
    ) -> Result<Vec<u8>, BusError> {
        let until = Instant::now() + deadline;
        let server = lock(&self.shared.servers).get(subject).cloned().ok_or(BusError::NoServer)?;
        let (answer, answered) = oneshot::channel();
        match timeout_at(until, server.send(BusRequest { body, answer })).await {
            Ok(Ok(())) => {}
            Ok(Err(_)) => return Err(BusError::NoServer),
            Err(_) => return Err(BusError::Overloaded),
        }
        match timeout_at(until, answered).await {
            Ok(Ok(body)) => Ok(body),
            Ok(Err(_)) => Err(BusError::NoAnswer),
            Err(_) => Err(BusError::Timeout),
        }
    }

    pub(super) fn serve(&self, subject: &str, capacity: usize) -> Result<Requests, BusError> {
        let mut servers = lock(&self.shared.servers);
        // Dead servers leave no trace, so that short-lived subjects cannot pile up.
        servers.retain(|_, server| !server.is_closed());
        if servers.contains_key(subject) {
            return Err(BusError::SubjectTaken);
        }
        let (sender, queue) = mpsc::channel(capacity.max(1));
        servers.insert(subject.to_owned(), sender);
        Ok(Requests { queue })
    }

    pub(super) fn publish(&self, subject: &str, body: &[u8]) {
        let mut subscribers = lock(&self.shared.subscribers);
        let Some(queues) = subscribers.get_mut(subject) else { return };
        queues.retain(|queue| match queue.try_send(body.to_vec()) {
            Ok(()) => true,
            Err(TrySendError::Full(_)) => {
                self.shared.dropped.fetch_add(1, Ordering::Relaxed);
                true
            }
            Err(TrySendError::Closed(_)) => false,
        });
    }

    pub(super) fn subscribe(&self, subject: &str, capacity: usize) -> Subscription {
        let (sender, queue) = mpsc::channel(capacity.max(1));
        let mut subscribers = lock(&self.shared.subscribers);
        subscribers.retain(|_, queues| {
            queues.retain(|queue| !queue.is_closed());
            !queues.is_empty()
        });
        subscribers.entry(subject.to_owned()).or_default().push(sender);
        Subscription { queue }
    }

    pub(super) fn dropped_total(&self) -> u64 {
        self.shared.dropped.load(Ordering::Relaxed)
    }
}

/// The maps stay whole whatever a holder of the lock did, so a poisoned lock is taken all the same.
fn lock<T>(mutex: &Mutex<T>) -> MutexGuard<'_, T> {
    mutex.lock().unwrap_or_else(PoisonError::into_inner)
}
