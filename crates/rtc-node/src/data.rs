//! Data messages between participants: what is let through, how it is stamped, who gets it. Pure.
//!
//! A message is stamped with its true sender; nothing the sender wrote about itself survives. `sequence`
//! stays untouched, because receivers drop duplicates by it.

use std::{
    collections::VecDeque,
    sync::Arc,
    time::{Duration, Instant},
};

use prost::Message as _;
use rtc_media::{command::MessageChannel, info::ParticipantInfo};
use rtc_model::{Identity, ParticipantId, ParticipantKind};

use crate::proto::{self, data_packet::Value};

/// A message that was let through.
#[derive(Clone, Debug, PartialEq)]
pub(crate) struct Accepted {
    /// Stamped; goes to receivers as it is.
    pub(crate) packet: proto::DataPacket,
    /// Who gets it.
    pub(crate) to: Destinations,
}

/// Who gets a message.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) enum Destinations {
    /// Everybody but the sender.
    Everybody,
    /// Only those named, by either name.
    Named {
        /// By identity.
        identities: Vec<String>,
        /// By participant id (deprecated, still sent by older clients).
        ids: Vec<String>,
    },
}

/// Why a message was not let through.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub(crate) enum DataDrop {
    /// Not a `DataPacket`.
    Malformed,
    /// Larger than a message may be.
    TooLarge,
    /// The sender may not send data.
    NotPermitted,
    /// A reliable message that came already.
    Duplicate,
    /// Of a kind that participants do not exchange.
    NotForwarded,
}

impl DataDrop {
    pub(crate) const ALL: [Self; 5] =
        [Self::Malformed, Self::TooLarge, Self::NotPermitted, Self::Duplicate, Self::NotForwarded];

    /// The stable word for metrics.
    pub(crate) const fn as_str(self) -> &'static str {
        match self {
            Self::Malformed => "malformed",
            Self::TooLarge => "too_large",
            Self::NotPermitted => "not_permitted",
            Self::Duplicate => "duplicate",
            Self::NotForwarded => "not_forwarded",
        }
    }
}

/// Judges and stamps a message as it came over `channel`. `last_sequence` is the sequence number of the
/// sender's last reliable message (0: none yet); numbers up to it are duplicates.
pub(crate) fn accept(
    payload: &[u8],
    channel: MessageChannel,
    sender: &ParticipantInfo,
    last_sequence: u32,
    bytes_max: usize,
) -> Result<Accepted, DataDrop> {
    if payload.len() > bytes_max {
        return Err(DataDrop::TooLarge);
    }
    if !sender.permissions.can_publish_data {
        return Err(DataDrop::NotPermitted);
    }
    let mut packet = proto::DataPacket::decode(payload).map_err(|_| DataDrop::Malformed)?;
    let reliable = channel == MessageChannel::Reliable;
    if reliable && packet.sequence != 0 && packet.sequence <= last_sequence {
        return Err(DataDrop::Duplicate);
    }
    if !is_forwarded(&packet, sender.kind)? {
        return Err(DataDrop::NotForwarded);
    }
    let to = destinations(&packet);
    stamp(&mut packet, channel, sender);
    Ok(Accepted { packet, to })
}

/// A message of the app's server. It has no sender; receivers take it as the server's.
pub(crate) fn from_server(
    user: proto::UserPacket,
    channel: MessageChannel,
    to: &Destinations,
) -> proto::DataPacket {
    let destination_identities = match to {
        Destinations::Everybody => Vec::new(),
        Destinations::Named { identities, .. } => identities.clone(),
    };
    let mut packet = proto::DataPacket {
        destination_identities,
        value: Some(Value::User(user)),
        ..proto::DataPacket::default()
    };
    set_kind(&mut packet, channel);
    packet
}

