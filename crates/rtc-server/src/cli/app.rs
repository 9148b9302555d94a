//! `sparkrtc app …`: each command is one or two calls of the API.

use std::path::PathBuf;

use clap::{Args, Subcommand, ValueEnum};
use http::Method;
use rtc_model::{AppId, AppKind, AppStatus};
use serde_json::{Value as Json, json};

use super::closed;
use crate::{
    admin::{APPS, Admin, Target},
    config::{Config, Span},
    output::{Failure, Format, table},
};

#[derive(Debug, Subcommand)]
pub(super) enum AppCommand {
    /// Create an app and print its ID and private key
    Create {
        /// At most 64 letters, digits, `-` and `_`
        name: String,
        /// EDUCATION, ENTERTAINMENT, FINANCE, OTHER, EXCLUSIVE-A, EXCLUSIVE-B or EXCLUSIVE-C
        #[arg(long = "type", value_name = "TYPE", default_value_t = AppKind::Other)]
        kind: AppKind,
        #[command(flatten)]
        server: ServerArgs,
    },
    /// List the apps
    List {
        /// Only those that are `enabled` or `disabled`
        #[arg(long)]
        status: Option<AppStatus>,
        #[command(flatten)]
        server: ServerArgs,
    },
    /// Show an app with its private key
    Show(AppArgs),
    /// Let new rooms and joins in again
    Enable(AppArgs),
    /// Let no new rooms and joins in; people inside stay
    Disable(AppArgs),
    /// Delete an app: its rooms end and its key is void
    Delete(AppArgs),
    /// Make a token that joins a room, for trying out and for support
    Token {
        #[command(flatten)]
        app: AppArgs,
        /// Room to join
        #[arg(long)]
        room: String,
        /// Identity to join as; the same identity joining again replaces the earlier session
        #[arg(long)]
        user: String,
        /// joiner (send and receive), player (receive) or publisher (send)
        #[arg(long, value_enum, default_value_t = RoleChoice::Joiner)]
        role: RoleChoice,
        /// How long the token is good
        #[arg(long, value_name = "TIME", default_value = "24h")]
        lifetime: Span,
    },
}

#[derive(Debug, Args)]
pub(super) struct AppArgs {
    /// ID or name of the app
    app: String,
    #[command(flatten)]
    server: ServerArgs,
}

/// Which server, if not the one of the data directory.
#[derive(Debug, Default, Args)]
pub(super) struct ServerArgs {
    /// URL of a running server, instead of the data directory
    #[arg(long)]
    url: Option<String>,
    /// File with that server's admin token [default: the configuration's, or the data directory's]
    #[arg(long, value_name = "FILE", requires = "url")]
    admin_token_file: Option<PathBuf>,
    /// File with that server's certificate (PEM), if no authority signed it
    #[arg(long, value_name = "FILE", requires = "url")]
    ca: Option<PathBuf>,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq, ValueEnum)]
pub(super) enum RoleChoice {
    /// Sends and receives
    Joiner,
    /// Receives only
    Player,
    /// Sends only
    Publisher,
}

impl RoleChoice {
    const fn as_str(self) -> &'static str {
        match self {
            Self::Joiner => "joiner",
            Self::Player => "player",
            Self::Publisher => "publisher",
        }
    }
}

impl AppCommand {
    /// Does what was asked and prints the result.
    ///
    /// # Errors
    /// The server's refusal, or why it could not be asked.
    pub(super) async fn run(self, config: &Config, format: Format) -> Result<(), Failure> {
        let admin = Admin::connect(&self.target(), config).await?;
        let (text, json) = self.ask(&admin).await?;
        format.print(&text, &json).map_err(|e| closed(&e))
    }

    fn target(&self) -> Target {
        let server = match self {
            Self::Create { server, .. } | Self::List { server, .. } => server,
            Self::Show(app)
            | Self::Enable(app)
            | Self::Disable(app)
            | Self::Delete(app)
            | Self::Token { app, .. } => &app.server,
        };
        Target {
            url: server.url.clone(),
            token_file: server.admin_token_file.clone(),
            ca: server.ca.clone(),
        }
    }

