//! From file, environment and command line to checked values. The only place that reads the environment.

use std::{
    ffi::OsString,
    io,
    net::SocketAddr,
    path::{Path, PathBuf},
};

use toml::{Table, Value};

use super::{Config, Secret};

/// What the command line says over file and environment.
#[derive(Clone, Debug, Default)]
pub(crate) struct Overrides {
    pub(crate) file: Option<PathBuf>,
    pub(crate) data_dir: Option<PathBuf>,
    pub(crate) http: Option<SocketAddr>,
    pub(crate) media: Option<SocketAddr>,
    pub(crate) tls_self: bool,
    pub(crate) dev: bool,
}

/// Why there is no usable configuration.
#[derive(Debug, thiserror::Error)]
pub(crate) enum ConfigError {
    #[error("cannot read {path}")]
    Unreadable { path: PathBuf, source: io::Error },
    #[error("{path} is not a valid configuration: {reason}")]
    File { path: PathBuf, reason: String },
    #[error("the environment variable {name} is not valid: {reason}")]
    Environment { name: String, reason: String },
    #[error("the configuration is not valid: {0}")]
    Merged(String),
    #[error("{0}")]
    Contradiction(&'static str),
    #[error("the development pair devkey/secret is known to everybody, and {0} is not loopback")]
    DevBeyondLoopback(SocketAddr),
}

impl ConfigError {
    /// What a person can do about it.
    pub(crate) fn advice(&self) -> &'static str {
        match self {
            Self::Unreadable { .. } => "Check the path and its permissions.",
            Self::File { .. } | Self::Environment { .. } | Self::Merged(_) => {
                "Correct the value; docs/config.md and `sparkrtc config print` show every key."
            }
            Self::Contradiction(_) => "Keep one of the two.",
            Self::DevBeyondLoopback(_) => {
                "Leave --dev (apps.dev_pair) away and use an app's own key: `sparkrtc app list`."
            }
        }
    }
}

/// Reads the file if one is named, lays environment and command line over it, checks the whole.
///
/// # Errors
/// [`ConfigError`] naming the file, variable or key at fault.
pub(crate) fn load(overrides: &Overrides) -> Result<Config, ConfigError> {
    load_with(overrides, std::env::vars_os())
}

fn load_with(
    overrides: &Overrides,
    environment: impl Iterator<Item = (OsString, OsString)>,
) -> Result<Config, ConfigError> {
    let mut table = match &overrides.file {
        Some(path) => read_file(path)?,
        None => Table::new(),
    };
    for (name, text) in environment {
        let (Some(name), Some(text)) = (name.to_str(), text.to_str()) else { continue };
        apply_variable(&mut table, name, text)?;
    }
    let mut config: Config =
        Value::Table(table).try_into().map_err(|e: toml::de::Error| merged(&e))?;
    apply_command_line(&mut config, overrides);
    read_secret_files(&mut config)?;
    check(&config)?;
    Ok(config)
}

fn read_file(path: &Path) -> Result<Table, ConfigError> {
    let text = std::fs::read_to_string(path)
        .map_err(|source| ConfigError::Unreadable { path: path.to_owned(), source })?;
    let wrong = |e: toml::de::Error| ConfigError::File {
        path: path.to_owned(),
        reason: e.to_string().trim_end().to_owned(),
    };
    // Typed once on its own, because only here an error can point at its line.
    toml::from_str::<Config>(&text).map_err(wrong)?;
    toml::from_str(&text).map_err(wrong)
}

fn merged(error: &toml::de::Error) -> ConfigError {
    ConfigError::Merged(error.to_string().trim_end().to_owned())
}

/// Lays `SPARKRTC_SECTION__KEY=text` over the table; other variables are not ours.
fn apply_variable(table: &mut Table, name: &str, text: &str) -> Result<(), ConfigError> {
    let Some(path) = name.strip_prefix("SPARKRTC_") else { return Ok(()) };
    let Some((section, key)) = path.split_once("__") else { return Ok(()) };
    let (section, key) = (section.to_ascii_lowercase(), key.to_ascii_lowercase());
    let wrong = |reason: String| ConfigError::Environment { name: name.to_owned(), reason };

    let mut last_error = None;
    for value in readings(text) {
        let mut alone = Table::new();
        alone.insert(section.clone(), Table::from_iter([(key.clone(), value.clone())]).into());
        match Value::Table(alone).try_into::<Config>() {
            Ok(_) => {
                let slot = table.entry(&section).or_insert_with(|| Table::new().into());
                let Value::Table(slot) = slot else {
                    return Err(wrong(format!("{section} is not a section")));
                };
                slot.insert(key, value);
                return Ok(());
            }
            Err(error) => last_error = Some(error),
        }
    }
    Err(wrong(last_error.map_or_else(String::new, |e| e.to_string().trim_end().to_owned())))
}

