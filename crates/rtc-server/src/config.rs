//! Every setting of the server, typed: what the rest of the program sees is already parsed and checked.
//!
//! One TOML file; each key has a default that works on a laptop. The doc comment of a key is its
//! documentation: `docs/config.md` is generated from it and a test fails when the page is stale.

mod docs;
mod load;
mod units;

use std::{
    net::{IpAddr, Ipv4Addr, SocketAddr},
    num::NonZeroUsize,
    path::PathBuf,
    time::Duration,
};

use rtc_model::{Network, NodeLimits, RoomLimits};
use serde::{Deserialize, Serialize};
use utoipa::ToSchema;

pub(crate) use self::{
    docs::page as docs_page,
    load::{ConfigError, Overrides, load},
    units::{ByteSize, Secret, Span},
};

/// The whole configuration.
#[derive(Clone, Debug, Default, Serialize, Deserialize, ToSchema)]
#[serde(default, deny_unknown_fields)]
pub(crate) struct Config {
    /// Where the server keeps what must outlive it.
    pub(crate) data: DataConfig,
    /// A PostgreSQL database instead of SQLite in the data directory.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub(crate) postgres: Option<PostgresConfig>,
    /// Pages, API and signalling.
    pub(crate) http: HttpConfig,
    /// Audio, video and data over UDP.
    pub(crate) media: MediaConfig,
    /// Encryption of HTTP. Browsers give camera and microphone only to pages from `localhost` or
    /// over https.
    pub(crate) tls: TlsConfig,
    /// The administrator's access to the API.
    pub(crate) admin: AdminConfig,
    /// Apps: the owners of keys and rooms.
    pub(crate) apps: AppsConfig,
    /// Rooms, unless a room's own settings say otherwise.
    pub(crate) rooms: RoomsConfig,
    /// Limits on what clients may ask of this server.
    pub(crate) limits: LimitsConfig,
    /// Notifications of room events to your own server.
    pub(crate) webhooks: WebhooksConfig,
    /// Requests to addresses that the owners of apps choose.
    pub(crate) callbacks: CallbacksConfig,
    /// What the server writes about itself, on standard error.
    pub(crate) log: LogConfig,
    /// How the server stops.
    pub(crate) shutdown: ShutdownConfig,
}

/// Where the server keeps what must outlive it.
#[derive(Clone, Debug, Serialize, Deserialize, ToSchema)]
#[serde(default, deny_unknown_fields)]
pub(crate) struct DataConfig {
    /// Directory of the database, the administrator's token and the self-signed certificate,
    /// relative to where the server is started. Made with mode 0700 when missing; one server at a
    /// time holds it.
    #[schema(value_type = String)]
    pub(crate) dir: PathBuf,
}

/// A PostgreSQL database instead of SQLite in the data directory: used when the section is there.
#[derive(Clone, Debug, Default, Serialize, Deserialize, ToSchema)]
#[serde(default, deny_unknown_fields)]
pub(crate) struct PostgresConfig {
    /// `postgres://user:password@host:port/database`; the database must exist.
    #[schema(value_type = Option<String>)]
    pub(crate) url: Option<Secret>,
    /// A file that holds `postgres.url`, for secret stores. Not beside `postgres.url`.
    #[schema(value_type = Option<String>)]
    pub(crate) url_file: Option<PathBuf>,
}

