use rtc_model::{AppId, Identity, ParticipantKind, Role, RoomName, TrackSource};
use serde_json::json;

use super::*;

const KEY: &[u8] = b"0123456789ABCDEF0123456789ABCDEF";
const NOW: u64 = 1_700_000_000;

fn claims() -> Claims {
    let room = RoomName::new("daily").unwrap();
    Claims {
        iss: "app".into(),
        sub: "alice".into(),
        exp: Some(NOW + 600),
        video: Some(VideoGrants::for_role(&room, Role::Joiner)),
        ..Claims::default()
    }
}

/// A token with this header and payload, signed by HS256 whatever the header says.
fn signed(header: &Value, payload: &Value, key: &[u8]) -> String {
    let part = |value: &Value| URL_SAFE_NO_PAD.encode(value.to_string());
    let text = format!("{}.{}", part(header), part(payload));
    let tag = hmac::sign(&hmac::Key::new(hmac::HMAC_SHA256, key), text.as_bytes());
    format!("{text}.{}", URL_SAFE_NO_PAD.encode(tag))
}

fn check(token: &str, key: &[u8], now_s: u64) -> Result<Claims, TokenError> {
    UnverifiedToken::parse(token)?.verify(key, now_s).cloned()
}

#[test]
fn a_minted_token_gives_its_claims_back() {
    let mut claims = claims();
    assert_eq!(check(&mint(&claims, KEY).unwrap(), KEY, NOW), Ok(claims.clone()));

    claims.name = "Alice ☃".into();
    claims.metadata = "{\"a\":1}".into();
    claims.attributes.insert("k".into(), "v".into());
    claims.nbf = Some(NOW);
    claims.kind = "agent".into();
    claims.room_config = Some(proto::RoomConfiguration {
        empty_timeout: 10,
        max_participants: 3,
        metadata: "m".into(),
        ..Default::default()
    });
    assert_eq!(check(&mint(&claims, KEY).unwrap(), KEY, NOW), Ok(claims));
}

#[test]
fn the_jws_example_of_the_standard_verifies() {
    // RFC 7515, appendix A.1.
    let token = "eyJ0eXAiOiJKV1QiLA0KICJhbGciOiJIUzI1NiJ9.eyJpc3MiOiJqb2UiLA0KICJleHAiOjEzMDA4MTkz\
                 ODAsDQogImh0dHA6Ly9leGFtcGxlLmNvbS9pc19yb290Ijp0cnVlfQ.dBjftJeZ4CVP-mB92K27uhbUJU\
                 1p1r_wW1gFWFOEjXk";
    let key = URL_SAFE_NO_PAD
        .decode(
            "AyM1SysPpbyDfgZld3umj1qzKObwVMkoqQ-EstJQLr_T-1qS0gZH75aKtMN3Yj0iPS4hcgUuTwjAzZr1Z9CAow",
        )
        .unwrap();
    let claims = check(token, &key, 1_300_819_000).unwrap();
    assert_eq!((claims.iss.as_str(), claims.exp), ("joe", Some(1_300_819_380)));
    assert_eq!(check(token, &key, 1_300_819_441), Err(TokenError::Expired));
}