/// The receivers among the participants: the named ones or everybody, never the sender itself.
pub(crate) fn receivers<'a>(
    to: &Destinations,
    sender: Option<ParticipantId>,
    participants: impl Iterator<Item = &'a Arc<ParticipantInfo>>,
) -> Vec<ParticipantId> {
    let named = |info: &ParticipantInfo| match to {
        Destinations::Everybody => true,
        Destinations::Named { identities, ids } => {
            identities.iter().any(|identity| identity == info.identity.as_str())
                || (!ids.is_empty() && ids.contains(&info.id.to_string()))
        }
    };
    participants.filter(|info| Some(info.id) != sender && named(info)).map(|info| info.id).collect()
}

/// A call of a participant's method on behalf of the app's server. `caller` is a made-up identity: clients
/// refuse calls without one, and address their answer to it.
pub(crate) fn rpc_request(
    id: &str,
    caller: &Identity,
    request: &proto::PerformRpcRequest,
) -> proto::DataPacket {
    let mut packet = proto::DataPacket {
        participant_identity: caller.to_string(),
        destination_identities: vec![request.destination_identity.clone()],
        value: Some(Value::RpcRequest(proto::RpcRequest {
            id: id.to_owned(),
            method: request.method.clone(),
            payload: request.payload.clone(),
            response_timeout_ms: request.response_timeout_ms,
            version: 1,
            ..proto::RpcRequest::default()
        })),
        ..proto::DataPacket::default()
    };
    set_kind(&mut packet, MessageChannel::Reliable);
    packet
}

/// What a call of ours hears from the participant it called.
#[derive(Clone, Debug, PartialEq)]
pub(crate) enum RpcProgress {
    /// The participant has the call.
    Acknowledged,
    /// It is done.
    Answered(Result<String, proto::RpcError>),
}

/// Whether a message belongs to a call: the call's id, and what it says.
pub(crate) fn rpc_progress(packet: &proto::DataPacket) -> Option<(&str, RpcProgress)> {
    match packet.value.as_ref()? {
        Value::RpcAck(ack) => Some((&ack.request_id, RpcProgress::Acknowledged)),
        Value::RpcResponse(response) => {
            let answer = match response.value.clone() {
                Some(proto::rpc_response::Value::Payload(payload)) => Ok(payload),
                Some(proto::rpc_response::Value::Error(error)) => Err(error),
                // Compressed answers go to callers that said they read them; ours did not.
                Some(proto::rpc_response::Value::CompressedPayload(_)) => Err(proto::RpcError {
                    code: RPC_APPLICATION_ERROR,
                    message: "the answer is compressed, which was not asked for".to_owned(),
                    data: String::new(),
                }),
                None => Ok(String::new()),
            };
            Some((&response.request_id, RpcProgress::Answered(answer)))
        }
        _ => None,
    }
}

/// LiveKit's code for "the method failed".
const RPC_APPLICATION_ERROR: u32 = 1_500;

/// Reliable messages of the last moments, for participants that come back from a broken connection.
#[derive(Debug, Default)]
pub(crate) struct RecentMessages {
    messages: VecDeque<RecentMessage>,
    bytes: usize,
}

#[derive(Debug)]
struct RecentMessage {
    at: Instant,
    sender: ParticipantId,
    sequence: u32,
    to: Vec<ParticipantId>,
    payload: Arc<[u8]>,
}

impl RecentMessages {
    /// How long a message is kept: as long as LiveKit keeps them, longer than a quick resume takes.
    const KEPT_FOR: Duration = Duration::from_secs(2);
    /// Bounds memory: past it the oldest go first.
    const BYTES_MAX: usize = 1024 * 1024;

    /// Keeps a reliable message that was sent to `to`. Messages without sequence number are not kept:
    /// receivers could not tell a repetition.
    pub(crate) fn push(
        &mut self,
        now: Instant,
        sender: ParticipantId,
        sequence: u32,
        to: &[ParticipantId],
        payload: &Arc<[u8]>,
    ) {
        self.expire(now);
        if sequence == 0 {
            return;
        }
        let (to, payload) = (to.to_vec(), Arc::clone(payload));
        let message = RecentMessage { at: now, sender, sequence, to, payload };
        self.bytes += message.bytes();
        self.messages.push_back(message);
        while self.bytes > Self::BYTES_MAX {
            self.pop();
        }
    }

