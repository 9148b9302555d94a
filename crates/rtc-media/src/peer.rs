//! One ICE+DTLS association with a participant: wraps the engine, owns the media sections we send on.
//!
//! What to send is decided elsewhere; how it leaves is decided here. After every call that changes the engine
//! its output is drained before the next one (the engine's single-mutation rule).

use std::{
    collections::{BTreeMap, BTreeSet, VecDeque},
    net::SocketAddr,
    panic::{AssertUnwindSafe, catch_unwind},
    time::{Duration, Instant},
};

use rtc_model::{Bitrate, Codec, ParticipantId, Stereo, TrackId, TrackKind};
use str0m::{
    IceConnectionState, Input, Output, Rtc,
    change::{SdpAnswer, SdpOffer, SdpPendingOffer},
    channel::ChannelId,
    format::PayloadParams,
    media::{Direction, KeyframeRequestKind, MediaKind, Mid, Pt, Rid},
    net::{DatagramSend, Protocol, Receive},
    rtp::{RtpWrite, Ssrc},
};

use crate::{
    command::{CommandError, MessageChannel, Path, PeerRole},
    engine,
    rewrite::Rewrite,
    sdp::{self, Presentation, SectionDirection},
};

/// Number of a peer in its room.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub(crate) struct PeerKey(pub(crate) u32);

/// What came out of an engine, for the room to act on.
#[derive(Default)]
pub(crate) struct Drained {
    pub(crate) datagrams: VecDeque<(SocketAddr, DatagramSend)>,
    pub(crate) events: Vec<str0m::Event>,
}

/// How far the association is.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum PeerState {
    /// Not yet connected.
    New,
    /// ICE and DTLS are done and connectivity checks arrive.
    Connected,
    /// Connectivity checks stopped arriving, or the engine failed.
    Lost { since: Instant },
}

/// A media section we can send on. Its outbound stream outlives the tracks it carries.
pub(crate) struct SendSlot {
    pub(crate) mid: Mid,
    pub(crate) kind: TrackKind,
    pub(crate) state: SlotState,
    /// Whether the other side knows of the present state, so that media may flow.
    pub(crate) is_ready: bool,
    /// From when on it surely can make pictures of what comes.
    pub(crate) ready_at: Option<Instant>,
    /// Keeps sequence numbers of the outbound stream continuous over the tracks it carries.
    pub(crate) rewrite: Option<Rewrite>,
    ssrc: Option<Ssrc>,
}

/// Use of a send slot.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) enum SlotState {
    Free,
    Carries(Carried),
    /// Was used; free once the other side was told that it is inactive. Without that in between no browser
    /// makes a new track of the section.
    Draining,
    /// The other side stopped it.
    Stopped,
}

/// What a slot carries.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct Carried {
    pub(crate) track: TrackId,
    pub(crate) stream: String,
    pub(crate) stereo: Stereo,
}

/// Where packets of an SSRC belong.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct Route {
    pub(crate) track: TrackId,
    /// Index into the publication's codecs.
    pub(crate) codec: usize,
    /// Index into that codec's encodings.
    pub(crate) encoding: usize,
}

/// An offer of the other side, applied; the answer still to be presented.
pub(crate) struct AppliedOffer {
    answer: String,
    /// Sections the client sends on.
    pub(crate) inbound: Vec<InboundSection>,
}

/// An offer of ours.
pub(crate) struct MadeOffer {
    pub(crate) id: u32,
    pub(crate) sdp: String,
    pub(crate) mid_to_track: BTreeMap<String, TrackId>,
    /// Which of our slots the added tracks got.
    pub(crate) assigned: Vec<(TrackId, usize)>,
}

/// A section the client sends on.
#[derive(Clone, Debug)]
pub(crate) struct InboundSection {
    pub(crate) mid: Mid,
    pub(crate) kind: TrackKind,
    /// The client's track id.
    pub(crate) cid: Option<String>,
    /// Codecs both sides know, the client's preferred first.
    pub(crate) codecs: Vec<Codec>,
    /// Restriction ids, lowest encoding first; empty without simulcast.
    pub(crate) rids: Vec<Rid>,
}

