//! One participant's receipt of a publication: what is forwarded now, and what it waits for.
//!
//! ```text
//!                 grant                    keyframe of target
//!   Paused ───────────────► Awaiting(target) ───────────────► Live(layer)
//!     ▲                        ▲                                │   ▲
//!     │ no grant               │ live encoding died             │   │ keyframe of target, or given up
//!     └────────────────────────┴────────────── Switching ◄──────┘ ──┘
//!                                              (live → target)
//! ```
//!
//! Audio knows Paused and Live only.

use std::time::{Duration, Instant};

use rtc_model::{ParticipantId, StreamState};
use str0m::media::Pt;

use crate::{
    allocate::Current, command::Wish, payload::PacketInfo, peer::PeerKey, room::media::OutboundType,
};

pub(crate) struct Subscription {
    pub(crate) subscriber: ParticipantId,
    pub(crate) peer: PeerKey,
    /// Index of the send slot, once there is one.
    pub(crate) slot: Option<usize>,
    pub(crate) wish: Option<Wish>,
    pub(crate) forwarding: Forwarding,
    /// Which of the publication's codecs is forwarded.
    pub(crate) codec: usize,
    /// Highest temporal layer forwarded; moves towards the grant where the stream allows.
    pub(crate) temporal: u8,
    /// What the allocation gave, and since when.
    pub(crate) allocation: Current,
    /// What the client was last told.
    pub(crate) announced: StreamState,
    /// Publisher's payload type → ours.
    pub(crate) payload_type: Option<(Pt, Option<OutboundType>)>,
    /// Where `temporal` is going.
    pub(crate) temporal_target: u8,
    /// Whether the slot is ready and its peer connected.
    pub(crate) is_started: bool,
    /// Whether the slot's outbound stream is tied to this publication.
    pub(crate) is_flowing: bool,
}

/// What is forwarded now.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Forwarding {
    /// Nothing.
    Paused,
    /// Nothing until the target encoding has a keyframe.
    Awaiting { target: u8 },
    /// This encoding.
    Live { spatial: u8 },
    /// The first encoding until the second has a keyframe.
    Switching { spatial: u8, target: u8, since: Instant },
}

/// What to do with a packet.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Verdict {
    /// Not of an encoding this subscription looks at.
    Ignore,
    /// Forward.
    Forward,
    /// Forward as the first packet of a new source.
    Start,
}

impl Subscription {
    pub(crate) fn new(subscriber: ParticipantId, peer: PeerKey, wish: Option<Wish>) -> Self {
        Self {
            subscriber,
            peer,
            slot: None,
            wish,
            forwarding: Forwarding::Paused,
            codec: 0,
            temporal: crate::layer::TEMPORAL_MAX,
            allocation: Current::New,
            announced: StreamState::Active,
            payload_type: None,
            temporal_target: crate::layer::TEMPORAL_MAX,
            is_started: false,
            is_flowing: false,
        }
    }

    /// Whether the client wishes for nothing at present.
    pub(crate) fn is_disabled(&self) -> bool {
        self.wish.is_some_and(|wish| wish.disabled)
    }

    /// Decides on a packet of one encoding and moves the state along.
    pub(crate) fn judge(&mut self, spatial: u8, info: &PacketInfo) -> Verdict {
        match self.forwarding {
            Forwarding::Live { spatial: live } if live == spatial => Verdict::Forward,
            Forwarding::Awaiting { target } if target == spatial && info.keyframe_start => {
                self.forwarding = Forwarding::Live { spatial };
                Verdict::Start
            }
            Forwarding::Switching { target, .. } if target == spatial && info.keyframe_start => {
                self.forwarding = Forwarding::Live { spatial };
                Verdict::Start
            }
            Forwarding::Switching { spatial: live, .. } if live == spatial => Verdict::Forward,
            Forwarding::Paused
            | Forwarding::Awaiting { .. }
            | Forwarding::Live { .. }
            | Forwarding::Switching { .. } => Verdict::Ignore,
        }
    }

    /// Sets out for another encoding. Returns the encoding that now needs a keyframe, if one does.
    pub(crate) fn aim(
        &mut self,
        now: Instant,
        target: Option<u8>,
        live_is_there: bool,
    ) -> Option<u8> {
        let Some(target) = target else {
            self.forwarding = Forwarding::Paused;
            return None;
        };
        let next = match self.forwarding {
            Forwarding::Live { spatial } | Forwarding::Switching { spatial, .. }
                if spatial == target =>
            {
                Forwarding::Live { spatial }
            }
            Forwarding::Switching { target: under_way, .. }
                if under_way == target && live_is_there =>
            {
                return None;
            }
            Forwarding::Live { spatial } | Forwarding::Switching { spatial, .. }
                if live_is_there =>
            {
                Forwarding::Switching { spatial, target, since: now }
            }
            Forwarding::Awaiting { target: awaited } if awaited == target => return None,
            Forwarding::Paused
            | Forwarding::Awaiting { .. }
            | Forwarding::Live { .. }
            | Forwarding::Switching { .. } => Forwarding::Awaiting { target },
        };
        self.forwarding = next;
        match next {
            Forwarding::Awaiting { target } | Forwarding::Switching { target, .. } => Some(target),
            Forwarding::Paused | Forwarding::Live { .. } => None,
        }
    }

