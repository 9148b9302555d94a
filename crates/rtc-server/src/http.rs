//! Everything served over HTTP, put together: pages, API, signalling, health and metrics.

use std::{
    net::{IpAddr, SocketAddr},
    sync::{
        Arc,
        atomic::{AtomicBool, Ordering},
    },
    time::{Duration, Instant},
};

use aws_lc_rs::constant_time::verify_slices_are_equal;
use axum::{
    Json, Router,
    extract::{ConnectInfo, Request, State},
    http::{HeaderMap, HeaderName, HeaderValue, Method, StatusCode, header},
    middleware::{self, Next},
    response::{IntoResponse, Response},
    routing::get,
};
use prometheus_client::registry::Registry;
use rand::RngCore;
use rtc_api::{code::ErrorCode, rest::Problem};
use rtc_backends::Db;
use rtc_model::Network;
use serde_json::json;
use tower_http::{
    cors::{AllowHeaders, Any, CorsLayer, ExposeHeaders},
    limit::RequestBodyLimitLayer,
    timeout::RequestBodyTimeoutLayer,
};

use crate::{config::Secret, pages};

/// What the handlers here need.
#[derive(Clone)]
pub(crate) struct Site {
    pub(crate) registry: Arc<Registry>,
    pub(crate) db: Db,
    /// False from the moment a shutdown is asked for.
    pub(crate) accepting: Arc<AtomicBool>,
    pub(crate) admin_token: Secret,
    pub(crate) trusted_proxies: Arc<[Network]>,
    pub(crate) body_timeout: Duration,
}

/// Name of the header that carries the id of a request through logs and answers.
const REQUEST_ID: HeaderName = HeaderName::from_static("x-request-id");
/// Largest body of a request: metadata, messages and settings fit many times.
const BODY_BYTES_MAX: usize = 4 << 20;
/// Browsers ask again whether a cross-origin call is allowed only after this.
const PREFLIGHT_MAX_AGE: Duration = Duration::from_secs(3600);

/// The public site.
pub(crate) fn public(site: Site, control: Router, demo: Router, node: Router) -> Router {
    let body_timeout = site.body_timeout;
    Router::new()
        .merge(pages::router())
        .route("/healthz", get(|| async { "ok\n" }))
        .route("/readyz", get(ready))
        .route("/metrics", get(metrics))
        .route("/settings/regions", get(|| async { Json(json!({ "regions": [] })) }))
        .with_state(site)
        .merge(control)
        .merge(demo)
        .merge(node)
        .fallback(not_found)
        .layer(RequestBodyLimitLayer::new(BODY_BYTES_MAX))
        .layer(RequestBodyTimeoutLayer::new(body_timeout))
        .layer(middleware::from_fn(security_headers))
        .layer(cors())
        .layer(middleware::from_fn(identify))
}

/// The API as local commands reach it: who may open the socket is the administrator.
pub(crate) fn local(control: Router, admin_token: &Secret) -> Router {
    let bearer = HeaderValue::from_str(&format!("Bearer {}", admin_token.expose())).ok();
    let authorize = move |mut request: Request, next: Next| {
        if let Some(bearer) = bearer.clone() {
            request.headers_mut().insert(header::AUTHORIZATION, bearer);
        }
        next.run(request)
    };
    control
        .fallback(not_found)
        .layer(middleware::from_fn(authorize))
        .layer(middleware::from_fn(identify))
}

/// Any page may call: rights come with the token, never with a cookie.
fn cors() -> CorsLayer {
    let methods =
        [Method::GET, Method::HEAD, Method::POST, Method::PUT, Method::PATCH, Method::DELETE];
    CorsLayer::new()
        .allow_origin(Any)
        .allow_methods(methods)
        // Fetch standard §3.2.1: `*` does not cover `Authorization`, so the asked-for names are
        // sent back.
        .allow_headers(AllowHeaders::mirror_request())
        .expose_headers(ExposeHeaders::list([REQUEST_ID]))
        .max_age(PREFLIGHT_MAX_AGE)
}

async fn security_headers(request: Request, next: Next) -> Response {
    let mut response = next.run(request).await;
    let headers = response.headers_mut();
    for (name, value) in [
        (header::X_CONTENT_TYPE_OPTIONS, "nosniff"),
        (header::REFERRER_POLICY, "no-referrer"),
        (header::X_FRAME_OPTIONS, "DENY"),
        (
            HeaderName::from_static("permissions-policy"),
            "camera=(self), microphone=(self), display-capture=(self), geolocation=()",
        ),
    ] {
        headers.entry(name).or_insert(HeaderValue::from_static(value));
    }
    // What is not a page of ours may do nothing when a browser is made to show it.
    headers
        .entry(header::CONTENT_SECURITY_POLICY)
        .or_insert(HeaderValue::from_static("default-src 'none'; frame-ancestors 'none'"));
    response
}

/// Gives the request an id, which logs and answer carry.
async fn identify(mut request: Request, next: Next) -> Response {
    let started = Instant::now();
    let id = format!("{:016x}", rand::rng().next_u64());
    let Ok(id_value) = HeaderValue::from_str(&id) else { return next.run(request).await };
    request.headers_mut().insert(REQUEST_ID, id_value.clone());
    let method = request.method().clone();
    // The path without its query, which carries tokens.
    let path = request.uri().path().to_owned();
    let mut response = next.run(request).await;
    response.headers_mut().entry(REQUEST_ID).or_insert(id_value);
    let status = response.status().as_u16();
    let elapsed_ms = u64::try_from(started.elapsed().as_millis()).unwrap_or(u64::MAX);
    tracing::debug!(%method, path, status, elapsed_ms, request_id = id, "request");
    response
}

