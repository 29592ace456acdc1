//! A short name for a pod template: the same template, however it was written down, has the same name.

use std::fmt;
use std::str::FromStr;

use serde_json::{Map, Value};
use sha2::{Digest as _, Sha256};

use crate::canonical;

/// Bytes of a digest.
const DIGEST_BYTES: usize = 32;
/// Characters in the printed hash.
const HASH_CHARS: usize = 10;
/// No vowels, so no words; no 0, 1 and 3, so none are misread. All are allowed in a DNS label.
const ALPHABET: &[u8; 27] = b"bcdfghjklmnpqrstvwxz2456789";
/// The label that Kubernetes adds to the template of a ReplicaSet; it is not part of what the user wrote.
const POD_TEMPLATE_HASH_LABEL: &str = "pod-template-hash";

/// The name of a pod template: 10 lower-case characters, valid inside a label value and an object name.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct TemplateHash([u8; HASH_CHARS]);

crate::serde_as_text!(TemplateHash);

impl TemplateHash {
    /// The 10 characters.
    pub fn as_str(&self) -> &str {
        str::from_utf8(&self.0).expect("characters of the alphabet are ASCII")
    }
}

impl fmt::Display for TemplateHash {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        formatter.write_str(self.as_str())
    }
}

impl FromStr for TemplateHash {
    type Err = TemplateHashError;

    fn from_str(text: &str) -> Result<Self, TemplateHashError> {
        match text.as_bytes().try_into() {
            Ok(bytes) if text.bytes().all(|byte| ALPHABET.contains(&byte)) => Ok(TemplateHash(bytes)),
            _ => Err(TemplateHashError { text: crate::names::excerpt(text) }),
        }
    }
}

/// Names a pod template (the value of `spec.template`).
///
/// Ignored, because a round trip through the API server or a ReplicaSet changes them: the `pod-template-hash` label,
/// nulls (`creationTimestamp: null`) and empty maps (`securityContext: {}`). An empty *selector* is kept: it selects
/// everything where an absent one selects nothing. The order of lists matters, the order of keys does not.
pub fn template_hash(template: &Value) -> TemplateHash {
    TemplateHash(encode(fnv1a(normal_text(template).as_bytes())))
}

/// SHA-256 of a pod template. A [`TemplateHash`] tells templates of honest people apart, and anybody finds two that share one;
/// nobody finds two that share a digest. The same differences are ignored.
#[derive(Clone, Copy, PartialEq, Eq)]
pub struct TemplateDigest([u8; DIGEST_BYTES]);

impl TemplateDigest {
    /// The digest itself.
    pub fn as_bytes(&self) -> &[u8; DIGEST_BYTES] {
        &self.0
    }
}

impl fmt::Debug for TemplateDigest {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        self.0.iter().try_for_each(|byte| write!(formatter, "{byte:02x}"))
    }
}

/// The digest of a pod template (the value of `spec.template`).
pub fn template_digest(template: &Value) -> TemplateDigest {
    TemplateDigest(Sha256::digest(normal_text(template)).into())
}

/// A template as canonical JSON, without what a round trip changes.
fn normal_text(template: &Value) -> String {
    let mut normal = prune(template);
    if let Some(labels) = normal.pointer_mut("/metadata/labels").and_then(Value::as_object_mut) {
        labels.remove(POD_TEMPLATE_HASH_LABEL);
    }
    // Again: the label may have been the last one in its map.
    canonical::to_string(&prune(&normal))
}

/// `value` without nulls and empty maps inside maps. List elements keep their place.
fn prune(value: &Value) -> Value {
    match value {
        Value::Array(items) => Value::Array(items.iter().map(prune).collect()),
        Value::Object(fields) => {
            let kept = fields.iter().filter_map(|(key, field)| {
                let field = prune(field);
                let says_nothing = match &field {
                    Value::Null => true,
                    Value::Object(inner) => inner.is_empty() && !key.ends_with("elector"),
                    _ => false,
                };
                (!says_nothing).then(|| (key.clone(), field))
            });
            Value::Object(kept.collect::<Map<_, _>>())
        }
        leaf => leaf.clone(),
    }
}

/// FNV-1a, 64 bit.
fn fnv1a(bytes: &[u8]) -> u64 {
    const OFFSET_BASIS: u64 = 0xcbf2_9ce4_8422_2325;
    const PRIME: u64 = 0x0100_0000_01b3;
    bytes.iter().fold(OFFSET_BASIS, |hash, byte| (hash ^ u64::from(*byte)).wrapping_mul(PRIME))
}

fn encode(mut number: u64) -> [u8; HASH_CHARS] {
    let base = ALPHABET.len() as u64;
    std::array::from_fn(|_| {
        let character = ALPHABET[(number % base) as usize];
        number /= base;
        character
    })
}

/// The text is not a [`TemplateHash`].
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct TemplateHashError {
    text: String,
}

impl fmt::Display for TemplateHashError {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(
            formatter,
            "{:?} is not a template hash: it has {HASH_CHARS} characters of bcdfghjklmnpqrstvwxz2456789",
            self.text
        )
    }
}

impl std::error::Error for TemplateHashError {}
