//! Pages for people: the list of links, and the playground that is part of the binary.

use std::{
    collections::BTreeMap,
    io::Write,
    sync::{Arc, Mutex, PoisonError},
};

use axum::{
    Router,
    body::{Body, Bytes},
    extract::{Path, State},
    http::{HeaderMap, HeaderValue, StatusCode, header},
    response::{Html, IntoResponse, Response},
    routing::get,
};
use rust_embed::RustEmbed;

/// The built playground. Debug builds read it from the source tree, release builds carry it.
#[derive(RustEmbed)]
#[folder = "../../web/playground/dist"]
#[allow_missing = true]
struct Playground;

/// `/` and `/play`.
pub(crate) fn router<S: Clone + Send + Sync + 'static>() -> Router<S> {
    Router::new()
        .route("/", get(links))
        .route("/play", get(|| async { page() }))
        .route("/play/", get(|| async { page() }))
        .route("/play/{*path}", get(asset))
        .with_state(Compressed::default())
}

async fn links() -> impl IntoResponse {
    ([(header::CONTENT_SECURITY_POLICY, LINKS_POLICY)], Html(LINKS))
}

async fn asset(
    State(compressed): State<Compressed>,
    Path(path): Path<String>,
    headers: HeaderMap,
) -> Response {
    let Some(file) = Playground::get(&path) else {
        // Addresses without a dot are the page's own state, not files.
        return if path.contains('.') { StatusCode::NOT_FOUND.into_response() } else { page() };
    };
    let kind = content_type(&path);
    // Vite names everything under `assets/` by its content.
    let is_immutable = path.starts_with("assets/");
    let packed = if is_immutable && is_text(kind) && takes_gzip(&headers) {
        compressed.get(&path, &file.data)
    } else {
        None
    };
    let suffix = if packed.is_some() { "-gzip" } else { "" };
    let tag = format!("\"{}{suffix}\"", hex(&file.metadata.sha256_hash()));
    let encoding = packed.is_some();
    let unchanged =
        headers.get(header::IF_NONE_MATCH).is_some_and(|known| known.as_bytes() == tag.as_bytes());
    let mut response = match packed {
        _ if unchanged => StatusCode::NOT_MODIFIED.into_response(),
        Some(packed) => Body::from(packed).into_response(),
        None => Body::from(file.data).into_response(),
    };
    let headers = response.headers_mut();
    headers.insert(header::CONTENT_TYPE, HeaderValue::from_static(kind));
    headers.insert(header::VARY, HeaderValue::from_static("accept-encoding"));
    if encoding {
        headers.insert(header::CONTENT_ENCODING, HeaderValue::from_static("gzip"));
    }
    let fresh = if is_immutable { IMMUTABLE } else { "no-cache" };
    headers.insert(header::CACHE_CONTROL, HeaderValue::from_static(fresh));
    if let Ok(tag) = HeaderValue::from_str(&tag) {
        headers.insert(header::ETAG, tag);
    }
    response
}

/// Files as browsers take them over slow networks, packed once: a script of 270 KB is 85 KB then.
#[derive(Clone, Default)]
struct Compressed(Arc<Mutex<BTreeMap<String, Bytes>>>);

impl Compressed {
    /// The packed file; `None` when it cannot be packed.
    fn get(&self, path: &str, data: &[u8]) -> Option<Bytes> {
        let known = || self.0.lock().unwrap_or_else(PoisonError::into_inner);
        if let Some(packed) = known().get(path) {
            return Some(packed.clone());
        }
        let mut encoder = flate2::write::GzEncoder::new(Vec::new(), flate2::Compression::best());
        encoder.write_all(data).ok()?;
        let packed = Bytes::from(encoder.finish().ok()?);
        let mut known = known();
        if known.len() < COMPRESSED_MAX {
            known.insert(path.to_owned(), packed.clone());
        }
        Some(packed)
    }
}

/// The page has some twenty files; in a debug build those of earlier builds stay until the end.
const COMPRESSED_MAX: usize = 256;

fn is_text(content_type: &str) -> bool {
    content_type.contains("text/")
        || content_type.contains("json")
        || content_type.contains("svg")
        || content_type.contains("wasm")
}

