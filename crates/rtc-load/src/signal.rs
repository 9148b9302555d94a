//! The signalling connection of one client: WebSocket, protobuf, pings. Decides nothing; media
//! messages go to the client's packet thread.

use std::{
    sync::Arc,
    time::{Duration, SystemTime, UNIX_EPOCH},
};

use anyhow::{Context, anyhow, bail};
use base64::{Engine, engine::general_purpose::URL_SAFE};
use futures_util::{SinkExt, StreamExt};
use prost::Message as _;
use rtc_api::proto::{self, signal_request, signal_response};
use tokio::{net::TcpStream, sync::mpsc, time::MissedTickBehavior};
use tokio_tungstenite::{
    MaybeTlsStream, WebSocketStream, connect_async,
    tungstenite::{Message, client::IntoClientRequest},
};

use crate::worker::{ClientId, Command, Progress, WorkerHandle};

/// An open signalling connection whose join was accepted.
pub struct Signal {
    socket: WebSocketStream<MaybeTlsStream<TcpStream>>,
    ping_interval: Duration,
}

impl Signal {
    /// Connects, asks to join and waits for the join response.
    ///
    /// # Errors
    /// When the server cannot be reached, refuses, or answers with something else.
    pub async fn join(
        url: &str,
        token: &str,
        request: proto::JoinRequest,
    ) -> anyhow::Result<(Self, proto::JoinResponse)> {
        let wrapped = proto::WrappedJoinRequest {
            compression: proto::wrapped_join_request::Compression::None.into(),
            join_request: request.encode_to_vec(),
        };
        let parameter = URL_SAFE.encode(wrapped.encode_to_vec());
        let base = websocket_base(url)?;
        let mut upgrade =
            format!("{base}/rtc/v1?join_request={parameter}").into_client_request()?;
        upgrade.headers_mut().insert("authorization", format!("Bearer {token}").parse()?);
        let connecting = tokio::time::timeout(UPGRADE_WITHIN, connect_async(upgrade));
        let (mut socket, _) = connecting
            .await
            .context("the server did not accept the WebSocket in time")?
            .context("the server did not accept the WebSocket")?;
        let first = tokio::time::timeout(FIRST_MESSAGE_WITHIN, next(&mut socket))
            .await
            .context("the server sent no first message in time")??;
        match first {
            signal_response::Message::Join(join) => {
                let ping_interval = Duration::from_secs(u64::try_from(join.ping_interval)?.max(1));
                Ok((Self { socket, ping_interval }, join))
            }
            signal_response::Message::Leave(leave) => bail!("refused: {:?}", leave.reason()),
            _ => bail!("the first message is not a join response"),
        }
    }

    /// Carries messages until `outgoing` ends, then leaves. An end from the other side is counted
    /// as a failure.
    pub async fn run(
        mut self,
        id: ClientId,
        mut outgoing: mpsc::Receiver<signal_request::Message>,
        worker: WorkerHandle,
        progress: Arc<Progress>,
    ) {
        if let Err(error) = self.carry(id, &mut outgoing, &worker).await {
            progress.fail(format!("client {id}: {error:#}"));
            return;
        }
        let leave = signal_request::Message::Leave(proto::LeaveRequest {
            reason: proto::DisconnectReason::ClientInitiated.into(),
            ..Default::default()
        });
        let farewell = async {
            self.send(leave).await?;
            self.socket.close(None).await.context("closing")
        };
        // The run is over; a server that does not take the farewell in time changes no result.
        drop(tokio::time::timeout(FAREWELL_WITHIN, farewell).await);
    }

    async fn carry(
        &mut self,
        id: ClientId,
        outgoing: &mut mpsc::Receiver<signal_request::Message>,
        worker: &WorkerHandle,
    ) -> anyhow::Result<()> {
        let mut pings = tokio::time::interval(self.ping_interval);
        pings.set_missed_tick_behavior(MissedTickBehavior::Delay);
        loop {
            tokio::select! {
                message = outgoing.recv() => match message {
                    Some(message) => self.send(message).await?,
                    None => return Ok(()),
                },
                message = next(&mut self.socket) => {
                    let message = message?;
                    if touches_media(&message) {
                        worker.send(Command::Signal(id, Box::new(message)));
                    }
                }
                _ = pings.tick() => self.ping().await?,
            }
        }
    }

