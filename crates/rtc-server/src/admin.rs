//! The API as a command reaches it: over the control socket of the server that holds the data directory,
//! over HTTP by URL, or, when no server runs, on the data directory itself. The requests are the same.

use std::path::{Path, PathBuf};

use axum::{Router, body::Body};
use http::{Method, Request, StatusCode, header};
use prometheus_client::registry::Registry;
use rtc_backends::Bus;
use rtc_control::Control;
use rtc_model::{AppStatus, NodeId};
use serde_json::Value as Json;
use tower::ServiceExt;

use crate::{
    config::{Config, Secret},
    data_dir::{DataDir, DataDirError},
    output::{Failure, chain},
    server,
};

/// Where a command is sent.
#[derive(Clone, Debug, Default)]
pub(crate) struct Target {
    /// A running server, elsewhere or here.
    pub(crate) url: Option<String>,
    /// File with the administrator's token of that server.
    pub(crate) token_file: Option<PathBuf>,
    /// File with the certificate to trust, PEM.
    pub(crate) ca: Option<PathBuf>,
}

/// A way to the API.
pub(crate) enum Admin {
    /// A running server.
    Remote { client: reqwest::Client, base: String, token: Option<Secret> },
    /// This process: the server itself, or a command on a data directory that no server holds.
    Local { router: Router, _data: Option<DataDir> },
}

/// Where apps are.
pub(crate) const APPS: &str = "/api/v1/apps";

impl Admin {
    /// Finds the way.
    ///
    /// # Errors
    /// A [`Failure`] when there is neither a server nor a usable data directory.
    pub(crate) async fn connect(target: &Target, config: &Config) -> Result<Self, Failure> {
        if let Some(url) = &target.url {
            return remote(url, target, config);
        }
        match DataDir::open(&config.data.dir) {
            Ok(data) => local(data, config).await,
            Err(DataDirError::Held(_)) => over_socket(&config.data.dir),
            Err(error) => Err(server::data_dir_failure(&error)),
        }
    }

    /// The way within the server itself.
    pub(crate) fn within(router: Router) -> Self {
        Self::Local { router, _data: None }
    }

    /// Every app, page after page.
    ///
    /// # Errors
    /// As [`Admin::call`].
    pub(crate) async fn apps(&self, status: Option<AppStatus>) -> Result<Vec<Json>, Failure> {
        let mut apps = Vec::new();
        let mut after = String::new();
        loop {
            let mut path = format!("{APPS}?limit=100{after}");
            if let Some(status) = status {
                path.push_str(&format!("&status={status}"));
            }
            let mut page = self.call(Method::GET, &path, None).await?;
            if let Some(items) = page["items"].as_array_mut() {
                apps.append(items);
            }
            match page["next"].as_str() {
                Some(next) => after = format!("&after={next}"),
                None => return Ok(apps),
            }
        }
    }

    /// Sends a request and takes its JSON answer; `Null` when there is none.
    ///
    /// # Errors
    /// The server's refusal with its code, or why it could not be asked.
    pub(crate) async fn call(
        &self,
        method: Method,
        path: &str,
        body: Option<&Json>,
    ) -> Result<Json, Failure> {
        match self {
            Self::Remote { client, base, token } => {
                let mut request = client.request(method, format!("{base}{path}"));
                if let Some(token) = token {
                    request = request.bearer_auth(token.expose());
                }
                if let Some(body) = body {
                    request = request.json(body);
                }
                let answer = request.send().await.map_err(|e| unreachable(&e))?;
                let status = answer.status();
                let bytes = answer.bytes().await.map_err(|e| unreachable(&e))?;
                read(status, &bytes)
            }
            Self::Local { router, .. } => ask(router, method, path, body).await,
        }
    }
}

/// Sends a request to the API of this process.
async fn ask(
    router: &Router,
    method: Method,
    path: &str,
    body: Option<&Json>,
) -> Result<Json, Failure> {
    let body = body.map(Json::to_string).unwrap_or_default();
    let request = Request::builder()
        .method(method)
        .uri(path)
        .header(header::CONTENT_TYPE, "application/json")
        .body(Body::from(body))
        .map_err(|e| Failure::from_error("invalid_argument", &e, "Check the values given."))?;
    let answer = match router.clone().oneshot(request).await {
        Ok(answer) => answer,
        Err(never) => match never {},
    };
    let status = answer.status();
    let bytes = axum::body::to_bytes(answer.into_body(), ANSWER_BYTES_MAX)
        .await
        .map_err(|e| Failure::from_error("internal", &e, "Report this."))?;
    read(status, &bytes)
}

