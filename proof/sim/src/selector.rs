//! Label and field selectors.

use serde_json::Value;

use crate::failure::Failure;
use crate::json::{at, list, text};
use crate::kinds::Kind;

/// One requirement of a label selector.
#[derive(Clone, Debug, PartialEq, Eq)]
enum Requirement {
    In(String, Vec<String>),
    NotIn(String, Vec<String>),
    Exists(String),
    Missing(String),
    GreaterThan(String, i64),
    LessThan(String, i64),
}

/// What a list or watch is narrowed to.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub(crate) struct Selector {
    labels: Vec<Requirement>,
    /// Field path in storage, wanted value, and whether it must be equal.
    fields: Vec<(String, String, Comparison)>,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Comparison {
    Equal,
    Different,
}

impl Selector {
    /// Reads both selectors of a request for this kind.
    pub(crate) fn parse(labels: &str, fields: &str, kind: &Kind) -> Result<Self, Failure> {
        Ok(Selector { labels: parse_labels(labels)?, fields: parse_fields(fields, kind)? })
    }

    pub(crate) fn is_everything(&self) -> bool {
        self.labels.is_empty() && self.fields.is_empty()
    }

    pub(crate) fn matches(&self, object: &Value) -> bool {
        self.labels.iter().all(|requirement| requirement.holds(at(object, "metadata.labels")))
            && self.fields.iter().all(|(path, wanted, comparison)| {
                let equal = field_text(object, path) == *wanted;
                equal == (*comparison == Comparison::Equal)
            })
    }
}

fn field_text(object: &Value, path: &str) -> String {
    match at(object, path) {
        Value::String(text) => text.clone(),
        Value::Null if matches!(path, "spec.unschedulable" | "spec.hostNetwork") => "false".to_owned(),
        Value::Null if path == "status.replicas" => "0".to_owned(),
        Value::Null => String::new(),
        other => other.to_string(),
    }
}

impl Requirement {
    fn holds(&self, labels: &Value) -> bool {
        let label = |name: &str| labels.get(name).and_then(Value::as_str);
        match self {
            Requirement::In(name, values) => {
                label(name).is_some_and(|value| values.iter().any(|one| one == value))
            }
            Requirement::NotIn(name, values) => {
                label(name).is_none_or(|value| !values.iter().any(|one| one == value))
            }
            Requirement::Exists(name) => label(name).is_some(),
            Requirement::Missing(name) => label(name).is_none(),
            Requirement::GreaterThan(name, bound) => number(label(name)).is_some_and(|value| value > *bound),
            Requirement::LessThan(name, bound) => number(label(name)).is_some_and(|value| value < *bound),
        }
    }
}

fn number(text: Option<&str>) -> Option<i64> {
    text?.parse().ok()
}

/// Splits at commas outside parentheses.
fn split_requirements(text: &str) -> Vec<&str> {
    let mut parts = Vec::new();
    let (mut depth, mut start) = (0_u32, 0);
    for (index, character) in text.char_indices() {
        match character {
            '(' => depth += 1,
            ')' => depth = depth.saturating_sub(1),
            ',' if depth == 0 => {
                parts.push(&text[start..index]);
                start = index + 1;
            }
            _ => {}
        }
    }
    parts.push(&text[start..]);
    parts
}

fn parse_labels(text: &str) -> Result<Vec<Requirement>, Failure> {
    if text.trim().is_empty() {
        return Ok(Vec::new());
    }
    split_requirements(text).into_iter().map(|part| parse_requirement(part.trim(), text)).collect()
}

fn parse_requirement(part: &str, whole: &str) -> Result<Requirement, Failure> {
    let refuse = || Failure::bad_request(format!("unable to parse requirement: found '{part}' in '{whole}'"));
    if let Some(name) = part.strip_prefix('!') {
        return valid_name(name.trim()).map(Requirement::Missing).ok_or_else(refuse);
    }
    if let Some((name, set)) = split_word(part, " notin ") {
        return Ok(Requirement::NotIn(
            valid_name(name).ok_or_else(refuse)?,
            parse_set(set).ok_or_else(refuse)?,
        ));
    }
    if let Some((name, set)) = split_word(part, " in ") {
        return Ok(Requirement::In(valid_name(name).ok_or_else(refuse)?, parse_set(set).ok_or_else(refuse)?));
    }
    for (operator, negated) in [("!=", true), ("==", false), ("=", false)] {
        if let Some((name, value)) = part.split_once(operator) {
            let name = valid_name(name.trim()).ok_or_else(refuse)?;
            let values = vec![valid_value(value.trim()).ok_or_else(refuse)?];
            return Ok(if negated {
                Requirement::NotIn(name, values)
            } else {
                Requirement::In(name, values)
            });
        }
    }
    for (operator, greater) in [('>', true), ('<', false)] {
        if let Some((name, bound)) = part.split_once(operator) {
            let name = valid_name(name.trim()).ok_or_else(refuse)?;
            let bound = bound.trim().parse().map_err(|_| refuse())?;
            return Ok(if greater {
                Requirement::GreaterThan(name, bound)
            } else {
                Requirement::LessThan(name, bound)
            });
        }
    }
    valid_name(part).map(Requirement::Exists).ok_or_else(refuse)
}

fn split_word<'a>(part: &'a str, word: &str) -> Option<(&'a str, &'a str)> {
    let spaced = part.find(word).or_else(|| {
        let glued = word.trim_end();
        part.find(glued).filter(|index| part[index + glued.len()..].starts_with('('))
    })?;
    Some((part[..spaced].trim(), part[spaced + word.trim_end().len()..].trim()))
}