/// What a variable's text can mean, likeliest first: a TOML value, a list with commas, a plain text.
fn readings(text: &str) -> Vec<Value> {
    let as_toml = toml::from_str::<Table>(&format!("value = {text}"))
        .ok()
        .and_then(|mut table| table.remove("value"));
    let items = text.split(',').map(str::trim).filter(|item| !item.is_empty());
    let as_list = Value::Array(items.map(|item| Value::String(item.to_owned())).collect());
    as_toml.into_iter().chain([as_list, Value::String(text.to_owned())]).collect()
}

fn apply_command_line(config: &mut Config, overrides: &Overrides) {
    if let Some(dir) = &overrides.data_dir {
        config.data.dir.clone_from(dir);
    }
    if let Some(http) = overrides.http {
        config.http.bind = http;
    }
    if let Some(media) = overrides.media {
        config.media.bind = Some(media);
    }
    if overrides.tls_self {
        config.tls.self_signed = true;
        config.tls.cert = None;
        config.tls.key = None;
    }
    if overrides.dev {
        config.apps.dev_pair = true;
    }
}

fn read_secret_files(config: &mut Config) -> Result<(), ConfigError> {
    read_secret(
        &mut config.admin.token,
        config.admin.token_file.as_deref(),
        "both admin.token and admin.token_file are set",
    )?;
    let Some(postgres) = &mut config.postgres else { return Ok(()) };
    read_secret(
        &mut postgres.url,
        postgres.url_file.as_deref(),
        "both postgres.url and postgres.url_file are set",
    )
}

fn read_secret(
    secret: &mut Option<Secret>,
    file: Option<&Path>,
    contradiction: &'static str,
) -> Result<(), ConfigError> {
    let Some(path) = file else { return Ok(()) };
    if secret.is_some() {
        return Err(ConfigError::Contradiction(contradiction));
    }
    let text = std::fs::read_to_string(path)
        .map_err(|source| ConfigError::Unreadable { path: path.to_owned(), source })?;
    *secret = Some(Secret::new(text.trim()));
    Ok(())
}

/// Least length of a token somebody chose: 16 characters cannot be tried out over a network.
const ADMIN_TOKEN_MIN: usize = 16;
/// A request line with a join in it needs this much.
const HEADER_SIZE_MIN: usize = 8 * 1024;

fn check(config: &Config) -> Result<(), ConfigError> {
    let merged = |reason: &str| Err(ConfigError::Merged(reason.to_owned()));
    if config.tls.cert.is_some() != config.tls.key.is_some() {
        return merged("tls.cert and tls.key need each other");
    }
    if config.tls.self_signed && config.tls.cert.is_some() {
        return Err(ConfigError::Contradiction("both tls.self_signed and tls.cert are set"));
    }
    if config.admin.token.as_ref().is_some_and(|t| t.expose().len() < ADMIN_TOKEN_MIN) {
        return merged("admin.token has fewer than 16 characters");
    }
    if config.http.connections_max == 0 {
        return merged("http.connections_max must be at least 1");
    }
    if config.http.header_size_max.0 < HEADER_SIZE_MIN {
        return merged("http.header_size_max must be at least 8KiB");
    }
    if config.postgres.as_ref().is_some_and(|postgres| postgres.url.is_none()) {
        return merged("[postgres] needs url or url_file");
    }
    if let Some(url) = &config.http.public_url {
        let rest = url.strip_prefix("https://").or_else(|| url.strip_prefix("http://"));
        if rest.is_none_or(|host| host.is_empty() || host.starts_with('/')) {
            return merged("http.public_url must begin with http:// or https:// and name a host");
        }
    }
    let http = config.http.bind;
    if config.apps.dev_pair && !http.ip().is_loopback() {
        return Err(ConfigError::DevBeyondLoopback(http));
    }
    Ok(())
}

#[cfg(test)]
mod tests {
    use expect_test::{Expect, expect};

    use super::*;

    fn load_env(variables: &[(&str, &str)]) -> Result<Config, ConfigError> {
        let variables = variables.iter().map(|&(name, text)| (name.into(), text.into()));
        load_with(&Overrides::default(), variables)
    }

