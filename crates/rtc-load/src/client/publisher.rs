//! The sending half of a client: synthetic Opus and VP8 on a schedule, keyframes by interval and on
//! request.

use std::time::{Duration, Instant};

use rtc_api::proto;
use str0m::{
    Rtc,
    change::SdpApi,
    format::Codec,
    media::{Direction, MediaKind as EngineKind, Mid, Pt, Rid, Simulcast, SimulcastLayer},
    rtp::{ExtensionValues, RtpWrite},
};

use super::ClientPlan;
use crate::{
    histogram::Histogram,
    ledger::Window,
    pacing::{Pacer, Schedule, Tick},
    payload::{self, FramePart, MediaKind, Stamp},
};

/// What a client publishes.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct PublishPlan {
    /// Opus-like sound: 50 packets of 100 bytes per second.
    pub audio: bool,
    /// VP8-like pictures.
    pub video: Option<VideoPlan>,
}

/// How video is published.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct VideoPlan {
    /// RTP payload bits per second of the highest encoding.
    pub bitrate_bps: u64,
    /// Frames per second; 0 for evenly paced single packets, each a frame of its own.
    pub fps: u64,
    /// RTP payload bytes of every packet.
    pub packet_bytes: usize,
    /// Longest time between keyframes.
    pub keyframe_interval: Duration,
    /// One version or three.
    pub encodings: Encodings,
}

/// In how many versions video is sent.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Encodings {
    /// One.
    One,
    /// Three, by RID q, h, f at 1/16, 1/4 and the whole of the bit rate.
    Simulcast,
}

/// What was sent of one encoding.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct SentStream {
    /// Audio or video.
    pub kind: MediaKind,
    /// Which encoding.
    pub encoding: u8,
    /// Packets sent within the window.
    pub in_window: u64,
    /// Packets sent in all.
    pub total: u64,
}

pub(super) struct Publisher {
    source: u32,
    identity: String,
    plan: Option<PublishPlan>,
    tracks: Vec<Track>,
    connected: bool,
    lateness_us: Histogram,
    scratch: Vec<u8>,
}

struct Track {
    kind: MediaKind,
    mid: Mid,
    /// Set when sending began.
    pt: Option<Pt>,
    encodings: Vec<Encoding>,
}

struct Encoding {
    index: u8,
    rid: Option<Rid>,
    schedule: Schedule,
    packet_bytes: usize,
    resolution: (u16, u16),
    keyframe_interval: Duration,
    pacer: Option<Pacer>,
    keyframe_wanted: bool,
    keyframe_last: Option<Instant>,
    first_seq: u64,
    rtp_time_base: u32,
    picture_id: u16,
    counter: u64,
    in_window: u64,
}

impl Publisher {
    pub(super) fn new(plan: &ClientPlan) -> Self {
        Self {
            source: plan.source,
            identity: plan.identity.clone(),
            plan: plan.publish,
            tracks: Vec::new(),
            connected: false,
            lateness_us: Histogram::default(),
            scratch: Vec::with_capacity(2_048),
        }
    }

    fn cid(&self, kind: MediaKind) -> String {
        match kind {
            MediaKind::Audio => format!("{}-microphone", self.identity),
            MediaKind::Video => format!("{}-camera", self.identity),
        }
    }

    /// The announcements of all tracks.
    pub(super) fn announcements(&self) -> impl Iterator<Item = proto::AddTrackRequest> {
        let audio = self.plan.filter(|plan| plan.audio).map(|_| self.announce_audio());
        let video = self.plan.and_then(|plan| plan.video).map(|video| self.announce_video(video));
        audio.into_iter().chain(video)
    }

    fn announce_audio(&self) -> proto::AddTrackRequest {
        proto::AddTrackRequest {
            cid: self.cid(MediaKind::Audio),
            name: "microphone".into(),
            r#type: proto::TrackType::Audio.into(),
            source: proto::TrackSource::Microphone.into(),
            disable_red: true,
            ..Default::default()
        }
    }

