//! What a client says when it connects, in either version's way. Pure.

use std::collections::{BTreeMap, HashMap};

use axum::extract::Query;
use http::{HeaderMap, header, request::Parts};
use rtc_api::code::{ErrorCode, Refusal};
use rtc_media::command::{AutoSubscribe, Topology};

use super::join_request::{self, JoinRequestError};
use crate::proto;

/// Which way the parameters are written, and which topology they mean.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Version {
    /// Query parameters; two peer connections.
    V0,
    /// One `join_request`; a single peer connection.
    V1,
}

/// What a client wants.
#[derive(Clone, Debug)]
pub(super) struct JoinParameters {
    pub(super) token: String,
    pub(super) topology: Topology,
    /// The participant id of a session that comes back; may be empty or nonsense.
    pub(super) returning: Option<String>,
    pub(super) auto_subscribe: AutoSubscribe,
    pub(super) adaptive_stream: bool,
    /// Signal protocol version.
    pub(super) protocol: u32,
    pub(super) is_firefox: bool,
    /// Replaces the token's.
    pub(super) metadata: Option<String>,
    /// Added to the token's.
    pub(super) attributes: BTreeMap<String, String>,
    pub(super) publish: Vec<proto::AddTrackRequest>,
    pub(super) offer: Option<proto::SessionDescription>,
    pub(super) sync_state: Option<proto::SyncState>,
}

/// Reads a request's parameters.
pub(super) fn read(version: Version, parts: &Parts) -> Result<JoinParameters, Refusal> {
    let Query(query) = Query::<HashMap<String, String>>::try_from_uri(&parts.uri)
        .map_err(|_| invalid("The query cannot be read."))?;
    let token = token(&query, &parts.headers).ok_or(ErrorCode::Unauthenticated)?;
    let agent = parts.headers.get(header::USER_AGENT).and_then(|value| value.to_str().ok());
    match version {
        Version::V0 => read_v0(token, &query, agent.unwrap_or_default()),
        Version::V1 => read_v1(token, &query, agent.unwrap_or_default()),
    }
}

fn read_v0(
    token: String,
    query: &HashMap<String, String>,
    agent: &str,
) -> Result<JoinParameters, Refusal> {
    let text = |name: &str| query.get(name).map(String::as_str).unwrap_or_default();
    let flag = |name: &str, default: bool| query.get(name).map_or(default, |value| is_true(value));
    let attributes = match text("attributes") {
        "" => BTreeMap::new(),
        encoded => join_request::decode_base64(encoded)
            .and_then(|json| serde_json::from_slice(&json).ok())
            .ok_or_else(|| invalid("attributes is not base64url of a JSON object of texts."))?,
    };
    let auto_subscribe = flag("auto_subscribe", true);
    Ok(JoinParameters {
        token,
        topology: Topology::Dual,
        returning: flag("reconnect", false).then(|| text("sid").to_owned()),
        auto_subscribe: if auto_subscribe { AutoSubscribe::On } else { AutoSubscribe::Off },
        adaptive_stream: flag("adaptive_stream", false),
        protocol: text("protocol").parse().unwrap_or(0),
        is_firefox: is_firefox(text("browser"), agent),
        metadata: None,
        attributes,
        publish: Vec::new(),
        offer: None,
        sync_state: None,
    })
}

fn read_v1(
    token: String,
    query: &HashMap<String, String>,
    agent: &str,
) -> Result<JoinParameters, Refusal> {
    let Some(text) = query.get("join_request") else {
        // A health probe or a resume by hand may come with the token only; what is missing has defaults.
        return Err(invalid("join_request is missing."));
    };
    let request = join_request::parse(text).map_err(|error| match error {
        JoinRequestError::TooLarge => Refusal::new(ErrorCode::TooLarge, format!("The {error}.")),
        _ => invalid(&format!("The {error}.")),
    })?;
    let client = request.client_info.unwrap_or_default();
    let settings = request.connection_settings.unwrap_or_default();
    let attributes = request.participant_attributes.into_iter();
    Ok(JoinParameters {
        token,
        topology: Topology::Single,
        returning: request.reconnect.then_some(request.participant_sid),
        auto_subscribe: if settings.auto_subscribe {
            AutoSubscribe::On
        } else {
            AutoSubscribe::Off
        },
        adaptive_stream: settings.adaptive_stream,
        protocol: u32::try_from(client.protocol).unwrap_or(0),
        is_firefox: is_firefox(&client.browser, agent),
        metadata: (!request.metadata.is_empty()).then_some(request.metadata),
        attributes: attributes.filter(|(_, value)| !value.is_empty()).collect(),
        publish: request.add_track_requests,
        offer: request.publisher_offer.filter(|offer| !offer.sdp.is_empty()),
        sync_state: request.sync_state,
    })
}

/// From the header, else from the query: native clients send the header only, browsers cannot.
fn token(query: &HashMap<String, String>, headers: &HeaderMap) -> Option<String> {
    let bearer = headers
        .get(header::AUTHORIZATION)
        .and_then(|value| value.to_str().ok())
        .and_then(|value| value.split_once(' '))
        .filter(|(scheme, _)| scheme.eq_ignore_ascii_case("bearer"))
        .map(|(_, token)| token.trim());
    let token = bearer.or_else(|| query.get("access_token").map(String::as_str))?;
    (!token.is_empty()).then(|| token.to_owned())
}

