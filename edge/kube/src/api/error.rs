//! What a request can come back with, always naming the object it was about.

use std::fmt;
use std::sync::Arc;
use std::time::Duration;

use serde::Deserialize;

use crate::resource::Resource;

/// The request an error is about: `patch deployments.apps shop/payments`.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Target {
    /// What was tried: `get`, `list`, `watch`, `create`, `replace`, `patch`, `delete`, `evict`.
    pub verb: &'static str,
    /// Resource, with subresource if any: `deployments.apps`, `pods/eviction`.
    pub resource: String,
    /// Namespace, or empty.
    pub namespace: String,
    /// Object name, or empty for collections.
    pub name: String,
}

impl Target {
    /// The command that tells whether one may.
    fn check(&self) -> String {
        // What is asked under another name than kubectl knows it by.
        let verb = match self.verb {
            "replace" => "update",
            "evict" => "create",
            verb => verb,
        };
        let (resource, subresource) = self.resource.split_once('/').unwrap_or((&self.resource, ""));
        let part =
            if subresource.is_empty() { String::new() } else { format!(" --subresource={subresource}") };
        let place =
            if self.namespace.is_empty() { "-A".to_owned() } else { format!("-n {}", self.namespace) };
        format!("kubectl auth can-i {verb} {resource}{part} {place}")
    }

    pub(crate) fn new(
        verb: &'static str,
        resource: &Resource,
        namespace: Option<&str>,
        name: Option<&str>,
        subresource: Option<&str>,
    ) -> Arc<Target> {
        let mut resource_name = resource.to_string();
        if let Some(subresource) = subresource {
            resource_name = format!("{resource_name}/{subresource}");
        }
        Arc::new(Target {
            verb,
            resource: resource_name,
            namespace: namespace.unwrap_or_default().to_owned(),
            name: name.unwrap_or_default().to_owned(),
        })
    }
}

impl fmt::Display for Target {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{} {}", self.verb, self.resource)?;
        match (self.namespace.as_str(), self.name.as_str()) {
            ("", "") => Ok(()),
            ("", name) => write!(f, " {name}"),
            (namespace, "") => write!(f, " in namespace {namespace}"),
            (namespace, name) => write!(f, " {namespace}/{name}"),
        }
    }
}

/// One field the API server refused.
#[derive(Clone, Debug, PartialEq, Eq, Deserialize)]
pub struct Cause {
    /// Path of the field, for example `spec.replicas`.
    #[serde(default)]
    pub field: String,
    /// Machine-readable reason, for example `FieldValueInvalid`.
    #[serde(default)]
    pub reason: String,
    /// What is wrong with it.
    #[serde(default)]
    pub message: String,
}

/// Why a request did not do what was asked.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub enum ApiError {
    /// 404: the object, or the kind itself, does not exist.
    #[error("{target}: not found")]
    NotFound {
        /// The request.
        target: Arc<Target>,
    },
    /// 409 on create: somebody made it first.
    #[error("{target}: already exists")]
    AlreadyExists {
        /// The request.
        target: Arc<Target>,
    },
    /// 409: a precondition failed or a field belongs to another manager. Read again before deciding again.
    #[error("{target}: conflict: {message}")]
    Conflict {
        /// The request.
        target: Arc<Target>,
        /// The server's words.
        message: String,
    },
    /// 400 or 422: the server will never accept this body.
    #[error("{target}: invalid: {message}")]
    Invalid {
        /// The request.
        target: Arc<Target>,
        /// HTTP status.
        code: u16,
        /// The server's words.
        message: String,
        /// The fields at fault.
        causes: Vec<Cause>,
    },
    /// 401 or 403.
    #[error("{target}: not allowed: {message}; check with `{}`", target.check())]
    Forbidden {
        /// The request.
        target: Arc<Target>,
        /// The server's words.
        message: String,
    },
    /// 410: the resource version or the continue token is too old.
    #[error("{target}: gone: {message}")]
    Gone {
        /// The request.
        target: Arc<Target>,
        /// The server's words.
        message: String,
    },
    /// 429: rate limited, or, on eviction, held back by a disruption budget.
    #[error("{target}: held back: {message}")]
    TooManyRequests {
        /// The request.
        target: Arc<Target>,
        /// The server's words.
        message: String,
        /// How long the server asked to wait.
        retry_after: Option<Duration>,
    },
    /// 5xx. A write may or may not have been applied when the code is 500 or 504.
    #[error("{target}: server unavailable ({code}): {message}")]
    Unavailable {
        /// The request.
        target: Arc<Target>,
        /// HTTP status code.
        code: u16,
        /// The server's words.
        message: String,
        /// How long the server asked to wait.
        retry_after: Option<Duration>,
    },
    /// No complete answer came back. A write may or may not have been applied.
    #[error("{target}: no answer: {message}")]
    Transport {
        /// The request.
        target: Arc<Target>,
        /// What broke.
        message: String,
    },
    /// The answer was not what the API promises.
    #[error("{target}: answer cannot be read: {message}")]
    Undecodable {
        /// The request.
        target: Arc<Target>,
        /// What is wrong with it.
        message: String,
    },
    /// This process does not hold a valid lease (any more): the write was not sent.
    #[error("{target}: not sent: this replica does not hold the lease")]
    Fenced {
        /// The request.
        target: Arc<Target>,
    },
    /// Any other refusal.
    #[error("{target}: refused ({code} {reason}): {message}")]
    Refused {
        /// The request.
        target: Arc<Target>,
        /// HTTP status code.
        code: u16,
        /// The server's reason word.
        reason: String,
        /// The server's words.
        message: String,
    },
}

