//! Pages under `docs/` that say what the program says.

use expect_test::expect_file;
use rtc_api::code::ErrorCode;

use crate::support::{Server, get};

#[test]
fn the_list_of_error_codes_is_fresh() {
    let mut page = "\
# Error codes

<!-- Generated from crates/rtc-api/src/code.rs; `cargo xtask codegen` renews it. -->

A program branches on the code; sentence and advice are for people. The same codes stand in REST answers (RFC 9457
problem JSON, `type` is `urn:sparkrtc:error:` and the code), in refusals of signalling, and in what `sparkrtc`
prints. The status is that of HTTP.

| code | status | what happened | what to do |
|---|---|---|---|
"
    .to_owned();
    for code in ErrorCode::ALL {
        page.push_str(&format!(
            "| `{}` | {} | {} | {} |\n",
            code.as_str(),
            code.http_status(),
            code.title(),
            code.advice()
        ));
    }
    expect_file!["../../../../docs/errors.md"].assert_eq(&page);
}

#[tokio::test]
async fn the_list_of_metrics_is_fresh() {
    let server = Server::start().await;
    let (_, text) = get(&server.url("/metrics")).await;
    server.stop().await;
    let mut rows: Vec<String> = text
        .lines()
        .filter_map(|line| line.strip_prefix("# HELP "))
        .filter_map(|line| line.split_once(' '))
        .map(|(name, help)| {
            let kind = format!("# TYPE {name} ");
            let kind = text.lines().find_map(|line| line.strip_prefix(&kind)).unwrap_or_default();
            let suffix = if kind == "counter" { "_total" } else { "" };
            format!("| `{name}{suffix}` | {kind} | {help} |\n")
        })
        .collect();
    rows.sort();
    let page = format!(
        "\
# Metrics

<!-- Generated from a running server; `cargo xtask codegen` renews it. -->

Served at `/metrics` in the OpenMetrics text format, to this machine and to bearers of the admin token.

| metric | kind | what |
|---|---|---|
{}",
        rows.concat()
    );
    expect_file!["../../../../docs/metrics.md"].assert_eq(&page);
}