/// RFC 9110 §12.5.3; a weight of 0 refuses, which no browser sends.
fn takes_gzip(headers: &HeaderMap) -> bool {
    headers
        .get_all(header::ACCEPT_ENCODING)
        .iter()
        .filter_map(|value| value.to_str().ok())
        .flat_map(|value| value.split(','))
        .any(|coding| coding.split(';').next().unwrap_or_default().trim() == "gzip")
}

fn page() -> Response {
    let headers =
        [(header::CONTENT_SECURITY_POLICY, PLAYGROUND_POLICY), (header::CACHE_CONTROL, "no-cache")];
    match Playground::get("index.html") {
        Some(file) => {
            let html = [(header::CONTENT_TYPE, "text/html; charset=utf-8")];
            (headers, html, Body::from(file.data)).into_response()
        }
        None => (StatusCode::NOT_FOUND, headers, Html(NOT_BUILT)).into_response(),
    }
}

fn hex(bytes: &[u8]) -> String {
    bytes.iter().map(|byte| format!("{byte:02x}")).collect()
}

fn content_type(path: &str) -> &'static str {
    match path.rsplit('.').next().unwrap_or_default() {
        "html" => "text/html; charset=utf-8",
        "js" | "mjs" => "text/javascript; charset=utf-8",
        "css" => "text/css; charset=utf-8",
        "json" | "map" => "application/json",
        "webmanifest" => "application/manifest+json",
        "svg" => "image/svg+xml",
        "png" => "image/png",
        "ico" => "image/x-icon",
        "webp" => "image/webp",
        "woff2" => "font/woff2",
        "wasm" => "application/wasm",
        "mp3" => "audio/mpeg",
        "wav" => "audio/wav",
        "txt" => "text/plain; charset=utf-8",
        _ => "application/octet-stream",
    }
}

/// A year: the address changes with the content.
const IMMUTABLE: &str = "public, max-age=31536000, immutable";

const LINKS_POLICY: &str = "default-src 'none'; style-src 'unsafe-inline'; frame-ancestors 'none'; \
                            base-uri 'none'; form-action 'none'";

/// Scripts from here only. Connections anywhere: the page joins any server whose URL is pasted.
/// Inline styles, because components position elements by style attributes.
const PLAYGROUND_POLICY: &str = "default-src 'self'; script-src 'self'; style-src 'self' 'unsafe-inline'; \
     img-src 'self' data: blob:; media-src 'self' data: blob: mediastream:; font-src 'self' data:; \
     connect-src 'self' http: https: ws: wss:; worker-src 'self' blob:; frame-ancestors 'none'; \
     base-uri 'none'; object-src 'none'; form-action 'none'";

const LINKS: &str = r#"<!doctype html>
<html lang="en">
<meta charset="utf-8">
<meta name="viewport" content="width=device-width, initial-scale=1">
<title>SparkRTC</title>
<style>
  body { font: 1rem/1.6 system-ui, sans-serif; max-width: 40rem; margin: 3rem auto; padding: 0 1rem;
         color: #1d2129; background: #fff }
  a { color: #0b57d0 } dt { font-weight: 600; margin-top: 1rem } dd { margin: 0 }
  code { background: #f0f1f4; padding: .1em .3em; border-radius: .25em }
  @media (prefers-color-scheme: dark) {
    body { color: #e6e8ee; background: #14161b } a { color: #8ab4f8 } code { background: #262a33 } }
</style>
<h1>SparkRTC</h1>
<p>This server is running.</p>
<dl>
  <dt><a href="/play">Playground</a></dt>
  <dd>Join a room with camera, microphone, screen and chat. The server prints a link that joins at once
      when it starts; <code>sparkrtc app token</code> makes more.</dd>
  <dt>Clients</dt>
  <dd>Point any LiveKit client SDK at this address, with a token signed by an app's key.</dd>
  <dt><a href="/api/v1/openapi.json">API</a></dt>
  <dd>Manage apps and tokens; LiveKit's RoomService is under <code>/twirp</code>.</dd>
  <dt><a href="/healthz">Health</a>, <a href="/readyz">readiness</a>, <a href="/metrics">metrics</a></dt>
  <dd>For load balancers and Prometheus.</dd>
</dl>
</html>
"#;

const NOT_BUILT: &str = "<!doctype html><meta charset=\"utf-8\"><title>SparkRTC</title>\
    <p>The playground is not part of this build. Build it with <code>cargo xtask run</code>, \
    or with <code>npm ci && npm run build</code> in <code>web/</code>, and start the server again.</p>\n";
