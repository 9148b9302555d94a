//! What the control plane asks of this node's rooms.

use std::{sync::Arc, time::Duration};

use rtc_api::{
    cluster::{Answer, NodeRequest, RoomAnswer, RoomCall, RoomSettings},
    code::{ErrorCode, Refusal},
};
use rtc_backends::bus::Requests;
use rtc_model::{AppId, LeaveReason, RoomName};
use tokio::{sync::mpsc, time::timeout};

use crate::{
    data::RpcProgress,
    node::Context,
    proto,
    registry::Entering,
    thread::{RoomKey, ThreadCommand},
};

/// Answers requests until the node stops.
pub(crate) async fn serve(cx: Arc<Context>, mut requests: Requests) {
    loop {
        let request = tokio::select! {
            () = cx.stop.cancelled() => return,
            request = requests.next() => request,
        };
        let Some(request) = request else { return };
        let asked: Result<NodeRequest, _> = serde_json::from_slice(&request.body);
        let context = Arc::clone(&cx);
        cx.tasks.spawn(async move {
            let answer = match asked {
                Ok(NodeRequest { app, call }) => Box::pin(answer(&context, app, call)).await,
                Err(error) => {
                    tracing::error!(%error, "the control plane's request cannot be read");
                    Err(ErrorCode::Internal.into())
                }
            };
            match serde_json::to_vec(&answer) {
                Ok(body) => request.reply(body),
                Err(error) => tracing::error!(%error, "an answer cannot be written"),
            }
        });
    }
}

async fn answer(cx: &Context, app: AppId, call: RoomCall) -> Answer<RoomAnswer> {
    match call {
        RoomCall::CreateRoom(create) => open(cx, app, &create).await,
        RoomCall::ListRooms(list) => self::list(cx, app, &list).await,
        RoomCall::CloseAll => {
            for thread in &cx.threads {
                let reason = LeaveReason::RoomDeleted;
                thread.send(ThreadCommand::CloseRooms { app: Some(app.clone()), reason }).await?;
            }
            Ok(RoomAnswer::Done)
        }
        RoomCall::PerformRpc(rpc) => perform_rpc(cx, app, rpc).await,
        call => on_room(cx, app, call).await,
    }
}

async fn open(cx: &Context, app: AppId, create: &proto::CreateRoomRequest) -> Answer<RoomAnswer> {
    let key = key(app, &create.name)?;
    if create.metadata.len() > cx.config.room_limits.metadata_bytes_max {
        return Err(Refusal::new(ErrorCode::TooLarge, "The room's metadata is too large."));
    }
    let given = |value: u32| (value > 0).then_some(value);
    let settings = RoomSettings {
        empty_timeout_s: given(create.empty_timeout),
        departure_timeout_s: given(create.departure_timeout),
        participants_max: given(create.max_participants),
        metadata: (!create.metadata.is_empty()).then(|| create.metadata.clone()),
    };
    let (thread, ticket) = cx.registry.enter(&key, Entering::Nobody)?;
    let open = |reply| ThreadCommand::Open { key, ticket, settings, reply };
    cx.thread(thread)?.ask(open).await?
}

async fn list(cx: &Context, app: AppId, list: &proto::ListRoomsRequest) -> Answer<RoomAnswer> {
    let names: Vec<RoomName> =
        list.names.iter().filter_map(|name| RoomName::new(name).ok()).collect();
    if names.is_empty() && !list.names.is_empty() {
        return Ok(RoomAnswer::Rooms(Vec::new()));
    }
    let mut rooms = Vec::new();
    for thread in &cx.threads {
        let (app, names) = (app.clone(), names.clone());
        rooms.extend(thread.ask(|reply| ThreadCommand::ListRooms { app, names, reply }).await?);
    }
    rooms.sort_by(|a, b| (a.creation_time_ms, &a.name).cmp(&(b.creation_time_ms, &b.name)));
    Ok(RoomAnswer::Rooms(rooms))
}

async fn on_room(cx: &Context, app: AppId, call: RoomCall) -> Answer<RoomAnswer> {
    let key = key(app, room_of(&call))?;
    let thread = cx.registry.find(&key).ok_or(ErrorCode::RoomNotFound)?;
    let call = Box::new(call);
    cx.thread(thread)?.ask(|reply| ThreadCommand::Call { key, call, reply }).await?
}

