//! Refusals, in the shapes that kube-apiserver gives them.

use serde_json::{Value, json};

/// One `details.causes` entry of a `Status`.
#[derive(Clone, Debug, PartialEq)]
pub(crate) struct Cause {
    pub(crate) reason: &'static str,
    pub(crate) message: String,
    pub(crate) field: String,
}

impl Cause {
    pub(crate) fn required(field: impl Into<String>, detail: &str) -> Self {
        let message =
            if detail.is_empty() { "Required value".to_owned() } else { format!("Required value: {detail}") };
        Cause { reason: "FieldValueRequired", message, field: field.into() }
    }

    pub(crate) fn invalid(field: impl Into<String>, value: &Value, detail: &str) -> Self {
        Cause {
            reason: "FieldValueInvalid",
            message: format!("Invalid value: {}: {detail}", shown(value)),
            field: field.into(),
        }
    }

    pub(crate) fn forbidden(field: impl Into<String>, detail: &str) -> Self {
        Cause { reason: "FieldValueForbidden", message: format!("Forbidden: {detail}"), field: field.into() }
    }

    pub(crate) fn duplicate(field: impl Into<String>, value: &Value) -> Self {
        Cause {
            reason: "FieldValueDuplicate",
            message: format!("Duplicate value: {}", shown(value)),
            field: field.into(),
        }
    }

    pub(crate) fn unsupported(field: impl Into<String>, value: &Value, supported: &[String]) -> Self {
        let listed: Vec<String> = supported.iter().map(|one| format!("\"{one}\"")).collect();
        Cause {
            reason: "FieldValueNotSupported",
            message: format!("Unsupported value: {}: supported values: {}", shown(value), listed.join(", ")),
            field: field.into(),
        }
    }

    pub(crate) fn wrong_type(field: impl Into<String>, actual: &str, wanted: &str) -> Self {
        Cause {
            reason: "FieldValueTypeInvalid",
            message: format!("Invalid value: \"{actual}\": must be of type {wanted}: \"{actual}\""),
            field: field.into(),
        }
    }

    fn sentence(&self) -> String {
        format!("{}: {}", self.field, self.message)
    }
}

fn shown(value: &Value) -> String {
    value.to_string()
}

/// An answer other than success: an HTTP status with a `Status` body.
#[derive(Clone, Debug, PartialEq)]
pub(crate) struct Failure {
    pub(crate) code: u16,
    pub(crate) reason: &'static str,
    pub(crate) message: String,
    pub(crate) details: Option<Value>,
    pub(crate) retry_after: Option<u32>,
    /// Sent as `text/plain`: the router's own 404, which is no `Status`.
    pub(crate) plain: Option<String>,
}

/// Plural resource and group of the object a failure is about.
#[derive(Clone, Debug)]
pub(crate) struct Subject<'a> {
    pub(crate) group: &'a str,
    pub(crate) plural: &'a str,
    pub(crate) kind: &'a str,
}

impl Subject<'_> {
    pub(crate) fn resource(&self) -> String {
        qualified(self.plural, self.group)
    }
}

/// `plural.group`, or the plural alone in the core group.
pub(crate) fn qualified(plural: &str, group: &str) -> String {
    if group.is_empty() { plural.to_owned() } else { format!("{plural}.{group}") }
}

impl Failure {
    fn new(code: u16, reason: &'static str, message: String) -> Self {
        Failure { code, reason, message, details: None, retry_after: None, plain: None }
    }

    fn about(mut self, subject: &Subject<'_>, name: &str) -> Self {
        let mut details = json!({"name": name, "kind": subject.plural});
        if !subject.group.is_empty() {
            details["group"] = subject.group.into();
        }
        self.details = Some(details);
        self
    }

    pub(crate) fn not_found(subject: &Subject<'_>, name: &str) -> Self {
        let message = format!("{} \"{name}\" not found", subject.resource());
        Failure::new(404, "NotFound", message).about(subject, name)
    }

    pub(crate) fn no_such_path() -> Self {
        let mut failure = Failure::new(404, "NotFound", "404 page not found".to_owned());
        failure.plain = Some("404 page not found\n".to_owned());
        failure
    }

    pub(crate) fn no_such_resource() -> Self {
        let mut failure =
            Failure::new(404, "NotFound", "the server could not find the requested resource".to_owned());
        failure.details = Some(json!({}));
        failure
    }

    pub(crate) fn already_exists(subject: &Subject<'_>, name: &str) -> Self {
        let message = format!("{} \"{name}\" already exists", subject.resource());
        Failure::new(409, "AlreadyExists", message).about(subject, name)
    }

    pub(crate) fn conflict(subject: &Subject<'_>, name: &str, why: &str) -> Self {
        let message = format!("Operation cannot be fulfilled on {} \"{name}\": {why}", subject.resource());
        Failure::new(409, "Conflict", message).about(subject, name)
    }

    pub(crate) fn stale(subject: &Subject<'_>, name: &str) -> Self {
        Failure::conflict(
            subject,
            name,
            "the object has been modified; please apply your changes to the latest version and try again",
        )
    }

    pub(crate) fn apply_conflict(causes: &[Cause]) -> Self {
        let noun = if causes.len() == 1 { "conflict" } else { "conflicts" };
        let listed = if causes.len() == 1 {
            format!("{}: {}", causes[0].message, causes[0].field)
        } else {
            causes
                .iter()
                .fold(String::new(), |all, cause| format!("{all}\n- {}: {}", cause.message, cause.field))
        };
        let message = if causes.len() == 1 {
            format!("Apply failed with 1 {noun}: {listed}")
        } else {
            format!("Apply failed with {} {noun}:{listed}", causes.len())
        };
        let mut failure = Failure::new(409, "Conflict", message);
        failure.details = Some(json!({"causes": cause_list(causes)}));
        failure
    }

