//! Nothing that opens a door is written to a log.

use std::{
    io,
    sync::{Arc, Mutex},
};

use reqwest::Method;
use rtc_api::{
    cluster::{ControlRequest, JoinGrant},
    rest::apps::KeyRotate,
};
use rtc_control::{Caller, apps};
use serde_json::json;
use tracing::Level;
use tracing_subscriber::fmt::MakeWriter;

use crate::world::{ADMIN_TOKEN, World};

#[derive(Clone, Default)]
struct Log(Arc<Mutex<Vec<u8>>>);

impl io::Write for Log {
    fn write(&mut self, bytes: &[u8]) -> io::Result<usize> {
        self.0.lock().unwrap().extend_from_slice(bytes);
        Ok(bytes.len())
    }

    fn flush(&mut self) -> io::Result<()> {
        Ok(())
    }
}

impl<'a> MakeWriter<'a> for Log {
    type Writer = Self;

    fn make_writer(&'a self) -> Self {
        self.clone()
    }
}

#[tokio::test]
async fn no_log_line_holds_a_key_a_token_or_a_signature() {
    let log = Log::default();
    let subscriber =
        tracing_subscriber::fmt().with_max_level(Level::TRACE).with_writer(log.clone()).finish();
    // Each test is a process of its own under nextest, and this is the only subscriber here.
    tracing::subscriber::set_global_default(subscriber).unwrap();

    let world = World::start().await;
    let admin = Some(ADMIN_TOKEN);
    let body = json!({"name": "class"});
    let app = world.call(Method::POST, "/api/v1/apps", admin, Some(&body)).await.body;
    let path = format!("/api/v1/apps/{}", app["app_id"].as_str().unwrap());
    let body = json!({"room_id": "r", "user_id": "u"});
    let token = world.call(Method::POST, &format!("{path}/tokens"), admin, Some(&body)).await.body;
    let jwt = token["token"].as_str().unwrap().to_owned();
    let ask = ControlRequest::AuthorizeJoin { token: jwt.clone() };
    let grant: JoinGrant = world.ask(&ask).await.unwrap();
    let ask = ControlRequest::AuthorizeJoin { token: format!("{jwt}x") };
    world.ask::<JoinGrant>(&ask).await.unwrap_err();
    world.call(Method::GET, "/api/v1/apps", Some("a-wrong-token"), None).await;
    let rotate = KeyRotate::default();
    let rotated =
        apps::rotate_key(&world.cx, &Caller::Operator, &grant.app, &rotate).await.unwrap();
    world.call(Method::DELETE, &path, admin, None).await;
    world.cx.db.close().await;
    world.call(Method::GET, "/api/v1/apps", admin, None).await;
    world.stop().await;

    let log = String::from_utf8(log.0.lock().unwrap().clone()).unwrap();
    assert!(log.contains("app created") && log.contains("the store failed"), "{log}");
    let secrets = [
        app["app_key"].as_str().unwrap(),
        rotated.app_key.as_deref().unwrap(),
        &jwt,
        token["signature"].as_str().unwrap(),
        ADMIN_TOKEN,
        "a-wrong-token",
    ];
    for secret in secrets {
        let line = log.lines().find(|line| line.contains(secret));
        assert_eq!(line, None, "a secret was logged");
    }
}