pub(crate) struct Peer {
    pub(crate) owner: ParticipantId,
    pub(crate) role: PeerRole,
    pub(crate) state: PeerState,
    pub(crate) slots: Vec<SendSlot>,
    pub(crate) routes: BTreeMap<u32, Route>,
    /// SSRCs that belong to nothing known; looked up again after the next negotiation.
    pub(crate) unrouted: BTreeSet<u32>,
    /// Addresses its authentic datagrams came from, newest last.
    pub(crate) remotes: VecDeque<SocketAddr>,
    pub(crate) estimate: Option<Bitrate>,
    /// Set while there is output of the engine or writes to it that were not drained.
    pub(crate) is_dirty: bool,
    pub(crate) next_timeout: Instant,
    /// When anything authentic came in last.
    pub(crate) last_received: Option<Instant>,
    /// As last told to observers.
    pub(crate) was_connected: bool,
    /// When the estimation was started.
    pub(crate) estimating_since: Option<Instant>,
    rtc: Rtc,
    ufrag: String,
    channels: BTreeMap<MessageChannel, ChannelId>,
    pending_offer: Option<(u32, SdpPendingOffer)>,
    last_offer_id: u32,
    first_picture: FirstPicture,
    /// When the goal was last lowered for a probe, and how long to wait for the next.
    probed_at: Option<Instant>,
    probe_wait: Duration,
    /// Floor and goal as last told to the estimator.
    desired: (Bitrate, Bitrate),
}

impl Peer {
    pub(crate) fn new(now: Instant, owner: ParticipantId, role: PeerRole, mut rtc: Rtc) -> Self {
        let ufrag = rtc.direct_api().local_ice_credentials().ufrag;
        Self {
            owner,
            role,
            state: PeerState::New,
            slots: Vec::new(),
            routes: BTreeMap::new(),
            unrouted: BTreeSet::new(),
            remotes: VecDeque::new(),
            estimate: None,
            is_dirty: true,
            next_timeout: now,
            last_received: None,
            was_connected: false,
            estimating_since: None,
            rtc,
            ufrag,
            channels: BTreeMap::new(),
            pending_offer: None,
            last_offer_id: 0,
            first_picture: FirstPicture::None,
            probed_at: None,
            probe_wait: PROBE_AGAIN_MIN,
            desired: (Bitrate::ZERO, Bitrate::ZERO),
        }
    }

    /// Our ICE user name fragment now; an ICE restart changes it.
    pub(crate) fn ufrag(&self) -> &str {
        &self.ufrag
    }

    /// Whether a connectivity check from this path is authentic.
    pub(crate) fn accepts(&self, now: Instant, path: Path, datagram: &[u8]) -> bool {
        receive(path, datagram).is_some_and(|input| self.rtc.accepts(&Input::Receive(now, input)))
    }

    /// Feeds one datagram and drains the engine. `false`: the engine refused it.
    pub(crate) fn handle_datagram(
        &mut self,
        now: Instant,
        path: Path,
        datagram: &[u8],
        out: &mut Drained,
    ) -> bool {
        let Some(input) = receive(path, datagram) else {
            return false;
        };
        if self.is_dirty {
            self.flush(now, out);
        }
        // A datagram the engine cannot use is the sender's fault and may be forged: it is dropped, the
        // association goes on.
        let taken = self.rtc.handle_input(Input::Receive(now, input)).is_ok();
        self.last_received = Some(now);
        self.drain(now, out);
        taken
    }