async fn perform_rpc(
    cx: &Context,
    app: AppId,
    mut rpc: proto::PerformRpcRequest,
) -> Answer<RoomAnswer> {
    if rpc.payload.len() > RPC_PAYLOAD_BYTES_MAX {
        return Err(Refusal::new(ErrorCode::TooLarge, "The RPC's payload is too large."));
    }
    if rpc.response_timeout_ms == 0 {
        rpc.response_timeout_ms = RPC_TIMEOUT_MS;
    }
    rpc.response_timeout_ms = rpc.response_timeout_ms.min(RPC_TIMEOUT_MS_MAX);
    let answered_within = Duration::from_millis(rpc.response_timeout_ms.into());
    let key = key(app, &rpc.room)?;
    let thread = cx.registry.find(&key).ok_or(ErrorCode::RoomNotFound)?;
    let (progress, mut heard) = mpsc::channel(RPC_MESSAGES);
    let request = Box::new(rpc);
    let call = |reply| ThreadCommand::Rpc { key, request, reply, progress };
    cx.thread(thread)?.ask(call).await??;

    // An acknowledgement says that the participant is there at all; its method may then take its time.
    let acknowledged_within = RPC_ACKNOWLEDGED_WITHIN.min(answered_within);
    let mut step = timeout(acknowledged_within, heard.recv()).await;
    if let Ok(Some(RpcProgress::Acknowledged)) = step {
        step = timeout(answered_within, heard.recv()).await;
    }
    match step {
        Ok(Some(RpcProgress::Answered(Ok(payload)))) => {
            Ok(RoomAnswer::Rpc(proto::PerformRpcResponse { payload }))
        }
        Ok(Some(RpcProgress::Answered(Err(error)))) => Err(rpc_refusal(&error)),
        Ok(Some(RpcProgress::Acknowledged) | None) | Err(_) => {
            Err(Refusal::new(ErrorCode::Timeout, "The participant did not answer the RPC in time."))
        }
    }
}

/// A method's failure. The numbers are those of LiveKit's RPC errors.
fn rpc_refusal(error: &proto::RpcError) -> Refusal {
    let code = match error.code {
        1_400 | 1_403 | 1_404 => ErrorCode::Unimplemented,
        1_401 => ErrorCode::ParticipantNotFound,
        1_402 | 1_504 => ErrorCode::TooLarge,
        1_501 | 1_502 => ErrorCode::Timeout,
        1_503 => ErrorCode::ParticipantNotFound,
        _ => ErrorCode::Unavailable,
    };
    Refusal::new(code, format!("The RPC failed with error {}: {}", error.code, error.message))
}

fn room_of(call: &RoomCall) -> &str {
    match call {
        RoomCall::CreateRoom(call) => &call.name,
        RoomCall::DeleteRoom(call) => &call.room,
        RoomCall::ListParticipants(call) => &call.room,
        RoomCall::GetParticipant(call) | RoomCall::RemoveParticipant(call) => &call.room,
        RoomCall::MutePublishedTrack(call) => &call.room,
        RoomCall::UpdateParticipant(call) => &call.room,
        RoomCall::UpdateSubscriptions(call) => &call.room,
        RoomCall::SendData(call) => &call.room,
        RoomCall::UpdateRoomMetadata(call) => &call.room,
        RoomCall::PerformRpc(call) => &call.room,
        RoomCall::ListRooms(_) | RoomCall::CloseAll => "",
    }
}

fn key(app: AppId, room: &str) -> Result<RoomKey, Refusal> {
    let invalid = |_| {
        let detail = "A room's name has 1 to 256 bytes and no control characters.";
        Refusal::new(ErrorCode::InvalidArgument, detail)
    };
    Ok(RoomKey { app, name: RoomName::new(room).map_err(invalid)? })
}

/// As clients limit it among themselves.
const RPC_PAYLOAD_BYTES_MAX: usize = 15 * 1024;
/// When the caller does not say.
const RPC_TIMEOUT_MS: u32 = 10_000;
/// Longer waits would hold a connection for nothing.
const RPC_TIMEOUT_MS_MAX: u32 = 60_000;
/// A participant that is there acknowledges within a round trip.
const RPC_ACKNOWLEDGED_WITHIN: Duration = Duration::from_secs(2);
/// An acknowledgement and an answer.
const RPC_MESSAGES: usize = 2;