fn read(status: StatusCode, answer: &[u8]) -> Result<Json, Failure> {
    let answer = if answer.is_empty() {
        Json::Null
    } else {
        serde_json::from_slice(answer).map_err(|_| strange(status))?
    };
    if status.is_success() { Ok(answer) } else { Err(refused(status, &answer)) }
}

fn remote(url: &str, target: &Target, config: &Config) -> Result<Admin, Failure> {
    let mut builder = client();
    if let Some(path) = &target.ca {
        let unusable = |e: &dyn std::error::Error| {
            let advice = "Name the PEM file of the server's certificate.";
            Failure::from_error("certificate_unusable", e, advice)
        };
        let pem = std::fs::read(path).map_err(|e| unusable(&e))?;
        let certificate = reqwest::Certificate::from_pem(&pem).map_err(|e| unusable(&e))?;
        builder = builder.tls_certs_merge([certificate]);
    }
    let token = match &target.token_file {
        Some(path) => {
            let text = std::fs::read_to_string(path).map_err(|e| {
                let advice = "Name the server's admin.token file.";
                Failure::from_error("token_unusable", &e, advice)
            })?;
            Some(Secret::new(text.trim()))
        }
        None => match &config.admin.token {
            Some(token) => Some(token.clone()),
            None => DataDir::read_admin_token(&config.data.dir)
                .map_err(|e| server::data_dir_failure(&e))?,
        },
    };
    let base = url.trim_end_matches('/').to_owned();
    Ok(Admin::Remote { client: built(builder)?, base, token })
}

fn over_socket(data_dir: &Path) -> Result<Admin, Failure> {
    let builder = client().unix_socket(DataDir::control_socket(data_dir));
    Ok(Admin::Remote { client: built(builder)?, base: "http://localhost".to_owned(), token: None })
}

fn client() -> reqwest::ClientBuilder {
    reqwest::Client::builder().timeout(ANSWER_TIMEOUT).no_proxy()
}

fn built(builder: reqwest::ClientBuilder) -> Result<reqwest::Client, Failure> {
    builder.build().map_err(|e| Failure::from_error("internal", &e, "Report this."))
}

async fn local(data: DataDir, config: &Config) -> Result<Admin, Failure> {
    let admin_token = server::admin_token(config, &data)?;
    let db = server::open_database(config, &data).await?;
    // No node answers on this bus: there are no rooms while no server runs.
    let node = NodeId::random(&mut server::OsBits);
    let control = Control::start(
        server::control_config(config, &admin_token, config.http.bind),
        db,
        Bus::in_process(),
        node,
        &mut Registry::default(),
    )
    .await
    .map_err(|e| server::control_failure(&e))?;
    let router = crate::http::local(control.router(), &admin_token);
    Ok(Admin::Local { router, _data: Some(data) })
}

fn unreachable(error: &reqwest::Error) -> Failure {
    let advice = "Check that the server runs; if it does, check URL, token and certificate (--ca).";
    Failure::new("server_unreachable", chain(error), advice)
}

fn strange(status: StatusCode) -> Failure {
    let message = format!("the answer (status {status}) is not of a SparkRTC server");
    Failure::new("not_sparkrtc", message, "Check the URL.")
}

/// From the server's RFC 9457 problem.
fn refused(status: StatusCode, problem: &Json) -> Failure {
    let text = |key: &str| problem[key].as_str().unwrap_or_default().to_owned();
    let Ok(code) = serde_json::from_value::<rtc_api::code::ErrorCode>(problem["code"].clone())
    else {
        return strange(status);
    };
    let detail = text("detail");
    let message = if detail.is_empty() { text("title") } else { detail };
    Failure::new(code.as_str(), message, code.advice())
}

/// A list of a hundred apps is about 50 KiB.
const ANSWER_BYTES_MAX: usize = 16 << 20;
/// Every call ends within seconds; a server that takes longer is stuck.
const ANSWER_TIMEOUT: std::time::Duration = std::time::Duration::from_secs(20);
