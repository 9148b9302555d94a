use std::collections::BTreeSet;

use expect_test::expect;
use reqwest::{Method, RequestBuilder, header};
use rtc_api::{cluster::RoomAnswer, cluster::RoomCall, code::ErrorCode};
use serde_json::{Value, json};

use crate::world::{ADMIN_TOKEN, NOW_S, Reply, World};

/// An operation and what it answers to nobody, to somebody with a wrong token, and to the operator.
struct Row {
    method: Method,
    /// As in the document; `{app_id}` and the like are filled in.
    path: &'static str,
    body: Value,
    anonymous: u16,
    wrong: u16,
    right: u16,
}

fn row(method: Method, path: &'static str, body: Value, right: u16) -> Row {
    Row { method, path, body, anonymous: 401, wrong: 401, right }
}

/// Every operation there is. A new one without a row fails the test below.
fn rows() -> Vec<Row> {
    let token = json!({"room_id": "r", "user_id": "u", "role": "player", "lifetime_s": 60});
    let exchange = json!({"room_id": "r", "user_id": "u", "ctime": NOW_S + 60, "signature": "00"});
    let none = Value::Null;
    let (get, post) = (|| Method::GET, || Method::POST);
    vec![
        row(get(), "/api/v1/apps", none.clone(), 200),
        row(post(), "/api/v1/apps", json!({"name": "new", "type": "FINANCE"}), 201),
        row(get(), "/api/v1/apps/{app_id}", none.clone(), 200),
        row(Method::PATCH, "/api/v1/apps/{app_id}", json!({"name": "renamed"}), 200),
        row(post(), "/api/v1/apps/{app_id}/disable", none.clone(), 200),
        row(post(), "/api/v1/apps/{app_id}/enable", none.clone(), 200),
        row(post(), "/api/v1/apps/{app_id}/rotate-key", none.clone(), 200),
        row(post(), "/api/v1/apps/{app_id}/tokens", token, 201),
        // The signature is the credential, and this one is wrong for everybody.
        row(post(), "/api/v1/apps/{app_id}/access-token", exchange, 401),
        row(get(), "/api/v1/apps/{app_id}/rooms", none.clone(), 200),
        row(get(), "/api/v1/apps/{app_id}/rooms/{room_id}/participants", none.clone(), 200),
        row(get(), "/api/v1/apps/{app_id}/webhooks", none.clone(), 200),
        row(Method::PUT, "/api/v1/apps/{app_id}/webhooks", json!({"items": []}), 200),
        row(Method::DELETE, "/api/v1/apps/{app_id}", none, 204),
    ]
}

#[tokio::test]
async fn every_operation_answers_by_credentials() {
    let document: Value =
        serde_json::from_str(&rtc_control::http::document_text().unwrap()).unwrap();
    let documented: BTreeSet<String> = document["paths"]
        .as_object()
        .unwrap()
        .iter()
        .flat_map(|(path, operations)| {
            let methods = operations.as_object().unwrap().keys();
            methods.map(move |method| format!("{} {path}", method.to_uppercase()))
        })
        .collect();
    let listed: BTreeSet<String> =
        rows().iter().map(|row| format!("{} {}", row.method, row.path)).collect();
    assert_eq!(documented, listed, "operations without a row, or rows without an operation");

    let world = World::start().await;
    let app = world.app("class").await.app_id;
    let node = world.play_node(|request| match request.call {
        RoomCall::ListRooms(_) => Ok(RoomAnswer::Rooms(vec![])),
        RoomCall::ListParticipants(_) => Ok(RoomAnswer::Participants(vec![])),
        RoomCall::CloseAll => Ok(RoomAnswer::Done),
        _ => Err(ErrorCode::Unimplemented),
    });
    for row in rows() {
        let path = row.path.replace("{app_id}", app.as_str()).replace("{room_id}", "r");
        let body = (!row.body.is_null()).then_some(&row.body);
        let tokens = [
            (None, row.anonymous),
            (Some("wrong"), row.wrong),
            (Some(""), row.wrong),
            (Some(ADMIN_TOKEN), row.right),
        ];
        for (token, expected) in tokens {
            let reply = world.call(row.method.clone(), &path, token, body).await;
            let at = format!("{} {} as {token:?}: {}", row.method, row.path, reply.line());
            assert_eq!(reply.status.as_u16(), expected, "{at}");
        }
    }
    node.abort();
    world.stop().await;
}

#[tokio::test]
async fn nobody_learns_what_exists_without_credentials() {
    let world = World::start().await;
    let app = world.app("class").await.app_id;
    let unknown = "0123456789abcdef0123456789abcdef";
    for id in [app.as_str(), unknown, "%00"] {
        let reply = world.call(Method::GET, &format!("/api/v1/apps/{id}"), None, None).await;
        assert_eq!((reply.status.as_u16(), &reply.body["code"]), (401, &json!("unauthenticated")));
    }
    // Not even whether a body would have been understood.
    let nonsense = world.request(Method::POST, "/api/v1/apps").body("{");
    assert_eq!(Reply::of(nonsense).await.status, 401);
    world.stop().await;
}