    /// Advances time, lets queued writes leave, and drains the engine.
    pub(crate) fn flush(&mut self, now: Instant, out: &mut Drained) {
        self.is_dirty = false;
        // The pacer hands out one packet per call and then names this very moment again.
        for _ in 0..CALLS_MAX {
            if self.rtc.handle_input(Input::Timeout(now)).is_err() {
                self.fail(now);
            }
            self.drain(now, out);
            if self.first_picture == FirstPicture::Queued {
                self.first_picture = FirstPicture::Sent;
                self.probe_anew();
                self.estimating_since = Some(now);
                self.is_dirty = false;
                continue;
            }
            if self.next_timeout > now {
                return;
            }
        }
        self.next_timeout = now + CALL_INTERVAL_MIN;
    }

    fn drain(&mut self, now: Instant, out: &mut Drained) {
        loop {
            match self.rtc.poll_output() {
                Ok(Output::Timeout(at)) => {
                    self.next_timeout = at;
                    return;
                }
                Ok(Output::Transmit(transmit)) => {
                    out.datagrams.push_back((transmit.destination, transmit.contents));
                }
                Ok(Output::Event(event)) => self.take_event(now, event, out),
                Err(_) => {
                    self.fail(now);
                    return;
                }
            }
        }
    }

    fn take_event(&mut self, now: Instant, event: str0m::Event, out: &mut Drained) {
        match &event {
            str0m::Event::Connected => {
                self.state = PeerState::Connected;
                self.estimating_since.get_or_insert(now);
            }
            str0m::Event::IceConnectionStateChange(IceConnectionState::Disconnected)
            | str0m::Event::Closed => self.lose(now),
            str0m::Event::IceConnectionStateChange(
                IceConnectionState::Connected | IceConnectionState::Completed,
            ) => {
                if matches!(self.state, PeerState::Lost { .. }) {
                    self.state = PeerState::Connected;
                }
            }
            str0m::Event::ChannelOpen(id, label) => self.open_channel(*id, label),
            str0m::Event::ChannelClose(id) => self.channels.retain(|_, open| open != id),
            _ => {}
        }
        out.events.push(event);
    }

    fn open_channel(&mut self, id: ChannelId, label: &str) {
        for channel in [MessageChannel::Reliable, MessageChannel::Lossy] {
            if label == engine::label(channel) {
                self.channels.insert(channel, id);
            }
        }
    }

    fn lose(&mut self, now: Instant) {
        if !matches!(self.state, PeerState::Lost { .. }) {
            self.state = PeerState::Lost { since: now };
        }
    }

    fn fail(&mut self, now: Instant) {
        self.rtc.disconnect();
        self.lose(now);
        self.next_timeout = now + crate::FAR_AWAY;
    }

    /// Whether the engine can still be used.
    pub(crate) fn is_alive(&self) -> bool {
        self.rtc.is_alive()
    }

    /// Which channel an id is, if it is one of ours.
    pub(crate) fn channel_of(&self, id: ChannelId) -> Option<MessageChannel> {
        self.channels.iter().find(|(_, open)| **open == id).map(|(channel, _)| *channel)
    }

    /// Queues a message. `false`: the channel is not open, or holds too much already.
    pub(crate) fn send_message(&mut self, channel: MessageChannel, payload: &[u8]) -> bool {
        let Some(id) = self.channels.get(&channel) else {
            return false;
        };
        self.is_dirty = true;
        self.rtc
            .channel(*id)
            .is_some_and(|mut channel| channel.write(true, payload).unwrap_or(false))
    }

    /// Whether a message could be queued now.
    pub(crate) fn has_channel(&self, channel: MessageChannel) -> bool {
        self.channels.contains_key(&channel)
    }

    // ---- sending media ----

    /// Starts the estimation over. Its first probes need a picture to hide in: those sent before found nobody to
    /// acknowledge them, and without their result the estimate climbs for seconds.
    fn probe_anew(&mut self) {
        self.rtc.bwe().reset(engine::estimate_start());
        self.is_dirty = true;
    }

    /// The next picture is a first one again: nothing was measured with pictures lately.
    pub(crate) fn forget_picture(&mut self) {
        self.first_picture = FirstPicture::None;
    }