#[test]
fn tokens_that_are_not_to_be_believed_are_refused_with_the_reason() {
    use TokenError::{Algorithm, Expired, Malformed, NoExpiry, NotYetValid, Signature};
    let hs256 = json!({"alg": "HS256", "typ": "JWT"});
    let good = json!({"iss": "app", "sub": "a", "exp": NOW});
    let with = |name: &str, value: Value| {
        let mut payload = good.clone();
        payload[name] = value;
        payload
    };
    let unsigned = {
        let token = signed(&json!({"alg": "none"}), &good, KEY);
        format!("{}.", token.rsplit_once('.').unwrap().0)
    };
    let cases: [(&str, String, Result<(), TokenError>); 26] = [
        ("good", signed(&hs256, &good, KEY), Ok(())),
        ("no typ", signed(&json!({"alg": "HS256"}), &good, KEY), Ok(())),
        ("alg none, unsigned", unsigned, Err(Algorithm)),
        ("alg none, signed", signed(&json!({"alg": "none"}), &good, KEY), Err(Algorithm)),
        ("alg in lower case", signed(&json!({"alg": "hs256"}), &good, KEY), Err(Algorithm)),
        ("alg HS512", signed(&json!({"alg": "HS512"}), &good, KEY), Err(Algorithm)),
        ("alg RS256", signed(&json!({"alg": "RS256"}), &good, KEY), Err(Algorithm)),
        ("no alg", signed(&json!({}), &good, KEY), Err(Malformed)),
        ("crit", signed(&json!({"alg": "HS256", "crit": ["b64"]}), &good, KEY), Err(Algorithm)),
        ("another key", signed(&hs256, &good, b"another"), Err(Signature)),
        ("no expiry", signed(&hs256, &json!({"iss": "app"}), KEY), Err(NoExpiry)),
        ("null expiry", signed(&hs256, &with("exp", Value::Null), KEY), Err(NoExpiry)),
        ("text expiry", signed(&hs256, &with("exp", json!("1700000000")), KEY), Err(Malformed)),
        ("negative expiry", signed(&hs256, &with("exp", json!(-1)), KEY), Err(Malformed)),
        ("huge expiry", signed(&hs256, &with("exp", json!(u64::MAX)), KEY), Ok(())),
        ("infinite expiry", signed(&hs256, &with("exp", json!(1e300)), KEY), Err(Malformed)),
        ("expiry zero", signed(&hs256, &with("exp", json!(0)), KEY), Err(Expired)),
        ("expiry at the leeway", signed(&hs256, &with("exp", json!(NOW - 60)), KEY), Ok(())),
        ("expiry past it", signed(&hs256, &with("exp", json!(NOW - 61)), KEY), Err(Expired)),
        ("expiry, fraction", signed(&hs256, &with("exp", json!(NOW as f64 + 0.5)), KEY), Ok(())),
        ("begin at the leeway", signed(&hs256, &with("nbf", json!(NOW + 60)), KEY), Ok(())),
        ("begin past it", signed(&hs256, &with("nbf", json!(NOW + 61)), KEY), Err(NotYetValid)),
        ("payload is no object", signed(&hs256, &json!([1]), KEY), Err(Malformed)),
        (
            "attributes are no object",
            signed(&hs256, &with("attributes", json!(1)), KEY),
            Err(Malformed),
        ),
        ("null name", signed(&hs256, &with("name", Value::Null), KEY), Ok(())),
        (
            "unknown claims",
            signed(&hs256, &with("inference", json!({"perform": true})), KEY),
            Ok(()),
        ),
    ];
    for (name, token, expected) in cases {
        assert_eq!(check(&token, KEY, NOW).map(drop), expected, "{name}");
    }
}

#[test]
fn every_changed_byte_of_a_token_is_noticed() {
    let token = mint(&claims(), KEY).unwrap();
    for at in 0..token.len() {
        let mut changed = token.clone().into_bytes();
        changed[at] = if changed[at] == b'A' { b'B' } else { b'A' };
        let changed = String::from_utf8(changed).unwrap();
        // base64's last symbol can hold unused bits; a strict decoder refuses those too.
        assert!(check(&changed, KEY, NOW).is_err(), "byte {at}");
    }
}

#[test]
fn texts_that_are_no_tokens_are_malformed() {
    let token = mint(&claims(), KEY).unwrap();
    let (signed, _) = token.rsplit_once('.').unwrap();
    let cases = [
        String::new(),
        ".".into(),
        "..".into(),
        "...".into(),
        "a.b.c".into(),
        "☃.☃.☃".into(),
        format!("{token}="),
        format!("{token}."),
        format!(" {token}"),
        format!("{signed}.*"),
        format!("{}.{}.x", URL_SAFE_NO_PAD.encode("{"), URL_SAFE_NO_PAD.encode("{")),
    ];
    for case in cases {
        assert_eq!(UnverifiedToken::parse(&case).err(), Some(TokenError::Malformed), "{case}");
    }
}

#[test]
fn sizes_are_bounded_on_both_sides() {
    let mut claims = claims();
    claims.metadata = "x".repeat(64 * 1024);
    assert!(check(&mint(&claims, KEY).unwrap(), KEY, NOW).is_ok());
    claims.metadata = "x".repeat(100 * 1024);
    assert_eq!(mint(&claims, KEY), Err(TokenError::TooLarge));
    let long = "a".repeat(TOKEN_BYTES_MAX + 1);
    assert_eq!(UnverifiedToken::parse(&long).err(), Some(TokenError::TooLarge));
}