#[tokio::test]
async fn refusals_have_a_status_a_code_and_a_sentence() {
    let world = World::start().await;
    let app = world.app("class").await.app_id;
    let cases = wrong_requests(&world).into_iter().chain(wrong_values(&world, app.as_str()));
    let mut lines = String::new();
    for (name, request) in cases {
        let reply = Reply::of(request).await;
        assert_eq!(reply.headers[header::CONTENT_TYPE], "application/problem+json", "{name}");
        assert_eq!(reply.body["status"], reply.status.as_u16(), "{name}");
        assert_eq!(reply.status == 401, reply.headers.contains_key("www-authenticate"), "{name}");
        lines.push_str(&format!("{name}: {}\n", reply.line()));
    }
    expect![[r#"
        no token: 401 unauthenticated: Send a token in the Authorization header or as access_token.
        wrong token: 401 token_invalid: The token is not the admin token; send the content of the file admin.token of the data directory as a bearer token.
        no bearer: 401 token_invalid: The token is not the admin token; send the content of the file admin.token of the data directory as a bearer token.
        no path: 404 not_found: Check the address.
        no method: 405 method_not_allowed: Check the method.
        not JSON: 400 invalid_argument: The body cannot be understood: EOF while parsing a value at line 1 column 8. Correct it.
        not declared: 400 invalid_argument: The body is not declared as JSON; send Content-Type: application/json.
        not text: 400 invalid_argument: The body cannot be understood: expected value at line 1 column 1. Correct it.
        no body: 400 invalid_argument: The body cannot be understood: EOF while parsing a value at line 1 column 0. Correct it.
        large: 413 too_large: The body has more than 262144 bytes; send less at once.
        no app: 404 app_not_found: There is no app 0123456789abcdef0123456789abcdef; check the app ID.
        no id: 404 not_found: Check the address.
        no name: 400 invalid_argument: The body cannot be understood: missing field `name` at line 1 column 2. Correct it.
        unknown field: 400 invalid_argument: The body cannot be understood: unknown field `color`, expected `name` or `type` at line 1 column 8. Correct it.
        unknown type: 400 invalid_argument: The body cannot be understood: unknown variant `SPORT`, expected one of `EDUCATION`, `ENTERTAINMENT`, `FINANCE`, `OTHER`, `EXCLUSIVE-A`, `EXCLUSIVE-B`, `EXCLUSIVE-C` at line 1 column 26. Correct it.
        bad name: 400 invalid_argument: An app's name has 1 to 64 letters, digits, hyphens (-) and underscores (_); choose such a name.
        taken: 409 conflict: An app named class exists already; choose another name.
        bad limit: 400 invalid_argument: limit is 0; give a number from 1 to 100.
        odd limit: 400 invalid_argument: The query cannot be understood: limit: invalid digit found in string. Correct it.
        bad status: 400 invalid_argument: The query cannot be understood: status: unknown variant `asleep`, expected `enabled` or `disabled`. Correct it.
        bad position: 400 invalid_argument: after is not a position of this list; send the next of the part before.
        unknown query: 400 invalid_argument: The query cannot be understood: page: unknown field `page`, expected one of `status`, `after`, `limit`. Correct it.
        no room: 400 invalid_argument: The body cannot be understood: missing field `room_id` at line 1 column 15. Correct it.
        bad ctime: 400 invalid_argument: The body cannot be understood: ctime is a number of Unix seconds at line 1 column 11. Correct it.
        no node: 503 unavailable: Try again in a moment.
    "#]].assert_eq(&lines);
    world.stop().await;
}

type Case = (&'static str, RequestBuilder);

fn ask(world: &World, method: Method, path: &str) -> RequestBuilder {
    let request = world.request(method, path).bearer_auth(ADMIN_TOKEN);
    request.header(header::CONTENT_TYPE, "application/json")
}

fn wrong_requests(world: &World) -> Vec<Case> {
    let apps = "/api/v1/apps";
    let undeclared = world.request(Method::POST, apps).bearer_auth(ADMIN_TOKEN).body("{}");
    let large = format!("{{\"name\":\"{}\"}}", "x".repeat(300_000));
    let post = |body: Vec<u8>| ask(world, Method::POST, apps).body(body);
    vec![
        ("no token", world.request(Method::GET, apps)),
        ("wrong token", world.request(Method::GET, apps).bearer_auth("x")),
        ("no bearer", world.request(Method::GET, apps).header("authorization", ADMIN_TOKEN)),
        ("no path", ask(world, Method::GET, "/api/v1/nothing")),
        ("no method", ask(world, Method::PUT, apps)),
        ("not JSON", post(b"{\"name\":".to_vec())),
        ("not declared", undeclared),
        ("not text", post(vec![0xFF, 0xFE])),
        ("no body", ask(world, Method::POST, apps)),
        ("large", post(large.into_bytes())),
    ]
}

fn wrong_values(world: &World, app: &str) -> Vec<Case> {
    let apps = "/api/v1/apps";
    let one = format!("{apps}/{app}");
    let get = |path: &str| ask(world, Method::GET, path);
    let post = |path: &str, body: Value| ask(world, Method::POST, path).body(body.to_string());
    let odd_ctime = json!({"room_id": "r", "user_id": "u", "ctime": [], "signature": ""});
    vec![
        ("no app", get(&format!("{apps}/0123456789abcdef0123456789abcdef"))),
        ("no id", get(&format!("{apps}/a%2Fb"))),
        ("no name", post(apps, json!({}))),
        ("unknown field", post(apps, json!({"name": "a", "color": 1}))),
        ("unknown type", post(apps, json!({"name": "a", "type": "SPORT"}))),
        ("bad name", post(apps, json!({"name": "a b"}))),
        ("taken", post(apps, json!({"name": "class"}))),
        ("bad limit", get(&format!("{apps}?limit=0"))),
        ("odd limit", get(&format!("{apps}?limit=many"))),
        ("bad status", get(&format!("{apps}?status=asleep"))),
        ("bad position", get(&format!("{apps}?after=x"))),
        ("unknown query", get(&format!("{apps}?page=2"))),
        ("no room", post(&format!("{one}/tokens"), json!({"user_id": "u"}))),
        ("bad ctime", post(&format!("{one}/access-token"), odd_ctime)),
        ("no node", get(&format!("{one}/rooms"))),
    ]
}

#[tokio::test]
async fn a_problem_names_the_request_and_says_nothing_of_the_inside() {
    let world = World::start().await;
    let request = world.request(Method::PUT, "/api/v1/apps").header("x-request-id", "abc-1");
    let reply = Reply::of(request).await;
    expect![[r#"
        {
          "code": "method_not_allowed",
          "detail": "Check the method.",
          "request_id": "abc-1",
          "status": 405,
          "title": "This address does not take this method.",
          "type": "urn:sparkrtc:error:method_not_allowed"
        }"#]]
    .assert_eq(&serde_json::to_string_pretty(&reply.body).unwrap());
    assert_eq!(reply.headers["x-request-id"], "abc-1");
    assert_eq!(reply.headers["allow"], "GET,HEAD,POST");

    let unnamed = world.call(Method::GET, "/api/v1/apps", None, None).await;
    assert_eq!(unnamed.body["request_id"].as_str().unwrap().len(), 32);
    assert_eq!(unnamed.headers["x-request-id"], unnamed.body["request_id"].as_str().unwrap());

    world.cx.db.close().await;
    let reply = world.call(Method::GET, "/api/v1/apps", Some(ADMIN_TOKEN), None).await;
    assert_eq!(reply.line(), "503 unavailable: Try again in a moment.");
    world.stop().await;
}

#[tokio::test]
async fn an_app_lives_over_http() {
    let world = World::start().await;
    let admin = Some(ADMIN_TOKEN);
    let body = json!({"name": "class", "type": "EXCLUSIVE-A"});
    let created = world.call(Method::POST, "/api/v1/apps", admin, Some(&body)).await;
    assert_eq!(created.status, 201);
    let path = format!("/api/v1/apps/{}", created.body["app_id"].as_str().unwrap());
    let shown = world.call(Method::GET, &path, admin, None).await;
    assert_eq!(shown.body, created.body);
    assert_eq!(
        (&shown.body["type"], &shown.body["status"]),
        (&json!("EXCLUSIVE-A"), &json!("enabled"))
    );

    let disabled = world.call(Method::POST, &format!("{path}/disable"), admin, None).await;
    assert_eq!(disabled.body["status"], "disabled");
    let list = world.call(Method::GET, "/api/v1/apps?status=disabled&limit=1", admin, None).await;
    assert_eq!(list.body["items"][0]["app_id"], created.body["app_id"]);
    assert!(list.body["items"][0].get("app_key").is_none());
    let patch = json!({"status": "enabled", "authentication": {"tolerance_s": 600}});
    let patched = world.call(Method::PATCH, &path, admin, Some(&patch)).await;
    assert_eq!(patched.body["authentication"], json!({"enabled": true, "tolerance_s": 600}));

    let wanted = json!({"room_id": "r", "user_id": "u"});
    let token = world.call(Method::POST, &format!("{path}/tokens"), admin, Some(&wanted)).await;
    assert_eq!(token.status, 201);
    // The pair from the console, exchanged by a client that holds no admin token.
    for ctime in [token.body["ctime"].clone(), json!(NOW_S + 7_200)] {
        let request = json!({
            "room_id": "r", "user_id": "u", "role": "publisher",
            "ctime": ctime, "signature": token.body["signature"],
        });
        let path = format!("{path}/access-token");
        let exchanged = world.call(Method::POST, &path, None, Some(&request)).await;
        assert_eq!(exchanged.status, 200, "{}", exchanged.line());
        assert_eq!(exchanged.body["url"], "ws://127.0.0.1:7880");
        assert_eq!(exchanged.body["expires_at"], "2023-11-15T00:13:20.000Z");
    }
    let gone = world.call(Method::DELETE, &path, admin, None).await;
    assert_eq!((gone.status.as_u16(), gone.body), (204, Value::Null));
    assert_eq!(world.call(Method::GET, &path, admin, None).await.status, 404);
    world.stop().await;
}