    /// Queues one packet on a slot; it leaves with the next [`Self::flush`].
    pub(crate) fn write(&mut self, slot: usize, packet: RtpWrite) -> bool {
        let Some((ssrc, kind)) =
            self.slots.get(slot).and_then(|slot| Some((slot.ssrc?, slot.kind)))
        else {
            return false;
        };
        if kind == TrackKind::Video && self.first_picture == FirstPicture::None {
            self.first_picture = FirstPicture::Queued;
        }
        let mut api = self.rtc.direct_api();
        let Some(stream) = api.stream_tx(&ssrc) else {
            return false;
        };
        stream.write_rtp(packet);
        self.is_dirty = true;
        true
    }

    /// Our payload type on a slot for what a publisher sends, `None` when this peer cannot take it.
    pub(crate) fn outbound_pt(
        &self,
        slot: usize,
        source: &PayloadParams,
        encoding: PayloadEncoding,
    ) -> Option<Pt> {
        let media = self.rtc.media(self.slots.get(slot)?.mid)?;
        let params = self.rtc.codec_config().match_params(*source)?;
        if !media.remote_pts().contains(&params.pt()) {
            return None;
        }
        match encoding {
            PayloadEncoding::Plain => Some(params.pt()),
            PayloadEncoding::Redundant => params.red(),
        }
    }

    /// The publisher's parameters for a payload type it sends, and whether that is the redundant form.
    pub(crate) fn inbound_params(&self, pt: Pt) -> Option<(PayloadParams, PayloadEncoding)> {
        self.rtc.codec_config().params().iter().find_map(|params| {
            if params.pt() == pt {
                Some((*params, PayloadEncoding::Plain))
            } else if params.red() == Some(pt) {
                Some((*params, PayloadEncoding::Redundant))
            } else {
                None
            }
        })
    }

    /// Where an SSRC's packets belong, by section and restriction id.
    pub(crate) fn stream_identity(&mut self, ssrc: Ssrc) -> Option<(Mid, Option<Rid>)> {
        let mut api = self.rtc.direct_api();
        let stream = api.stream_rx(&ssrc)?;
        Some((stream.mid(), stream.rid()))
    }

    /// Has missing packets of a stream asked for again (RFC 4585 §6.2.1). The engine leaves that out where the offer
    /// names no stream for retransmissions; native clients then repeat packets on the stream itself.
    pub(crate) fn ask_for_repairs(&mut self, ssrc: Ssrc) {
        if let Some(stream) = self.rtc.direct_api().stream_rx(&ssrc) {
            stream.suppress_nack(false);
        }
    }

    /// Asks the publisher for a keyframe on one encoding (RFC 4585 §6.3.1). `false`: nothing received there yet.
    pub(crate) fn request_keyframe(&mut self, mid: Mid, rid: Option<Rid>) -> bool {
        let mut api = self.rtc.direct_api();
        let Some(stream) = api.stream_rx_by_mid(mid, rid) else {
            return false;
        };
        stream.request_keyframe(KeyframeRequestKind::Pli);
        self.is_dirty = true;
        true
    }

    /// Tells the estimator what the subscriber would like to receive, towards which it probes, and the rate to
    /// keep up meanwhile, with padding where there is no media; zero when nothing is held back.
    ///
    /// The estimator probes when the goal rises, not while it stays. So as long as something is held back the goal
    /// is lowered for a moment now and then: an estimate that media alone cannot lift is measured again.
    pub(crate) fn set_desired(&mut self, now: Instant, floor: Bitrate, desired: Bitrate) {
        let mut goal = desired;
        if floor == Bitrate::ZERO {
            self.probe_wait = PROBE_AGAIN_MIN;
            self.probed_at = None;
        } else if self
            .probed_at
            .is_none_or(|at| now.saturating_duration_since(at) >= self.probe_wait)
        {
            self.probed_at = Some(now);
            self.probe_wait = (self.probe_wait * 2).min(PROBE_AGAIN_MAX);
            goal = floor.min(desired);
        }
        // Repeating a value arms the engine's timers; small changes are not worth that.
        let is_near = |old: Bitrate, new: Bitrate| {
            old == new || (new <= old.percent(110) && old <= new.percent(110))
        };
        if is_near(self.desired.0, floor) && is_near(self.desired.1, goal) {
            return;
        }
        self.desired = (floor, goal);
        self.rtc.bwe().set_bitrate(
            str0m::bwe::Bitrate::bps(floor.bps()),
            str0m::bwe::Bitrate::bps(goal.bps()),
        );
        self.is_dirty = true;
    }

