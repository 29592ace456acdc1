//! Seeded identifiers: uids and generated name suffixes depend only on the seed and on how many were drawn before.

use sha2::{Digest, Sha256};

/// Characters of generated names: no vowels and no look-alikes, as in Kubernetes.
const NAME_ALPHABET: &[u8] = b"bcdfghjklmnpqrstvwxz2456789";
const NAME_SUFFIX_CHARS: usize = 5;

/// A generator of identifiers, one stream per purpose so that one more draw in one does not shift another.
#[derive(Debug)]
pub(crate) struct Ids {
    seed: u64,
    uids: u64,
    names: u64,
    addresses: u64,
}

impl Ids {
    pub(crate) fn seeded(seed: u64) -> Self {
        Ids { seed, uids: 0, names: 0, addresses: 0 }
    }

    /// A version 4 UUID in its usual text form.
    pub(crate) fn uid(&mut self) -> String {
        self.uids += 1;
        let mut bytes = draw(self.seed, "uid", self.uids);
        bytes[6] = (bytes[6] & 0x0f) | 0x40;
        bytes[8] = (bytes[8] & 0x3f) | 0x80;
        let hex = hex(&bytes[..16]);
        format!("{}-{}-{}-{}-{}", &hex[..8], &hex[8..12], &hex[12..16], &hex[16..20], &hex[20..32])
    }

    /// The suffix that is appended to `generateName`.
    pub(crate) fn name_suffix(&mut self) -> String {
        self.names += 1;
        let bytes = draw(self.seed, "name", self.names);
        bytes[..NAME_SUFFIX_CHARS]
            .iter()
            .map(|byte| char::from(NAME_ALPHABET[usize::from(*byte) % NAME_ALPHABET.len()]))
            .collect()
    }

    /// A service address in 10.96.0.0/12; unique for the first 2^16 draws.
    pub(crate) fn cluster_ip(&mut self) -> String {
        self.addresses += 1;
        let low = self.addresses % 65_536;
        format!("10.{}.{}.{}", 96 + (self.addresses / 65_536) % 16, low / 256, low % 256)
    }
}

/// 32 bytes that depend on nothing but the arguments.
pub(crate) fn draw(seed: u64, purpose: &str, counter: u64) -> [u8; 32] {
    let mut hasher = Sha256::new();
    hasher.update(seed.to_be_bytes());
    hasher.update(purpose.as_bytes());
    hasher.update(counter.to_be_bytes());
    hasher.finalize().into()
}

/// A number in `0.0..1.0` that depends on nothing but the arguments.
pub fn draw_unit(seed: u64, purpose: &str, counter: u64) -> f64 {
    let bytes = draw(seed, purpose, counter);
    let mut low = [0u8; 4];
    low.copy_from_slice(&bytes[..4]);
    f64::from(u32::from_be_bytes(low)) / (f64::from(u32::MAX) + 1.0)
}

/// Lower-case hexadecimal.
pub(crate) fn hex(bytes: &[u8]) -> String {
    use std::fmt::Write;
    bytes.iter().fold(String::with_capacity(bytes.len() * 2), |mut text, byte| {
        write!(text, "{byte:02x}").expect("writing to a string cannot fail");
        text
    })
}

/// The hexadecimal SHA-256 of some bytes.
pub(crate) fn digest(bytes: &[u8]) -> String {
    let sum: [u8; 32] = Sha256::digest(bytes).into();
    hex(&sum)
}