    /// The encoding a keyframe request of this subscriber is about.
    pub(crate) fn wanted_encoding(&self) -> Option<u8> {
        match self.forwarding {
            Forwarding::Paused => None,
            Forwarding::Awaiting { target } => Some(target),
            Forwarding::Live { spatial } | Forwarding::Switching { spatial, .. } => Some(spatial),
        }
    }

    /// The encoding that is forwarded.
    pub(crate) fn live_encoding(&self) -> Option<u8> {
        match self.forwarding {
            Forwarding::Live { spatial } | Forwarding::Switching { spatial, .. } => Some(spatial),
            Forwarding::Paused | Forwarding::Awaiting { .. } => None,
        }
    }

    /// Ends a switch that waited too long for its keyframe; the next allocation may start it over.
    pub(crate) fn give_up_switch(&mut self, now: Instant, wait_max: Duration) {
        if let Forwarding::Switching { spatial, since, .. } = self.forwarding
            && now.saturating_duration_since(since) >= wait_max
        {
            self.forwarding = Forwarding::Live { spatial };
        }
    }

    /// The encoding this subscription waits for a keyframe of.
    pub(crate) fn awaited_encoding(&self) -> Option<u8> {
        match self.forwarding {
            Forwarding::Awaiting { target } | Forwarding::Switching { target, .. } => Some(target),
            Forwarding::Paused | Forwarding::Live { .. } => None,
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn subscription(forwarding: Forwarding) -> Subscription {
        struct Zero;
        impl rtc_model::RandomBits for Zero {
            fn next_bits(&mut self) -> u64 {
                0
            }
        }
        let mut made = Subscription::new(ParticipantId::random(&mut Zero), PeerKey(0), None);
        made.forwarding = forwarding;
        made
    }

    const KEYFRAME: PacketInfo = PacketInfo {
        keyframe_start: true,
        part: crate::payload::FramePart::Start,
        spatial: None,
        temporal: None,
        switch_up: crate::payload::SwitchUp::No,
        vp8: None,
        resolution: None,
    };

    #[test]
    fn media_starts_with_a_keyframe_of_the_target_only() {
        let mut awaiting = subscription(Forwarding::Awaiting { target: 1 });
        assert_eq!(awaiting.judge(1, &PacketInfo::default()), Verdict::Ignore);
        assert_eq!(awaiting.judge(0, &KEYFRAME), Verdict::Ignore);
        assert_eq!(awaiting.judge(1, &KEYFRAME), Verdict::Start);
        assert_eq!(awaiting.judge(1, &PacketInfo::default()), Verdict::Forward);
    }

    #[test]
    fn the_old_encoding_is_forwarded_until_the_new_one_starts() {
        let now = crate::testing::start();
        let mut switching = subscription(Forwarding::Live { spatial: 0 });
        assert_eq!(switching.aim(now, Some(2), true), Some(2));
        assert_eq!(switching.judge(0, &PacketInfo::default()), Verdict::Forward);
        assert_eq!(switching.judge(2, &PacketInfo::default()), Verdict::Ignore);
        assert_eq!(switching.judge(2, &KEYFRAME), Verdict::Start);
        assert_eq!(switching.judge(0, &KEYFRAME), Verdict::Ignore);
    }

    #[test]
    fn aiming_back_at_the_live_encoding_needs_no_keyframe() {
        let now = crate::testing::start();
        let mut switching =
            subscription(Forwarding::Switching { spatial: 0, target: 2, since: now });
        assert_eq!(switching.aim(now + Duration::from_millis(1), Some(0), true), None);
        assert_eq!(switching.forwarding, Forwarding::Live { spatial: 0 });
    }

    #[test]
    fn a_dead_encoding_is_not_waited_beside() {
        let now = crate::testing::start();
        let mut live = subscription(Forwarding::Live { spatial: 2 });
        assert_eq!(live.aim(now, Some(0), false), Some(0));
        assert_eq!(live.forwarding, Forwarding::Awaiting { target: 0 });
        assert_eq!(live.aim(now, None, false), None);
        assert_eq!(live.forwarding, Forwarding::Paused);
    }
}