    // ---- negotiation ----

    /// Applies the client's offer.
    ///
    /// # Errors
    /// `BadDescription` when it cannot be used; a peer whose engine failed on it is not alive afterwards.
    pub(crate) fn apply_offer(
        &mut self,
        now: Instant,
        text: &str,
    ) -> Result<AppliedOffer, CommandError> {
        let text = sdp::without_candidates(text);
        let offer = SdpOffer::from_sdp_string(&text).map_err(|_| CommandError::BadDescription)?;
        self.is_dirty = true;
        self.pending_offer = None;
        let rtc = &mut self.rtc;
        // The engine panics on some inconsistent payload type plans. The peer is lost then, the room is not.
        let answer = catch_unwind(AssertUnwindSafe(|| rtc.sdp_api().accept_offer(offer)));
        let Ok(answer) = answer else {
            self.fail(now);
            return Err(CommandError::BadDescription);
        };
        let answer = answer.map_err(|_| CommandError::BadDescription)?.to_sdp_string();
        self.ufrag = self.rtc.direct_api().local_ice_credentials().ufrag;
        self.unrouted.clear();
        let inbound = self.take_sections(&text);
        Ok(AppliedOffer { answer, inbound })
    }

    /// Brings the send slots in line with the client's sections and returns those it sends on.
    fn take_sections(&mut self, offer: &str) -> Vec<InboundSection> {
        let mut inbound = Vec::new();
        for section in sdp::sections(offer) {
            let mid = Mid::from(section.mid);
            let (Some(kind), Some(media)) = (section.kind, self.rtc.media(mid)) else {
                continue;
            };
            if section.direction.is_sending() && media.direction().is_receiving() {
                inbound.push(InboundSection {
                    mid,
                    kind,
                    cid: section.track.map(str::to_owned),
                    codecs: section.codecs,
                    rids: match media.rids_rx() {
                        str0m::media::Rids::Specific(rids) => ordered_rids(rids),
                        str0m::media::Rids::None | str0m::media::Rids::Any => Vec::new(),
                    },
                });
            } else if section.direction == SectionDirection::RecvOnly
                && media.direction().is_sending()
            {
                self.offer_slot(mid, kind);
            } else if let Some(slot) = self.slots.iter_mut().find(|slot| slot.mid == mid) {
                slot.state = SlotState::Stopped;
                slot.is_ready = false;
            }
        }
        inbound
    }

    /// The SSRC we send a section's media on, once it is negotiated. Sets how much is kept for retransmission.
    fn outbound_ssrc(&mut self, mid: Mid) -> Option<Ssrc> {
        let known = self.slots.iter().find(|slot| slot.mid == mid).and_then(|slot| slot.ssrc);
        let mut api = self.rtc.direct_api();
        let stream = api.stream_tx_by_mid(mid, None)?;
        let ssrc = stream.ssrc();
        if known != Some(ssrc) {
            stream.set_rtx_cache(RESEND_PACKETS, RESEND_AGE, Some(RESEND_SHARE_MAX));
            // The publisher has paced it already; to hold it back here as well only adds delay. What the path
            // cannot carry is left out by the choice of layers.
            stream.set_unpaced(true);
        }
        Some(ssrc)
    }

    fn offer_slot(&mut self, mid: Mid, kind: TrackKind) {
        let ssrc = self.outbound_ssrc(mid);
        if let Some(slot) = self.slots.iter_mut().find(|slot| slot.mid == mid) {
            slot.ssrc = ssrc;
            if slot.state == SlotState::Stopped {
                slot.state = SlotState::Free;
            }
            return;
        }
        self.slots.push(SendSlot {
            mid,
            kind,
            state: SlotState::Free,
            is_ready: false,
            ready_at: None,
            rewrite: None,
            ssrc,
        });
    }

