//! What a client asks for, and what becomes of it.

use std::time::SystemTime;

use rtc_media::command::{Request, Simulation};
use rtc_model::{LeaveReason, RejoinAdvice};

use super::{Ending, Serving, Wire};
use crate::{
    proto::{
        self, info, request, request_response::Reason, signal, signal_request::Message as Asked,
        signal_response::Message, simulate_scenario::Scenario,
    },
    thread::{Sabotage, Subject, ThreadCommand},
};

impl Serving {
    /// Handles one message of the client.
    #[expect(deprecated, reason = "named so that it is ignored")]
    pub(super) async fn handle(&mut self, wire: &mut Wire, asked: Asked) -> Result<(), Ending> {
        match asked {
            Asked::Offer(offer) => {
                let offer = Request::Offer(request::description(&offer));
                self.ask(offer, Subject::Description).await
            }
            Asked::Answer(answer) => {
                let answer = Request::Answer(request::description(&answer));
                self.ask(answer, Subject::Description).await
            }
            Asked::Trickle(trickle) => self.ask_if(request::candidate(&trickle)).await,
            Asked::AddTrack(track) => self.publish(wire, track).await,
            Asked::Mute(mute) => self.ask_if(request::mute(&mute)).await,
            Asked::Subscription(subscription) => {
                self.ask(request::subscription(&subscription), Subject::Other).await
            }
            Asked::TrackSetting(settings) => {
                self.ask(request::track_settings(&settings), Subject::Other).await
            }
            Asked::Leave(_) => self.leave().await,
            Asked::SubscriptionPermission(permission) => {
                let names = &self.names;
                let permission =
                    request::subscription_permission(&permission, |id| names.get(&id).cloned());
                self.ask(permission, Subject::Other).await
            }
            Asked::SyncState(state) => self.sync(&state).await,
            Asked::Simulate(simulate) => self.simulate(wire, simulate.scenario).await,
            Asked::Ping(_) => wire.send(Message::Pong(now_ms())).await,
            Asked::PingReq(ping) => {
                let pong = proto::Pong { last_ping_timestamp: ping.timestamp, timestamp: now_ms() };
                wire.send(Message::PongResp(pong)).await
            }
            Asked::UpdateMetadata(update) => {
                let subject = Subject::Numbered(update.request_id);
                self.ask(request::update_metadata(&update), subject).await
            }
            Asked::UpdateAudioTrack(update) => {
                self.ask_if(request::update_audio_track(&update)).await
            }
            Asked::UpdateVideoTrack(update) => {
                self.ask_if(request::update_video_track(&update)).await
            }
            Asked::PublishDataTrackRequest(track) => {
                let request = proto::request_response::Request::PublishDataTrack(track);
                unsupported(wire, 0, Some(request)).await
            }
            Asked::UnpublishDataTrackRequest(track) => {
                let request = proto::request_response::Request::UnpublishDataTrack(track);
                unsupported(wire, 0, Some(request)).await
            }
            Asked::StoreDataBlobRequest(blob) => unsupported(wire, blob.request_id, None).await,
            Asked::GetDataBlobRequest(blob) => unsupported(wire, blob.request_id, None).await,
            // Sizes of layers are announced with the track; there are no data tracks to subscribe to.
            Asked::UpdateLayers(_) | Asked::UpdateDataSubscription(_) => Ok(()),
        }
    }

    async fn publish(
        &mut self,
        wire: &mut Wire,
        track: proto::AddTrackRequest,
    ) -> Result<(), Ending> {
        match request::publish(&track) {
            Some(publish) => {
                let subject = Subject::Publish(Box::new(track));
                self.ask(Request::Publish(Box::new(publish)), subject).await
            }
            None => {
                let request = proto::request_response::Request::AddTrack(track);
                unsupported(wire, 0, Some(request)).await
            }
        }
    }

    async fn leave(&mut self) -> Result<(), Ending> {
        let (room, participant) = (self.link.room, self.link.participant);
        let reason = LeaveReason::ClientInitiated;
        self.command(ThreadCommand::Leave { room, participant, reason }).await?;
        Err(Ending::ClientLeft)
    }

