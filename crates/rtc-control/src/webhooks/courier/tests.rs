use std::{
    net::SocketAddr,
    sync::{Mutex, PoisonError},
};

use axum::{
    Router,
    body::Bytes,
    extract::State,
    http::{HeaderMap, HeaderValue},
    response::IntoResponse,
    routing::{any, post},
};
use rtc_model::AppId;

use super::*;
use crate::webhooks::policy::Listening;

type Seen = Arc<Mutex<Vec<(HeaderMap, Bytes)>>>;

/// A receiver on loopback, with the requests that `/hook` has taken.
struct Receiver {
    address: SocketAddr,
    seen: Seen,
}

impl Receiver {
    async fn start() -> Self {
        let seen = Seen::default();
        let listener = tokio::net::TcpListener::bind("127.0.0.1:0").await.unwrap();
        let address = listener.local_addr().unwrap();
        let redirect = |status: u16, to: String| {
            let headers = [(LOCATION, to)];
            (StatusCode::from_u16(status).unwrap(), headers).into_response()
        };
        let port = address.port();
        let router = Router::new()
            .route("/hook", post(take))
            .route("/status/204", post(|| async { StatusCode::NO_CONTENT }))
            .route("/status/404", post(|| async { StatusCode::NOT_FOUND }))
            .route("/status/500", post(|| async { StatusCode::INTERNAL_SERVER_ERROR }))
            .route("/busy", post(async || (StatusCode::TOO_MANY_REQUESTS, [("retry-after", "7")])))
            .route("/moved", any(async move || redirect(307, "/hook".to_owned())))
            .route("/loop", any(async move || redirect(308, "/loop".to_owned())))
            .route("/elsewhere", any(async move || redirect(302, "/hook".to_owned())))
            .route("/nowhere", any(async move || redirect(307, String::new())))
            .route("/inside", any(async move || redirect(307, format!("http://127.0.0.2:{port}/"))))
            .route("/file", any(async move || redirect(307, "file:///etc/passwd".to_owned())))
            .route("/never", any(std::future::pending::<()>))
            .with_state(Arc::clone(&seen));
        tokio::spawn(async move { axum::serve(listener, router).await });
        Self { address, seen }
    }

    fn url(&self, path: &str) -> String {
        format!("http://{}{path}", self.address)
    }
}

async fn take(State(seen): State<Seen>, headers: HeaderMap, body: Bytes) {
    seen.lock().unwrap_or_else(PoisonError::into_inner).push((headers, body));
}

/// A courier that may go to 127.0.0.1 and to public addresses.
fn courier() -> Courier {
    let allowed = vec!["127.0.0.1".parse().unwrap()];
    let policy = OutboundPolicy::new(Listening::Anywhere, allowed);
    Courier::new(Arc::new(policy)).unwrap()
}

fn delivery(url: &str) -> Delivery {
    Delivery {
        url: url.into(),
        app: AppId::new("app").unwrap(),
        room: "room".into(),
        body: b"{\"event\":\"room_started\"}"[..].into(),
        authorization: "signature".into(),
    }
}

#[tokio::test]
async fn the_receiver_gets_body_type_and_signature() {
    let receiver = Receiver::start().await;
    courier().deliver(&delivery(&receiver.url("/hook"))).await.unwrap();
    let seen = receiver.seen.lock().unwrap();
    let [(headers, body)] = &seen[..] else { panic!("one request, not {}", seen.len()) };
    assert_eq!(&body[..], b"{\"event\":\"room_started\"}");
    assert_eq!(headers[CONTENT_TYPE], "application/webhook+json");
    assert_eq!(headers[AUTHORIZATION], "signature");
    let agent = HeaderValue::from_static(concat!("SparkRTC/", env!("CARGO_PKG_VERSION")));
    assert_eq!(headers[reqwest::header::USER_AGENT], agent);
}

#[tokio::test]
async fn the_status_decides_between_done_again_and_never() {
    let receiver = Receiver::start().await;
    let again = |pause| Some(Outcome::Failed { pause });
    for (path, outcome) in [
        ("/hook", None),
        ("/status/204", None),
        ("/moved", None),
        ("/status/500", again(None)),
        ("/busy", again(Some(Duration::from_secs(7)))),
        ("/status/404", Some(Outcome::Refused)),
        ("/elsewhere", Some(Outcome::Refused)),
        ("/loop", Some(Outcome::Refused)),
        ("/nowhere", Some(Outcome::Refused)),
        ("/inside", Some(Outcome::Refused)),
        ("/file", Some(Outcome::Refused)),
    ] {
        let result = courier().deliver(&delivery(&receiver.url(path))).await;
        assert_eq!(result.as_ref().err().map(DeliveryError::outcome), outcome, "{path} {result:?}");
    }
    // By /hook itself and by the one redirect that keeps a POST a POST.
    assert_eq!(receiver.seen.lock().unwrap().len(), 2);
}

#[tokio::test]
async fn no_redirect_leads_to_an_address_that_is_not_permitted() {
    let receiver = Receiver::start().await;
    for (path, refusal) in [("/inside", UrlRefusal::Address), ("/file", UrlRefusal::Scheme)] {
        let result = courier().deliver(&delivery(&receiver.url(path))).await;
        assert!(matches!(result, Err(DeliveryError::Url(found)) if found == refusal), "{result:?}");
    }
}

#[tokio::test]
async fn a_name_is_judged_by_what_it_resolves_to() {
    let receiver = Receiver::start().await;
    let url = format!("http://localhost:{}/hook", receiver.address.port());
    courier().deliver(&delivery(&url)).await.unwrap();
    let strict = OutboundPolicy::new(Listening::Anywhere, Vec::new());
    let result = Courier::new(Arc::new(strict)).unwrap().deliver(&delivery(&url)).await;
    assert!(matches!(result, Err(DeliveryError::Url(UrlRefusal::Address))), "{result:?}");
    assert_eq!(receiver.seen.lock().unwrap().len(), 1);
}

#[tokio::test]
async fn a_receiver_that_is_away_or_silent_is_tried_again() {
    // A port that was free a moment ago: nobody listens there.
    let gone = std::net::TcpListener::bind("127.0.0.1:0").unwrap().local_addr().unwrap();
    let result = courier().deliver(&delivery(&format!("http://{gone}/"))).await;
    assert!(matches!(result, Err(DeliveryError::Transport(_))), "{result:?}");
    let receiver = Receiver::start().await;
    let hasty = Courier { deadline: Duration::from_millis(200), ..courier() };
    let result = hasty.deliver(&delivery(&receiver.url("/never"))).await;
    assert!(matches!(result, Err(DeliveryError::Timeout)), "{result:?}");
    for error in [DeliveryError::Timeout, result.unwrap_err()] {
        assert_eq!(error.outcome(), Outcome::Failed { pause: None });
    }
}

#[tokio::test]
async fn reachable_is_whoever_answers_at_all() {
    let receiver = Receiver::start().await;
    let courier = courier();
    let url = |text: &str| Url::parse(text).unwrap();
    assert!(courier.is_reachable(&url(&receiver.url("/hook"))).await);
    let gone = std::net::TcpListener::bind("127.0.0.1:0").unwrap().local_addr().unwrap();
    assert!(!courier.is_reachable(&url(&format!("http://{gone}/"))).await);
}