    /// The text of the answer, with our sections presented as they are used now. From here on the client
    /// counts as knowing them.
    pub(crate) fn present_answer(
        &mut self,
        now: Instant,
        applied: &AppliedOffer,
        mut receives: impl FnMut(Mid) -> Presentation,
    ) -> (String, BTreeMap<String, TrackId>) {
        let text = sdp::present(&applied.answer, |mid| {
            let mid = Mid::from(mid);
            if applied.inbound.iter().any(|section| section.mid == mid) {
                receives(mid)
            } else {
                self.presentation(mid)
            }
        });
        self.settle_slots(now + ANSWER_TRAVEL);
        (text, self.mid_to_track())
    }

    fn presentation(&self, mid: Mid) -> Presentation {
        let Some(slot) = self.slots.iter().find(|slot| slot.mid == mid) else {
            return Presentation::Unchanged;
        };
        match &slot.state {
            SlotState::Free | SlotState::Draining | SlotState::Stopped => Presentation::Unused,
            SlotState::Carries(carried) => Presentation::Carries {
                stream: carried.stream.clone(),
                track: carried.track,
                stereo: carried.stereo,
            },
        }
    }

    fn settle_slots(&mut self, ready_at: Instant) {
        if self.role == PeerRole::Publisher {
            self.renew_drained_streams();
        }
        for slot in &mut self.slots {
            match slot.state {
                SlotState::Draining => {
                    slot.state = match self.role {
                        PeerRole::Publisher => SlotState::Free,
                        // Native clients that answer never look at a section again: a new one is
                        // made for the next track.
                        PeerRole::Subscriber => SlotState::Stopped,
                    };
                }
                SlotState::Carries(_) if !slot.is_ready => {
                    slot.is_ready = true;
                    slot.ready_at = Some(ready_at);
                }
                SlotState::Carries(_) => {}
                SlotState::Free | SlotState::Stopped => {}
            }
        }
    }

    /// Gives sections that are about to be free a stream of a new SSRC: libwebrtc does not play what comes to a
    /// section it knows under the SSRC it knows, it takes the new track for the one that ended.
    fn renew_drained_streams(&mut self) {
        let mut api = self.rtc.direct_api();
        for slot in self.slots.iter_mut().filter(|slot| slot.state == SlotState::Draining) {
            let Some(old) = api.stream_tx_by_mid(slot.mid, None) else {
                continue;
            };
            let (old, has_rtx) = (old.ssrc(), old.rtx().is_some());
            let ssrc = api.new_ssrc();
            let rtx = has_rtx.then(|| api.new_ssrc());
            api.remove_stream_tx(old);
            api.declare_stream_tx(ssrc, rtx, slot.mid, None);
            slot.ssrc = Some(ssrc);
            slot.rewrite = None;
        }
    }

    fn mid_to_track(&self) -> BTreeMap<String, TrackId> {
        self.slots
            .iter()
            .filter_map(|slot| match &slot.state {
                SlotState::Carries(carried) => Some((slot.mid.to_string(), carried.track)),
                SlotState::Free | SlotState::Draining | SlotState::Stopped => None,
            })
            .collect()
    }

    /// Takes a free slot of the kind, if there is one.
    pub(crate) fn free_slot(&self, kind: TrackKind) -> Option<usize> {
        self.slots.iter().position(|slot| slot.kind == kind && slot.state == SlotState::Free)
    }

    /// Slots of the kind that are or will be free without the client adding sections.
    pub(crate) fn free_slot_count(&self, kind: TrackKind) -> usize {
        self.slots.iter().filter(|slot| slot.kind == kind && slot.state == SlotState::Free).count()
    }