/// Pages, API and signalling.
#[derive(Clone, Debug, Serialize, Deserialize, ToSchema)]
#[serde(default, deny_unknown_fields)]
pub(crate) struct HttpConfig {
    /// Address and TCP port to listen on. Port 0 takes any free one (see `ports.json` in the data
    /// directory) and makes an unset media port free too. Anything but loopback is reachable by
    /// others and wants TLS, here or in a proxy.
    #[schema(value_type = String)]
    pub(crate) bind: SocketAddr,
    /// The URL by which others reach this server, for printed links and for join links made by the
    /// API, such as `https://rtc.example.org`. Unset: made from the address listened on.
    pub(crate) public_url: Option<String>,
    /// Networks of reverse proxies, as `10.0.0.0/8` or a single address. Only from them is
    /// `X-Forwarded-For` believed. Listing a proxy says that it does TLS.
    #[schema(value_type = Vec<String>)]
    pub(crate) trusted_proxies: Vec<Network>,
    /// Most TCP connections at a time; more wait in the kernel's queue. Each takes about 20 KiB
    /// when idle; every participant holds one. The process's limit on open files, raised as far as
    /// it may be, less 512, bounds it too.
    pub(crate) connections_max: usize,
    /// Longest wait for the whole head of a request. Lower values free the slots of stalled
    /// clients sooner, higher ones serve very slow networks.
    #[schema(value_type = String)]
    pub(crate) header_timeout: Span,
    /// Longest wait for the next piece of a request's body, and for a peer to take any of what it
    /// is sent.
    #[schema(value_type = String)]
    pub(crate) body_timeout: Span,
    /// Largest head of a request, the request line included. A join carries its session
    /// description in the request line: below 32 KiB some browsers can no longer join.
    #[schema(value_type = String)]
    pub(crate) header_size_max: ByteSize,
}

/// Audio, video and data over UDP.
#[derive(Clone, Debug, Serialize, Deserialize, ToSchema)]
#[serde(default, deny_unknown_fields)]
pub(crate) struct MediaConfig {
    /// Address and first UDP port; each packet thread takes the next one. Unset: the address of
    /// `http.bind` with port 7882, or any free ports when HTTP has port 0.
    #[schema(value_type = Option<String>)]
    pub(crate) bind: Option<SocketAddr>,
    /// The address clients are told instead of the bound one: set it when the server stands behind
    /// one-to-one NAT or in a container. Ports must be the same inside and outside.
    #[schema(value_type = Option<String>)]
    pub(crate) public_ip: Option<IpAddr>,
    /// Packet threads, and so UDP ports; at least 1. Unset: one for each processor. A room lives
    /// on one thread.
    #[schema(value_type = Option<usize>)]
    pub(crate) threads: Option<NonZeroUsize>,
    /// Whether each subscriber's bandwidth is estimated, so that video fits its network. Without
    /// it everything wished for is sent, which saves some processor time and freezes viewers on
    /// slow networks.
    pub(crate) estimate_bandwidth: bool,
}

/// Encryption of HTTP.
#[derive(Clone, Debug, Default, Serialize, Deserialize, ToSchema)]
#[serde(default, deny_unknown_fields)]
pub(crate) struct TlsConfig {
    /// File with the certificate chain, PEM, the server's own first. Needs `tls.key`.
    #[schema(value_type = Option<String>)]
    pub(crate) cert: Option<PathBuf>,
    /// File with the certificate's private key, PEM. Needs `tls.cert`.
    #[schema(value_type = Option<String>)]
    pub(crate) key: Option<PathBuf>,
    /// Make a certificate of our own, kept in the data directory, for `localhost`, this host's
    /// name and its addresses. Browsers warn once; then the camera works. Not beside `tls.cert`.
    pub(crate) self_signed: bool,
}

/// The administrator's access to the API.
#[derive(Clone, Debug, Default, Serialize, Deserialize, ToSchema)]
#[serde(default, deny_unknown_fields)]
pub(crate) struct AdminConfig {
    /// The bearer token of `/api/v1` and `/metrics`, at least 16 characters. Unset: made at the
    /// first start and kept in `admin.token` in the data directory.
    #[schema(value_type = Option<String>)]
    pub(crate) token: Option<Secret>,
    /// A file that holds `admin.token`, for secret stores. Not beside `admin.token`.
    #[schema(value_type = Option<String>)]
    pub(crate) token_file: Option<PathBuf>,
}

/// Apps: the owners of keys and rooms.
#[derive(Clone, Debug, Serialize, Deserialize, ToSchema)]
#[serde(default, deny_unknown_fields)]
pub(crate) struct AppsConfig {
    /// The domain under which each app has its own, `{app_id}.{base_domain}`. With real DNS for
    /// `*.{base_domain}` the app's domain leads here.
    pub(crate) base_domain: String,
    /// Also accept the customary development pair: API key `devkey`, secret `secret`. Everybody
    /// knows it, so it is refused when listening beyond loopback. `--dev` sets this.
    pub(crate) dev_pair: bool,
}

