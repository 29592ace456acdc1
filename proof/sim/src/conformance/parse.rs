//! Case files: YAML lists of cases.
//!
//! ```yaml
//! - name: what-holds
//!   steps:
//!     - do: PATCH /api/v1/namespaces/{ns}/configmaps/a
//!       as: merge                  # json (patch), merge, strategic, apply; or a whole content type
//!       body: {data: {a: "1"}}
//!       code: 200                  # 200, or 201 for POST, unless given
//!       expect: {data: {a: "1"}}   # a subset; <present>, <absent>, <contains>text, {<includes>: [...]}
//!       save: {rv: metadata.resourceVersion}
//!       until: true                # try again until it holds
//!     - watch: /api/v1/namespaces/{ns}/configmaps?resourceVersion={rv}&timeoutSeconds=1
//!       events: [{type: MODIFIED}]
//! ```
//!
//! A step `define: widgets` stands for the steps of `widgets.yaml`.

use std::collections::BTreeMap;

use serde_json::Value;

use super::{Bookmarks, Case, HttpRequest, Repeat, Step};
use crate::json::{list, text};

pub(super) fn file(topic: &str, yaml: &str) -> Result<Vec<Case>, String> {
    let cases: Vec<Value> = serde_saphyr::from_str(yaml).map_err(|error| format!("{topic}: {error}"))?;
    cases.iter().map(|value| case(topic, value)).collect()
}

fn case(topic: &str, value: &Value) -> Result<Case, String> {
    let name = format!("{topic}/{}", text(value, "name"));
    let mut steps = Vec::new();
    for one in list(value, "steps") {
        let parsed = match text(one, "define") {
            "" => step(one).map(|step| vec![step]),
            "widgets" => fixture(),
            other => Err(format!("unknown definition {other:?}")),
        };
        steps.extend(parsed.map_err(|why| format!("{name}: {why}"))?);
    }
    if steps.is_empty() {
        return Err(format!("{name}: a case without steps cannot fail"));
    }
    Ok(Case { name, steps })
}

/// The steps that define the custom kind most cases about custom kinds use.
fn fixture() -> Result<Vec<Step>, String> {
    let steps: Vec<Value> = serde_saphyr::from_str(include_str!("../../conformance/widgets.yaml"))
        .map_err(|error| error.to_string())?;
    steps.iter().map(step).collect()
}

fn step(value: &Value) -> Result<Step, String> {
    let known =
        ["do", "as", "accept", "body", "code", "expect", "save", "until", "watch", "events", "bookmarks"];
    if let Some(unknown) =
        value.as_object().into_iter().flatten().find(|(name, _)| !known.contains(&name.as_str()))
    {
        return Err(format!("unknown key {:?}", unknown.0));
    }
    if let Some(path) = value.get("watch").and_then(Value::as_str) {
        let bookmarks =
            if value["bookmarks"] == Value::Bool(true) { Bookmarks::Expected } else { Bookmarks::Ignored };
        return Ok(Step::Watch { path: path.to_owned(), events: list(value, "events").to_vec(), bookmarks });
    }
    let (method, path) =
        text(value, "do").split_once(' ').ok_or("a step needs `do: METHOD /path` or `watch`")?;
    let mut request = HttpRequest::of(method, path);
    request.accept = text(value, "accept").to_owned();
    if let Some(body) = value.get("body") {
        request.body = Some(body.as_str().map_or_else(|| body.to_string(), str::to_owned));
        request.content_type = content_type(text(value, "as"));
    }
    let default_code = if method == "POST" { 201 } else { 200 };
    let code = value["code"].as_u64().unwrap_or(default_code);
    let save = value["save"]
        .as_object()
        .into_iter()
        .flatten()
        .map(|(name, path)| (name.clone(), path.as_str().unwrap_or_default().to_owned()))
        .collect();
    Ok(Step::Request {
        request,
        code: u16::try_from(code).map_err(|_| format!("no HTTP status: {code}"))?,
        expect: value.get("expect").cloned().unwrap_or_else(|| Value::Object(serde_json::Map::new())),
        save,
        repeat: if value["until"] == Value::Bool(true) { Repeat::UntilItHolds } else { Repeat::Once },
    })
}

fn content_type(short: &str) -> String {
    match short {
        "" => "application/json",
        "json" => "application/json-patch+json",
        "merge" => "application/merge-patch+json",
        "strategic" => "application/strategic-merge-patch+json",
        "apply" => "application/apply-patch+yaml",
        other => other,
    }
    .to_owned()
}

/// Replaces `{name}` in every string of a value.
pub(super) fn substitute(value: &Value, variables: &BTreeMap<String, String>) -> Value {
    match value {
        Value::String(text) => substitute_text(text, variables).into(),
        Value::Array(items) => items.iter().map(|item| substitute(item, variables)).collect(),
        Value::Object(object) => object
            .iter()
            .map(|(name, inner)| (substitute_text(name, variables), substitute(inner, variables)))
            .collect::<serde_json::Map<_, _>>()
            .into(),
        other => other.clone(),
    }
}

pub(super) fn substitute_text(text: &str, variables: &BTreeMap<String, String>) -> String {
    variables.iter().fold(text.to_owned(), |text, (name, value)| text.replace(&format!("{{{name}}}"), value))
}
