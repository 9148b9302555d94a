//! `docs/config.md`, made from the doc comments of the keys.

use serde_json::Value as Json;
use utoipa::PartialSchema;

use super::{
    AdminConfig, AppsConfig, CallbacksConfig, Config, DataConfig, HttpConfig, LimitsConfig,
    LogConfig, MediaConfig, PostgresConfig, RoomsConfig, ShutdownConfig, TlsConfig, WebhooksConfig,
};

const HEAD: &str = "\
# Configuration

<!-- Generated from crates/rtc-server/src/config.rs; `UPDATE_EXPECT=1 cargo test -p rtc-server` renews it. -->

Nothing needs to be set: every key has a default that works on one machine. What is set comes, in
this order, from a TOML file (`sparkrtc --config FILE`), from environment variables
(`SPARKRTC_SECTION__KEY`, so `SPARKRTC_HTTP__BIND=0.0.0.0:7880`; lists with commas) and from the
command line. Unknown keys are refused. `sparkrtc config check` says whether a configuration is
good, `sparkrtc config print` shows it whole, without its secrets.

Lengths of time are written `500ms`, `10s`, `5m`, `2h`; sizes `512`, `64KiB`, `2MiB`, `1GiB`.
";

/// The whole page.
pub(crate) fn page() -> String {
    let sections = [
        ("data", schema::<DataConfig>()),
        ("postgres", schema::<PostgresConfig>()),
        ("http", schema::<HttpConfig>()),
        ("media", schema::<MediaConfig>()),
        ("tls", schema::<TlsConfig>()),
        ("admin", schema::<AdminConfig>()),
        ("apps", schema::<AppsConfig>()),
        ("rooms", schema::<RoomsConfig>()),
        ("limits", schema::<LimitsConfig>()),
        ("webhooks", schema::<WebhooksConfig>()),
        ("callbacks", schema::<CallbacksConfig>()),
        ("log", schema::<LogConfig>()),
        ("shutdown", schema::<ShutdownConfig>()),
    ];
    let whole = schema::<Config>();
    let defaults = serde_json::to_value(Config::default()).unwrap_or_default();
    let mut page = HEAD.to_owned();
    for (section, schema) in &sections {
        let about = text(&whole["properties"][section]["description"]);
        let about = if about.is_empty() { text(&schema["description"]) } else { about };
        page.push_str(&format!("\n## `[{section}]`\n\n{about}\n"));
        let Some(keys) = schema["properties"].as_object() else { continue };
        for (key, property) in keys {
            let default = match &defaults[section][key] {
                Json::Null => "unset".to_owned(),
                value => format!("`{value}`"),
            };
            let about = text(&property["description"]);
            let entry = format!("\n### `{section}.{key}`\n\nDefault: {default}\n\n{about}\n");
            page.push_str(&entry);
        }
    }
    page
}

fn schema<T: PartialSchema>() -> Json {
    serde_json::to_value(T::schema()).unwrap_or_default()
}

fn text(value: &Json) -> String {
    value.as_str().unwrap_or_default().trim().to_owned()
}

#[cfg(test)]
mod tests {
    use expect_test::expect_file;

    #[test]
    fn the_page_is_fresh_and_every_key_is_explained() {
        let page = super::page();
        assert!(!page.contains("\n\n\n"), "a key has no doc comment");
        expect_file!["../../../../docs/config.md"].assert_eq(&page);
    }
}
