//! The first message of a session.

use rtc_media::{
    command::{Joined, Topology},
    info::ParticipantInfo,
};

use crate::{
    node::Context,
    proto::{self, info},
};

/// What a newcomer is told.
pub(super) fn join_response(
    cx: &Context,
    joined: &Joined,
    topology: Topology,
) -> proto::JoinResponse {
    let permissions = &joined.participant.permissions;
    proto::JoinResponse {
        room: Some(info::room(&joined.room)),
        participant: Some(info::participant(&joined.participant)),
        other_participants: joined.others.iter().map(|each| info::participant(each)).collect(),
        server_version: SERVER_VERSION.to_owned(),
        server_region: cx.config.region.clone(),
        subscriber_primary: topology == Topology::Dual && permissions.can_subscribe,
        ping_timeout: PING_TIMEOUT_S,
        ping_interval: PING_INTERVAL_S,
        server_info: Some(server_info(cx)),
        sif_trailer: rand::random::<[u8; 16]>().to_vec(),
        enabled_publish_codecs: info::enabled_codecs(),
        fast_publish: permissions.can_publish,
        ..proto::JoinResponse::default()
    }
}

/// What a client that comes back is told.
pub(super) fn reconnect_response(cx: &Context, last_sequence: u32) -> proto::ReconnectResponse {
    proto::ReconnectResponse {
        ice_servers: Vec::new(),
        client_configuration: None,
        server_info: Some(server_info(cx)),
        last_message_seq: last_sequence,
    }
}

/// A participant that left, for a client that did not hear of it.
pub(super) fn departed(participant: &ParticipantInfo) -> proto::ParticipantInfo {
    let mut departed = info::participant(participant);
    departed.state = proto::participant_info::State::Disconnected.into();
    departed.tracks.clear();
    departed
}

fn server_info(cx: &Context) -> proto::ServerInfo {
    proto::ServerInfo {
        edition: proto::server_info::Edition::Standard.into(),
        version: SERVER_VERSION.to_owned(),
        protocol: SERVER_PROTOCOL,
        region: cx.config.region.clone(),
        node_id: cx.id.to_string(),
        debug_info: concat!("SparkRTC ", env!("CARGO_PKG_VERSION")).to_owned(),
        agent_protocol: 0,
    }
}

/// Clients gate features by it: below 1.8.0 they use no RPC, above 1.13.6 they publish VP9 and AV1 in a way
/// that is not ours. It says which server we behave like, not who we are.
const SERVER_VERSION: &str = "1.13.5";
/// From 18 on, native clients expect negotiated data channels.
const SERVER_PROTOCOL: i32 = 17;
/// Clients ping as often, in seconds.
const PING_INTERVAL_S: i32 = 5;
/// Clients give up after as much silence, in seconds.
const PING_TIMEOUT_S: i32 = 15;
