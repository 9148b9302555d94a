//! The other end of one client: str0m answering in memory, in virtual time. It forwards nothing; it
//! only shows what the client sends and sends what the test says.

use std::{
    net::SocketAddr,
    sync::Arc,
    time::{Duration, Instant},
};

use rtc_api::proto::{self, signal_request, signal_response};
use rtc_load::{
    client::{Client, ClientEvent, ClientPlan, Outbox, PeerIdentity, SharedWindow},
    ledger::Window,
};
use str0m::{
    Candidate, Event, Input, Output, Rtc, RtcConfig,
    change::SdpOffer,
    net::{Protocol, Receive},
    rtp::RtpPacket,
};

/// A client and its answerer, with the wire between them.
pub(crate) struct Pair {
    pub(crate) client: Client,
    pub(crate) server: Rtc,
    pub(crate) now: Instant,
    /// Packets that reached the answerer.
    pub(crate) received: Vec<RtpPacket>,
    /// Everything the client reported.
    pub(crate) events: Vec<ClientEvent>,
    /// Offers and announcements not yet handled.
    pub(crate) messages: Vec<signal_request::Message>,
    /// Decides by the number of a media datagram from the client whether it is lost.
    pub(crate) lose: fn(usize) -> bool,
    begin: Instant,
    sent_by_client: usize,
    server_timeout: Instant,
    outbox: Outbox,
}

impl Pair {
    /// A client whose first offer is answered as str0m would; nothing is connected yet.
    pub(crate) fn new(plan: ClientPlan) -> Self {
        let now = Instant::now();
        let window = Arc::new(SharedWindow::default());
        window.set(Window { start_ns: 0, end_ns: u64::MAX });
        let identity = PeerIdentity::generate().unwrap();
        let client = Client::new(plan, &identity, CLIENT, window, now).unwrap();
        let mut server = RtcConfig::new()
            .set_crypto_provider(Arc::new(str0m::crypto::from_feature_flags()))
            .clear_codecs()
            .enable_opus(true, false)
            .enable_vp8(true)
            .set_ice_lite(true)
            .set_rtp_mode(true)
            .build(now);
        server.add_local_candidate(Candidate::host(SERVER, Protocol::Udp).unwrap());
        Self {
            client,
            server,
            now,
            received: Vec::new(),
            events: Vec::new(),
            messages: Vec::new(),
            lose: |_| false,
            begin: now,
            sent_by_client: 0,
            server_timeout: now,
            outbox: Outbox::default(),
        }
    }

    /// Joins and runs until ICE and DTLS are up.
    pub(crate) fn connect(&mut self, edit: impl FnOnce(String) -> String) {
        let offer = self.client.join_request().publisher_offer.unwrap();
        self.answer(&offer, edit);
        let connected = |pair: &Self| pair.events.contains(&ClientEvent::Connected);
        self.run_until("connected", connected);
    }

    /// Answers an offer, its text edited on the way.
    pub(crate) fn answer(
        &mut self,
        offer: &proto::SessionDescription,
        edit: impl FnOnce(String) -> String,
    ) {
        let parsed = SdpOffer::from_sdp_string(&offer.sdp).unwrap();
        let answer = self.server.sdp_api().accept_offer(parsed).unwrap();
        let answer = proto::SessionDescription {
            r#type: "answer".into(),
            sdp: edit(answer.to_sdp_string()),
            id: offer.id,
            ..Default::default()
        };
        self.signal(signal_response::Message::Answer(answer));
    }

    /// The server says something.
    pub(crate) fn signal(&mut self, message: signal_response::Message) {
        self.client.handle_signal(self.now, message, &mut self.outbox);
        self.settle();
    }

    /// The client publishes and every offer is answered.
    pub(crate) fn publish(&mut self) {
        self.client.publish(&mut self.outbox);
        self.settle();
        self.answer_offers();
    }