impl ApiError {
    /// The error of an object that a write needs and that is not there.
    pub fn missing(resource: &Resource, namespace: Option<&str>, name: &str) -> ApiError {
        ApiError::NotFound { target: Target::new("get", resource, namespace, Some(name), None) }
    }

    /// The error of an object that is no longer what a decision was made on.
    pub fn stale(resource: &Resource, namespace: Option<&str>, name: &str, words: String) -> ApiError {
        ApiError::Conflict {
            target: Target::new("get", resource, namespace, Some(name), None),
            message: words,
        }
    }

    /// Whether the same request, sent again later, may succeed. A conflict is not: decide again on fresh state.
    pub fn is_retryable(&self) -> bool {
        matches!(
            self,
            ApiError::TooManyRequests { .. } | ApiError::Unavailable { .. } | ApiError::Transport { .. }
        )
    }

    /// Whether a write may have been applied although it failed.
    pub fn outcome_unknown(&self) -> bool {
        matches!(self, ApiError::Transport { .. } | ApiError::Undecodable { .. })
            || matches!(self, ApiError::Unavailable { code: 500 | 502 | 504, .. })
    }

    /// How long the server asked to wait before the next request.
    pub fn retry_after(&self) -> Option<Duration> {
        match self {
            ApiError::TooManyRequests { retry_after, .. } | ApiError::Unavailable { retry_after, .. } => {
                *retry_after
            }
            _ => None,
        }
    }

    /// The request this is about.
    pub fn target(&self) -> &Target {
        match self {
            ApiError::NotFound { target }
            | ApiError::AlreadyExists { target }
            | ApiError::Fenced { target }
            | ApiError::Conflict { target, .. }
            | ApiError::Invalid { target, .. }
            | ApiError::Forbidden { target, .. }
            | ApiError::Gone { target, .. }
            | ApiError::TooManyRequests { target, .. }
            | ApiError::Unavailable { target, .. }
            | ApiError::Transport { target, .. }
            | ApiError::Undecodable { target, .. }
            | ApiError::Refused { target, .. } => target,
        }
    }

    /// One word for metrics and logs, for example `conflict`.
    pub fn word(&self) -> &'static str {
        match self {
            ApiError::NotFound { .. } => "not_found",
            ApiError::AlreadyExists { .. } => "already_exists",
            ApiError::Conflict { .. } => "conflict",
            ApiError::Invalid { .. } => "invalid",
            ApiError::Forbidden { .. } => "forbidden",
            ApiError::Gone { .. } => "gone",
            ApiError::TooManyRequests { .. } => "too_many_requests",
            ApiError::Unavailable { .. } => "unavailable",
            ApiError::Transport { .. } => "transport",
            ApiError::Undecodable { .. } => "undecodable",
            ApiError::Fenced { .. } => "fenced",
            ApiError::Refused { .. } => "refused",
        }
    }
}

/// The parts of `metav1.Status` that errors are made of. Every field may be missing: proxies answer in HTML.
#[derive(Debug, Default, Deserialize)]
#[serde(default)]
pub(crate) struct Status {
    pub(crate) code: u16,
    pub(crate) reason: String,
    pub(crate) message: String,
    pub(crate) details: Option<Details>,
}

