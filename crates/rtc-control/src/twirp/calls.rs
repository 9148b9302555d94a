//! What each method checks and asks the node that runs the room.

use std::time::Duration;

use prost::Message;
use rtc_api::{
    cluster::{RoomAnswer, RoomCall},
    code::{ErrorCode, Refusal},
    proto,
};
use rtc_model::{AppId, AppStatus, Identity, RoomLimits, RoomName};
use serde::{Serialize, de::DeserializeOwned};

use super::{codec::Encoding, error::TwirpError, method::Method, told};
use crate::{Caller, Context, Target, apps};

/// Carries out one call and writes its answer.
pub(super) async fn carry_out(
    cx: &Context,
    caller: &Caller,
    method: Method,
    encoding: Encoding,
    body: &[u8],
) -> Result<Vec<u8>, TwirpError> {
    let Caller::AppServer { app, .. } = caller else {
        return Err(ErrorCode::Unauthenticated.into());
    };
    let call = Call { cx, caller, app, method, encoding, body };
    match method {
        Method::CreateRoom => call.create_room().await,
        Method::ListRooms => call.list_rooms().await,
        Method::DeleteRoom => call.delete_room().await,
        Method::ListParticipants => call.list_participants().await,
        Method::GetParticipant => call.get_participant().await,
        Method::RemoveParticipant => call.remove_participant().await,
        Method::MutePublishedTrack => call.mute_published_track().await,
        Method::UpdateParticipant => call.update_participant().await,
        Method::UpdateSubscriptions => call.update_subscriptions().await,
        Method::SendData => call.send_data().await,
        Method::UpdateRoomMetadata => call.update_room_metadata().await,
        Method::PerformRpc => call.perform_rpc().await,
        Method::ForwardParticipant | Method::MoveParticipant => {
            let detail = format!("{} is not available in this version.", method.as_str());
            Err(Refusal::new(ErrorCode::Unimplemented, detail).into())
        }
    }
}

/// One call by an app's own server.
#[derive(Clone, Copy)]
struct Call<'a> {
    cx: &'a Context,
    caller: &'a Caller,
    app: &'a AppId,
    method: Method,
    encoding: Encoding,
    body: &'a [u8],
}