/// Browsers leave the fields blank; then their own header tells.
fn is_firefox(browser: &str, agent: &str) -> bool {
    if browser.is_empty() {
        agent.contains("Firefox/")
    } else {
        browser.eq_ignore_ascii_case("firefox")
    }
}

fn is_true(value: &str) -> bool {
    value == "1" || value.eq_ignore_ascii_case("true")
}

fn invalid(detail: &str) -> Refusal {
    Refusal::new(ErrorCode::InvalidArgument, detail)
}

#[cfg(test)]
mod tests {
    use base64::{Engine as _, engine::general_purpose::URL_SAFE_NO_PAD};
    use prost::Message as _;

    use super::*;

    fn parts(uri: &str, headers: &[(&str, &str)]) -> Parts {
        let mut request = http::Request::builder().uri(uri);
        for (name, value) in headers {
            request = request.header(*name, *value);
        }
        request.body(()).unwrap().into_parts().0
    }

    #[test]
    fn v0_parameters_are_read_with_their_defaults() {
        let plain = read(Version::V0, &parts("/rtc?access_token=t", &[])).unwrap();
        assert_eq!(plain.token, "t");
        assert_eq!(plain.topology, Topology::Dual);
        assert_eq!(plain.auto_subscribe, AutoSubscribe::On);
        assert_eq!((plain.returning, plain.protocol, plain.adaptive_stream), (None, 0, false));

        let attributes = URL_SAFE_NO_PAD.encode(r#"{"k":"v"}"#);
        let uri = format!(
            "/rtc?access_token=t&protocol=13&auto_subscribe=0&adaptive_stream=true\
             &reconnect=1&sid=PA_abc&attributes={attributes}&browser=firefox"
        );
        let full = read(Version::V0, &parts(&uri, &[])).unwrap();
        assert_eq!(full.returning.as_deref(), Some("PA_abc"));
        assert_eq!(full.auto_subscribe, AutoSubscribe::Off);
        assert_eq!((full.protocol, full.adaptive_stream, full.is_firefox), (13, true, true));
        assert_eq!(full.attributes.get("k").map(String::as_str), Some("v"));
    }

    #[test]
    fn the_header_goes_before_the_query_and_one_of_them_is_needed() {
        let header = [("authorization", "Bearer h")];
        assert_eq!(read(Version::V0, &parts("/rtc?access_token=q", &header)).unwrap().token, "h");
        assert_eq!(read(Version::V0, &parts("/rtc", &header)).unwrap().token, "h");
        let cases: [(&str, &[(&str, &str)]); 4] = [
            ("/rtc", &[]),
            ("/rtc?access_token=", &[]),
            ("/rtc", &[("authorization", "Basic aaa")]),
            ("/rtc", &[("authorization", "Bearer ")]),
        ];
        for (uri, headers) in cases {
            let refused = read(Version::V0, &parts(uri, headers)).unwrap_err();
            assert_eq!(refused.code, ErrorCode::Unauthenticated, "{uri} {headers:?}");
        }
    }

    #[test]
    fn v1_parameters_come_from_the_join_request() {
        let request = proto::JoinRequest {
            client_info: Some(proto::ClientInfo { protocol: 17, ..Default::default() }),
            metadata: "m".to_owned(),
            participant_attributes: [("k", "v"), ("empty", "")]
                .map(|(k, v)| (k.to_owned(), v.to_owned()))
                .into(),
            reconnect: true,
            participant_sid: "PA_1".to_owned(),
            ..Default::default()
        };
        let wrapped =
            proto::WrappedJoinRequest { compression: 0, join_request: request.encode_to_vec() };
        let text = URL_SAFE_NO_PAD.encode(wrapped.encode_to_vec());
        let agent = [("user-agent", "Mozilla/5.0 Gecko/20100101 Firefox/128.0")];
        let uri = format!("/rtc/v1?access_token=t&join_request={text}");
        let read = read(Version::V1, &parts(&uri, &agent)).unwrap();
        assert_eq!(read.topology, Topology::Single);
        assert_eq!(read.auto_subscribe, AutoSubscribe::Off, "absent is false in this version");
        assert_eq!((read.protocol, read.is_firefox), (17, true));
        assert_eq!(read.returning.as_deref(), Some("PA_1"));
        assert_eq!(read.metadata.as_deref(), Some("m"));
        assert_eq!(read.attributes.len(), 1);
    }

    #[test]
    fn what_cannot_be_read_is_the_clients_fault() {
        let cases = [
            (Version::V1, "/rtc/v1?access_token=t"),
            (Version::V1, "/rtc/v1?access_token=t&join_request=%21"),
            (Version::V0, "/rtc?access_token=t&attributes=%21"),
            (Version::V0, "/rtc?access_token=t&attributes=bnVsbA"),
        ];
        for (version, uri) in cases {
            let refused = read(version, &parts(uri, &[])).unwrap_err();
            assert_eq!(refused.code, ErrorCode::InvalidArgument, "{uri}");
        }
    }
}
