//! The demo app: made at the first start, and a link that lets everybody who has it into its rooms.
//!
//! The link carries an invite, a secret of the data directory. The page exchanges it for a token with an
//! identity of its own, so one link serves any number of windows. Disabling or deleting the demo app
//! ends it.

use std::sync::Arc;

use aws_lc_rs::constant_time::verify_slices_are_equal;
use axum::{
    Json, Router,
    body::Bytes,
    extract::State,
    http::{HeaderMap, Method},
    response::{IntoResponse, Response},
    routing::post,
};
use rand::RngCore;
use rtc_api::code::ErrorCode;
use serde::{Deserialize, Serialize};
use serde_json::json;

use crate::{
    admin::{APPS, Admin},
    data_dir::DataDir,
    http::problem,
    output::Failure,
    server::data_dir_failure,
};

/// The demo app and its invite, as kept in the data directory.
#[derive(Clone, Debug, Serialize, Deserialize)]
pub(crate) struct Demo {
    app_id: String,
    invite: String,
}

/// What the page sends.
#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
struct Wish {
    invite: String,
    room: String,
    name: String,
}

const FILE: &str = "demo.json";
const NAME: &str = "demo";
/// Long enough for a day's trying out; the page asks for a new token at each joining.
const TOKEN_LIFETIME_S: u64 = 12 * 3600;

impl Demo {
    /// Reads the demo app, or makes it at the first start. One that was deleted does not come back.
    ///
    /// # Errors
    /// When the API or the disk refuses.
    pub(crate) async fn prepare(api: &Admin, data: &DataDir) -> Result<Self, Failure> {
        let kept = std::fs::read(data.file(FILE)).ok();
        if let Some(demo) = kept.and_then(|kept| serde_json::from_slice(&kept).ok()) {
            return Ok(demo);
        }
        let body = json!({ "name": NAME, "type": "OTHER" });
        let app = match api.call(Method::POST, APPS, Some(&body)).await {
            // Made before, but its file was lost.
            Err(failure) if failure.code == ErrorCode::Conflict.as_str() => {
                let mut apps = api.apps(None).await?.into_iter();
                apps.find(|app| app["name"] == NAME).ok_or(failure)?
            }
            answer => answer?,
        };
        let app_id = app["app_id"].as_str().unwrap_or_default().to_owned();
        let invite = format!("{:016x}{:016x}", rand::rng().next_u64(), rand::rng().next_u64());
        let demo = Self { app_id, invite };
        let kept = serde_json::to_vec(&demo).unwrap_or_default();
        data.write(FILE, &kept).map_err(|e| data_dir_failure(&e))?;
        Ok(demo)
    }

    /// The fragment of the page's address that joins the demo room; `None` while the app is
    /// disabled or deleted.
    pub(crate) async fn fragment(&self, api: &Admin) -> Option<String> {
        let path = format!("{APPS}/{}", self.app_id);
        let app = api.call(Method::GET, &path, None).await.ok()?;
        (app["status"] == "enabled").then(|| format!("#demo={}&room=demo", self.invite))
    }
}

/// `POST /api/v1/demo/token`.
pub(crate) fn router(demo: Demo, api: Admin) -> Router {
    Router::new().route("/api/v1/demo/token", post(token)).with_state(Arc::new((demo, api)))
}

async fn token(
    State(state): State<Arc<(Demo, Admin)>>,
    headers: HeaderMap,
    body: Bytes,
) -> Response {
    let (demo, api) = &*state;
    let Ok(wish) = serde_json::from_slice::<Wish>(&body) else {
        let detail = "The body must be JSON with invite, room and name.";
        return problem(ErrorCode::InvalidArgument, detail, &headers);
    };
    if verify_slices_are_equal(wish.invite.as_bytes(), demo.invite.as_bytes()).is_err() {
        let detail = "Ask for the link that the server prints now.";
        return problem(ErrorCode::Forbidden, detail, &headers);
    }
    let body = json!({
        "room_id": wish.room,
        "user_id": format!("guest-{:08x}", rand::rng().next_u32()),
        "name": wish.name,
        "lifetime_s": TOKEN_LIFETIME_S,
    });
    let path = format!("{APPS}/{}/tokens", demo.app_id);
    match api.call(Method::POST, &path, Some(&body)).await {
        Ok(token) => Json(token).into_response(),
        Err(failure) => {
            let code = ErrorCode::ALL.into_iter().find(|code| code.as_str() == failure.code);
            problem(code.unwrap_or(ErrorCode::Internal), &failure.message, &headers)
        }
    }
}
