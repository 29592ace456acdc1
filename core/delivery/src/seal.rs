//! The seal on a record: proof that the manager itself wrote the template that it keeps.
//!
//! Whoever may edit a namespace may write an `AppRelease` by hand, under any field manager and with any template. A seal is an
//! HMAC-SHA256 over what must not be forged, with a key that only the manager's namespace holds. Every field is preceded by
//! its length, so no two records have the same bytes.

use hmac::{Hmac, KeyInit as _, Mac as _};
use sha2::Sha256;

/// Bytes of a key.
pub const KEY_BYTES: usize = 32;
/// Annotation of a record that carries its seal.
pub const SEAL_ANNOTATION: &str = "trimtab.dev/seal";
/// Says what is sealed, and in which form: another form is another word.
const FORM: &[u8] = b"trimtab.dev/seal/1";

/// What a seal vouches for.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Sealed<'a> {
    /// Namespace of the record.
    pub namespace: &'a str,
    /// The service.
    pub service: &'a str,
    /// The number.
    pub number: u64,
    /// Uid of the Deployment that it was released to.
    pub target_uid: &'a str,
    /// The template as canonical JSON.
    pub template: &'a [u8],
}

/// The key of a manager's seals.
#[derive(Clone, PartialEq, Eq)]
pub struct SealKey([u8; KEY_BYTES]);

impl std::fmt::Debug for SealKey {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.write_str("SealKey")
    }
}

impl SealKey {
    /// A key of these bytes.
    #[must_use]
    pub fn new(bytes: [u8; KEY_BYTES]) -> Self {
        Self(bytes)
    }

    /// The seal, as 64 hexadecimal digits.
    #[must_use]
    pub fn seal(&self, sealed: &Sealed<'_>) -> String {
        self.mac(sealed).finalize().into_bytes().iter().map(|byte| format!("{byte:02x}")).collect()
    }

    /// Whether `seal` is the seal of `sealed`. Takes as long for a wrong seal as for a right one.
    #[must_use]
    pub fn verifies(&self, sealed: &Sealed<'_>, seal: &str) -> bool {
        parse(seal).is_some_and(|bytes| self.mac(sealed).verify_slice(&bytes).is_ok())
    }

    fn mac(&self, sealed: &Sealed<'_>) -> Hmac<Sha256> {
        let mut mac = Hmac::<Sha256>::new_from_slice(&self.0).expect("HMAC takes keys of any length");
        let number = sealed.number.to_be_bytes();
        let (namespace, service) = (sealed.namespace.as_bytes(), sealed.service.as_bytes());
        for field in [FORM, namespace, service, &number, sealed.target_uid.as_bytes(), sealed.template] {
            mac.update(&(field.len() as u64).to_be_bytes());
            mac.update(field);
        }
        mac
    }
}

/// Reads 64 hexadecimal digits.
fn parse(text: &str) -> Option<Vec<u8>> {
    let is_hex = text.len() == 2 * KEY_BYTES && text.bytes().all(|byte| byte.is_ascii_hexdigit());
    let digits = text.as_bytes().chunks_exact(2).filter(|_| is_hex);
    let bytes: Option<Vec<u8>> = digits
        .map(|pair| std::str::from_utf8(pair).ok().and_then(|pair| u8::from_str_radix(pair, 16).ok()))
        .collect();
    bytes.filter(|bytes| !bytes.is_empty())
}
