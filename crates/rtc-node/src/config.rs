//! What a node can be told at its start.

use std::{
    net::{IpAddr, Ipv4Addr, SocketAddr},
    num::NonZeroUsize,
};

use rtc_model::{Network, NodeLimits, RoomLimits};

/// Settings of a node.
#[derive(Clone, Debug)]
pub struct NodeConfig {
    /// Where media arrives: the first packet thread takes this port, each further one the next. Port 0
    /// takes any free ports.
    pub media: SocketAddr,
    /// The address announced to peers instead of our own, for a host behind one-to-one NAT. The ports are
    /// the same inside and outside.
    pub public_ip: Option<IpAddr>,
    /// Packet threads; `None` takes one per core.
    pub threads: Option<NonZeroUsize>,
    /// From whose connections `X-Forwarded-For` is believed.
    pub trusted_proxies: Vec<Network>,
    /// Bounds of the node.
    pub limits: NodeLimits,
    /// Bounds of each room, where its own settings say nothing else.
    pub room_limits: RoomLimits,
    /// Whether subscribers' bandwidth is estimated; without it everything wished for is sent.
    pub estimate_bandwidth: bool,
    /// Where this node stands, as clients and the console are told. May be empty.
    pub region: String,
}

impl Default for NodeConfig {
    fn default() -> Self {
        Self {
            media: SocketAddr::from((Ipv4Addr::LOCALHOST, 7_882)),
            public_ip: None,
            threads: None,
            trusted_proxies: Vec::new(),
            limits: NodeLimits::default(),
            room_limits: RoomLimits::default(),
            estimate_bandwidth: true,
            region: String::new(),
        }
    }
}