    /// Whether some slot's present use is unknown to the other side.
    pub(crate) fn has_unsettled_slots(&self) -> bool {
        self.slots.iter().any(|slot| match slot.state {
            SlotState::Draining => true,
            SlotState::Carries(_) => !slot.is_ready,
            SlotState::Free | SlotState::Stopped => false,
        })
    }

    /// Assigns a slot.
    pub(crate) fn carry(&mut self, slot: usize, carried: Carried) {
        if let Some(slot) = self.slots.get_mut(slot) {
            slot.state = SlotState::Carries(carried);
            slot.is_ready = false;
        }
    }

    /// Gives a slot back.
    pub(crate) fn release(&mut self, slot: usize) {
        if let Some(slot) = self.slots.get_mut(slot)
            && matches!(slot.state, SlotState::Carries(_))
        {
            // A use the other side never heard of leaves nothing to drain.
            slot.state = if slot.is_ready { SlotState::Draining } else { SlotState::Free };
            slot.is_ready = false;
        }
    }

    /// Whether an offer of ours is unanswered.
    pub(crate) fn has_pending_offer(&self) -> bool {
        self.pending_offer.is_some()
    }

    /// Forgets an unanswered offer, whose answer will not come (its signalling connection broke).
    pub(crate) fn abandon_offer(&mut self) {
        self.pending_offer = None;
    }

    /// Makes an offer with one more section per entry of `carried` that found no free slot, and opens the data
    /// channels with the first. `None`: nothing to offer.
    pub(crate) fn make_offer(
        &mut self,
        additions: Vec<(TrackKind, Carried)>,
        restart: IceRestart,
    ) -> Option<MadeOffer> {
        let is_first = self.last_offer_id == 0;
        self.is_dirty = true;
        let mut change = self.rtc.sdp_api();
        if is_first {
            for channel in [MessageChannel::Reliable, MessageChannel::Lossy] {
                change.add_channel_with_config(engine::channel_config(channel));
            }
        }
        if restart == IceRestart::Yes {
            change.ice_restart(true);
        }
        for slot in &self.slots {
            if slot.state == SlotState::Draining {
                change.stop_media(slot.mid);
            }
        }
        let mut added = Vec::new();
        for (kind, carried) in additions {
            let stream = Some(carried.stream.clone());
            let track = Some(carried.track.to_string());
            let mid = change.add_media(media_kind(kind), Direction::SendOnly, stream, track, None);
            added.push((mid, kind, carried));
        }
        let (offer, pending) = change.apply()?;
        let mut assigned = Vec::new();
        for (mid, kind, carried) in added {
            assigned.push((carried.track, self.take_slot(mid, kind, carried)));
        }
        self.last_offer_id = self.last_offer_id.wrapping_add(1).max(1);
        self.pending_offer = Some((self.last_offer_id, pending));
        let text = sdp::present(&offer.to_sdp_string(), |mid| self.presentation(Mid::from(mid)));
        if restart == IceRestart::Yes
            && let Some(ufrag) = sdp::ice_ufrag(&text)
        {
            ufrag.clone_into(&mut self.ufrag);
        }
        Some(MadeOffer {
            id: self.last_offer_id,
            sdp: text,
            mid_to_track: self.mid_to_track(),
            assigned,
        })
    }

    /// A slot for a new section; numbers of stopped ones are used again.
    fn take_slot(&mut self, mid: Mid, kind: TrackKind, carried: Carried) -> usize {
        let slot = SendSlot {
            mid,
            kind,
            state: SlotState::Carries(carried),
            is_ready: false,
            ready_at: None,
            rewrite: None,
            ssrc: None,
        };
        let stopped = self.slots.iter().position(|slot| slot.state == SlotState::Stopped);
        match stopped.and_then(|index| Some((index, self.slots.get_mut(index)?))) {
            Some((index, old)) => {
                *old = slot;
                index
            }
            None => {
                self.slots.push(slot);
                self.slots.len() - 1
            }
        }
    }

