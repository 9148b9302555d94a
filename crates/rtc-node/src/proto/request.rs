//! What a client asks for in its session.

use std::collections::BTreeMap;

use rtc_media::command::{
    Description, ParticipantChange, PeerRole, Publish, PublishCodec, Request, SyncState, Wish,
};
use rtc_model::{
    Codec, Dtx, Identity, ParticipantId, RedUse, Stereo, SubscriptionPermission, TrackFeatures,
    TrackId, TrackKind, TrackPermission,
};

use crate::proto::{self, info};

/// An announced track; `None` when it is of a kind that has no media (data tracks).
#[expect(deprecated, reason = "older clients announce DTX and stereo in fields that were replaced")]
pub(crate) fn publish(request: &proto::AddTrackRequest) -> Option<Publish> {
    let kind = match request.r#type() {
        proto::TrackType::Audio => TrackKind::Audio,
        proto::TrackType::Video => TrackKind::Video,
        proto::TrackType::Data => return None,
    };
    let has = |feature: proto::AudioTrackFeature| request.audio_features().any(|f| f == feature);
    let stereo = request.stereo || has(proto::AudioTrackFeature::TfStereo);
    let no_dtx = request.disable_dtx || has(proto::AudioTrackFeature::TfNoDtx);
    let features = TrackFeatures {
        stereo: if stereo { Stereo::Stereo } else { Stereo::Mono },
        dtx: if no_dtx { Dtx::Off } else { Dtx::On },
        red: if request.disable_red { RedUse::Off } else { RedUse::On },
    };
    Some(Publish {
        cid: request.cid.clone(),
        existing: request.sid.parse().ok(),
        kind,
        source: info::source_from(request.source()),
        name: request.name.clone(),
        stream: request.stream.clone(),
        muted: request.muted,
        width: request.width,
        height: request.height,
        layers: info::layers_from(&request.layers),
        codecs: request.simulcast_codecs.iter().filter_map(publish_codec).collect(),
        features,
        audio_features: audio_features(request, features),
        encryption: request.encryption,
        backup_codec_policy: request.backup_codec_policy,
    })
}

/// An offer or answer.
pub(crate) fn description(description: &proto::SessionDescription) -> Description {
    Description { id: description.id, sdp: description.sdp.clone() }
}

/// An ICE candidate of the client; `None` for the end of candidates or anything else than
/// `RTCIceCandidateInit` as JSON.
pub(crate) fn candidate(trickle: &proto::TrickleRequest) -> Option<Request> {
    let init: serde_json::Value = serde_json::from_str(&trickle.candidate_init).ok()?;
    let candidate = init.get("candidate")?.as_str()?;
    if candidate.is_empty() {
        return None;
    }
    let role = match trickle.target() {
        proto::SignalTarget::Publisher => PeerRole::Publisher,
        proto::SignalTarget::Subscriber => PeerRole::Subscriber,
    };
    Some(Request::Candidate { role, candidate: candidate.to_owned() })
}

/// Own track muted or unmuted.
pub(crate) fn mute(request: &proto::MuteTrackRequest) -> Option<Request> {
    Some(Request::Mute { track: request.sid.parse().ok()?, muted: request.muted })
}

/// Tracks to receive, or not.
pub(crate) fn subscription(request: &proto::UpdateSubscription) -> Request {
    Request::Subscribe { tracks: subscription_tracks(request), subscribe: request.subscribe }
}

/// The wish for subscribed tracks. A size decides over a quality, as it is the newer way to ask.
pub(crate) fn track_settings(settings: &proto::UpdateTrackSettings) -> Request {
    let size =
        (settings.width > 0 && settings.height > 0).then_some((settings.width, settings.height));
    let quality = info::quality_from(settings.quality());
    Request::TrackSettings {
        tracks: track_ids(&settings.track_sids),
        wish: Wish {
            disabled: settings.disabled || (size.is_none() && quality.is_none()),
            quality: if size.is_some() { None } else { quality },
            size,
            fps: (settings.fps > 0).then_some(settings.fps),
            priority: priority(settings.priority),
        },
    }
}

/// Who may subscribe. `identity_of` knows the participants that a client names by id only.
pub(crate) fn subscription_permission(
    request: &proto::SubscriptionPermission,
    identity_of: impl Fn(ParticipantId) -> Option<Identity>,
) -> Request {
    if request.all_participants {
        return Request::SubscriptionPermission(SubscriptionPermission::Everybody);
    }
    let permission = |permission: &proto::TrackPermission| {
        let by_id = || identity_of(permission.participant_sid.parse().ok()?);
        Some(TrackPermission {
            identity: Identity::new(&permission.participant_identity).ok().or_else(by_id)?,
            tracks: (!permission.all_tracks).then(|| track_ids(&permission.track_sids)),
        })
    };
    let permissions = request.track_permissions.iter().filter_map(permission).collect();
    Request::SubscriptionPermission(SubscriptionPermission::Only(permissions))
}