    async fn ping(&mut self) -> anyhow::Result<()> {
        let since = SystemTime::now().duration_since(UNIX_EPOCH)?;
        let timestamp = i64::try_from(since.as_millis())?;
        // Clients in the field send both.
        self.send(signal_request::Message::Ping(timestamp)).await?;
        self.send(signal_request::Message::PingReq(proto::Ping { timestamp, rtt: 0 })).await
    }

    async fn send(&mut self, message: signal_request::Message) -> anyhow::Result<()> {
        let request = proto::SignalRequest { message: Some(message) };
        let message = Message::binary(request.encode_to_vec());
        self.socket.send(message).await.context("writing to the WebSocket")
    }
}

/// The next message of the server. Cancel-safe.
async fn next(
    socket: &mut WebSocketStream<MaybeTlsStream<TcpStream>>,
) -> anyhow::Result<signal_response::Message> {
    loop {
        let frame = socket.next().await.ok_or_else(|| anyhow!("the server hung up"))?;
        match frame.context("reading from the WebSocket")? {
            Message::Binary(bytes) => {
                let response = proto::SignalResponse::decode(bytes).context("not a message")?;
                if let Some(message) = response.message {
                    return Ok(message);
                }
            }
            Message::Close(frame) => bail!("the server closed the WebSocket: {frame:?}"),
            Message::Text(_) => bail!("the server sent text"),
            Message::Ping(_) | Message::Pong(_) | Message::Frame(_) => {}
        }
    }
}

fn touches_media(message: &signal_response::Message) -> bool {
    matches!(
        message,
        signal_response::Message::Answer(_)
            | signal_response::Message::Offer(_)
            | signal_response::Message::Trickle(_)
            | signal_response::Message::MediaSectionsRequirement(_)
            | signal_response::Message::TrackPublished(_)
            | signal_response::Message::Leave(_)
    )
}

/// `ws://…` of a server given by `http://…`, `ws://…` or `host:port`.
fn websocket_base(url: &str) -> anyhow::Result<String> {
    let url = url.trim_end_matches('/');
    match url.split_once("://") {
        None => Ok(format!("ws://{url}")),
        Some(("http" | "ws", rest)) => Ok(format!("ws://{rest}")),
        Some((scheme, _)) => bail!("{scheme}: only http and ws are spoken; measure without TLS"),
    }
}

/// Host and port of a server's URL, to find the way to it.
///
/// # Errors
/// When it names no host that resolves.
pub async fn resolve(url: &str) -> anyhow::Result<std::net::SocketAddr> {
    let base = websocket_base(url)?;
    let authority = base.trim_start_matches("ws://").split('/').next().unwrap_or_default();
    let with_port =
        if authority.contains(':') { authority.to_owned() } else { format!("{authority}:80") };
    tokio::net::lookup_host(&with_port)
        .await?
        .next()
        .ok_or_else(|| anyhow!("{with_port} has no address"))
}

/// Browsers' SDK waits as long for the upgrade.
const UPGRADE_WITHIN: Duration = Duration::from_secs(15);
/// Browsers' SDK waits as long for the first message.
const FIRST_MESSAGE_WITHIN: Duration = Duration::from_secs(5);
const FAREWELL_WITHIN: Duration = Duration::from_secs(2);

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn server_urls_become_websocket_urls() {
        let rows = [
            ("http://127.0.0.1:7880", Some("ws://127.0.0.1:7880")),
            ("http://127.0.0.1:7880/", Some("ws://127.0.0.1:7880")),
            ("ws://[::1]:1", Some("ws://[::1]:1")),
            ("localhost:7880", Some("ws://localhost:7880")),
            ("https://example.org", None),
        ];
        for (url, expected) in rows {
            assert_eq!(websocket_base(url).ok().as_deref(), expected, "{url}");
        }
    }
}