    fn announce_video(&self, video: VideoPlan) -> proto::AddTrackRequest {
        let cid = self.cid(MediaKind::Video);
        let layers: Vec<_> = layers_of(video).iter().map(Layer::to_proto).collect();
        proto::AddTrackRequest {
            cid: cid.clone(),
            name: "camera".into(),
            r#type: proto::TrackType::Video.into(),
            source: proto::TrackSource::Camera.into(),
            width: RESOLUTION.0.into(),
            height: RESOLUTION.1.into(),
            layers: layers.clone(),
            simulcast_codecs: vec![proto::SimulcastCodec {
                codec: "vp8".into(),
                cid,
                layers,
                ..Default::default()
            }],
            ..Default::default()
        }
    }

    /// Adds a sending section for every track.
    pub(super) fn add_sections(&mut self, api: &mut SdpApi<'_>) {
        let Some(plan) = self.plan else { return };
        if plan.audio {
            let mid = self.add_section(api, MediaKind::Audio, None);
            let encodings = vec![Encoding::audio()];
            self.tracks.push(Track { kind: MediaKind::Audio, mid, pt: None, encodings });
        }
        if let Some(video) = plan.video {
            let layers = layers_of(video);
            let simulcast = (video.encodings == Encodings::Simulcast).then(|| {
                let mut simulcast = Simulcast::new();
                for layer in &layers {
                    simulcast.add_send_layer(SimulcastLayer::new(layer.rid));
                }
                simulcast
            });
            let mid = self.add_section(api, MediaKind::Video, simulcast);
            let encodings = layers.iter().map(|layer| Encoding::video(video, layer)).collect();
            self.tracks.push(Track { kind: MediaKind::Video, mid, pt: None, encodings });
        }
    }

    fn add_section(
        &self,
        api: &mut SdpApi<'_>,
        kind: MediaKind,
        simulcast: Option<Simulcast>,
    ) -> Mid {
        let engine_kind = match kind {
            MediaKind::Audio => EngineKind::Audio,
            MediaKind::Video => EngineKind::Video,
        };
        let stream = Some(self.identity.clone());
        api.add_media(engine_kind, Direction::SendOnly, stream, Some(self.cid(kind)), simulcast)
    }

    pub(super) fn set_connected(&mut self) {
        self.connected = true;
    }

    /// Starts the schedule of every track that has been answered, once the connection is up.
    pub(super) fn begin_when_ready(&mut self, rtc: &mut Rtc, now: Instant) {
        if !self.connected {
            return;
        }
        for track in self.tracks.iter_mut().filter(|track| track.pt.is_none()) {
            track.pt = payload_type(rtc, track);
            if track.pt.is_none() {
                continue;
            }
            for encoding in &mut track.encodings {
                encoding.pacer = Some(Pacer::new(encoding.schedule, now));
            }
        }
    }

    pub(super) fn request_keyframe(&mut self, mid: Mid, rid: Option<Rid>) {
        for track in self.tracks.iter_mut().filter(|track| track.mid == mid) {
            for encoding in &mut track.encodings {
                if rid.is_none() || encoding.rid == rid {
                    encoding.keyframe_wanted = true;
                }
            }
        }
    }

    pub(super) fn next_due(&self) -> Option<Instant> {
        let encodings = self.tracks.iter().flat_map(|track| &track.encodings);
        encodings.filter_map(|encoding| encoding.pacer.as_ref()).map(Pacer::next_due).min()
    }

    /// Hands every packet that is due to the engine; true when there was one.
    pub(super) fn write_due(
        &mut self,
        rtc: &mut Rtc,
        now: Instant,
        wall_ns: u64,
        window: Window,
    ) -> bool {
        let mut wrote = false;
        let mut tracks = std::mem::take(&mut self.tracks);
        for track in &mut tracks {
            let Some(pt) = track.pt else { continue };
            for encoding in &mut track.encodings {
                while let Some(tick) = encoding.pacer.as_mut().and_then(|pacer| pacer.take(now)) {
                    if window.contains(wall_ns) {
                        let late = u64::try_from(tick.late.as_micros()).unwrap_or(u64::MAX);
                        self.lateness_us.record(late);
                    }
                    let place = Place { kind: track.kind, mid: track.mid, pt, wall_ns };
                    self.write_tick(rtc, encoding, place, tick, now);
                    if window.contains(wall_ns) {
                        encoding.in_window += tick.packets;
                    }
                    wrote = true;
                }
            }
        }
        self.tracks = tracks;
        wrote
    }