impl Call<'_> {
    async fn create_room(self) -> Result<Vec<u8>, TwirpError> {
        self.permit(Target::App(self.app))?;
        let request: proto::CreateRoomRequest = self.request()?;
        check_new_room(&request)?;
        self.require_enabled().await?;
        match self.ask(RoomCall::CreateRoom(request)).await? {
            RoomAnswer::Room(room) => self.written(&room),
            other => Err(mismatched(&other)),
        }
    }

    async fn list_rooms(self) -> Result<Vec<u8>, TwirpError> {
        self.permit(Target::App(self.app))?;
        match self.ask(RoomCall::ListRooms(self.request()?)).await? {
            RoomAnswer::Rooms(rooms) => self.written(&proto::ListRoomsResponse { rooms }),
            other => Err(mismatched(&other)),
        }
    }

    async fn delete_room(self) -> Result<Vec<u8>, TwirpError> {
        self.permit(Target::App(self.app))?;
        let request: proto::DeleteRoomRequest = self.request()?;
        room_name("room", &request.room)?;
        self.done(RoomCall::DeleteRoom(request)).await?;
        self.written(&proto::DeleteRoomResponse {})
    }

    /// A room that is not open has nobody in it: LiveKit answers so, and programs that wait for
    /// somebody to come ask so.
    async fn list_participants(self) -> Result<Vec<u8>, TwirpError> {
        let request: proto::ListParticipantsRequest = self.request()?;
        self.permit_room(&request.room)?;
        let answer = self.cx.ask_node(self.app, RoomCall::ListParticipants(request)).await;
        let participants = match answer {
            Ok(RoomAnswer::Participants(participants)) => participants,
            Ok(other) => return Err(mismatched(&other)),
            Err(error) if error.code() == ErrorCode::RoomNotFound => Vec::new(),
            Err(error) => return Err(told(error)),
        };
        self.written(&proto::ListParticipantsResponse { participants })
    }

    async fn get_participant(self) -> Result<Vec<u8>, TwirpError> {
        let request: proto::RoomParticipantIdentity = self.request()?;
        self.permit_participant(&request.room, &request.identity)?;
        match self.ask(RoomCall::GetParticipant(request)).await? {
            RoomAnswer::Participant(participant) => self.written(&participant),
            other => Err(mismatched(&other)),
        }
    }

    async fn remove_participant(self) -> Result<Vec<u8>, TwirpError> {
        let request: proto::RoomParticipantIdentity = self.request()?;
        self.permit_participant(&request.room, &request.identity)?;
        self.done(RoomCall::RemoveParticipant(request)).await?;
        self.written(&proto::RemoveParticipantResponse {})
    }

    async fn mute_published_track(self) -> Result<Vec<u8>, TwirpError> {
        let request: proto::MuteRoomTrackRequest = self.request()?;
        self.permit_participant(&request.room, &request.identity)?;
        match self.ask(RoomCall::MutePublishedTrack(request)).await? {
            RoomAnswer::Track(track) => {
                self.written(&proto::MuteRoomTrackResponse { track: Some(track) })
            }
            other => Err(mismatched(&other)),
        }
    }

    async fn update_participant(self) -> Result<Vec<u8>, TwirpError> {
        let request: proto::UpdateParticipantRequest = self.request()?;
        self.permit_participant(&request.room, &request.identity)?;
        check_participant(&request)?;
        match self.ask(RoomCall::UpdateParticipant(request)).await? {
            RoomAnswer::Participant(participant) => self.written(&participant),
            other => Err(mismatched(&other)),
        }
    }

    async fn update_subscriptions(self) -> Result<Vec<u8>, TwirpError> {
        let request: proto::UpdateSubscriptionsRequest = self.request()?;
        self.permit_participant(&request.room, &request.identity)?;
        self.done(RoomCall::UpdateSubscriptions(request)).await?;
        self.written(&proto::UpdateSubscriptionsResponse {})
    }

    async fn send_data(self) -> Result<Vec<u8>, TwirpError> {
        let request: proto::SendDataRequest = self.request()?;
        self.permit_room(&request.room)?;
        check_data(&request)?;
        self.done(RoomCall::SendData(request)).await?;
        self.written(&proto::SendDataResponse {})
    }

    async fn update_room_metadata(self) -> Result<Vec<u8>, TwirpError> {
        let request: proto::UpdateRoomMetadataRequest = self.request()?;
        self.permit_room(&request.room)?;
        size("metadata", request.metadata.len())?;
        match self.ask(RoomCall::UpdateRoomMetadata(request)).await? {
            RoomAnswer::Room(room) => self.written(&room),
            other => Err(mismatched(&other)),
        }
    }

    async fn perform_rpc(self) -> Result<Vec<u8>, TwirpError> {
        let request: proto::PerformRpcRequest = self.request()?;
        self.permit_room(&request.room)?;
        let deadline = check_rpc(&request)?;
        let call = RoomCall::PerformRpc(request);
        match self.cx.ask_node_within(self.app, call, deadline).await.map_err(told)? {
            RoomAnswer::Rpc(response) => self.written(&response),
            other => Err(mismatched(&other)),
        }
    }

    fn request<M: Message + Default + DeserializeOwned>(self) -> Result<M, TwirpError> {
        self.encoding.decode(self.body)
    }

    fn written<M: Message + Serialize>(self, message: &M) -> Result<Vec<u8>, TwirpError> {
        self.encoding.encode(message).map_err(|error| {
            tracing::error!(%error, "an answer of ours cannot be written");
            ErrorCode::Internal.into()
        })
    }

    async fn ask(self, call: RoomCall) -> Result<RoomAnswer, TwirpError> {
        self.cx.ask_node(self.app, call).await.map_err(told)
    }

    async fn done(self, call: RoomCall) -> Result<(), TwirpError> {
        match self.ask(call).await? {
            RoomAnswer::Done => Ok(()),
            other => Err(mismatched(&other)),
        }
    }

    /// A disabled app opens no rooms; those that are open can be steered and ended.
    async fn require_enabled(self) -> Result<(), TwirpError> {
        match apps::find(self.cx, self.app).await.map_err(told)?.status {
            AppStatus::Enabled => Ok(()),
            AppStatus::Disabled => Err(ErrorCode::AppDisabled.into()),
        }
    }

    fn permit(self, target: Target<'_>) -> Result<(), TwirpError> {
        let verdict = self.caller.require(self.method.permission(), target);
        verdict.map_err(|error| match error.code() {
            ErrorCode::Forbidden => {
                let (name, grant) = (self.method.as_str(), self.method.grant());
                let detail = format!("{name} needs a token with {grant}.");
                Refusal::new(ErrorCode::Forbidden, detail).into()
            }
            _ => told(error),
        })
    }

    fn permit_room(self, room: &str) -> Result<(), TwirpError> {
        let room = room_name("room", room)?;
        self.permit(Target::Room(self.app, &room))
    }

    fn permit_participant(self, room: &str, identity: &str) -> Result<(), TwirpError> {
        self.permit_room(room)?;
        check_identity("identity", identity)
    }
}

fn room_name(argument: &'static str, name: &str) -> Result<RoomName, TwirpError> {
    RoomName::new(name).map_err(|_| TwirpError::argument(argument, NAME_RULE))
}

fn check_identity(argument: &'static str, identity: &str) -> Result<(), TwirpError> {
    match Identity::new(identity) {
        Ok(_) => Ok(()),
        Err(_) => Err(TwirpError::argument(argument, NAME_RULE)),
    }
}

