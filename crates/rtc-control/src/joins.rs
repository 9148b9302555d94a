//! What nodes ask: may this token join, and a fresh token for somebody inside.

use std::time::Instant;

use rtc_api::{
    cluster::{Answer, ControlRequest, JoinGrant, MintedToken, RoomSettings, SUBJECT_CONTROL},
    code::{ErrorCode, Refusal},
    proto,
    token::{Claims, VideoGrants, participant_kind, participant_kind_name},
};
use rtc_backends::bus::{BusRequest, Requests};
use rtc_model::{AppStatus, Identity, ParticipantKind, Permissions, RoomLimits, RoomName};
use serde::Serialize;
use tokio::task::JoinSet;
use tokio_util::{sync::CancellationToken, task::TaskTracker};

use crate::{
    Context, Error, apps,
    context::{decode, encode},
    metrics::{Ask, Metrics},
    tokens::{self, CheckedToken, Trust},
};

/// Says what the bearer of a token may do in which room. A disabled app is told in the grant,
/// because people inside may resume.
///
/// # Errors
/// `token_invalid`, `token_expired`, `app_not_found`; `forbidden` without the `roomJoin` grant;
/// `invalid_argument` for a room or identity out of shape; `too_large` for too much metadata.
pub async fn authorize(cx: &Context, token: &str) -> Result<JoinGrant, Error> {
    let checked = tokens::verify(cx, token).await?;
    let limited = checked.trust == Trust::JoinOnly;
    let CheckedToken { app, claims, .. } = checked;
    let video = claims.video.clone().unwrap_or_default();
    if !video.room_join {
        let detail = "The token does not grant roomJoin; sign it with that grant and a room.";
        return Err(Error::refused(ErrorCode::Forbidden, detail));
    }
    check_sizes(&claims)?;
    let (kind, permissions) = rights(&claims, &video, limited);
    Ok(JoinGrant {
        room: RoomName::new(&video.room).map_err(|_| out_of_shape("room (video.room)"))?,
        identity: Identity::new(claims.identity()).map_err(|_| out_of_shape("identity (sub)"))?,
        kind,
        permissions,
        app_disabled: app.status == AppStatus::Disabled,
        // Only an app that lets anybody join has tokens without an end.
        expires_at_s: claims.exp.unwrap_or_else(|| cx.clock.now_s().saturating_add(REFRESHED_S)),
        room_settings: claims.room_config.as_ref().map(room_settings).unwrap_or_default(),
        app: app.id,
        name: claims.name,
        metadata: claims.metadata,
        attributes: claims.attributes,
    })
}

/// Makes a token for somebody inside to resume with, with the rights of now. Works for disabled
/// apps too.
///
/// # Errors
/// `app_not_found`.
pub async fn refresh(cx: &Context, grant: &JoinGrant) -> Result<MintedToken, Error> {
    let app = apps::find(cx, &grant.app).await?;
    let exp = grant.expires_at_s.max(cx.clock.now_s().saturating_add(REFRESHED_S));
    let claims = Claims {
        iss: grant.app.to_string(),
        sub: grant.identity.to_string(),
        exp: Some(exp),
        name: grant.name.clone(),
        metadata: grant.metadata.clone(),
        attributes: grant.attributes.clone(),
        kind: match grant.kind {
            ParticipantKind::Standard => String::new(),
            kind => participant_kind_name(kind).to_owned(),
        },
        room_config: room_config(&grant.room_settings),
        video: Some(VideoGrants::from_permissions(&grant.room, &grant.permissions)),
        ..Claims::default()
    };
    Ok(MintedToken { token: tokens::mint(&app.key, &claims)? })
}

/// Starts answering nodes until `stop` is cancelled.
///
/// # Errors
/// [`Error::Bus`] when another control plane serves this bus.
pub(crate) fn serve(
    cx: &Context,
    metrics: Metrics,
    tasks: &TaskTracker,
    stop: &CancellationToken,
) -> Result<(), Error> {
    let requests = cx.bus.serve(SUBJECT_CONTROL, cx.limits.bus_queue)?;
    let answering = Answering { cx: cx.clone(), metrics };
    tasks.spawn(answer_all(answering, requests, stop.clone()));
    Ok(())
}

/// What every answer needs.
#[derive(Clone, Debug)]
struct Answering {
    cx: Context,
    metrics: Metrics,
}

