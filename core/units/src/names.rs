//! Kubernetes' rules for names and label values, for text that a person typed.

use std::fmt;

/// Longest DNS-1123 label and label value, in bytes.
pub const MAX_LABEL_BYTES: usize = 63;
/// Longest DNS-1123 subdomain, in bytes.
pub const MAX_SUBDOMAIN_BYTES: usize = 253;
/// Longest piece of a refused text that an error repeats, in characters.
const MAX_EXCERPT_CHARS: usize = 64;

/// Accepts a DNS-1123 label: a namespace, a container, a ReplicaSet prefix.
///
/// # Errors
/// Says which rule the text breaks.
pub fn check_dns_label(text: &str) -> Result<(), NameError> {
    let fail = |reason| Err(NameError::new(text, "name", reason));
    if text.len() > MAX_LABEL_BYTES {
        return fail("it is longer than 63 characters");
    }
    match dns_label_fault(text) {
        Some(reason) => fail(reason),
        None => Ok(()),
    }
}

/// Accepts a DNS-1123 subdomain: the name of a Deployment, a Pod, most objects.
///
/// # Errors
/// Says which rule the text breaks.
pub fn check_dns_subdomain(text: &str) -> Result<(), NameError> {
    let fail = |reason| Err(NameError::new(text, "name", reason));
    if text.len() > MAX_SUBDOMAIN_BYTES {
        return fail("it is longer than 253 characters");
    }
    match text.split('.').find_map(dns_label_fault) {
        Some(reason) => fail(reason),
        None => Ok(()),
    }
}

/// Accepts the value of a label; the empty text is one.
///
/// # Errors
/// Says which rule the text breaks.
pub fn check_label_value(text: &str) -> Result<(), NameError> {
    let fail = |reason| Err(NameError::new(text, "label value", reason));
    if text.len() > MAX_LABEL_BYTES {
        return fail("it is longer than 63 characters");
    }
    match if text.is_empty() { None } else { qualified_fault(text) } {
        Some(reason) => fail(reason),
        None => Ok(()),
    }
}

fn dns_label_fault(text: &str) -> Option<&'static str> {
    let bytes = text.as_bytes();
    let plain = |byte: u8| byte.is_ascii_lowercase() || byte.is_ascii_digit();
    match bytes {
        [] => Some("a part of it is empty"),
        _ if !bytes.iter().all(|&byte| plain(byte) || byte == b'-') => {
            Some("only lower-case letters, digits and '-' are allowed")
        }
        [b'-', ..] | [.., b'-'] => Some("it must start and end with a letter or a digit"),
        _ => None,
    }
}

fn qualified_fault(text: &str) -> Option<&'static str> {
    let bytes = text.as_bytes();
    let inner = |byte: &u8| byte.is_ascii_alphanumeric() || b"-_.".contains(byte);
    match bytes {
        [] => Some("it is empty"),
        _ if !bytes.iter().all(inner) => Some("only letters, digits, '-', '_' and '.' are allowed"),
        [first, .., last] if !(first.is_ascii_alphanumeric() && last.is_ascii_alphanumeric()) => {
            Some("it must start and end with a letter or a digit")
        }
        [only] if !only.is_ascii_alphanumeric() => Some("it must start and end with a letter or a digit"),
        _ => None,
    }
}

/// The start of a refused text, short enough for one line of an error.
pub(crate) fn excerpt(text: &str) -> String {
    match text.char_indices().nth(MAX_EXCERPT_CHARS) {
        Some((end, _)) => format!("{}...", &text[..end]),
        None => text.to_owned(),
    }
}

/// Why a text is not a valid name, label key or label value.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct NameError {
    text: String,
    kind: &'static str,
    reason: &'static str,
}

impl NameError {
    fn new(text: &str, kind: &'static str, reason: &'static str) -> Self {
        NameError { text: excerpt(text), kind, reason }
    }
}

impl fmt::Display for NameError {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(formatter, "{:?} is not a valid {}: {}", self.text, self.kind, self.reason)
    }
}

impl std::error::Error for NameError {}
