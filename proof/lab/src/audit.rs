//! What one user asked of the API server, as the server itself wrote it down.
//!
//! The server's metrics count refusals and do not say who was refused; its audit log does.

use std::collections::BTreeSet;
use std::fs;
use std::path::Path;

use anyhow::{Context, Result};
use serde_json::{Value, json};

/// The policy's file, in the folder of the control plane.
const POLICY_FILE: &str = "audit-policy.json";
/// The log's file, in the same folder.
const LOG_FILE: &str = "audit.log";

/// One request and how it was answered.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct AuditEvent {
    /// The verb as RBAC has it: `get`, `list`, `watch`, `create`, `update`, `patch`, `delete`.
    pub verb: String,
    /// Group, resource and subresource as RBAC has them: `apps deployments`, ` pods`, `trimtab.dev appreleases/status`.
    /// Empty for a path that names no resource.
    pub resource: String,
    /// Namespace; empty for all of them, and for what has none.
    pub namespace: String,
    /// Status code of the answer.
    pub code: u64,
    /// Path and query.
    pub uri: String,
}

impl AuditEvent {
    /// Whether it would change something.
    #[must_use]
    pub fn is_write(&self) -> bool {
        !["get", "list", "watch"].contains(&self.verb.as_str())
    }

    fn read(event: &Value) -> Self {
        let text =
            |pointer: &str| event.pointer(pointer).and_then(Value::as_str).unwrap_or_default().to_owned();
        let subresource = match text("/objectRef/subresource") {
            none if none.is_empty() => none,
            some => format!("/{some}"),
        };
        let resource = text("/objectRef/resource");
        let named = !resource.is_empty();
        let resource = format!("{} {resource}{subresource}", text("/objectRef/apiGroup"));
        Self {
            verb: text("/verb"),
            resource: if named { resource } else { String::new() },
            namespace: text("/objectRef/namespace"),
            code: event["responseStatus"]["code"].as_u64().unwrap_or_default(),
            uri: text("/requestURI"),
        }
    }
}

/// Writes the policy that logs one user's requests, and returns the API server's flags for it.
pub(crate) fn prepare(directory: &Path, user: &str) -> Result<Vec<String>> {
    let policy = json!({
        "apiVersion": "audit.k8s.io/v1",
        "kind": "Policy",
        // What is said before the answer is known says too little.
        "omitStages": ["RequestReceived"],
        "rules": [{"level": "Metadata", "users": [user]}, {"level": "None"}],
    });
    let file = directory.join(POLICY_FILE);
    fs::write(&file, policy.to_string()).with_context(|| format!("cannot write {}", file.display()))?;
    // Each event is in the file before its request is answered: what is read later is complete.
    let flags = [("policy-file", POLICY_FILE), ("log-path", LOG_FILE), ("log-mode", "blocking")];
    Ok(flags.iter().map(|(name, value)| format!("--audit-{name}={value}")).collect())
}

/// Everything that was written down so far, in order.
pub(crate) fn read(directory: &Path) -> Result<Vec<AuditEvent>> {
    let file = directory.join(LOG_FILE);
    let text = fs::read_to_string(&file).with_context(|| format!("cannot read {}", file.display()))?;
    parse(&text)
}

/// One event a request: a watch is written down when it begins, and again when it ends.
fn parse(text: &str) -> Result<Vec<AuditEvent>> {
    let (mut events, mut known) = (Vec::new(), BTreeSet::new());
    for line in text.lines() {
        let event: Value = serde_json::from_str(line).context("a line of the audit log is no JSON")?;
        if known.insert(event["auditID"].as_str().unwrap_or_default().to_owned()) {
            events.push(AuditEvent::read(&event));
        }
    }
    Ok(events)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn requests_are_told_once_and_in_the_words_of_rbac() {
        let object =
            r#"{"resource":"deployments","namespace":"shop","apiGroup":"apps","subresource":"scale"}"#;
        let log = [
            format!(
                r#"{{"auditID":"a","verb":"patch","responseStatus":{{"code":403}},"objectRef":{object}}}"#
            ),
            r#"{"auditID":"b","verb":"watch","responseStatus":{"code":200},"objectRef":{"resource":"pods"}}"#
                .to_owned(),
            r#"{"auditID":"b","verb":"watch","responseStatus":{"code":200},"objectRef":{"resource":"pods"}}"#
                .to_owned(),
            r#"{"auditID":"c","verb":"get","requestURI":"/version"}"#.to_owned(),
        ];
        let events = parse(&log.join("\n")).unwrap();
        let told: Vec<(&str, u64, bool)> =
            events.iter().map(|event| (event.resource.as_str(), event.code, event.is_write())).collect();
        assert_eq!(told, [("apps deployments/scale", 403, true), (" pods", 200, false), ("", 0, false)]);
        assert!(parse("{").is_err());
    }
}