/// Rooms, unless a room's own settings say otherwise.
#[derive(Clone, Debug, Serialize, Deserialize, ToSchema)]
#[serde(default, deny_unknown_fields)]
pub(crate) struct RoomsConfig {
    /// How long a room that nobody joined stays open.
    #[schema(value_type = String)]
    pub(crate) empty_timeout: Span,
    /// How long a room stays open after the last participant left.
    #[schema(value_type = String)]
    pub(crate) departure_timeout: Span,
    /// Most participants of one room; 0 means no limit.
    pub(crate) participants_max: u32,
    /// Most tracks one participant may publish.
    pub(crate) tracks_per_participant_max: usize,
    /// Largest metadata of a room or participant, attributes included.
    #[schema(value_type = String)]
    pub(crate) metadata_size_max: ByteSize,
    /// Data one participant may send per second, averaged over a second.
    #[schema(value_type = String)]
    pub(crate) message_size_per_second_max: ByteSize,
}

/// Limits on what clients may ask of this server.
#[derive(Clone, Debug, Serialize, Deserialize, ToSchema)]
#[serde(default, deny_unknown_fields)]
pub(crate) struct LimitsConfig {
    /// Most open rooms of one app.
    pub(crate) rooms_per_app_max: usize,
    /// Most participants of one app, in all its rooms.
    pub(crate) participants_per_app_max: usize,
    /// Joins per second from one address, averaged over ten seconds. Raise it when many users sit
    /// behind one address.
    pub(crate) joins_per_address_per_second_max: u32,
    /// Largest signalling message.
    #[schema(value_type = String)]
    pub(crate) signal_size_max: ByteSize,
}

/// Notifications of room events to your own server.
#[derive(Clone, Debug, Default, Serialize, Deserialize, ToSchema)]
#[serde(default, deny_unknown_fields)]
pub(crate) struct WebhooksConfig {
    /// URLs that get each event, signed with the key of the event's app.
    pub(crate) urls: Vec<String>,
}

/// Requests to addresses that the owners of apps choose.
#[derive(Clone, Debug, Default, Serialize, Deserialize, ToSchema)]
#[serde(default, deny_unknown_fields)]
pub(crate) struct CallbacksConfig {
    /// Networks that webhooks may reach although they are not public, as `10.0.0.0/8` or a single
    /// address. Loopback and private ones are allowed anyway while HTTP listens on loopback only,
    /// without trusted proxies.
    #[schema(value_type = Vec<String>)]
    pub(crate) allow_networks: Vec<Network>,
}

/// What the server writes about itself.
#[derive(Clone, Debug, Serialize, Deserialize, ToSchema)]
#[serde(default, deny_unknown_fields)]
pub(crate) struct LogConfig {
    /// Least important line written: `error`, `warn`, `info`, `debug` or `trace`, also per part,
    /// as in `info,rtc_node=debug`.
    pub(crate) level: String,
    /// `text` for people, `json` for machines (one object a line).
    #[schema(value_type = String)]
    pub(crate) format: LogFormat,
}

/// How log lines look.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "lowercase")]
pub(crate) enum LogFormat {
    #[default]
    Text,
    Json,
}

/// How the server stops.
#[derive(Clone, Debug, Serialize, Deserialize, ToSchema)]
#[serde(default, deny_unknown_fields)]
pub(crate) struct ShutdownConfig {
    /// How long participants, requests and webhooks in flight get to end after SIGTERM or
    /// Ctrl-C. What is left is then cut.
    #[schema(value_type = String)]
    pub(crate) timeout: Span,
}

impl Default for DataConfig {
    fn default() -> Self {
        Self { dir: "sparkrtc-data".into() }
    }
}

impl Default for HttpConfig {
    fn default() -> Self {
        Self {
            bind: SocketAddr::from((Ipv4Addr::LOCALHOST, 7880)),
            public_url: None,
            trusted_proxies: Vec::new(),
            connections_max: 20_000,
            header_timeout: Span(Duration::from_secs(10)),
            body_timeout: Span(Duration::from_secs(20)),
            header_size_max: ByteSize(64 * 1024),
        }
    }
}