#[test]
fn deep_json_is_refused_without_a_deep_stack() {
    let deep = format!("{}1{}", "[".repeat(20_000), "]".repeat(20_000));
    let part = URL_SAFE_NO_PAD.encode(format!("{{\"exp\":1,\"x\":{deep}}}"));
    let token = format!("{HEADER_HS256}.{part}.AA");
    assert_eq!(UnverifiedToken::parse(&token).err(), Some(TokenError::Malformed));
}

#[test]
fn an_empty_key_never_verifies() {
    let token = mint(&claims(), b"").unwrap();
    assert_eq!(check(&token, b"", NOW), Err(TokenError::Signature));
}

#[test]
fn a_token_without_expiry_cannot_be_minted() {
    assert_eq!(mint(&Claims { exp: None, ..claims() }, KEY), Err(TokenError::NoExpiry));
}

#[test]
fn the_identity_may_stand_in_jti() {
    let by_jti = Claims { sub: String::new(), jti: "bob".into(), ..claims() };
    assert_eq!(by_jti.identity(), "bob");
    assert_eq!(Claims { sub: "alice".into(), ..by_jti }.identity(), "alice");
}

#[test]
fn room_configuration_is_read_in_both_spellings_of_proto3_json() {
    let hs256 = json!({"alg": "HS256"});
    let config = |value: Value| {
        let payload = json!({"iss": "app", "exp": NOW, "roomConfig": value});
        check(&signed(&hs256, &payload, KEY), KEY, NOW).map(|claims| claims.room_config.unwrap())
    };
    let cases = [
        json!({"emptyTimeout": 5, "departureTimeout": 6, "maxParticipants": 7, "metadata": "m"}),
        json!({"empty_timeout": 5, "departure_timeout": "6", "max_participants": 7, "metadata": "m"}),
        json!({"emptyTimeout": 5, "departureTimeout": 6, "maxParticipants": 7, "metadata": "m",
               "egress": null, "fromTheFuture": {"x": 1}}),
    ];
    for case in cases {
        let read = config(case).unwrap();
        assert_eq!((read.empty_timeout, read.departure_timeout), (5, 6));
        assert_eq!((read.max_participants, read.metadata.as_str()), (7, "m"));
    }
    assert_eq!(config(json!({"emptyTimeout": -1})).err(), Some(TokenError::Malformed));
}

#[test]
fn absent_rights_take_livekits_defaults() {
    let grants: VideoGrants = serde_json::from_value(json!({"roomJoin": true})).unwrap();
    let permissions = grants.permissions();
    assert_eq!(permissions, rtc_model::Permissions::default());

    let grants = VideoGrants { can_publish: Some(false), ..VideoGrants::default() };
    assert!(!grants.permissions().can_publish_data);
    let grants = VideoGrants {
        can_publish: Some(false),
        can_publish_data: Some(true),
        can_publish_sources: vec!["camera".into()],
        ..VideoGrants::default()
    };
    assert!(grants.permissions().can_publish_data);
    assert!(!grants.permissions().may_publish(TrackSource::Camera));
}

#[test]
fn sources_limit_what_may_be_published() {
    let sources = |names: &[&str]| VideoGrants {
        can_publish_sources: names.iter().map(|&name| name.to_owned()).collect(),
        ..VideoGrants::default()
    };
    let permissions = sources(&["camera", "SCREEN_SHARE"]).permissions();
    assert!(permissions.may_publish(TrackSource::Camera));
    assert!(permissions.may_publish(TrackSource::ScreenShare));
    assert!(!permissions.may_publish(TrackSource::Microphone));
    assert!(!sources(&["hologram"]).permissions().may_publish(TrackSource::Camera));
}

#[test]
fn roles_become_rights_and_rights_survive_a_refresh() {
    let room = RoomName::new("r").unwrap();
    let cases =
        [(Role::Joiner, true, true), (Role::Player, false, true), (Role::Publisher, true, false)];
    for (role, publish, subscribe) in cases {
        let grants = VideoGrants::for_role(&room, role);
        let permissions = grants.permissions();
        assert_eq!((permissions.can_publish, permissions.can_subscribe), (publish, subscribe));
        assert_eq!(permissions.can_publish_data, publish);
        assert!(grants.room_join && grants.room == "r");
        let again = VideoGrants::from_permissions(&room, &permissions);
        assert_eq!(again.permissions(), permissions);
    }
}