    async fn sync(&mut self, state: &proto::SyncState) -> Result<(), Ending> {
        let last_seen = state.datachannel_receive_states.iter();
        let last_seen = last_seen
            .filter_map(|state| Some((state.publisher_sid.parse().ok()?, state.last_seq)))
            .collect();
        let (room, participant) = (self.link.room, self.link.participant);
        let synced = Request::SyncState(request::sync_state(state));
        self.ask(synced, Subject::Other).await?;
        self.command(ThreadCommand::Missed { room, participant, last_seen }).await
    }

    async fn simulate(
        &mut self,
        wire: &mut Wire,
        scenario: Option<Scenario>,
    ) -> Result<(), Ending> {
        match scenario {
            Some(Scenario::SpeakerUpdate(seconds)) => {
                let seconds = u32::try_from(seconds).unwrap_or(0);
                self.play(Simulation::SpeakerUpdate { seconds }).await
            }
            Some(Scenario::NodeFailure(true)) => {
                self.play(Simulation::NodeFailure).await?;
                Err(Ending::Silent)
            }
            Some(Scenario::Migration(true)) => {
                let mut leave = signal::leave(LeaveReason::ServerShutdown, RejoinAdvice::Resume);
                leave.reason = proto::DisconnectReason::Migration.into();
                wire.send(Message::Leave(leave)).await?;
                Err(Ending::Told)
            }
            Some(Scenario::ServerLeave(true)) => {
                let (room, participant) = (self.link.room, self.link.participant);
                let reason = LeaveReason::ServerShutdown;
                self.command(ThreadCommand::Leave { room, participant, reason }).await?;
                let leave = signal::leave(reason, RejoinAdvice::Disconnect);
                wire.send(Message::Leave(leave)).await?;
                Err(Ending::Told)
            }
            Some(Scenario::SubscriberBandwidth(bps)) => {
                let bps = u64::try_from(bps).ok().filter(|bps| *bps > 0);
                self.play(Simulation::SubscriberBandwidth { bps }).await
            }
            Some(Scenario::DisconnectSignalOnResume(true)) => {
                self.sabotage(Sabotage::AfterMessages).await
            }
            Some(Scenario::DisconnectSignalOnResumeNoMessages(true)) => {
                self.sabotage(Sabotage::BeforeMessages).await
            }
            Some(Scenario::LeaveRequestFullReconnect(true)) => {
                self.play(Simulation::LeaveFullReconnect).await
            }
            // There is one kind of candidate to switch between.
            Some(Scenario::SwitchCandidateProtocol(_)) => Ok(()),
            Some(
                Scenario::NodeFailure(false)
                | Scenario::Migration(false)
                | Scenario::ServerLeave(false)
                | Scenario::DisconnectSignalOnResume(false)
                | Scenario::DisconnectSignalOnResumeNoMessages(false)
                | Scenario::LeaveRequestFullReconnect(false),
            )
            | None => Ok(()),
        }
    }

    async fn play(&mut self, simulation: Simulation) -> Result<(), Ending> {
        self.ask(Request::Simulate(simulation), Subject::Other).await
    }

    async fn sabotage(&mut self, how: Sabotage) -> Result<(), Ending> {
        let (room, participant) = (self.link.room, self.link.participant);
        self.command(ThreadCommand::SabotageResume { room, participant, how }).await
    }

    async fn ask_if(&mut self, request: Option<Request>) -> Result<(), Ending> {
        match request {
            Some(request) => self.ask(request, Subject::Other).await,
            None => {
                self.cx.metrics.signals_malformed.inc();
                Ok(())
            }
        }
    }

    async fn ask(&mut self, request: Request, subject: Subject) -> Result<(), Ending> {
        let (room, from) = (self.link.room, self.link.participant);
        self.command(ThreadCommand::Ask { room, from, request, subject }).await
    }

    async fn command(&mut self, command: ThreadCommand) -> Result<(), Ending> {
        self.link.thread.send(command).await.map_err(|_| Ending::Overloaded)
    }
}

async fn unsupported(
    wire: &mut Wire,
    request_id: u32,
    request: Option<proto::request_response::Request>,
) -> Result<(), Ending> {
    wire.send(Message::RequestResponse(proto::RequestResponse {
        request_id,
        reason: Reason::UnsupportedType.into(),
        message: "this server does not do that".to_owned(),
        request,
    }))
    .await
}

/// Milliseconds, not nanoseconds: browsers' numbers overflow.
fn now_ms() -> i64 {
    info::unix_milliseconds(SystemTime::now())
}
