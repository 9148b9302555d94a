//! Bodies in Twirp's two encodings, binary protobuf and proto3 JSON.

use axum::http::{HeaderMap, HeaderValue, header};
use prost::Message;
use serde::{Serialize, de::DeserializeOwned};
use serde_json::Value;

use super::error::TwirpError;
use crate::body::shortened;

/// How a request's body is written; the answer is written the same way.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Encoding {
    Json,
    Protobuf,
}

impl Encoding {
    /// The encoding a `Content-Type` names; parameters (`; charset=utf-8`) do not matter.
    pub(super) fn of(headers: &HeaderMap) -> Result<Self, TwirpError> {
        let given = headers.get(header::CONTENT_TYPE).and_then(|value| value.to_str().ok());
        let media_type = given.unwrap_or_default().split(';').next().unwrap_or_default().trim();
        if media_type.eq_ignore_ascii_case(JSON) {
            Ok(Self::Json)
        } else if media_type.eq_ignore_ascii_case(PROTOBUF) {
            Ok(Self::Protobuf)
        } else {
            let shown = shortened(media_type);
            let msg = format!("content type must be {JSON} or {PROTOBUF}, not \"{shown}\"");
            Err(TwirpError::bad_route(msg))
        }
    }

    pub(super) fn content_type(self) -> HeaderValue {
        HeaderValue::from_static(match self {
            Self::Json => JSON,
            Self::Protobuf => PROTOBUF,
        })
    }

    /// Reads a message. Unknown fields are ignored in both encodings, as proto3 asks of servers
    /// that meet newer clients; JSON takes a field's name in both spellings, and `null` for absent.
    pub(super) fn decode<M: Message + Default + DeserializeOwned>(
        self,
        body: &[u8],
    ) -> Result<M, TwirpError> {
        match self {
            Self::Json => serde_json::from_slice(body)
                .and_then(|value: Value| serde_json::from_value(without_nulls(value)))
                .map_err(|error| malformed("JSON", &error)),
            Self::Protobuf => M::decode(body).map_err(|error| malformed("protobuf", &error)),
        }
    }

    /// Writes a message. JSON leaves out fields that have their default value: every proto3 JSON
    /// reader, the SDKs' among them, takes absent as default.
    pub(super) fn encode<M: Message + Serialize>(self, message: &M) -> serde_json::Result<Vec<u8>> {
        match self {
            Self::Json => serde_json::to_vec(message),
            Self::Protobuf => Ok(message.encode_to_vec()),
        }
    }
}

fn malformed(encoding: &str, error: &dyn std::error::Error) -> TwirpError {
    let reason = shortened(&error.to_string());
    TwirpError::malformed(format!("the body is not the {encoding} of this message: {reason}"))
}

/// Removes fields that are `null`; the proto3 JSON mapping reads them as absent, the generated
/// readers refuse them.
fn without_nulls(value: Value) -> Value {
    match value {
        Value::Object(fields) => Value::Object(
            fields
                .into_iter()
                .filter(|(_, value)| !value.is_null())
                .map(|(name, value)| (name, without_nulls(value)))
                .collect(),
        ),
        Value::Array(items) => Value::Array(items.into_iter().map(without_nulls).collect()),
        other => other,
    }
}

const JSON: &str = "application/json";
const PROTOBUF: &str = "application/protobuf";

#[cfg(test)]
mod tests {
    use std::collections::HashMap;

    use rtc_api::proto;

    use super::*;

    fn of(content_type: Option<&'static str>) -> Option<Encoding> {
        let mut headers = HeaderMap::new();
        if let Some(value) = content_type {
            headers.insert(header::CONTENT_TYPE, HeaderValue::from_static(value));
        }
        Encoding::of(&headers).ok()
    }

    #[test]
    fn the_content_type_decides_whatever_its_case_and_parameters() {
        assert_eq!(of(Some("application/json")), Some(Encoding::Json));
        assert_eq!(of(Some("application/json;charset=UTF-8")), Some(Encoding::Json));
        assert_eq!(of(Some("Application/JSON ; charset=utf-8")), Some(Encoding::Json));
        assert_eq!(of(Some("application/protobuf")), Some(Encoding::Protobuf));
        assert_eq!(of(Some("text/json")), None);
        assert_eq!(of(Some("")), None);
        assert_eq!(of(None), None);
    }

    fn room(json: &str) -> Result<proto::CreateRoomRequest, TwirpError> {
        Encoding::Json.decode(json.as_bytes())
    }

    #[test]
    fn json_takes_both_spellings_nulls_and_fields_it_does_not_know() {
        let wanted = proto::CreateRoomRequest {
            name: "a".to_owned(),
            empty_timeout: 7,
            max_participants: 3,
            ..Default::default()
        };
        for json in [
            r#"{"name":"a","empty_timeout":7,"max_participants":3}"#,
            r#"{"name":"a","emptyTimeout":7,"maxParticipants":3}"#,
            r#"{"name":"a","emptyTimeout":"7","maxParticipants":3,"metadata":null,"egress":null}"#,
            r#"{"name":"a","emptyTimeout":7,"max_participants":3,"fromTheFuture":{"x":[1]}}"#,
        ] {
            assert_eq!(room(json).as_ref(), Ok(&wanted), "{json}");
        }
    }

    #[test]
    fn json_takes_base64_data_and_enums_by_name_and_number() {
        for kind in ["\"LOSSY\"", "1"] {
            let json = format!(r#"{{"room":"a","data":"/+8=","kind":{kind},"topic":"t"}}"#);
            let request: proto::SendDataRequest =
                Encoding::Json.decode(json.as_bytes()).expect("it is well formed");
            assert_eq!(request.data, [0xff, 0xef]);
            assert_eq!(request.kind(), proto::data_packet::Kind::Lossy);
            assert_eq!(request.topic.as_deref(), Some("t"));
        }
    }

    #[test]
    fn what_is_not_the_message_is_malformed_and_not_echoed_at_length() {
        let long = format!(r#"{{"emptyTimeout":"{}"}}"#, "x".repeat(100_000));
        let deep = format!("{}{}", "[".repeat(10_000), "]".repeat(10_000));
        for json in ["", "null", "[]", "7", "{\"name\":", r#"{"name":7}"#, &long, &deep] {
            let error = room(json).expect_err("it is not a request");
            assert_eq!(error.kind().as_str(), "malformed", "{json:.40}");
            assert!(format!("{error:?}").len() < 1000, "{json:.40}");
        }
        // Field 1 (name, length-delimited) says five bytes and has one; then an endless group.
        for bytes in [&[0x0a, 5, b'a'][..], &[0x0b; 64], &[0xff; 12]] {
            let error = Encoding::Protobuf.decode::<proto::CreateRoomRequest>(bytes);
            assert_eq!(error.expect_err("it is no message").kind().as_str(), "malformed");
        }
    }

    #[test]
    fn both_encodings_give_back_what_was_written() {
        let attributes = HashMap::from([("under_score".to_owned(), "Ünï".to_owned())]);
        let sent = proto::ParticipantInfo {
            sid: "PA_1".to_owned(),
            joined_at: i64::MAX,
            attributes,
            ..Default::default()
        };
        for encoding in [Encoding::Json, Encoding::Protobuf] {
            let bytes = encoding.encode(&sent).expect("it can be written");
            assert_eq!(encoding.decode::<proto::ParticipantInfo>(&bytes).as_ref(), Ok(&sent));
        }
    }
}
