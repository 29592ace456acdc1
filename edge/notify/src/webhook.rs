//! A notification as a signed JSON request, for a program.
//!
//! The body is the notification in camelCase with a one-line `text`. Every attempt to tell the same thing carries
//! the same `Idempotency-Key`: a receiver that has seen the key answers 2xx and does nothing. `sequence` puts
//! notifications about one service in order.
//!
//! With a signing key, a request carries `X-Trimtab-Signature: t=<unix seconds>,v1=<hex>`. To verify it:
//! 1. take the bytes of the body as they came, before any parsing;
//! 2. compute HMAC-SHA256 with the signing key over `<t>.<body>`: the digits of `t`, a full stop, the body;
//! 3. compare with `v1` in constant time, and refuse a `t` further than five minutes from your clock.

use std::fmt::Write as _;

use hmac::{Hmac, KeyInit as _, Mac as _};
use jiff::Timestamp;
use serde_json::{Value, json};
use sha2::Sha256;

use trimtab_providers::secret::SecretText;
use trimtab_units::line::one_line;

use crate::notification::Notification;
use crate::words;

/// Name of the header that carries the signature.
pub const SIGNATURE_HEADER: &str = "x-trimtab-signature";
/// Name of the header that is the same for every attempt.
pub const IDEMPOTENCY_HEADER: &str = "idempotency-key";

/// The JSON body.
#[must_use]
pub fn payload(notification: &Notification) -> Value {
    let mut body = json!(notification);
    body["apiVersion"] = json!("trimtab.dev/notice/v1");
    body["text"] = json!(one_line(&words::summary(notification)));
    body
}

/// The value of [`SIGNATURE_HEADER`] for these bytes, sent at this time.
#[must_use]
pub fn signature(key: &SecretText, at: Timestamp, body: &[u8]) -> String {
    let seconds = at.as_second();
    let mut mac =
        Hmac::<Sha256>::new_from_slice(key.expose().as_bytes()).expect("HMAC takes keys of any length");
    mac.update(format!("{seconds}.").as_bytes());
    mac.update(body);
    let mut value = format!("t={seconds},v1=");
    for byte in mac.finalize().into_bytes() {
        write!(value, "{byte:02x}").expect("writing to a String cannot fail");
    }
    value
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_signature_is_hmac_sha256_over_time_and_body() {
        // Computed with another implementation: Python's hmac.new(b"key", b"1700000000.{}", "sha256").
        let at = Timestamp::from_second(1_700_000_000).unwrap();
        let got = signature(&SecretText::new("key".to_owned()), at, b"{}");
        assert_eq!(got, "t=1700000000,v1=9d713ed406bb7076d4123f0dc2c39d2df5c654ed4b0cd56b52c8b4c940bd63ae");
    }
}
