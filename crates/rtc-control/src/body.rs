//! Takes the body of a request, within bounds of size and time.

use std::{error::Error as _, time::Duration};

use axum::body::{Body, Bytes};
use futures_util::StreamExt;
use http::{HeaderMap, header};
use rtc_api::code::{ErrorCode, Refusal};
use tower_http::timeout::TimeoutError;

/// Reads a body of at most `bytes_max`, within [`DEADLINE`] whatever the pace of its pieces.
///
/// One that is too large is read on and forgotten, up to [`DRAINED_BYTES_MAX`]: an answer given
/// before its end would be lost when the connection is then closed on the sender.
///
/// # Errors
/// `too_large`, `timeout`, or `invalid_argument` for a body that broke off.
pub(crate) async fn read(
    headers: &HeaderMap,
    body: Body,
    bytes_max: usize,
) -> Result<Vec<u8>, Refusal> {
    let announced = headers.get(header::CONTENT_LENGTH).and_then(|value| value.to_str().ok());
    let announced = announced.and_then(|text| text.parse::<u64>().ok()).unwrap_or(0);
    if usize::try_from(announced).unwrap_or(usize::MAX) > DRAINED_BYTES_MAX {
        return Err(too_large(bytes_max));
    }
    within(DEADLINE, body, bytes_max).await
}

async fn within(deadline: Duration, body: Body, bytes_max: usize) -> Result<Vec<u8>, Refusal> {
    match tokio::time::timeout(deadline, collect(body, bytes_max)).await {
        Ok(result) => result,
        Err(_) => Err(too_late()),
    }
}

async fn collect(body: Body, bytes_max: usize) -> Result<Vec<u8>, Refusal> {
    let mut bytes = Vec::new();
    let mut read = 0;
    let mut chunks = body.into_data_stream();
    while let Some(chunk) = chunks.next().await {
        let chunk: Bytes = chunk.map_err(|error| broken(&error))?;
        read += chunk.len();
        if read > DRAINED_BYTES_MAX {
            return Err(too_large(bytes_max));
        }
        if read <= bytes_max {
            bytes.extend_from_slice(&chunk);
        }
    }
    if read > bytes_max { Err(too_large(bytes_max)) } else { Ok(bytes) }
}

/// At most [`QUOTED_CHARS_MAX`] characters of what a parser says: it quotes what it stumbles over,
/// and that is as long as the sender likes.
pub(crate) fn shortened(text: &str) -> String {
    match text.char_indices().nth(QUOTED_CHARS_MAX) {
        Some((end, _)) => format!("{}…", &text[..end]),
        None => text.to_owned(),
    }
}

fn too_large(bytes_max: usize) -> Refusal {
    let detail = format!("The body has more than {bytes_max} bytes; send less at once.");
    Refusal::new(ErrorCode::TooLarge, detail)
}

fn too_late() -> Refusal {
    let detail = "The body did not arrive in time; send it again, all at once.";
    Refusal::new(ErrorCode::Timeout, detail)
}

/// The server's front has a limit of its own on the wait for the next piece.
fn broken(error: &axum::Error) -> Refusal {
    let mut source = error.source();
    while let Some(cause) = source {
        if cause.is::<TimeoutError>() {
            return too_late();
        }
        source = cause.source();
    }
    Refusal::new(ErrorCode::InvalidArgument, "The body broke off; send it again.")
}

/// Enough for an honest mistake, and below the front's own limit, which only cuts the body off.
pub(crate) const DRAINED_BYTES_MAX: usize = 2 * 1024 * 1024;
/// A body of the largest size needs a tenth of this on a slow line; more is somebody who keeps
/// connections busy.
const DEADLINE: Duration = Duration::from_secs(15);
/// Enough to recognise a mistake by.
const QUOTED_CHARS_MAX: usize = 200;

#[cfg(test)]
mod tests {
    use super::*;

    #[tokio::test]
    async fn a_body_that_trickles_is_given_up() {
        let endless = futures_util::stream::repeat(Vec::new()).then(|piece| async {
            tokio::task::yield_now().await;
            Ok::<_, std::io::Error>(piece)
        });
        let endless = Body::from_stream(endless);
        let refusal = within(Duration::from_millis(50), endless, 1_000).await;
        assert_eq!(refusal.unwrap_err().code, ErrorCode::Timeout);
    }

    #[tokio::test]
    async fn bodies_up_to_the_limit_are_taken_and_larger_ones_refused_after_their_end() {
        for (length, code) in [
            (0, None),
            (1_000, None),
            (1_001, Some(ErrorCode::TooLarge)),
            (DRAINED_BYTES_MAX, Some(ErrorCode::TooLarge)),
            (DRAINED_BYTES_MAX + 1, Some(ErrorCode::TooLarge)),
        ] {
            let result = read(&HeaderMap::new(), Body::from(vec![b'x'; length]), 1_000).await;
            assert_eq!(result.as_ref().err().map(|refusal| refusal.code), code, "{length}");
            assert_eq!(
                result.map_or(0, |bytes| bytes.len()),
                if code.is_none() { length } else { 0 }
            );
        }
    }

    #[test]
    fn quotations_are_cut_between_characters() {
        assert_eq!(shortened("kurz"), "kurz");
        let long = "ü".repeat(QUOTED_CHARS_MAX + 1);
        assert_eq!(shortened(&long), format!("{}…", "ü".repeat(QUOTED_CHARS_MAX)));
    }
}