    fn write_tick(
        &mut self,
        rtc: &mut Rtc,
        encoding: &mut Encoding,
        place: Place,
        tick: Tick,
        now: Instant,
    ) {
        if tick.packets == 0 {
            return;
        }
        let mut part = encoding.begin_frame(place.kind, now);
        for index in 0..tick.packets {
            let stamp = Stamp {
                source: self.source,
                kind: place.kind,
                encoding: encoding.index,
                counter: encoding.counter,
                sent_ns: place.wall_ns,
            };
            encoding.write_payload(&mut self.scratch, part, stamp);
            part = FramePart::Continuation;
            let packet = RtpWrite::new(
                place.pt,
                (encoding.first_seq + encoding.counter).into(),
                encoding.rtp_time(place.kind, tick.index),
                now,
                self.scratch.as_slice(),
            )
            .marker(place.kind == MediaKind::Video && index + 1 == tick.packets)
            .ext_vals(extensions(place.kind, self.source, tick.index))
            .nackable(place.kind == MediaKind::Video);
            encoding.counter += 1;
            let mut direct = rtc.direct_api();
            if let Some(stream) = direct.stream_tx_by_mid(place.mid, encoding.rid) {
                stream.write_rtp(packet);
            }
        }
    }

    pub(super) fn sent(&self) -> impl Iterator<Item = SentStream> {
        self.tracks.iter().flat_map(|track| {
            track.encodings.iter().map(|encoding| SentStream {
                kind: track.kind,
                encoding: encoding.index,
                in_window: encoding.in_window,
                total: encoding.counter,
            })
        })
    }

    pub(super) fn lateness_us(&self) -> &Histogram {
        &self.lateness_us
    }
}

/// Where a packet goes.
#[derive(Clone, Copy)]
struct Place {
    kind: MediaKind,
    mid: Mid,
    pt: Pt,
    wall_ns: u64,
}

impl Encoding {
    fn audio() -> Self {
        let bitrate_bps = AUDIO_PACKETS_PER_SECOND * 8 * AUDIO_PACKET_BYTES_U64;
        let schedule = Schedule::Paced { bitrate_bps, packet_bytes: AUDIO_PACKET_BYTES_U64 };
        Self::new(0, None, schedule, AUDIO_PACKET_BYTES, (0, 0), Duration::MAX)
    }

    fn video(plan: VideoPlan, layer: &Layer) -> Self {
        let rid = (plan.encodings == Encodings::Simulcast).then(|| Rid::from(layer.rid));
        let packet_bytes = u64::try_from(plan.packet_bytes).unwrap_or(u64::MAX);
        let schedule = Schedule::video(layer.bitrate_bps, packet_bytes, plan.fps);
        let (resolution, interval) = (layer.resolution, plan.keyframe_interval);
        Self::new(layer.index, rid, schedule, plan.packet_bytes, resolution, interval)
    }

    fn new(
        index: u8,
        rid: Option<Rid>,
        schedule: Schedule,
        packet_bytes: usize,
        resolution: (u16, u16),
        keyframe_interval: Duration,
    ) -> Self {
        Self {
            index,
            rid,
            schedule,
            packet_bytes,
            resolution,
            keyframe_interval,
            pacer: None,
            keyframe_wanted: true,
            keyframe_last: None,
            // RFC 3550 §5.1: random starts. The upper half is left for the count, because SRTP's
            // rollover counter must begin at 0.
            first_seq: u64::from(rand::random::<u16>() >> 1),
            rtp_time_base: rand::random(),
            picture_id: rand::random::<u16>() & PICTURE_ID_MASK,
            counter: 0,
            in_window: 0,
        }
    }

    fn begin_frame(&mut self, kind: MediaKind, now: Instant) -> FramePart {
        if kind == MediaKind::Audio {
            return FramePart::Continuation;
        }
        self.picture_id = self.picture_id.wrapping_add(1) & PICTURE_ID_MASK;
        let is_old = |last: Instant| now.duration_since(last) >= self.keyframe_interval;
        if self.keyframe_wanted || self.keyframe_last.is_none_or(is_old) {
            self.keyframe_wanted = false;
            self.keyframe_last = Some(now);
            return FramePart::KeyframeStart;
        }
        FramePart::InterframeStart
    }