impl Default for MediaConfig {
    fn default() -> Self {
        Self { bind: None, public_ip: None, threads: None, estimate_bandwidth: true }
    }
}

impl Default for AppsConfig {
    fn default() -> Self {
        Self { base_domain: "localhost".to_owned(), dev_pair: false }
    }
}

impl Default for RoomsConfig {
    fn default() -> Self {
        let limits = RoomLimits::default();
        Self {
            empty_timeout: Span(limits.empty_timeout),
            departure_timeout: Span(limits.departure_timeout),
            participants_max: limits.participants_max,
            tracks_per_participant_max: limits.tracks_per_participant_max,
            metadata_size_max: ByteSize(limits.metadata_bytes_max),
            message_size_per_second_max: ByteSize(
                usize::try_from(limits.message_bytes_per_second_max).unwrap_or(usize::MAX),
            ),
        }
    }
}

impl Default for LimitsConfig {
    fn default() -> Self {
        let limits = NodeLimits::default();
        Self {
            rooms_per_app_max: limits.rooms_per_app_max,
            participants_per_app_max: limits.participants_per_app_max,
            joins_per_address_per_second_max: limits.joins_per_address_per_second_max,
            signal_size_max: ByteSize(limits.signal_bytes_max),
        }
    }
}

impl Default for LogConfig {
    fn default() -> Self {
        Self { level: "info".to_owned(), format: LogFormat::Text }
    }
}

impl Default for ShutdownConfig {
    fn default() -> Self {
        Self { timeout: Span(Duration::from_secs(10)) }
    }
}

/// First UDP port unless told, as users of LiveKit know it.
const MEDIA_PORT: u16 = 7882;

impl Config {
    /// Where media is to be bound: as told, or beside HTTP.
    pub(crate) fn media_bind(&self) -> SocketAddr {
        let port = if self.http.bind.port() == 0 { 0 } else { MEDIA_PORT };
        self.media.bind.unwrap_or_else(|| SocketAddr::new(self.http.bind.ip(), port))
    }

    /// Whether HTTP is encrypted here.
    pub(crate) fn has_tls(&self) -> bool {
        self.tls.self_signed || self.tls.cert.is_some()
    }

    /// Limits of every room.
    pub(crate) fn room_limits(&self) -> RoomLimits {
        RoomLimits {
            participants_max: self.rooms.participants_max,
            tracks_per_participant_max: self.rooms.tracks_per_participant_max,
            metadata_bytes_max: self.rooms.metadata_size_max.0,
            message_bytes_per_second_max: u32::try_from(self.rooms.message_size_per_second_max.0)
                .unwrap_or(u32::MAX),
            empty_timeout: self.rooms.empty_timeout.0,
            departure_timeout: self.rooms.departure_timeout.0,
            ..RoomLimits::default()
        }
    }

    /// Limits of this node.
    pub(crate) fn node_limits(&self) -> NodeLimits {
        NodeLimits {
            rooms_per_app_max: self.limits.rooms_per_app_max,
            participants_per_app_max: self.limits.participants_per_app_max,
            joins_per_address_per_second_max: self.limits.joins_per_address_per_second_max,
            signal_bytes_max: self.limits.signal_size_max.0,
        }
    }

    /// What is allowed but probably not wanted; each names its consequence.
    pub(crate) fn warnings(&self) -> Vec<String> {
        let mut warnings = Vec::new();
        let exposed = !self.http.bind.ip().is_loopback();
        if exposed && !self.has_tls() && self.http.trusted_proxies.is_empty() {
            warnings.push(format!(
                "HTTP on {} is reachable by others without TLS: their browsers will refuse camera \
                 and microphone, and tokens travel in the clear. Add --tls self, or tls.cert and \
                 tls.key, or put a TLS proxy in front and list it in http.trusted_proxies.",
                self.http.bind
            ));
        }
        let media = self.media_bind().ip();
        if exposed && media.is_loopback() && self.media.public_ip.is_none() {
            warnings.push(
                "HTTP is reachable by others but media listens on loopback only: they will join \
                 and see nothing. Set media.bind."
                    .to_owned(),
            );
        }
        warnings
    }
}
