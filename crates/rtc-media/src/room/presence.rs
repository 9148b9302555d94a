//! Who speaks, and how good everybody's connection is.

use std::{
    collections::BTreeMap,
    time::{Duration, Instant},
};

use rtc_model::{ParticipantId, TrackId, TrackKind};
use str0m::stats::{MediaIngressStats, PeerStats};

use super::Room;
use crate::{
    event::Signal,
    info::{ConnectionQuality, Speaker, TrackInfo},
    peer::{PeerKey, PeerState},
    quality::{self, QualityMeter, QualitySample},
    speaker::{ActiveSpeakers, AudioLevel},
};

/// State of the room's watch over its people.
pub(super) struct Presence {
    speakers: ActiveSpeakers,
    levels: BTreeMap<TrackId, (ParticipantId, AudioLevel)>,
    meters: BTreeMap<ParticipantId, QualityMeter>,
    samples: BTreeMap<PeerKey, PeerSample>,
    next_quality: Instant,
}

/// The engine's latest report on one peer.
#[derive(Clone, Copy, Debug, Default)]
struct PeerSample {
    loss: f32,
    jitter: Duration,
    rtt: Option<Duration>,
}

/// Loudness of a simulated speaker in -dBov.
const SIMULATED_LEVEL: u8 = 20;

impl Presence {
    pub(super) fn new(now: Instant) -> Self {
        Self {
            speakers: ActiveSpeakers::default(),
            levels: BTreeMap::new(),
            meters: BTreeMap::new(),
            samples: BTreeMap::new(),
            next_quality: now + quality::WINDOW,
        }
    }

    pub(super) fn add_track(&mut self, info: &TrackInfo, owner: ParticipantId) {
        // What a shared screen plays is nobody speaking.
        if info.kind == TrackKind::Audio && info.source != rtc_model::TrackSource::ScreenShareAudio
        {
            self.levels.insert(info.id, (owner, AudioLevel::default()));
        }
    }

    pub(super) fn remove_track(&mut self, track: TrackId) {
        self.levels.remove(&track);
    }

    pub(super) fn forget(&mut self, participant: ParticipantId) {
        self.speakers.remove(participant);
        self.meters.remove(&participant);
    }

    pub(super) fn forget_peer(&mut self, key: PeerKey) {
        self.samples.remove(&key);
    }

    /// Takes one packet's level in -dBov (RFC 6464) and its RTP timestamp.
    pub(super) fn hear(&mut self, now: Instant, track: TrackId, level: u8, timestamp: u32) {
        if let Some((_, levels)) = self.levels.get_mut(&track) {
            levels.handle_packet(level, timestamp);
            self.speakers.handle_packet(now);
        }
    }

    pub(super) fn speaking(&self) -> Vec<Speaker> {
        self.speakers.speaking()
    }

    pub(super) fn take_peer_stats(&mut self, key: PeerKey, stats: &PeerStats) {
        let sample = self.samples.entry(key).or_default();
        let loss = stats.ingress_loss_fraction.unwrap_or(0.0);
        sample.loss = loss.max(stats.egress_loss_fraction.unwrap_or(0.0)).clamp(0.0, 1.0);
        sample.rtt = stats.rtt.or(sample.rtt);
        sample.jitter = Duration::ZERO;
    }

    pub(super) fn take_inbound_stats(&mut self, key: PeerKey, stats: &MediaIngressStats) {
        let sample = self.samples.entry(key).or_default();
        sample.rtt = stats.rtt.or(sample.rtt);
        // Jitter comes in ticks of the stream's clock; video's 90 kHz is the finer one, audio's 48 kHz reads
        // as half, which errs towards a better grade.
        let jitter = Duration::from_micros(u64::from(stats.jitter) * 1_000 / 90);
        sample.jitter = sample.jitter.max(jitter);
    }
}

impl Room {
    pub(super) fn watch_presence(&mut self, now: Instant) {
        self.simulate_speech(now);
        let presence = &mut self.presence;
        let tracks = presence.levels.values_mut().map(|(owner, level)| (*owner, level));
        let speakers = presence.speakers.poll(now, tracks);
        if !speakers.is_empty() {
            self.tell_all(|| Signal::Speakers(speakers.clone()));
        }
        if now >= self.presence.next_quality {
            self.presence.next_quality = now + quality::WINDOW;
            self.grade(now);
        }
    }

    fn simulate_speech(&mut self, now: Instant) {
        let talking: Vec<ParticipantId> = self
            .participants
            .values()
            .filter(|p| p.simulated_speech_until.is_some_and(|until| now < until))
            .map(crate::participant::Participant::id)
            .collect();
        for id in talking {
            let elapsed = now.saturating_duration_since(self.started).as_millis();
            let timestamp = u32::try_from((elapsed * 48) & u128::from(u32::MAX)).unwrap_or(0);
            let track = self.presence.levels.iter().find(|(_, (owner, _))| *owner == id);
            if let Some(track) = track.map(|(track, _)| *track) {
                self.presence.hear(now, track, SIMULATED_LEVEL, timestamp);
            }
        }
    }

    fn grade(&mut self, now: Instant) {
        let mut changed = Vec::new();
        for (id, participant) in &self.participants {
            if !participant.was_active {
                continue;
            }
            let sample = self.sample(now, participant);
            let meter = self.presence.meters.entry(*id).or_default();
            if let Some(told) = meter.assess(&sample) {
                changed.push(ConnectionQuality {
                    participant: *id,
                    grade: told.grade,
                    score: told.score,
                });
            }
        }
        if !changed.is_empty() {
            self.tell_all(|| Signal::Quality(changed.clone()));
        }
    }

    fn sample(&self, now: Instant, participant: &crate::participant::Participant) -> QualitySample {
        let mut worst = PeerSample::default();
        let mut heard = None;
        let mut is_lost = false;
        for key in participant.peers() {
            if let Some(sample) = self.presence.samples.get(&key) {
                worst.loss = worst.loss.max(sample.loss);
                worst.jitter = worst.jitter.max(sample.jitter);
                worst.rtt = worst.rtt.max(sample.rtt);
            }
            if let Some(peer) = self.peers.get(key) {
                heard = heard.max(peer.last_received);
                is_lost |= matches!(peer.state, PeerState::Lost { .. });
            }
        }
        let id = participant.id();
        let publishes = self.publications.values().any(|publication| {
            publication.owner == id && !publication.info.muted && publication.is_needed()
        });
        let silence = heard.map(|at| now.saturating_duration_since(at));
        QualitySample {
            // The engine gives shares; the grade asks for counts. A thousand keeps a tenth of a percent.
            packets_expected: 1_000,
            packets_lost: per_mille(worst.loss),
            jitter: worst.jitter,
            rtt: worst.rtt,
            rates: None,
            silent_for: silence.filter(|_| publishes || is_lost),
        }
    }

    fn tell_all(&mut self, signal: impl Fn() -> Signal) {
        let everybody: Vec<ParticipantId> = self.participants.keys().copied().collect();
        for id in everybody {
            self.signal(id, signal());
        }
    }
}

/// A share in thousandths.
fn per_mille(share: f32) -> u32 {
    (0..=1_000_u16)
        .rev()
        .find(|&thousandths| share * 1_000.0 + 0.5 >= f32::from(thousandths))
        .map_or(0, u32::from)
}
