//! Pages, cross-origin calls, metrics.

use serde_json::json;

use crate::support::{Directory, Server, get};

#[tokio::test]
async fn browsers_can_ask_whether_the_server_is_back() {
    let server = Server::start().await;
    let client = reqwest::Client::new();
    let answer =
        client.head(server.url("/")).header("origin", "https://x.example").send().await.unwrap();
    assert_eq!(answer.status().as_u16(), 200);
    assert_eq!(answer.headers()["access-control-allow-origin"], "*");
    assert_eq!(answer.headers()["x-content-type-options"], "nosniff");
    server.stop().await;
}

#[tokio::test]
async fn any_origin_may_call_with_a_token() {
    let server = Server::start().await;
    let client = reqwest::Client::new();
    for path in ["/api/v1/apps", "/twirp/livekit.RoomService/ListRooms", "/rtc/v1/validate", "/"] {
        let answer = client
            .request(reqwest::Method::OPTIONS, server.url(path))
            .header("origin", "https://x.example")
            .header("access-control-request-method", "POST")
            .header("access-control-request-headers", "authorization,content-type,x-own")
            .send()
            .await
            .unwrap();
        assert_eq!(answer.status().as_u16(), 200, "{path}");
        let headers = answer.headers();
        assert_eq!(headers["access-control-allow-origin"], "*", "{path}");
        let allowed = headers["access-control-allow-headers"].to_str().unwrap();
        assert!(allowed.contains("authorization") && allowed.contains("x-own"), "{path} {allowed}");
        assert!(headers["access-control-allow-methods"].to_str().unwrap().contains("DELETE"));
    }
    let answer = client.get(server.url("/rtc/v1/validate")).send().await.unwrap();
    assert_eq!(answer.status().as_u16(), 401);
    assert_eq!(answer.headers()["access-control-allow-origin"], "*");
    server.stop().await;
}

#[tokio::test]
async fn an_unknown_address_is_a_problem_with_the_request_in_it() {
    let server = Server::start().await;
    let answer = reqwest::get(server.url("/nowhere")).await.unwrap();
    assert_eq!(answer.status().as_u16(), 404);
    assert_eq!(answer.headers()["content-type"], "application/problem+json");
    let id = answer.headers()["x-request-id"].to_str().unwrap().to_owned();
    let problem: serde_json::Value = answer.json().await.unwrap();
    assert_eq!(problem["request_id"], json!(id));
    assert_eq!(problem["code"], "not_found");
    server.stop().await;
}

#[tokio::test]
async fn the_playground_is_there_or_says_how_to_build_it() {
    let server = Server::start().await;
    let answer = reqwest::get(server.url("/play")).await.unwrap();
    let policy = answer.headers()["content-security-policy"].to_str().unwrap().to_owned();
    assert!(
        policy.contains("script-src 'self'") && policy.contains("frame-ancestors 'none'"),
        "{policy}"
    );
    let status = answer.status().as_u16();
    let page = answer.text().await.unwrap();
    match status {
        200 => {
            let script = page.split("src=\"").nth(1).unwrap().split('"').next().unwrap();
            let script = reqwest::get(server.url(script)).await.unwrap();
            assert_eq!(script.status().as_u16(), 200);
            assert!(
                script.headers()["content-type"].to_str().unwrap().starts_with("text/javascript")
            );
            let tag = script.headers()["etag"].clone();
            let again = reqwest::Client::new()
                .get(script.url().clone())
                .header("if-none-match", tag)
                .send()
                .await
                .unwrap();
            assert_eq!(again.status().as_u16(), 304);
            let packed = reqwest::Client::new()
                .get(again.url().clone())
                .header("accept-encoding", "br, gzip;q=0.8")
                .send()
                .await
                .unwrap();
            assert_eq!(packed.headers()["content-encoding"], "gzip");
            assert!(packed.bytes().await.unwrap().starts_with(&[0x1F, 0x8B]));
        }
        404 => assert!(page.contains("cargo xtask run"), "{page}"),
        other => panic!("{other}: {page}"),
    }
    for path in ["/play/assets/none.js", "/play/..%2f..%2fCargo.toml", "/play/%2e%2e/Cargo.toml"] {
        assert_eq!(get(&server.url(path)).await.0, 404, "{path}");
    }
    server.stop().await;
}

#[tokio::test]
async fn metrics_are_for_this_machine_and_the_administrator() {
    let server = Server::start().await;
    let (status, text) = get(&server.url("/metrics")).await;
    assert_eq!(status, 200);
    for name in ["process_cpu_seconds_total", "process_resident_memory_bytes", "process_open_fds"] {
        let value = text.lines().find_map(|line| line.strip_prefix(name)).unwrap_or_default();
        assert!(value.trim().parse::<f64>().is_ok_and(|value| value > 0.0), "{name} in {text}");
    }
    assert!(text.ends_with("# EOF\n"));

    // A proxy on this machine that nobody listed does not make its clients local.
    let client = reqwest::Client::new();
    let forwarded = client.get(server.url("/metrics")).header("x-forwarded-for", "192.0.2.1");
    let answer = forwarded.try_clone().unwrap().send().await.unwrap();
    assert_eq!(answer.status().as_u16(), 401);
    let answer = forwarded.bearer_auth(server.admin_token()).send().await.unwrap();
    assert_eq!(answer.status().as_u16(), 200);
    server.stop().await;
}

#[tokio::test]
async fn a_listed_proxy_is_believed() {
    let environment = [("SPARKRTC_HTTP__TRUSTED_PROXIES", "127.0.0.0/8")];
    let server = Server::start_with(Directory::new(), &[], &environment).await;
    let client = reqwest::Client::new();
    let status = async |forwarded: &str| {
        let request = client.get(server.url("/metrics")).header("x-forwarded-for", forwarded);
        request.send().await.unwrap().status().as_u16()
    };
    assert_eq!(status("192.0.2.1").await, 401);
    assert_eq!(status("::1").await, 200);
    server.stop().await;
}