fn parse_set(text: &str) -> Option<Vec<String>> {
    let inner = text.trim().strip_prefix('(')?.strip_suffix(')')?;
    inner.split(',').map(|value| valid_value(value.trim())).collect()
}

fn valid_name(name: &str) -> Option<String> {
    let plausible = !name.is_empty()
        && name.chars().all(|c| c.is_ascii_alphanumeric() || matches!(c, '-' | '_' | '.' | '/'));
    plausible.then(|| name.to_owned())
}

fn valid_value(value: &str) -> Option<String> {
    let plausible = value.chars().all(|c| c.is_ascii_alphanumeric() || matches!(c, '-' | '_' | '.'));
    plausible.then(|| value.to_owned())
}

fn parse_fields(text: &str, kind: &Kind) -> Result<Vec<(String, String, Comparison)>, Failure> {
    text.split(',')
        .map(str::trim)
        .filter(|part| !part.is_empty())
        .map(|part| {
            let (name, value, comparison) = if let Some((name, value)) = part.split_once("!=") {
                (name, value, Comparison::Different)
            } else if let Some((name, value)) = part.split_once("==").or_else(|| part.split_once('=')) {
                (name, value, Comparison::Equal)
            } else {
                let message = format!("invalid selector: '{text}'; can't understand '{part}'");
                return Err(Failure::bad_request(message));
            };
            let path = stored_field(name.trim(), kind).ok_or_else(|| unsupported_field(kind, name, text))?;
            Ok((path, value.trim().to_owned(), comparison))
        })
        .collect()
}

fn unsupported_field(kind: &Kind, name: &str, text: &str) -> Failure {
    let resource = format!("{}/{}, Resource={}", kind.group, kind.version, kind.plural);
    let detail = if kind.custom.is_some() || kind.is_event() || kind.group.is_empty() {
        format!("field label not supported: {name}")
    } else {
        format!("\"{name}\" is not a known field selector: only \"metadata.name\", \"metadata.namespace\"")
    };
    Failure::bad_request(format!(
        "Unable to find \"{resource}\" that match label selector \"\", field selector \"{text}\": {detail}"
    ))
}

/// The path in the stored form of a field that this kind can be selected by.
fn stored_field(name: &str, kind: &Kind) -> Option<String> {
    if matches!(name, "metadata.name") || (name == "metadata.namespace" && kind.namespaced) {
        return Some(name.to_owned());
    }
    if let Some(custom) = &kind.custom {
        return custom
            .selectable_fields
            .iter()
            .find(|path| path.trim_start_matches('.') == name)
            .map(|path| path.trim_start_matches('.').to_owned());
    }
    if kind.is_event() {
        return event_field(name);
    }
    let known: &[&str] = match (kind.group.as_str(), kind.plural.as_str()) {
        ("", "pods") => &[
            "spec.nodeName",
            "spec.restartPolicy",
            "spec.schedulerName",
            "spec.serviceAccountName",
            "spec.hostNetwork",
            "status.phase",
            "status.podIP",
            "status.nominatedNodeName",
        ],
        ("", "secrets") => &["type"],
        ("", "nodes") => &["spec.unschedulable"],
        ("", "namespaces") => &["status.phase"],
        ("apps", "replicasets") | ("", "replicationcontrollers") => &["status.replicas"],
        ("batch", "jobs") => &["status.successful"],
        _ => &[],
    };
    known.contains(&name).then(|| name.to_owned())
}

fn event_field(name: &str) -> Option<String> {
    let core = match name {
        "reportingController" => "reportingComponent".to_owned(),
        other => other.replacen("regarding.", "involvedObject.", 1),
    };
    let known = core.starts_with("involvedObject.")
        || matches!(core.as_str(), "reason" | "type" | "reportingComponent" | "source");
    known.then(|| if core == "source" { "source.component".to_owned() } else { core })
}

/// Whether a `metav1.LabelSelector` object selects these labels; a null selector selects nothing.
pub(crate) fn label_selector_matches(selector: &Value, labels: &Value) -> bool {
    let Some(object) = selector.as_object() else { return false };
    let exact = object
        .get("matchLabels")
        .and_then(Value::as_object)
        .is_none_or(|wanted| wanted.iter().all(|(name, value)| labels.get(name) == Some(value)));
    exact && list(selector, "matchExpressions").iter().all(|expression| expression_holds(expression, labels))
}

fn expression_holds(expression: &Value, labels: &Value) -> bool {
    let label = labels.get(text(expression, "key"));
    let listed = label.is_some_and(|label| list(expression, "values").contains(label));
    match text(expression, "operator") {
        "In" => listed,
        "NotIn" => !listed,
        "Exists" => label.is_some(),
        "DoesNotExist" => label.is_none(),
        _ => false,
    }
}

/// A `metav1.LabelSelector` object in the form of the `labelSelector` parameter.
pub(crate) fn label_selector_text(selector: &Value) -> String {
    let mut parts: Vec<String> = selector
        .get("matchLabels")
        .and_then(Value::as_object)
        .into_iter()
        .flatten()
        .map(|(name, value)| format!("{name}={}", value.as_str().unwrap_or_default()))
        .collect();
    for expression in list(selector, "matchExpressions") {
        let key = text(expression, "key");
        let values: Vec<&str> = list(expression, "values").iter().filter_map(Value::as_str).collect();
        parts.push(match text(expression, "operator") {
            "In" => format!("{key} in ({})", values.join(",")),
            "NotIn" => format!("{key} notin ({})", values.join(",")),
            "Exists" => key.to_owned(),
            _ => format!("!{key}"),
        });
    }
    parts.join(",")
}