async fn not_found(headers: HeaderMap) -> Response {
    problem(ErrorCode::NotFound, ErrorCode::NotFound.advice(), &headers)
}

/// An RFC 9457 problem for the request with these headers.
pub(crate) fn problem(code: ErrorCode, detail: &str, headers: &HeaderMap) -> Response {
    let id = headers.get(REQUEST_ID).and_then(|id| id.to_str().ok()).unwrap_or_default();
    let status = StatusCode::from_u16(code.http_status()).unwrap_or_default();
    let body = Problem {
        kind: format!("urn:sparkrtc:error:{}", code.as_str()),
        title: code.title().to_owned(),
        status: code.http_status(),
        detail: detail.to_owned(),
        code: code.as_str().to_owned(),
        request_id: id.to_owned(),
    };
    let kind = [(header::CONTENT_TYPE, "application/problem+json")];
    (status, kind, serde_json::to_string(&body).unwrap_or_default()).into_response()
}

async fn ready(State(site): State<Site>) -> Response {
    if !site.accepting.load(Ordering::Relaxed) {
        return (StatusCode::SERVICE_UNAVAILABLE, "shutting down\n").into_response();
    }
    match site.db.ping().await {
        Ok(()) => "ready\n".into_response(),
        Err(error) => {
            tracing::warn!(error = crate::output::chain(&error), "the database does not answer");
            (StatusCode::SERVICE_UNAVAILABLE, "the database does not answer\n").into_response()
        }
    }
}

async fn metrics(
    State(site): State<Site>,
    ConnectInfo(peer): ConnectInfo<SocketAddr>,
    headers: HeaderMap,
) -> Response {
    // A page of another site that somebody looks at on this machine names its origin.
    let local = !headers.contains_key(header::ORIGIN)
        && client_address(peer.ip(), &headers, &site.trusted_proxies)
            .is_some_and(|address| address.is_loopback());
    if !local && !is_admin(&headers, &site.admin_token) {
        let detail = "Metrics are for this machine, or for bearers of the admin token.";
        return problem(ErrorCode::Unauthenticated, detail, &headers);
    }
    let mut text = String::new();
    if prometheus_client::encoding::text::encode(&mut text, &site.registry).is_err() {
        return problem(ErrorCode::Internal, ErrorCode::Internal.advice(), &headers);
    }
    ([(header::CONTENT_TYPE, METRICS_TYPE)], text).into_response()
}

const METRICS_TYPE: &str = "application/openmetrics-text; version=1.0.0; charset=utf-8";

fn is_admin(headers: &HeaderMap, token: &Secret) -> bool {
    let bearer = headers
        .get(header::AUTHORIZATION)
        .and_then(|value| value.as_bytes().strip_prefix(b"Bearer "))
        .unwrap_or_default();
    verify_slices_are_equal(bearer, token.expose().as_bytes()).is_ok()
}

/// The client's address: the peer's, or what trusted proxies say. `None` when a proxy we do not
/// trust speaks for somebody: that peer is then not the client, and who is cannot be known.
fn client_address(peer: IpAddr, headers: &HeaderMap, trusted: &[Network]) -> Option<IpAddr> {
    let is_trusted = |address: IpAddr| trusted.iter().any(|network| network.contains(address));
    let forwarded = headers.contains_key("x-forwarded-for")
        || headers.contains_key("x-real-ip")
        || headers.contains_key(header::FORWARDED);
    if !forwarded {
        return Some(peer.to_canonical());
    }
    if !is_trusted(peer) {
        return None;
    }
    let hops: Vec<&str> = headers
        .get_all("x-forwarded-for")
        .iter()
        .filter_map(|value| value.to_str().ok())
        .flat_map(|value| value.split(','))
        .collect();
    // The last hop was written by the nearest proxy; go back while the writer is trusted.
    for hop in hops.iter().rev() {
        let address: IpAddr = hop.trim().parse().ok()?;
        if !is_trusted(address) {
            return Some(address.to_canonical());
        }
    }
    None
}

#[cfg(test)]
mod tests {
    use super::*;

    fn check(peer: &str, forwarded: &[&str], trusted: &str, expected: Option<&str>) {
        let mut headers = HeaderMap::new();
        for value in forwarded {
            headers.append("x-forwarded-for", value.parse().unwrap());
        }
        let trusted = [trusted.parse().unwrap()];
        let address = client_address(peer.parse().unwrap(), &headers, &trusted);
        let expected = expected.map(|address| address.parse().unwrap());
        assert_eq!(address, expected, "{peer} {forwarded:?}");
    }

    #[test]
    fn only_trusted_proxies_are_believed() {
        check("192.0.2.1", &[], "10.0.0.0/8", Some("192.0.2.1"));
        check("10.0.0.1", &["192.0.2.1"], "10.0.0.0/8", Some("192.0.2.1"));
        check("10.0.0.1", &["127.0.0.1, 192.0.2.1, 10.0.0.2"], "10.0.0.0/8", Some("192.0.2.1"));
        check("10.0.0.1", &["127.0.0.1", "192.0.2.1"], "10.0.0.0/8", Some("192.0.2.1"));
        check("10.0.0.1", &["nonsense"], "10.0.0.0/8", None);
        check("10.0.0.1", &["10.0.0.9"], "10.0.0.0/8", None);
    }

    #[test]
    fn a_proxy_on_loopback_does_not_make_its_clients_local() {
        check("127.0.0.1", &["192.0.2.1"], "10.0.0.0/8", None);
        check("127.0.0.1", &["127.0.0.1"], "10.0.0.0/8", None);
        check("::ffff:127.0.0.1", &[], "10.0.0.0/8", Some("127.0.0.1"));
    }
}