/// Refuses what would otherwise silently not happen.
fn check_new_room(request: &proto::CreateRoomRequest) -> Result<(), TwirpError> {
    room_name("name", &request.name)?;
    size("metadata", request.metadata.len())?;
    size("tags", request.tags.iter().map(|(name, value)| name.len() + value.len()).sum())?;
    let missing = [
        ("egress", request.egress.is_some()),
        ("agents", !request.agents.is_empty()),
        ("room_preset", !request.room_preset.is_empty()),
        ("replay_enabled", request.replay_enabled),
    ];
    match missing.into_iter().find(|(_, wanted)| *wanted) {
        Some((argument, _)) => {
            let detail = format!("{argument} is not available in this version.");
            Err(Refusal::new(ErrorCode::Unimplemented, detail).into())
        }
        None => Ok(()),
    }
}

fn check_participant(request: &proto::UpdateParticipantRequest) -> Result<(), TwirpError> {
    let attributes = &request.attributes;
    size("metadata", request.metadata.len())?;
    size("attributes", attributes.iter().map(|(name, value)| name.len() + value.len()).sum())?;
    if request.name.len() > Identity::MAX_BYTES {
        return Err(TwirpError::argument("name", "must have 256 bytes at most"));
    }
    Ok(())
}

fn check_data(request: &proto::SendDataRequest) -> Result<(), TwirpError> {
    size_within("data", request.data.len(), RoomLimits::default().message_bytes_max)?;
    // LiveKit's SDKs send none or a UUID's 16 bytes, by which receivers tell repetitions.
    if !matches!(request.nonce.len(), 0 | 16) {
        return Err(TwirpError::argument("nonce", "must have 16 bytes, or none"));
    }
    if request.destination_identities.len() > DESTINATIONS_MAX {
        let problem = format!("must have {DESTINATIONS_MAX} entries at most");
        return Err(TwirpError::argument("destination_identities", &problem));
    }
    Ok(())
}

/// Gives how long the node's answer may take.
fn check_rpc(request: &proto::PerformRpcRequest) -> Result<Duration, TwirpError> {
    check_identity("destination_identity", &request.destination_identity)?;
    if request.method.is_empty() || request.method.len() > RPC_METHOD_BYTES_MAX {
        let problem = format!("must have 1 to {RPC_METHOD_BYTES_MAX} bytes");
        return Err(TwirpError::argument("method", &problem));
    }
    size_within("payload", request.payload.len(), RPC_PAYLOAD_BYTES_MAX)?;
    let wait = match request.response_timeout_ms {
        0 => RPC_WAIT,
        ms => Duration::from_millis(ms.into()),
    };
    if wait > RPC_WAIT_MAX {
        let problem = format!("must be {} at most", RPC_WAIT_MAX.as_millis());
        return Err(TwirpError::argument("response_timeout_ms", &problem));
    }
    Ok(wait + RPC_MARGIN)
}

fn size(argument: &'static str, bytes: usize) -> Result<(), TwirpError> {
    size_within(argument, bytes, RoomLimits::default().metadata_bytes_max)
}

fn size_within(argument: &'static str, bytes: usize, max: usize) -> Result<(), TwirpError> {
    if bytes <= max {
        return Ok(());
    }
    Err(TwirpError::argument(argument, &format!("must have {max} bytes at most")))
}

/// The node answered another question: a bug of ours.
fn mismatched(answer: &RoomAnswer) -> TwirpError {
    let kind = match answer {
        RoomAnswer::Done => "done",
        RoomAnswer::Room(_) => "room",
        RoomAnswer::Rooms(_) => "rooms",
        RoomAnswer::Participant(_) => "participant",
        RoomAnswer::Participants(_) => "participants",
        RoomAnswer::Track(_) => "track",
        RoomAnswer::Rpc(_) => "rpc",
    };
    tracing::error!(kind, "a node's answer does not fit the call");
    ErrorCode::Internal.into()
}

const NAME_RULE: &str = "must have 1 to 256 bytes and no control characters";
/// Most receivers named in one message; to reach more, name none and all get it.
const DESTINATIONS_MAX: usize = 1_000;
/// LiveKit's bounds for calls between participants: the SDKs refuse more.
const RPC_PAYLOAD_BYTES_MAX: usize = 15 * 1024;
const RPC_METHOD_BYTES_MAX: usize = 64;
/// LiveKit's default wait for an RPC's answer.
const RPC_WAIT: Duration = Duration::from_secs(10);
/// Longer work should report its end by a message: connections do not stay open for ever.
const RPC_WAIT_MAX: Duration = Duration::from_secs(60);
/// The node, which knows better what was missing, gives up before we do.
const RPC_MARGIN: Duration = Duration::from_secs(3);
