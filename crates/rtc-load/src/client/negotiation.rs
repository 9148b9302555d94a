//! Offers and answers of one client. One offer is under way at a time; what is wanted meanwhile
//! waits for its answer.

use anyhow::{Context, bail};
use rtc_api::proto;
use serde::Deserialize;
use str0m::{
    Candidate, Rtc,
    change::{SdpAnswer, SdpPendingOffer},
    channel::{ChannelConfig, Reliability},
    media::{Direction, MediaKind, Mid},
};

use super::publisher::Publisher;

/// A number of media sections.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Sections {
    /// For sound.
    pub audio: u32,
    /// For pictures.
    pub video: u32,
}

pub(super) struct Negotiation {
    next_id: u32,
    pending: Option<(u32, SdpPendingOffer)>,
    wanted: Wanted,
    receiving: Vec<Mid>,
}

struct Wanted {
    /// An offer even if nothing changes.
    offer: bool,
    /// Data channels.
    channels: bool,
    publish: bool,
    sections: Sections,
}

impl Negotiation {
    pub(super) fn new(sections: Sections) -> Self {
        let wanted = Wanted { offer: true, channels: true, publish: false, sections };
        Self { next_id: 1, pending: None, wanted, receiving: Vec::new() }
    }

    pub(super) fn want_publish(&mut self) {
        self.wanted.publish = true;
        self.wanted.offer = true;
    }

    pub(super) fn want_sections(&mut self, more: Sections) {
        self.wanted.sections.audio += more.audio;
        self.wanted.sections.video += more.video;
        self.wanted.offer = true;
    }

    /// The next offer, if one is wanted and none is under way.
    pub(super) fn offer(
        &mut self,
        rtc: &mut Rtc,
        publisher: &mut Publisher,
    ) -> Option<proto::SessionDescription> {
        if self.pending.is_some() || !self.wanted.offer {
            return None;
        }
        let inactive: Vec<Mid> =
            self.receiving.iter().copied().filter(|mid| !is_receiving(rtc, *mid)).collect();
        let mut api = rtc.sdp_api();
        if std::mem::take(&mut self.wanted.channels) {
            api.add_channel_with_config(reliable());
            api.add_channel_with_config(lossy());
        }
        for mid in inactive {
            api.set_direction(mid, Direction::RecvOnly);
        }
        let sections = std::mem::take(&mut self.wanted.sections);
        let kinds = [(MediaKind::Audio, sections.audio), (MediaKind::Video, sections.video)];
        for (kind, count) in kinds {
            for _ in 0..count {
                self.receiving.push(api.add_media(kind, Direction::RecvOnly, None, None, None));
            }
        }
        if std::mem::take(&mut self.wanted.publish) {
            publisher.add_sections(&mut api);
        }
        if !api.has_changes() {
            // str0m makes no offer without a change; a section turned off and on again is one on
            // paper only.
            if let Some(first) = self.receiving.first() {
                api.set_direction(*first, Direction::Inactive);
                api.set_direction(*first, Direction::RecvOnly);
            }
        }
        self.wanted.offer = false;
        let (offer, pending) = api.apply()?;
        let id = self.next_id;
        self.next_id += 1;
        self.pending = Some((id, pending));
        Some(proto::SessionDescription {
            r#type: "offer".into(),
            sdp: offer.to_sdp_string(),
            id,
            ..Default::default()
        })
    }

    /// Applies the answer to the offer under way; answers to other offers are ignored, as browsers'
    /// SDKs do.
    pub(super) fn handle_answer(
        &mut self,
        rtc: &mut Rtc,
        answer: &proto::SessionDescription,
    ) -> anyhow::Result<()> {
        let Some((_, pending)) = self.pending.take_if(|(id, _)| *id == answer.id) else {
            return Ok(());
        };
        let parsed = SdpAnswer::from_sdp_string(&answer.sdp).context("the SDP does not parse")?;
        rtc.sdp_api().accept_answer(pending, parsed).context("the SDP does not fit the offer")?;
        Ok(())
    }

    pub(super) fn receiving<'a>(&'a self, rtc: &'a Rtc) -> impl Iterator<Item = Mid> + 'a {
        self.receiving.iter().copied().filter(|mid| is_receiving(rtc, *mid))
    }
}

/// Whether the server sends, or may send, into a section. Sections not yet answered are unknown to
/// str0m.
fn is_receiving(rtc: &Rtc, mid: Mid) -> bool {
    rtc.media(mid).is_some_and(|media| media.direction().is_receiving())
}

fn reliable() -> ChannelConfig {
    ChannelConfig { label: "_reliable".into(), ..Default::default() }
}

fn lossy() -> ChannelConfig {
    ChannelConfig {
        label: "_lossy".into(),
        ordered: false,
        reliability: Reliability::MaxRetransmits { retransmits: 0 },
        ..Default::default()
    }
}

/// W3C `RTCIceCandidateInit`.
#[derive(Deserialize)]
struct CandidateInit {
    candidate: String,
}

/// Reads a trickled candidate; `None` for the end of candidates and for protocols the client does
/// not use.
pub(super) fn parse_candidate(init: &str) -> anyhow::Result<Option<Candidate>> {
    let init: CandidateInit = serde_json::from_str(init).context("not an RTCIceCandidateInit")?;
    if init.candidate.is_empty() {
        return Ok(None);
    }
    let candidate = Candidate::from_sdp_string(&init.candidate)?;
    if candidate.addr().port() == 0 {
        bail!("a candidate with port 0");
    }
    Ok((candidate.proto() == str0m::net::Protocol::Udp).then_some(candidate))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn trickled_candidates_are_read_or_refused() {
        let line = "candidate:1 1 udp 2130706431 127.0.0.1 7882 typ host";
        let init = serde_json::json!({ "candidate": line, "sdpMid": "0", "sdpMLineIndex": 0 });
        let candidate = parse_candidate(&init.to_string()).unwrap().unwrap();
        assert_eq!(candidate.addr().port(), 7_882);
        assert!(parse_candidate(r#"{"candidate":""}"#).unwrap().is_none());
        for bad in ["", "{}", r#"{"candidate":"nonsense"}"#] {
            assert!(parse_candidate(bad).is_err(), "{bad:?}");
        }
    }
}
