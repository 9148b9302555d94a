//! One participant's stay: what others may know, what it wants, and which peers carry its media.

use std::{
    collections::{BTreeMap, BTreeSet},
    sync::Arc,
    time::{Duration, Instant},
};

use rtc_model::{Bitrate, Identity, ParticipantId, Permissions, SubscriptionPermission, TrackId};

use crate::{
    command::{AutoSubscribe, Join, Publish, SessionNumber, Topology, Wish},
    info::{ParticipantInfo, ParticipantState, TrackInfo},
    peer::{InboundSection, PeerKey},
    publication::CaptureClock,
    starvation::Starvation,
};

/// A track announced whose media section has not been seen.
pub(crate) struct PendingPublish {
    pub(crate) request: Publish,
    pub(crate) info: TrackInfo,
}

/// The signalling connection of a stay.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Attachment {
    Attached(SessionNumber),
    Lost { session: SessionNumber, since: Instant },
}

#[expect(clippy::struct_excessive_bools, reason = "independent facts of one stay")]
pub(crate) struct Participant {
    pub(crate) info: Arc<ParticipantInfo>,
    pub(crate) attachment: Attachment,
    pub(crate) topology: Topology,
    pub(crate) auto_subscribe: AutoSubscribe,
    pub(crate) adaptive_stream: bool,
    pub(crate) stream_per_track: bool,
    pub(crate) protocol: u32,
    pub(crate) publisher: PeerKey,
    /// The same as `publisher` with [`Topology::Single`].
    pub(crate) subscriber: PeerKey,
    pub(crate) pending: Vec<PendingPublish>,
    /// Sections offered before their track was announced.
    pub(crate) unmatched: Vec<InboundSection>,
    pub(crate) grants: SubscriptionPermission,
    /// Others' changes it was not told of yet, newest of each.
    pub(crate) outbox: BTreeMap<ParticipantId, Arc<ParticipantInfo>>,
    /// Subscriptions it set itself.
    pub(crate) intents: BTreeMap<TrackId, bool>,
    /// Wishes, kept while a track is not subscribed.
    pub(crate) wishes: BTreeMap<TrackId, Wish>,
    /// Tracks it wants and is not permitted; it was told so.
    pub(crate) denied: BTreeSet<TrackId>,
    /// When the client was asked for an offer that did not come yet.
    pub(crate) offer_requested: Option<Instant>,
    /// Whether the next offer restarts ICE.
    pub(crate) restart_ice: bool,
    /// Whether media ever connected.
    pub(crate) was_active: bool,
    pub(crate) messages: ByteBudget,
    pub(crate) bandwidth_cap: Option<Bitrate>,
    pub(crate) capture_clock: CaptureClock,
    pub(crate) starvation: Starvation,
    pub(crate) simulated_speech_until: Option<Instant>,
}

impl Participant {
    pub(crate) fn new(
        id: ParticipantId,
        join: &Join,
        publisher: PeerKey,
        subscriber: PeerKey,
    ) -> Self {
        Self {
            info: Arc::new(ParticipantInfo {
                id,
                identity: join.identity.clone(),
                name: join.name.clone(),
                metadata: join.metadata.clone(),
                attributes: join.attributes.clone(),
                kind: join.kind,
                permissions: join.permissions.clone(),
                state: ParticipantState::Joined,
                joined_at: join.joined_at,
                version: 1,
                is_publisher: false,
                tracks: Vec::new(),
            }),
            attachment: Attachment::Attached(join.session),
            topology: join.topology,
            auto_subscribe: join.auto_subscribe,
            adaptive_stream: join.adaptive_stream,
            stream_per_track: join.stream_per_track,
            protocol: join.protocol,
            publisher,
            subscriber,
            pending: Vec::new(),
            unmatched: Vec::new(),
            grants: SubscriptionPermission::Everybody,
            outbox: BTreeMap::new(),
            intents: BTreeMap::new(),
            wishes: BTreeMap::new(),
            denied: BTreeSet::new(),
            offer_requested: None,
            restart_ice: false,
            was_active: false,
            messages: ByteBudget::default(),
            bandwidth_cap: None,
            capture_clock: CaptureClock::default(),
            starvation: Starvation::default(),
            simulated_speech_until: None,
        }
    }

    pub(crate) fn id(&self) -> ParticipantId {
        self.info.id
    }

    pub(crate) fn permissions(&self) -> &Permissions {
        &self.info.permissions
    }

    /// Changes what others may know; the version grows, so that receivers can tell old from new.
    pub(crate) fn change(&mut self, change: impl FnOnce(&mut ParticipantInfo)) {
        let info = Arc::make_mut(&mut self.info);
        change(info);
        info.version = info.version.wrapping_add(1);
    }

    /// Whether it wants a track, as far as it said.
    pub(crate) fn wants(&self, track: TrackId) -> bool {
        self.intents.get(&track).copied().unwrap_or(self.auto_subscribe == AutoSubscribe::On)
    }

    /// Whether it lets somebody subscribe to one of its tracks.
    pub(crate) fn permits(&self, identity: &Identity, track: TrackId) -> bool {
        match &self.grants {
            SubscriptionPermission::Everybody => true,
            SubscriptionPermission::Only(list) => list.iter().any(|entry| {
                entry.identity == *identity
                    && entry.tracks.as_ref().is_none_or(|tracks| tracks.contains(&track))
            }),
        }
    }

    /// Its peers, once each.
    pub(crate) fn peers(&self) -> impl Iterator<Item = PeerKey> + use<> {
        let second = (self.subscriber != self.publisher).then_some(self.subscriber);
        std::iter::once(self.publisher).chain(second)
    }

    pub(crate) fn is_attached(&self) -> bool {
        matches!(self.attachment, Attachment::Attached(_))
    }
}

/// A byte allowance per second that refills steadily and holds at most one second's worth.
#[derive(Clone, Copy, Debug, Default)]
pub(crate) struct ByteBudget {
    spent: u64,
    refilled_at: Option<Instant>,
}

impl ByteBudget {
    /// Takes `bytes` if the allowance of `per_second` covers them.
    pub(crate) fn take(&mut self, now: Instant, bytes: usize, per_second: u32) -> bool {
        let per_second = u64::from(per_second);
        let elapsed =
            self.refilled_at.map_or(Duration::from_secs(1), |at| now.saturating_duration_since(at));
        let refill = per_second
            .saturating_mul(u64::try_from(elapsed.as_micros().min(1_000_000)).unwrap_or(1_000_000))
            / 1_000_000;
        self.spent = self.spent.saturating_sub(refill);
        self.refilled_at = Some(now);
        let bytes = u64::try_from(bytes).unwrap_or(u64::MAX);
        let after = self.spent.saturating_add(bytes);
        if after > per_second {
            return false;
        }
        self.spent = after;
        true
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_byte_budget_holds_one_second_and_refills() {
        let start = crate::testing::start();
        let mut budget = ByteBudget::default();
        assert!(budget.take(start, 1_000, 1_000));
        assert!(!budget.take(start, 1, 1_000));
        assert!(budget.take(start + Duration::from_millis(500), 500, 1_000));
        assert!(!budget.take(start + Duration::from_millis(500), 1, 1_000));
        assert!(budget.take(start + Duration::from_secs(60), 1_000, 1_000));
        assert!(!budget.take(start + Duration::from_secs(60), usize::MAX, 1_000));
    }
}