#[derive(Debug, Default, Deserialize)]
#[serde(default, rename_all = "camelCase")]
pub(crate) struct Details {
    pub(crate) causes: Vec<Cause>,
    pub(crate) retry_after_seconds: u64,
}

/// Longest piece of a foreign answer quoted in an error, in bytes.
const QUOTE_BYTES_MAX: usize = 512;

impl Status {
    /// Reads a failed answer's body, which may be a Status or anything else.
    pub(crate) fn read(code: u16, body: &[u8]) -> Status {
        let status = serde_json::from_slice::<Status>(body).unwrap_or_else(|_| Status {
            message: String::from_utf8_lossy(&body[..body.len().min(QUOTE_BYTES_MAX)]).trim().to_owned(),
            ..Status::default()
        });
        Status { code: if status.code == 0 { code } else { status.code }, ..status }
    }

    /// The error this Status means for `target`. `retry_after` is the header's, which beats the body's.
    pub(crate) fn into_error(self, target: Arc<Target>, retry_after: Option<Duration>) -> ApiError {
        let Status { code, reason, message, details } = self;
        let details = details.unwrap_or_default();
        let asked =
            (details.retry_after_seconds > 0).then(|| Duration::from_secs(details.retry_after_seconds));
        let retry_after = retry_after.or(asked);
        match (reason.as_str(), code) {
            ("AlreadyExists", _) => ApiError::AlreadyExists { target },
            ("Expired" | "Gone", _) | (_, 410) => ApiError::Gone { target, message },
            ("NotFound", _) | (_, 404) => ApiError::NotFound { target },
            ("Conflict", _) | (_, 409) => ApiError::Conflict { target, message },
            ("Invalid" | "BadRequest", _) | (_, 400 | 422) => {
                ApiError::Invalid { target, code, message, causes: details.causes }
            }
            ("Forbidden" | "Unauthorized", _) | (_, 401 | 403) => ApiError::Forbidden { target, message },
            ("TooManyRequests", _) | (_, 429) => ApiError::TooManyRequests { target, message, retry_after },
            (_, 500..=599) => ApiError::Unavailable { target, code, message, retry_after },
            _ => ApiError::Refused { target, code, reason, message },
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::resource::DEPLOYMENTS;

    fn read(code: u16, body: &str) -> ApiError {
        let target = Target::new("patch", DEPLOYMENTS, Some("shop"), Some("payments"), None);
        Status::read(code, body.as_bytes()).into_error(target, None)
    }

    #[test]
    fn answers_become_errors() {
        let check = |code, body: &str, word: &str, retryable: bool| {
            let error = read(code, body);
            assert_eq!((error.word(), error.is_retryable()), (word, retryable), "{code} {body}");
            assert!(error.to_string().starts_with("patch deployments.apps shop/payments: "), "{error}");
        };
        check(404, r#"{"reason":"NotFound"}"#, "not_found", false);
        check(409, r#"{"reason":"AlreadyExists"}"#, "already_exists", false);
        check(409, r#"{"reason":"Conflict"}"#, "conflict", false);
        check(422, r#"{"reason":"Invalid"}"#, "invalid", false);
        check(403, "", "forbidden", false);
        check(410, r#"{"reason":"Expired"}"#, "gone", false);
        check(429, r#"{"code":429}"#, "too_many_requests", true);
        check(500, "<html>bad gateway</html>", "unavailable", true);
        check(504, r#"{"reason":"Timeout"}"#, "unavailable", true);
        check(405, r#"{"reason":"MethodNotAllowed"}"#, "refused", false);
        check(302, "\u{fffd}", "refused", false);
    }

    #[test]
    fn causes_and_waits_are_kept() {
        let error = read(
            422,
            r#"{"reason":"Invalid","details":{"causes":[{"field":"spec.replicas","message":"negative"}]}}"#,
        );
        let ApiError::Invalid { causes, .. } = error else { panic!("{error}") };
        assert_eq!(causes[0].field, "spec.replicas");
        let error = read(429, r#"{"reason":"TooManyRequests","details":{"retryAfterSeconds":7}}"#);
        assert_eq!(error.retry_after(), Some(Duration::from_secs(7)));
    }

    #[test]
    fn foreign_bodies_are_quoted_only_in_part() {
        let error = read(502, &"é".repeat(10_000));
        assert!(error.to_string().len() < 2 * QUOTE_BYTES_MAX, "{}", error.to_string().len());
    }
}