    pub(crate) fn invalid(subject: &Subject<'_>, name: &str, causes: &[Cause]) -> Self {
        let sentences: Vec<String> = causes.iter().map(Cause::sentence).collect();
        let listed =
            if sentences.len() == 1 { sentences[0].clone() } else { format!("[{}]", sentences.join(", ")) };
        let kind = qualified(subject.kind, subject.group);
        let mut failure = Failure::new(422, "Invalid", format!("{kind} \"{name}\" is invalid: {listed}"));
        let mut details = json!({"name": name, "kind": subject.kind, "causes": cause_list(causes)});
        if !subject.group.is_empty() {
            details["group"] = subject.group.into();
        }
        failure.details = Some(details);
        failure
    }

    pub(crate) fn bad_request(message: impl Into<String>) -> Self {
        Failure::new(400, "BadRequest", message.into())
    }

    /// An error that the server itself did not expect, and so gives no reason for.
    pub(crate) fn unexplained(message: impl Into<String>) -> Self {
        Failure::new(500, "", message.into())
    }

    /// A well-formed patch that does not fit the object.
    pub(crate) fn unprocessable_patch() -> Self {
        let message = "the server rejected our request due to an error in our request";
        let mut failure = Failure::new(422, "Invalid", message.to_owned());
        failure.details = Some(json!({}));
        failure
    }

    pub(crate) fn expired(message: impl Into<String>) -> Self {
        Failure::new(410, "Expired", message.into())
    }

    pub(crate) fn future_revision(wanted: u64, current: u64) -> Self {
        let message = format!("Too large resource version: {wanted}, current: {current}");
        let mut failure = Failure::new(504, "Timeout", message);
        failure.details = Some(json!({
            "causes": [{"reason": "ResourceVersionTooLarge", "message": "Too large resource version"}],
            "retryAfterSeconds": 1,
        }));
        failure.retry_after = Some(1);
        failure
    }

    pub(crate) fn forbidden(subject: &Subject<'_>, name: &str, why: &str) -> Self {
        let shown = if name.is_empty() { String::new() } else { format!(" \"{name}\"") };
        let message = format!("{}{shown} is forbidden: {why}", subject.resource());
        Failure::new(403, "Forbidden", message).about(subject, name)
    }

    pub(crate) fn method_not_allowed() -> Self {
        let message = "the server does not allow this method on the requested resource";
        let mut failure = Failure::new(405, "MethodNotAllowed", message.to_owned());
        failure.details = Some(json!({}));
        failure
    }

    pub(crate) fn unsupported_media(accepted: &[&str]) -> Self {
        let message = format!(
            "the body of the request was in an unknown format - accepted media types include: {}",
            accepted.join(", ")
        );
        Failure::new(415, "UnsupportedMediaType", message)
    }

    pub(crate) fn not_acceptable() -> Self {
        let message = "only the following media types are accepted: application/json, application/yaml";
        Failure::new(406, "NotAcceptable", message.to_owned())
    }

    pub(crate) fn too_large(limit_bytes: usize) -> Self {
        let message = format!("Request entity too large: limit is {limit_bytes}");
        Failure::new(413, "RequestEntityTooLarge", message)
    }

    pub(crate) fn eviction_blocked(cause: Option<(&str, String)>, retry_after: u32) -> Self {
        let message = "Cannot evict pod as it would violate the pod's disruption budget.";
        let mut failure = Failure::new(429, "TooManyRequests", message.to_owned());
        failure.details = Some(match cause {
            Some((reason, message)) => json!({"causes": [{"reason": reason, "message": message}]}),
            None => json!({}),
        });
        if retry_after > 0 {
            failure.retry_after = Some(retry_after);
            failure.details.get_or_insert_default()["retryAfterSeconds"] = retry_after.into();
        }
        failure
    }

    pub(crate) fn internal(message: impl Into<String>) -> Self {
        Failure::new(500, "InternalError", message.into())
    }

    /// What an injected fault answers with.
    pub(crate) fn injected(code: u16, retry_after: Option<u32>) -> Self {
        let (reason, message) = match code {
            401 => ("Unauthorized", "Unauthorized"),
            403 => ("Forbidden", "injected: access was revoked"),
            404 => ("NotFound", "injected: the server could not find the requested resource"),
            409 => ("Conflict", "injected: the object has been modified"),
            410 => ("Expired", "injected: too old resource version"),
            429 => ("TooManyRequests", "Too many requests, please try again later."),
            500 => ("InternalError", "injected: internal error"),
            503 => ("ServiceUnavailable", "the server is currently unable to handle the request"),
            504 => ("Timeout", "injected: request did not complete within the allowed duration"),
            _ => ("Unknown", "injected fault"),
        };
        let mut failure = Failure::new(code, reason, message.to_owned());
        if let Some(seconds) = retry_after {
            failure.retry_after = Some(seconds);
            failure.details = Some(json!({"retryAfterSeconds": seconds}));
        }
        failure
    }

    /// The `Status` object that goes into the body.
    pub(crate) fn status(&self) -> Value {
        let mut status = json!({
            "kind": "Status", "apiVersion": "v1", "metadata": {}, "status": "Failure",
            "message": self.message, "code": self.code,
        });
        if !self.reason.is_empty() {
            status["reason"] = self.reason.into();
        }
        if let Some(details) = &self.details {
            status["details"] = details.clone();
        }
        status
    }
}

fn cause_list(causes: &[Cause]) -> Value {
    causes
        .iter()
        .map(|cause| json!({"reason": cause.reason, "message": cause.message, "field": cause.field}))
        .collect()
}