#[test]
fn kinds_have_names() {
    assert_eq!(participant_kind("agent"), ParticipantKind::Agent);
    assert_eq!(participant_kind(""), ParticipantKind::Standard);
    assert_eq!(participant_kind("toaster"), ParticipantKind::Standard);
    assert_eq!(participant_kind(participant_kind_name(ParticipantKind::Sip)), ParticipantKind::Sip);
}

#[test]
fn the_published_vector_of_the_access_signature_holds() {
    let covered = AccessSignature {
        app: &AppId::new("60d539ba00d861ef0802742ce404400c").unwrap(),
        room: &RoomName::new("room001").unwrap(),
        user: &Identity::new("user001").unwrap(),
        ctime: "1700007200",
    };
    let signature = "95c4ea3d26bd29b5253dcc16c6bbf7542ad0fe76ee03c1a4b6f357cf81bac56c";
    assert_eq!(access_signature(&covered, b"12345ABCDEF12345"), signature);
    assert!(covered.matches(b"12345ABCDEF12345", signature));
    assert!(!covered.matches(b"12345ABCDEF12346", signature));
    assert!(
        !AccessSignature { ctime: "1700007201", ..covered }.matches(b"12345ABCDEF12345", signature)
    );
    for wrong in ["", "zz", &signature[..62], &format!("{signature}00")] {
        assert!(!covered.matches(b"12345ABCDEF12345", wrong), "{wrong}");
    }
}

/// A small generator with a printed seed, so that a failure can be repeated.
struct Noise(u64);

impl Noise {
    fn next(&mut self) -> u64 {
        // Marsaglia's xorshift64.
        self.0 ^= self.0 << 13;
        self.0 ^= self.0 >> 7;
        self.0 ^= self.0 << 17;
        self.0
    }

    fn below(&mut self, end: usize) -> usize {
        usize::try_from(self.next() % u64::try_from(end).unwrap()).unwrap()
    }
}

#[test]
fn no_text_makes_the_reader_panic_and_none_verifies() {
    let seed = 0x5EED_0001;
    println!("seed {seed:#x}");
    let mut noise = Noise(seed);
    let token = mint(&claims(), KEY).unwrap();
    let pieces = [".", "..", "\"", "{}", "[]", "null", "☃", "=", "eyJ", "%00", HEADER_HS256];
    for _ in 0..20_000 {
        let mut text: Vec<char> = token.chars().collect();
        for _ in 0..=noise.below(4) {
            let at = noise.below(text.len() + 1);
            match noise.below(3) {
                0 => drop(text.drain(at..text.len().min(at + noise.below(40)))),
                1 => {
                    let piece = pieces[noise.below(pieces.len())];
                    drop(text.splice(at..at, piece.chars()));
                }
                _ => text.truncate(at),
            }
        }
        let text: String = text.into_iter().collect();
        if text != token {
            assert!(check(&text, KEY, NOW).is_err(), "{text}");
        }
    }
}

#[test]
fn no_payload_makes_the_reader_panic() {
    let seed = 0x5EED_0002;
    println!("seed {seed:#x}");
    let mut noise = Noise(seed);
    let names = ["iss", "sub", "exp", "nbf", "name", "attributes", "video", "roomConfig", "sha256"];
    let values = ["null", "0", "-1", "1e999", "1.5", "\"x\"", "[]", "{}", "{\"a\":1}", "true", "{"];
    for _ in 0..20_000 {
        let members: Vec<String> = (0..noise.below(6))
            .map(|_| {
                let (name, value) = (names[noise.below(9)], values[noise.below(11)]);
                format!("\"{name}\":{value}")
            })
            .collect();
        let payload = format!("{{{}}}", members.join(","));
        let part = URL_SAFE_NO_PAD.encode(&payload);
        let token = format!("{HEADER_HS256}.{part}.{}", URL_SAFE_NO_PAD.encode([0; 32]));
        let verified = check(&token, KEY, NOW);
        let refused = [Err(TokenError::Malformed), Err(TokenError::Signature)];
        assert!(refused.contains(&verified.map(drop)), "{payload}");
    }
}
