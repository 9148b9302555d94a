//! Randomness of the operating system, for ids and keys.

use aws_lc_rs::rand;
use rtc_api::code::{ErrorCode, Refusal};

use crate::Error;

/// 128 random bits: more than anybody can guess or make collide.
pub(crate) fn bits_128() -> Result<[u8; 16], Error> {
    let mut bits = [0; 16];
    rand::fill(&mut bits).map_err(|_| {
        tracing::error!("the operating system gives no random numbers");
        Refusal::from(ErrorCode::Internal)
    })?;
    Ok(bits)
}
