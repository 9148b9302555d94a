//! The bus between control plane and nodes: requests with a deadline, and announcements.
//!
//! A *request* goes to the one server of a subject and is answered once. An *announcement* goes to
//! every subscriber of a subject and is never answered. Bodies are opaque bytes; what stands in
//! them is `rtc_api::cluster`'s business.
//!
//! Bounds: every server and every subscriber has a queue of the capacity it asked for. A request
//! that finds the queue full waits until its own deadline; an announcement that finds it full is
//! dropped for that subscriber and counted in [`Bus::dropped_total`]. A lossless stream therefore
//! does not belong here: announcements are hints, and the database says what is true.

use std::time::Duration;

use tokio::sync::{mpsc, oneshot};

pub mod in_process;

#[cfg(test)]
mod tests;

use in_process::InProcess;

/// Connects control plane and nodes. Cheap to clone; all clones are the same bus.
#[derive(Clone, Debug)]
pub enum Bus {
    /// Everything runs in this process.
    InProcess(InProcess),
}

impl Bus {
    /// A bus inside this process.
    pub fn in_process() -> Self {
        Self::InProcess(InProcess::default())
    }

    /// Asks the server of `subject` and waits for its answer, at most `deadline`.
    ///
    /// # Errors
    /// [`BusError::NoServer`] and [`BusError::Overloaded`] when the request was certainly not
    /// taken up; [`BusError::Timeout`] and [`BusError::NoAnswer`] when it is unknown whether it
    /// was carried out.
    pub async fn request(
        &self,
        subject: &str,
        body: Vec<u8>,
        deadline: Duration,
    ) -> Result<Vec<u8>, BusError> {
        match self {
            Self::InProcess(bus) => bus.request(subject, body, deadline).await,
        }
    }

    /// Becomes the server of `subject`, with a queue of `capacity` requests (at least one), until
    /// the returned [`Requests`] is dropped.
    ///
    /// # Errors
    /// [`BusError::SubjectTaken`] when another server of the subject is alive.
    pub fn serve(&self, subject: &str, capacity: usize) -> Result<Requests, BusError> {
        match self {
            Self::InProcess(bus) => bus.serve(subject, capacity),
        }
    }

    /// Announces `body` to whoever subscribes to `subject` at this moment. Never waits; a
    /// subscriber whose queue is full misses it, which is counted.
    pub fn publish(&self, subject: &str, body: Vec<u8>) {
        match self {
            Self::InProcess(bus) => bus.publish(subject, &body),
        }
    }

    /// Receives what is announced on `subject` from here on, through a queue of `capacity`
    /// announcements (at least one), until the returned [`Subscription`] is dropped.
    pub fn subscribe(&self, subject: &str, capacity: usize) -> Subscription {
        match self {
            Self::InProcess(bus) => bus.subscribe(subject, capacity),
        }
    }

    /// How many announcements were dropped because a subscriber's queue was full.
    pub fn dropped_total(&self) -> u64 {
        match self {
            Self::InProcess(bus) => bus.dropped_total(),
        }
    }
}

/// Why a request had no answer, or a subject no server.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
pub enum BusError {
    /// Nobody serves the subject; the request was not taken up.
    #[error("nobody serves the subject")]
    NoServer,
    /// The server's queue stayed full until the deadline; the request was not taken up.
    #[error("the server's queue stayed full until the deadline")]
    Overloaded,
    /// No answer by the deadline; whether the request was carried out is unknown.
    #[error("no answer by the deadline")]
    Timeout,
    /// The server dropped the request; whether it was carried out is unknown.
    #[error("the server dropped the request without an answer")]
    NoAnswer,
    /// The subject has a living server already.
    #[error("the subject has a server already")]
    SubjectTaken,
}

impl BusError {
    /// Whether the request may be sent again without risk of doing it twice.
    pub const fn is_safe_to_repeat(self) -> bool {
        match self {
            Self::NoServer | Self::Overloaded => true,
            Self::Timeout | Self::NoAnswer | Self::SubjectTaken => false,
        }
    }
}

/// The requests to one subject, in the order they were taken up.
#[derive(Debug)]
pub struct Requests {
    queue: mpsc::Receiver<BusRequest>,
}

impl Requests {
    /// The next request whose asker still waits; those given up meanwhile are passed over.
    /// `None` when the bus is gone. Safe to cancel: nothing is lost.
    pub async fn next(&mut self) -> Option<BusRequest> {
        loop {
            let request = self.queue.recv().await?;
            if !request.is_abandoned() {
                return Some(request);
            }
        }
    }
}

/// One request. Dropping it without a reply fails the asker with [`BusError::NoAnswer`].
#[derive(Debug)]
pub struct BusRequest {
    /// What is asked.
    pub body: Vec<u8>,
    answer: oneshot::Sender<Vec<u8>>,
}

impl BusRequest {
    /// Answers. An asker that has given up meanwhile simply does not hear it.
    pub fn reply(self, body: Vec<u8>) {
        self.answer.send(body).ok();
    }

    /// Whether the asker has given up, so that work on an answer can stop.
    pub fn is_abandoned(&self) -> bool {
        self.answer.is_closed()
    }
}

/// The announcements on one subject, in the order they were made.
#[derive(Debug)]
pub struct Subscription {
    queue: mpsc::Receiver<Vec<u8>>,
}

impl Subscription {
    /// The next announcement; `None` when the bus is gone. Safe to cancel: nothing is lost.
    pub async fn next(&mut self) -> Option<Vec<u8>> {
        self.queue.recv().await
    }
}