    /// Applies the client's answer to our pending offer. An answer without a pending offer is late and ignored.
    ///
    /// # Errors
    /// `BadDescription` when it cannot be used.
    pub(crate) fn apply_answer(&mut self, now: Instant, text: &str) -> Result<(), CommandError> {
        let Some((_, pending)) = self.pending_offer.take() else {
            return Ok(());
        };
        let text = sdp::without_candidates(text);
        let answer = SdpAnswer::from_sdp_string(&text).map_err(|_| CommandError::BadDescription)?;
        self.is_dirty = true;
        let rtc = &mut self.rtc;
        let result =
            catch_unwind(AssertUnwindSafe(|| rtc.sdp_api().accept_answer(pending, answer)));
        let Ok(result) = result else {
            self.fail(now);
            return Err(CommandError::BadDescription);
        };
        result.map_err(|_| CommandError::BadDescription)?;
        for index in 0..self.slots.len() {
            let Some(mid) = self.slots.get(index).map(|slot| slot.mid) else {
                continue;
            };
            let ssrc = self.outbound_ssrc(mid);
            if let Some(slot) = self.slots.get_mut(index) {
                slot.ssrc = ssrc;
            }
        }
        self.settle_slots(now);
        Ok(())
    }

    /// Ends the association: tells the other side (DTLS `close_notify`) with the next flush.
    pub(crate) fn close(&mut self) {
        if self.rtc.close().is_err() {
            self.rtc.disconnect();
        }
        self.is_dirty = true;
    }
}

/// Time between probes while something is held back; doubles with each that brings nothing. Shorter climbs sooner,
/// longer disturbs a narrow path less.
const PROBE_AGAIN_MIN: Duration = Duration::from_secs(2);
const PROBE_AGAIN_MAX: Duration = Duration::from_secs(30);

/// Packets kept per outbound stream to be sent again, and for how long: what comes later than a second is not shown
/// any more, and each kept packet costs memory for every subscriber.
const RESEND_PACKETS: usize = 512;
const RESEND_AGE: Duration = Duration::from_secs(1);
/// Retransmissions stop above this share of what is sent: a path that loses half is made worse by them.
const RESEND_SHARE_MAX: f32 = 0.4;

/// Most calls of one engine for one moment: more packets than a keyframe of 128 kB has. The rest follows after
/// [`CALL_INTERVAL_MIN`].
const CALLS_MAX: usize = 128;
const CALL_INTERVAL_MIN: Duration = Duration::from_millis(1);

/// Media overtakes the answer that explains it, and a browser takes some time to apply one; a keyframe that comes
/// before is lost. Longer delays the first picture, shorter costs some of them a second keyframe.
const ANSWER_TRAVEL: Duration = Duration::from_millis(100);

/// How far the first picture sent to a peer is.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum FirstPicture {
    None,
    Queued,
    Sent,
}

/// Whether an offer restarts ICE.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum IceRestart {
    Yes,
    No,
}

/// Whether a packet's payload is the codec's own or wrapped per RFC 2198.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum PayloadEncoding {
    Plain,
    Redundant,
}

fn receive(path: Path, datagram: &[u8]) -> Option<Receive<'_>> {
    Receive::new(Protocol::Udp, path.remote, path.local, datagram).ok()
}

fn media_kind(kind: TrackKind) -> MediaKind {
    match kind {
        TrackKind::Audio => MediaKind::Audio,
        TrackKind::Video => MediaKind::Video,
    }
}

/// Lowest encoding first. Clients name them `q`, `h`, `f`; any others keep the order of the description.
fn ordered_rids(rids: &[Rid]) -> Vec<Rid> {
    let rank = |rid: &Rid| match rid.to_string().as_str() {
        "q" => 0,
        "h" => 1,
        "f" => 2,
        _ => 3,
    };
    let mut ordered = rids.to_vec();
    ordered.sort_by_key(rank);
    ordered.truncate(ENCODINGS_MAX);
    ordered
}

/// Encodings of one codec that are looked at; browsers send at most three.
pub(crate) const ENCODINGS_MAX: usize = 4;