/// A change of what others know of the participant. Empty texts are "leave as is" on the wire.
pub(crate) fn update_metadata(request: &proto::UpdateParticipantMetadata) -> Request {
    Request::UpdateMetadata {
        request_id: request.request_id,
        change: participant_change(&request.name, &request.metadata, &request.attributes),
    }
}

/// The same, from the server API.
pub(crate) fn participant_change<'a>(
    name: &str,
    metadata: &str,
    attributes: impl IntoIterator<Item = (&'a String, &'a String)>,
) -> ParticipantChange {
    let given = |text: &str| (!text.is_empty()).then(|| text.to_owned());
    ParticipantChange {
        name: given(name),
        metadata: given(metadata),
        attributes: attributes
            .into_iter()
            .map(|(key, value)| (key.clone(), value.clone()))
            .collect::<BTreeMap<_, _>>(),
    }
}

/// Changed audio features of an own track.
pub(crate) fn update_audio_track(request: &proto::UpdateLocalAudioTrack) -> Option<Request> {
    Some(Request::UpdateTrack {
        track: request.track_sid.parse().ok()?,
        width: None,
        height: None,
        audio_features: Some(request.features.clone()),
    })
}

/// Changed size of an own track.
pub(crate) fn update_video_track(request: &proto::UpdateLocalVideoTrack) -> Option<Request> {
    Some(Request::UpdateTrack {
        track: request.track_sid.parse().ok()?,
        width: Some(request.width),
        height: Some(request.height),
        audio_features: None,
    })
}

/// What the client believes after its return.
pub(crate) fn sync_state(state: &proto::SyncState) -> SyncState {
    let subscriptions = state.subscription.iter().flat_map(|subscription| {
        let subscribe = subscription.subscribe;
        subscription_tracks(subscription).into_iter().map(move |track| (track, subscribe))
    });
    let published = state.publish_tracks.iter().filter_map(|published| published.track.as_ref());
    SyncState {
        offer: state.offer.as_ref().map(description),
        answer: state.answer.as_ref().map(description),
        published: published.filter_map(|track| track.sid.parse().ok()).collect(),
        subscriptions: subscriptions.collect(),
        disabled: track_ids(&state.track_sids_disabled),
    }
}

/// The ids among these texts.
pub(crate) fn track_ids(texts: &[String]) -> Vec<TrackId> {
    texts.iter().filter_map(|text| text.parse().ok()).collect()
}

fn subscription_tracks(request: &proto::UpdateSubscription) -> Vec<TrackId> {
    let by_participant = request.participant_tracks.iter().flat_map(|each| &each.track_sids);
    let mut tracks: Vec<TrackId> = request
        .track_sids
        .iter()
        .chain(by_participant)
        .filter_map(|text| text.parse().ok())
        .collect();
    let mut seen = std::collections::BTreeSet::new();
    tracks.retain(|track| seen.insert(*track));
    tracks
}

fn publish_codec(codec: &proto::SimulcastCodec) -> Option<PublishCodec> {
    Some(PublishCodec {
        codec: Codec::from_mime(&codec.codec)?,
        cid: codec.cid.clone(),
        layers: info::layers_from(&codec.layers),
        layer_mode: codec.video_layer_mode,
    })
}

/// LiveKit's priority counts from 1 (served first); 0 is unset. Ours grows with importance.
fn priority(priority: u32) -> u32 {
    if priority == 0 { 0 } else { u32::MAX - priority }
}

/// The features as announced, with those that older clients announce elsewhere.
fn audio_features(request: &proto::AddTrackRequest, properties: TrackFeatures) -> Vec<i32> {
    let mut features = request.audio_features.clone();
    let wanted = [
        (properties.stereo == Stereo::Stereo, proto::AudioTrackFeature::TfStereo),
        (properties.dtx == Dtx::Off, proto::AudioTrackFeature::TfNoDtx),
    ];
    for (is_present, feature) in wanted {
        let feature = i32::from(feature);
        if is_present && !features.contains(&feature) {
            features.push(feature);
        }
    }
    features
}

#[cfg(test)]
mod tests;