    fn write_payload(&self, into: &mut Vec<u8>, part: FramePart, stamp: Stamp) {
        match stamp.kind {
            MediaKind::Audio => payload::write_opus(into, self.packet_bytes, stamp),
            MediaKind::Video => payload::write_vp8(
                into,
                self.packet_bytes,
                self.picture_id,
                part,
                self.resolution,
                stamp,
            ),
        }
    }

    fn rtp_time(&self, kind: MediaKind, tick: u64) -> u32 {
        let clock_hz = match kind {
            MediaKind::Audio => 48_000,
            MediaKind::Video => 90_000,
        };
        let ticks = self.schedule.offset(tick).as_nanos() * clock_hz / 1_000_000_000;
        // RFC 3550 §5.1: the timestamp wraps around.
        let wrapped = u32::try_from(ticks & u128::from(u32::MAX)).unwrap_or(0);
        self.rtp_time_base.wrapping_add(wrapped)
    }
}

/// One version of a video.
struct Layer {
    index: u8,
    rid: &'static str,
    quality: proto::VideoQuality,
    bitrate_bps: u64,
    resolution: (u16, u16),
}

impl Layer {
    fn to_proto(&self) -> proto::VideoLayer {
        proto::VideoLayer {
            quality: self.quality.into(),
            width: self.resolution.0.into(),
            height: self.resolution.1.into(),
            bitrate: u32::try_from(self.bitrate_bps).unwrap_or(u32::MAX),
            rid: self.rid.into(),
            ..Default::default()
        }
    }
}

/// The versions of a video, lowest first.
fn layers_of(plan: VideoPlan) -> Vec<Layer> {
    let layer = |index: u8, rid, quality, divisor: u16| Layer {
        index,
        rid,
        quality,
        bitrate_bps: plan.bitrate_bps / (u64::from(divisor) * u64::from(divisor)),
        resolution: (RESOLUTION.0 / divisor, RESOLUTION.1 / divisor),
    };
    match plan.encodings {
        Encodings::One => vec![layer(0, "", proto::VideoQuality::High, 1)],
        Encodings::Simulcast => vec![
            layer(0, "q", proto::VideoQuality::Low, 4),
            layer(1, "h", proto::VideoQuality::Medium, 2),
            layer(2, "f", proto::VideoQuality::High, 1),
        ],
    }
}

/// The payload type the server accepted for a track; `None` until it has answered the section.
fn payload_type(rtc: &Rtc, track: &Track) -> Option<Pt> {
    let media = rtc.media(track.mid).filter(|media| media.direction().is_sending())?;
    let codec = match track.kind {
        MediaKind::Audio => Codec::Opus,
        MediaKind::Video => Codec::Vp8,
    };
    let accepted = media.remote_pts();
    let mut params = rtc.codec_config().params().iter();
    let param = params.find(|p| p.spec().codec == codec && accepted.contains(&p.pt()))?;
    Some(param.pt())
}

/// Header extensions of a packet: publishers take turns in speaking, [`TURN_PACKETS`] each.
fn extensions(kind: MediaKind, source: u32, tick: u64) -> ExtensionValues {
    if kind == MediaKind::Video {
        return ExtensionValues::default();
    }
    let speaks = (tick / TURN_PACKETS) % SPEAKERS == u64::from(source) % SPEAKERS;
    ExtensionValues {
        audio_level: Some(if speaks { -25 } else { -90 }),
        voice_activity: Some(speaks),
        ..Default::default()
    }
}

/// RTP payload of an Opus packet: 20 ms at 40 kbit/s.
pub(super) const AUDIO_PACKET_BYTES: usize = 100;
const AUDIO_PACKET_BYTES_U64: u64 = 100;
const AUDIO_PACKETS_PER_SECOND: u64 = 50;
/// Three seconds of sound.
const TURN_PACKETS: u64 = 150;
/// Of so many publishers one speaks.
const SPEAKERS: u64 = 4;
/// Claimed resolution of the highest encoding.
const RESOLUTION: (u16, u16) = (1_280, 720);
const PICTURE_ID_MASK: u16 = 0x7fff;