/// Answers at most [`crate::ControlLimits::bus_concurrency`] requests at once; the others wait in
/// the bus's queue. What is under way when `stop` comes is still answered.
async fn answer_all(answering: Answering, mut requests: Requests, stop: CancellationToken) {
    let mut answers = JoinSet::new();
    loop {
        while answers.try_join_next().is_some() {}
        if answers.len() >= answering.cx.limits.bus_concurrency.max(1) {
            answers.join_next().await;
            continue;
        }
        let request = tokio::select! {
            () = stop.cancelled() => break,
            request = requests.next() => request,
        };
        let Some(request) = request else { break };
        answers.spawn(answer(answering.clone(), request));
    }
    drop(requests);
    while answers.join_next().await.is_some() {}
}

async fn answer(answering: Answering, request: BusRequest) {
    let Answering { cx, metrics } = answering;
    let started = Instant::now();
    let (ask, (answer, refused)) = match decode::<ControlRequest>(&request.body) {
        Ok(ControlRequest::AuthorizeJoin { token }) => {
            (Ask::AuthorizeJoin, written(authorize(&cx, &token).await))
        }
        Ok(ControlRequest::RefreshToken { grant }) => {
            (Ask::RefreshToken, written(refresh(&cx, &grant).await))
        }
        Err(error) => (Ask::Unknown, written::<()>(Err(error))),
    };
    metrics.count_answer(ask, refused, started.elapsed());
    if let Ok(body) = answer {
        request.reply(body);
    }
}

/// The answer as it crosses the bus, and the code of a refusal.
fn written<T: Serialize>(result: Result<T, Error>) -> (Result<Vec<u8>, Error>, Option<ErrorCode>) {
    let refused = result.as_ref().err().map(Error::code);
    let answer: Answer<T> = result.map_err(|error| {
        error.log();
        error.refusal()
    });
    (encode(&answer), refused)
}

/// A token that nobody signed joins as an ordinary, visible participant, whatever it says.
fn rights(claims: &Claims, video: &VideoGrants, limited: bool) -> (ParticipantKind, Permissions) {
    let mut permissions = video.permissions();
    if limited {
        permissions.hidden = false;
        return (ParticipantKind::Standard, permissions);
    }
    let kind = match participant_kind(&claims.kind) {
        ParticipantKind::Standard if video.recorder => ParticipantKind::Egress,
        ParticipantKind::Standard if video.agent => ParticipantKind::Agent,
        kind => kind,
    };
    (kind, permissions)
}

fn check_sizes(claims: &Claims) -> Result<(), Error> {
    let attributes: usize =
        claims.attributes.iter().map(|(name, value)| name.len() + value.len()).sum();
    let bytes = claims.name.len() + claims.metadata.len() + attributes;
    let bytes_max = RoomLimits::default().metadata_bytes_max;
    if bytes > bytes_max {
        let detail = format!(
            "The token's name, metadata and attributes have {bytes} bytes; put at most \
             {bytes_max} into them."
        );
        return Err(Refusal::new(ErrorCode::TooLarge, detail).into());
    }
    Ok(())
}

fn out_of_shape(what: &str) -> Error {
    let detail = format!(
        "The token's {what} is not 1 to 256 bytes of UTF-8 without control characters; sign it \
         with such a value."
    );
    Error::refused(ErrorCode::InvalidArgument, detail)
}

/// Zero and empty are proto3's way of saying nothing.
fn room_settings(config: &proto::RoomConfiguration) -> RoomSettings {
    let seconds = |seconds: u32| Some(seconds).filter(|&seconds| seconds != 0);
    RoomSettings {
        empty_timeout_s: seconds(config.empty_timeout),
        departure_timeout_s: seconds(config.departure_timeout),
        participants_max: seconds(config.max_participants),
        metadata: Some(config.metadata.clone()).filter(|metadata| !metadata.is_empty()),
    }
}

fn room_config(settings: &RoomSettings) -> Option<proto::RoomConfiguration> {
    (*settings != RoomSettings::default()).then(|| proto::RoomConfiguration {
        empty_timeout: settings.empty_timeout_s.unwrap_or_default(),
        departure_timeout: settings.departure_timeout_s.unwrap_or_default(),
        max_participants: settings.participants_max.unwrap_or_default(),
        metadata: settings.metadata.clone().unwrap_or_default(),
        ..proto::RoomConfiguration::default()
    })
}

/// How long a refreshed token is good at least: ten minutes bridge a lost network, and nodes send
/// a new one before half of it is over.
const REFRESHED_S: u64 = 600;
