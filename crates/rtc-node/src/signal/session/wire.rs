//! A WebSocket of protobuf messages; text frames carry the same messages as JSON, and are answered in kind.

use std::time::Duration;

use axum::extract::ws::{Message as Frame, WebSocket};
use prost::Message as _;
use tokio::time::timeout;

use super::Ending;
use crate::proto::{self, signal_request, signal_response};

/// One connection.
pub(super) struct Wire {
    socket: WebSocket,
    flavour: Flavour,
}

/// What came in.
pub(super) enum Incoming {
    /// A message.
    Request(Box<signal_request::Message>),
    /// Nothing to do, but the client lives.
    Alive,
    /// Something that cannot be read.
    Malformed,
    /// The connection is over.
    Lost,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Flavour {
    Binary,
    Json,
}

impl Wire {
    pub(super) fn new(socket: WebSocket) -> Self {
        Self { socket, flavour: Flavour::Binary }
    }

    /// The next frame. May be dropped and called again without losing one.
    pub(super) async fn receive(&mut self) -> Incoming {
        let request = match self.socket.recv().await {
            Some(Ok(Frame::Binary(bytes))) => {
                self.flavour = Flavour::Binary;
                proto::SignalRequest::decode(bytes).ok()
            }
            Some(Ok(Frame::Text(text))) => {
                self.flavour = Flavour::Json;
                serde_json::from_str(text.as_str()).ok()
            }
            Some(Ok(Frame::Ping(_) | Frame::Pong(_))) => return Incoming::Alive,
            Some(Ok(Frame::Close(_)) | Err(_)) | None => return Incoming::Lost,
        };
        tracing::trace!(?request, "from the client");
        match request {
            Some(proto::SignalRequest { message: Some(message) }) => {
                Incoming::Request(Box::new(message))
            }
            // A kind of message that is newer than we are.
            Some(proto::SignalRequest { message: None }) => Incoming::Alive,
            None => Incoming::Malformed,
        }
    }

    /// Sends a message.
    pub(super) async fn send(&mut self, message: signal_response::Message) -> Result<(), Ending> {
        tracing::trace!(?message, "to the client");
        let response = proto::SignalResponse { message: Some(message) };
        let frame = match self.flavour {
            Flavour::Binary => Frame::Binary(response.encode_to_vec().into()),
            Flavour::Json => {
                Frame::Text(serde_json::to_string(&response).map_err(|_| Ending::Lost)?.into())
            }
        };
        self.write(frame).await
    }

    /// Asks the client whether it lives.
    pub(super) async fn ping(&mut self) -> Result<(), Ending> {
        self.write(Frame::Ping(Vec::new().into())).await
    }

    /// Ends the connection of a client that was told to leave. It is to close first: to native clients a
    /// connection that breaks after the leave request is a second failure, which makes a resume a full rejoin.
    pub(super) async fn close_after_leave(mut self) {
        if timeout(CLOSE_WITHIN, self.closed()).await.is_err() {
            self.close().await;
        }
    }

    /// Ends the connection properly, if the client still listens.
    pub(super) async fn close(mut self) {
        if self.write(Frame::Close(None)).await.is_ok() {
            // A client that does not close is cut off.
            let _ = timeout(CLOSE_WITHIN, self.closed()).await.ok();
        }
    }

    /// Waits until the client has closed. Frames under way are read and dropped, so that the end is not a reset
    /// that would make the client lose our last message.
    async fn closed(&mut self) {
        while let Some(Ok(frame)) = self.socket.recv().await {
            if matches!(frame, Frame::Close(_)) {
                return;
            }
        }
    }

    async fn write(&mut self, frame: Frame) -> Result<(), Ending> {
        match timeout(WRITE_WITHIN, self.socket.send(frame)).await {
            Ok(Ok(())) => Ok(()),
            Ok(Err(_)) | Err(_) => Err(Ending::Lost),
        }
    }
}

/// A client that takes nothing for so long is gone; meanwhile its event queue fills.
const WRITE_WITHIN: Duration = Duration::from_secs(10);
/// How long a client may take to answer the end of the connection.
const CLOSE_WITHIN: Duration = Duration::from_secs(1);