    /// Answers the offers not yet handled; returns them.
    pub(crate) fn answer_offers(&mut self) -> Vec<proto::SessionDescription> {
        let mut offers = Vec::new();
        for message in std::mem::take(&mut self.messages) {
            match message {
                signal_request::Message::Offer(offer) => {
                    self.answer(&offer, |sdp| sdp);
                    offers.push(offer);
                }
                other => self.messages.push(other),
            }
        }
        offers
    }

    /// Lets virtual time pass.
    pub(crate) fn run(&mut self, time: Duration) {
        let end = self.now + time;
        while self.now < end {
            self.step();
        }
    }

    /// Lets virtual time pass until a state is reached.
    pub(crate) fn run_until(&mut self, what: &str, reached: impl Fn(&Self) -> bool) {
        let deadline = self.now + Duration::from_secs(10);
        while !reached(self) {
            assert!(self.now < deadline, "not within 10 s of virtual time: {what}");
            self.step();
        }
    }

    fn step(&mut self) {
        self.now += STEP;
        if self.client.next_timeout() <= self.now {
            self.client.handle_timeout(self.now, &mut self.outbox);
        }
        if self.client.next_send().is_some_and(|at| at <= self.now) {
            self.client.send_due(self.now, self.wall_ns(), &mut self.outbox);
        }
        if self.server_timeout <= self.now {
            self.server.handle_input(Input::Timeout(self.now)).unwrap();
        }
        self.settle();
    }

    /// The wall clock: nanoseconds since the test began.
    pub(crate) fn wall_ns(&self) -> u64 {
        u64::try_from((self.now - self.begin).as_nanos()).unwrap()
    }

    /// Carries datagrams both ways until none are left.
    pub(crate) fn settle(&mut self) {
        loop {
            let mut quiet = true;
            for datagram in std::mem::take(&mut self.outbox.datagrams) {
                quiet = false;
                self.deliver_to_server(&datagram.contents);
            }
            for datagram in self.drain_server() {
                quiet = false;
                let wall = self.wall_ns();
                self.client.handle_datagram(self.now, SERVER, &datagram, wall, &mut self.outbox);
            }
            self.events.append(&mut self.outbox.events);
            self.messages.append(&mut self.outbox.messages);
            if quiet {
                return;
            }
        }
    }

    fn deliver_to_server(&mut self, datagram: &[u8]) {
        if (128..192).contains(&datagram[0]) {
            self.sent_by_client += 1;
            if (self.lose)(self.sent_by_client - 1) {
                return;
            }
        }
        let receive = Receive::new(Protocol::Udp, CLIENT, SERVER, datagram).unwrap();
        self.server.handle_input(Input::Receive(self.now, receive)).unwrap();
        // str0m holds one packet in RTP mode: every input must be followed by draining.
        for datagram in self.drain_server() {
            let wall = self.wall_ns();
            self.client.handle_datagram(self.now, SERVER, &datagram, wall, &mut self.outbox);
        }
    }

    fn drain_server(&mut self) -> Vec<Vec<u8>> {
        let mut datagrams = Vec::new();
        loop {
            match self.server.poll_output().unwrap() {
                Output::Timeout(at) => {
                    self.server_timeout = at;
                    return datagrams;
                }
                Output::Transmit(transmit) => datagrams.push(transmit.contents.to_vec()),
                Output::Event(Event::RtpPacket(packet)) => self.received.push(packet),
                Output::Event(_) => {}
            }
        }
    }
}

const CLIENT: SocketAddr =
    SocketAddr::V4(std::net::SocketAddrV4::new(std::net::Ipv4Addr::new(10, 0, 0, 1), 1_001));
const SERVER: SocketAddr =
    SocketAddr::V4(std::net::SocketAddrV4::new(std::net::Ipv4Addr::new(10, 0, 0, 2), 1_002));
const STEP: Duration = Duration::from_millis(1);