    async fn ask(self, admin: &Admin) -> Result<(String, Json), Failure> {
        match self {
            Self::Create { name, kind, .. } => {
                let body = json!({ "name": name, "type": kind });
                let app = admin.call(Method::POST, APPS, Some(&body)).await?;
                Ok((describe(&app), app))
            }
            Self::List { status, .. } => list(admin, status).await,
            Self::Show(app) => {
                let path = path_of(admin, &app.app).await?;
                let app = admin.call(Method::GET, &path, None).await?;
                Ok((describe(&app), app))
            }
            Self::Enable(app) => set_status(admin, &app.app, AppStatus::Enabled).await,
            Self::Disable(app) => set_status(admin, &app.app, AppStatus::Disabled).await,
            Self::Delete(app) => {
                let path = path_of(admin, &app.app).await?;
                admin.call(Method::DELETE, &path, None).await?;
                let id = path.rsplit('/').next().unwrap_or_default().to_owned();
                Ok((format!("Deleted {id}."), json!({ "app_id": id, "deleted": true })))
            }
            Self::Token { app, room, user, role, lifetime } => {
                let path = format!("{}/tokens", path_of(admin, &app.app).await?);
                let body = json!({
                    "room_id": room,
                    "user_id": user,
                    "role": role.as_str(),
                    "lifetime_s": lifetime.0.as_secs(),
                });
                let token = admin.call(Method::POST, &path, Some(&body)).await?;
                let keys = ["token", "signature", "ctime", "expires_at", "join_url"];
                Ok((lines(&token, &keys), token))
            }
        }
    }
}

async fn set_status(
    admin: &Admin,
    app: &str,
    status: AppStatus,
) -> Result<(String, Json), Failure> {
    let path = path_of(admin, app).await?;
    let body = json!({ "status": status });
    let app = admin.call(Method::PATCH, &path, Some(&body)).await?;
    Ok((format!("{} is {status}.", text_of(&app, "app_id")), app))
}

async fn list(admin: &Admin, status: Option<AppStatus>) -> Result<(String, Json), Failure> {
    let apps = admin.apps(status).await?;
    let keys = ["app_id", "name", "type", "status", "created_at"];
    let rows: Vec<Vec<String>> =
        apps.iter().map(|app| keys.map(|key| text_of(app, key)).into()).collect();
    let text = table(&["APP ID", "NAME", "TYPE", "STATUS", "CREATED"], &rows);
    Ok((text, json!({ "apps": apps })))
}

/// The address of an app named by its ID or its name.
async fn path_of(admin: &Admin, app: &str) -> Result<String, Failure> {
    let is_id = app.len() == 32 && app.bytes().all(|byte| byte.is_ascii_hexdigit());
    if is_id {
        return Ok(format!("{APPS}/{app}"));
    }
    let named = admin.apps(None).await?.into_iter().find(|known| known["name"] == *app);
    let id = named.map_or_else(|| app.to_owned(), |known| text_of(&known, "app_id"));
    if AppId::new(&id).is_err() {
        let message = format!("there is no app \"{app}\"");
        return Err(Failure::new("app_not_found", message, "See `sparkrtc app list`."));
    }
    Ok(format!("{APPS}/{id}"))
}

fn describe(app: &Json) -> String {
    lines(app, &["app_id", "app_key", "name", "type", "domain", "status", "created_at"])
}

fn lines(object: &Json, keys: &[&str]) -> String {
    let present: Vec<_> = keys.iter().filter(|key| !object[**key].is_null()).collect();
    let width = present.iter().map(|key| key.len()).max().unwrap_or(0);
    let line = |key: &&&str| format!("{:width$}  {}", key, text_of(object, key));
    present.iter().map(line).collect::<Vec<_>>().join("\n")
}

fn text_of(object: &Json, key: &str) -> String {
    match &object[key] {
        Json::String(text) => text.clone(),
        Json::Null => String::new(),
        other => other.to_string(),
    }
}
