//! Bounds of connections and requests.

use std::time::Duration;

use tokio::{
    io::{AsyncReadExt, AsyncWriteExt},
    net::TcpStream,
    time::timeout,
};

use crate::support::{Directory, Server, get};

/// Sends `request` as it is; what the server answers until it closes.
async fn exchange(server: &Server, request: &[u8]) -> String {
    let mut stream = TcpStream::connect(server.http).await.unwrap();
    // The server may close while more is being written.
    drop(stream.write_all(request).await);
    let mut answer = Vec::new();
    drop(timeout(Duration::from_secs(20), stream.read_to_end(&mut answer)).await);
    String::from_utf8_lossy(&answer).into_owned()
}

fn request(target: &str) -> Vec<u8> {
    format!("GET {target} HTTP/1.1\r\nhost: x\r\nconnection: close\r\n\r\n").into_bytes()
}

#[tokio::test]
async fn a_join_in_the_request_line_fits_and_a_flood_does_not() {
    let server = Server::start().await;
    for size in [16 * 1024, 32 * 1024, 60 * 1024] {
        let target = format!("/rtc/v1/validate?join_request={}", "A".repeat(size));
        let answer = exchange(&server, &request(&target)).await;
        assert!(answer.starts_with("HTTP/1.1 40"), "{size}: {answer:.100}");
        assert!(!answer.starts_with("HTTP/1.1 414"), "{size}");
    }
    let target = format!("/rtc/v1/validate?join_request={}", "A".repeat(1 << 20));
    let answer = exchange(&server, &request(&target)).await;
    assert!(answer.is_empty() || answer.starts_with("HTTP/1.1 4"), "{answer:.100}");
    let head = format!("GET / HTTP/1.1\r\nhost: x\r\nx-long: {}\r\n\r\n", "A".repeat(1 << 20));
    let answer = exchange(&server, head.as_bytes()).await;
    assert!(answer.is_empty() || answer.starts_with("HTTP/1.1 431"), "{answer:.100}");
    assert_eq!(get(&server.url("/healthz")).await.0, 200);
    server.stop().await;
}

#[tokio::test]
async fn two_slashes_are_one() {
    let server = Server::start().await;
    let answer = exchange(&server, &request("//healthz")).await;
    assert!(answer.starts_with("HTTP/1.1 200"), "{answer}");
    let answer = exchange(&server, &request("//rtc/validate?access_token=x")).await;
    assert!(answer.starts_with("HTTP/1.1 401"), "{answer}");
    server.stop().await;
}

#[tokio::test]
async fn a_stalled_head_is_cut() {
    let environment = [("SPARKRTC_HTTP__HEADER_TIMEOUT", "200ms")];
    let server = Server::start_with(Directory::new(), &[], &environment).await;
    let answer = exchange(&server, b"GET / HTTP/1.1\r\nhost: x\r\n").await;
    assert!(answer.is_empty() || answer.starts_with("HTTP/1.1 408"), "{answer}");
    server.stop().await;
}

#[tokio::test]
async fn a_stalled_body_is_cut() {
    let environment = [("SPARKRTC_HTTP__BODY_TIMEOUT", "200ms")];
    let server = Server::start_with(Directory::new(), &[], &environment).await;
    let head = b"POST /api/v1/demo/token HTTP/1.1\r\nhost: x\r\nconnection: close\r\ncontent-length: 9\r\n\r\n{";
    let answer = exchange(&server, head).await;
    assert!(answer.starts_with("HTTP/1.1 4"), "{answer}");
    server.stop().await;
}

#[tokio::test]
async fn a_body_beyond_the_limit_is_refused() {
    let server = Server::start().await;
    let client = reqwest::Client::new();
    let post = client.post(server.url("/api/v1/demo/token")).body(vec![b'x'; 8 << 20]);
    // Refused by the length alone; the server may close before everything was sent.
    if let Ok(answer) = post.send().await {
        assert_eq!(answer.status().as_u16(), 413);
    }
    assert_eq!(get(&server.url("/healthz")).await.0, 200);
    server.stop().await;
}

#[tokio::test]
async fn connections_beyond_the_limit_wait_for_a_slot() {
    let environment = [("SPARKRTC_HTTP__CONNECTIONS_MAX", "2")];
    let server = Server::start_with(Directory::new(), &[], &environment).await;
    let ask = b"GET /healthz HTTP/1.1\r\nhost: x\r\n\r\n";
    let mut answer = [0; 12];
    let mut holders = Vec::new();
    for _ in 0..2 {
        let mut holder = TcpStream::connect(server.http).await.unwrap();
        holder.write_all(ask).await.unwrap();
        holder.read_exact(&mut answer).await.unwrap();
        holders.push(holder);
    }
    let mut third = TcpStream::connect(server.http).await.unwrap();
    third.write_all(ask).await.unwrap();
    let waited = timeout(Duration::from_millis(300), third.read_exact(&mut answer)).await;
    assert!(waited.is_err(), "the third was served beside two");
    holders.pop();
    third.read_exact(&mut answer).await.unwrap();
    assert_eq!(&answer, b"HTTP/1.1 200");
    drop(third);
    drop(holders);
    server.stop().await;
}

#[tokio::test]
async fn what_is_not_http_is_refused_quietly() {
    let server = Server::start().await;
    for garbage in [
        b"\x16\x03\x01\x02\x00\x01\x00".as_slice(),
        b"\r\n\r\n\r\n",
        b"\0\0\0\0\n\n",
        b"PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n",
    ] {
        let answer = exchange(&server, garbage).await;
        assert!(
            answer.is_empty()
                || answer.starts_with("HTTP/1.1 4")
                || answer.starts_with("HTTP/1.1 5"),
            "{answer}"
        );
    }
    assert_eq!(get(&server.url("/healthz")).await.0, 200);
    server.stop().await;
}