    /// Forgets what is too old.
    pub(crate) fn expire(&mut self, now: Instant) {
        while let Some(oldest) = self.messages.front() {
            if now.saturating_duration_since(oldest.at) <= Self::KEPT_FOR {
                break;
            }
            self.pop();
        }
    }

    /// What `receiver` has missed, oldest first: per sender, all after the number it has seen.
    pub(crate) fn missed(
        &self,
        receiver: ParticipantId,
        last_seen: impl Fn(ParticipantId) -> u32,
    ) -> Vec<Arc<[u8]>> {
        self.messages
            .iter()
            .filter(|message| message.to.contains(&receiver))
            .filter(|message| message.sequence > last_seen(message.sender))
            .map(|message| Arc::clone(&message.payload))
            .collect()
    }

    fn pop(&mut self) {
        if let Some(oldest) = self.messages.pop_front() {
            self.bytes -= oldest.bytes();
        }
    }
}

impl RecentMessage {
    /// Memory held: many small messages to many receivers weigh more than their payload.
    fn bytes(&self) -> usize {
        size_of::<Self>() + size_of_val(self.to.as_slice()) + self.payload.len()
    }
}

fn is_forwarded(packet: &proto::DataPacket, sender: ParticipantKind) -> Result<bool, DataDrop> {
    #[expect(deprecated, reason = "named so that it is refused")]
    match packet.value.as_ref().ok_or(DataDrop::Malformed)? {
        Value::User(_)
        | Value::ChatMessage(_)
        | Value::RpcRequest(_)
        | Value::RpcAck(_)
        | Value::RpcResponse(_)
        | Value::StreamHeader(_)
        | Value::StreamChunk(_)
        | Value::StreamTrailer(_)
        | Value::SipDtmf(_)
        | Value::EncryptedPacket(_) => Ok(true),
        Value::Transcription(_) => Ok(sender == ParticipantKind::Agent),
        // Speakers are the server's to tell; metrics are for the server.
        Value::Speaker(_) | Value::Metrics(_) => Ok(false),
    }
}

#[expect(deprecated, reason = "older clients name their receivers inside the user packet")]
fn destinations(packet: &proto::DataPacket) -> Destinations {
    let mut identities = packet.destination_identities.clone();
    let mut ids = Vec::new();
    if let Some(Value::User(user)) = &packet.value {
        identities.extend(user.destination_identities.iter().cloned());
        ids.extend(user.destination_sids.iter().cloned());
    }
    if identities.is_empty() && ids.is_empty() {
        Destinations::Everybody
    } else {
        Destinations::Named { identities, ids }
    }
}

#[expect(deprecated, reason = "older clients read the sender inside the user packet")]
fn stamp(packet: &mut proto::DataPacket, channel: MessageChannel, sender: &ParticipantInfo) {
    let (identity, id) = if sender.permissions.hidden {
        (String::new(), String::new())
    } else {
        (sender.identity.to_string(), sender.id.to_string())
    };
    if let Some(Value::User(user)) = &mut packet.value {
        user.participant_identity.clone_from(&identity);
        user.participant_sid.clone_from(&id);
    }
    packet.participant_identity = identity;
    packet.participant_sid = id;
    set_kind(packet, channel);
}

#[expect(deprecated, reason = "older clients read the channel from the packet")]
fn set_kind(packet: &mut proto::DataPacket, channel: MessageChannel) {
    packet.kind = match channel {
        MessageChannel::Reliable => proto::data_packet::Kind::Reliable.into(),
        MessageChannel::Lossy => proto::data_packet::Kind::Lossy.into(),
    };
}

#[cfg(test)]
mod tests;