    fn check_error(variables: &[(&str, &str)], expect: &Expect) {
        expect.assert_eq(&load_env(variables).unwrap_err().to_string());
    }

    #[test]
    fn variables_set_texts_numbers_switches_and_lists() {
        let config = load_env(&[
            ("SPARKRTC_HTTP__BIND", "127.0.0.1:9"),
            ("SPARKRTC_HTTP__CONNECTIONS_MAX", "7"),
            ("SPARKRTC_HTTP__TRUSTED_PROXIES", "10.0.0.0/8, 192.168.1.1"),
            ("SPARKRTC_APPS__DEV_PAIR", "true"),
            ("SPARKRTC_APPS__BASE_DOMAIN", "123"),
            ("SPARKRTC_ADMIN__TOKEN", "1234567890123456"),
            ("SPARKRTC_DATABASE_OF_A_TEST", "not ours"),
            ("PATH", "/bin"),
        ])
        .unwrap();
        assert_eq!(config.http.bind.port(), 9);
        assert_eq!(config.http.connections_max, 7);
        assert_eq!(config.http.trusted_proxies.len(), 2);
        assert!(config.apps.dev_pair);
        assert_eq!(config.apps.base_domain, "123");
        assert_eq!(config.admin.token.unwrap().expose(), "1234567890123456");
    }

    #[test]
    fn a_wrong_variable_is_named() {
        check_error(
            &[("SPARKRTC_HTTP__BIND", "here")],
            &expect![[r#"
            the environment variable SPARKRTC_HTTP__BIND is not valid: invalid socket address syntax
            in `http.bind`"#]],
        );
        check_error(
            &[("SPARKRTC_HTTP__BINDD", "127.0.0.1:1")],
            &expect![[r#"
            the environment variable SPARKRTC_HTTP__BINDD is not valid: unknown field `bindd`, expected one of `bind`, `public_url`, `trusted_proxies`, `connections_max`, `header_timeout`, `body_timeout`, `header_size_max`
            in `http`"#]],
        );
    }

    #[test]
    fn contradictions_and_dangers_are_refused() {
        check_error(
            &[("SPARKRTC_TLS__CERT", "a.pem")],
            &expect!["the configuration is not valid: tls.cert and tls.key need each other"],
        );
        check_error(
            &[("SPARKRTC_ADMIN__TOKEN", "short")],
            &expect!["the configuration is not valid: admin.token has fewer than 16 characters"],
        );
        check_error(
            &[("SPARKRTC_APPS__DEV_PAIR", "true"), ("SPARKRTC_HTTP__BIND", "0.0.0.0:7880")],
            &expect![
                "the development pair devkey/secret is known to everybody, and 0.0.0.0:7880 is not loopback"
            ],
        );
        check_error(
            &[("SPARKRTC_HTTP__PUBLIC_URL", "rtc.example.org")],
            &expect![
                "the configuration is not valid: http.public_url must begin with http:// or https:// and name a host"
            ],
        );
    }

    #[test]
    fn media_follows_http_unless_told() {
        let media =
            |variables: &[(&str, &str)]| load_env(variables).unwrap().media_bind().to_string();
        assert_eq!(media(&[]), "127.0.0.1:7882");
        assert_eq!(media(&[("SPARKRTC_HTTP__BIND", "127.0.0.1:0")]), "127.0.0.1:0");
        assert_eq!(media(&[("SPARKRTC_HTTP__BIND", "0.0.0.0:80")]), "0.0.0.0:7882");
        let told = [("SPARKRTC_HTTP__BIND", "0.0.0.0:0"), ("SPARKRTC_MEDIA__BIND", "127.0.0.1:5")];
        assert_eq!(media(&told), "127.0.0.1:5");
    }

    #[test]
    fn a_bind_beyond_loopback_without_tls_warns_of_the_consequence() {
        let warnings = |variables: &[(&str, &str)]| load_env(variables).unwrap().warnings();
        assert!(warnings(&[]).is_empty());
        let open = ("SPARKRTC_HTTP__BIND", "0.0.0.0:7880");
        assert!(warnings(&[open])[0].contains("camera"));
        assert!(warnings(&[open, ("SPARKRTC_TLS__SELF_SIGNED", "true")]).is_empty());
        assert!(warnings(&[open, ("SPARKRTC_HTTP__TRUSTED_PROXIES", "10.0.0.1")]).is_empty());
        assert_eq!(warnings(&[open, ("SPARKRTC_MEDIA__BIND", "127.0.0.1:1")]).len(), 2);
    }
}
