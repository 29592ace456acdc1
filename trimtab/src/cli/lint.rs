//! `trimtab lint`: what is wrong with files, before a cluster sees them.

use std::io::{Read, Write};
use std::time::Duration;

use serde_json::{Value, json};
use trimtab_api::resolve::{check_app, check_policy, merge_rules};
use trimtab_api::rule::RuleSpec;
use trimtab_api::{FleetPolicy, ManagedApp};
use trimtab_judge::rule::{Origin, RuleKind};
use trimtab_kube::Clock;
use trimtab_providers::prometheus::{LabelPresence, Prometheus};
use trimtab_units::names::{check_dns_subdomain, check_label_value};

use super::args::LintArgs;
use super::exit::{Exit, Failure};
use super::install::definition;
use super::locate::{Located, Node, documents};
use super::manager::plain_prometheus;
use super::output::{Form, objects, printable};

/// How far back series are looked for: long enough for a service that was restarted today.
const SERIES_WINDOW: Duration = Duration::from_secs(3600);

/// How much a finding matters.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Weight {
    /// The object does not do what it says.
    Problem,
    /// It may be meant.
    Warning,
}

/// One thing that was found.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Found {
    /// One-based line.
    pub line: u64,
    /// How much it matters.
    pub weight: Weight,
    /// Path of the field; empty for the whole document.
    pub path: String,
    /// The cause.
    pub cause: String,
}

/// Checks files.
///
/// # Errors
/// When a file cannot be read.
pub async fn lint(
    args: &LintArgs,
    form: Form,
    out: &mut dyn Write,
    err: &mut dyn Write,
) -> Result<Exit, Failure> {
    let ask_at = |url| plain_prometheus(url, &args.prometheus_matchers);
    let prometheus = args.prometheus_url.as_deref().map(ask_at).transpose()?;
    let (mut problems, mut warnings, mut told) = (0, 0, Vec::new());
    let mut checked = 0;
    for file in &args.files {
        let text = read(file)?;
        let read = documents(&text);
        checked += read.iter().flatten().filter(|document| plural(document).is_some()).count();
        let mut found = faults(read);
        if let Some(prometheus) = &prometheus {
            found.extend(ask(prometheus, &text).await);
        }
        found.sort_by_key(|found| found.line);
        for one in found {
            let (count, word) = match one.weight {
                Weight::Problem => (&mut problems, "problem"),
                Weight::Warning => (&mut warnings, "warning"),
            };
            *count += 1;
            if matches!(form, Form::Json | Form::Yaml) {
                told.push(json!({"file": file, "line": one.line, "weight": word, "path": one.path, "cause": one.cause}));
                continue;
            }
            let path = if one.path.is_empty() { String::new() } else { format!(" {}:", one.path) };
            writeln!(out, "{}", printable(&format!("{file}:{}: {word}:{path} {}", one.line, one.cause)))?;
        }
    }
    if matches!(form, Form::Json | Form::Yaml) {
        objects(out, form, &Value::Array(told))?;
    }
    if checked == 0 && problems == 0 {
        let message =
            format!("nothing to check: no ManagedApp and no FleetPolicy in {}", args.files.join(", "));
        return Err(Failure::error(message));
    }
    let count = |many: usize, word: &str| format!("{many} {word}{}", if many == 1 { "" } else { "s" });
    let said = [count(checked, "object"), count(problems, "problem"), count(warnings, "warning")];
    // A closed stderr is no reason to stop.
    let _ = writeln!(err, "{} checked: {}, {}", said[0], said[1], said[2]);
    Ok(if problems > 0 { Exit::Error } else { Exit::Done })
}

fn read(file: &str) -> Result<String, Failure> {
    let failed = |error: std::io::Error| Failure::error(format!("{file} cannot be read: {error}"));
    if file == "-" {
        let mut text = String::new();
        std::io::stdin().read_to_string(&mut text).map_err(failed)?;
        return Ok(text);
    }
    std::fs::read_to_string(file).map_err(failed)
}

/// What is wrong with the documents of a text. Kinds that are not ours are passed over.
#[must_use]
pub fn check(text: &str) -> Vec<Found> {
    faults(documents(text))
}

fn faults(read: Result<Vec<Located>, (u64, String)>) -> Vec<Found> {
    match read {
        Ok(documents) => documents.iter().flat_map(check_document).collect(),
        Err((line, cause)) => vec![Found { line, weight: Weight::Problem, path: String::new(), cause }],
    }
}

fn word<'a>(document: &'a Located, name: &str) -> &'a str {
    match document.field(name).map(|field| &field.node) {
        Some(Node::Scalar(Value::String(text))) => text,
        _ => "",
    }
}

/// What the definition of the document's kind is called, where it is a kind that people write.
fn plural(document: &Located) -> Option<&'static str> {
    match word(document, "kind") {
        "ManagedApp" => Some("managedapps"),
        "FleetPolicy" => Some("fleetpolicies"),
        _ => None,
    }
}

fn check_document(document: &Located) -> Vec<Found> {
    let Some(plural) = plural(document) else {
        return unknown_kind(document).into_iter().collect();
    };
    let mut found = unknown_members(document);
    let version = word(document, "apiVersion");
    if version != trimtab_api::API_VERSION {
        let cause = format!("`{version}` is not {}", trimtab_api::API_VERSION);
        found.push(Found {
            line: document.line_of("apiVersion"),
            weight: Weight::Problem,
            path: "apiVersion".to_owned(),
            cause,
        });
    }
    found.extend(unusable_name(document));
    match definition(plural) {
        Ok(definition) => {
            let schema = &definition["spec"]["versions"][0]["schema"]["openAPIV3Schema"];
            for part in ["spec", "status"] {
                if let Some(inner) = document.field(part) {
                    compare(&schema["properties"][part], inner, part, &mut found);
                }
            }
        }
        Err(failure) => found.push(Found {
            line: document.line,
            weight: Weight::Problem,
            path: String::new(),
            cause: failure.message,
        }),
    }
    if found.iter().any(|found| found.weight == Weight::Problem) {
        // The types cannot read what has the wrong shape, and would tell it worse.
        return found;
    }
    let value = document.value();
    let checked = match plural {
        "managedapps" => serde_json::from_value::<ManagedApp>(value).map(|app| check_app(&app)),
        _ => serde_json::from_value::<FleetPolicy>(value).map(|policy| check_policy(&policy)),
    };
    match checked {
        Ok(problems) => found.extend(problems.into_iter().map(|problem| Found {
            line: document.line_of(&problem.path),
            weight: Weight::Problem,
            path: problem.path,
            cause: problem.cause,
        })),
        Err(error) => found.push(Found {
            line: document.line,
            weight: Weight::Problem,
            path: String::new(),
            cause: error.to_string(),
        }),
    }
    found
}

/// A name that the API server would not take, or that releases could not carry as a label.
fn unusable_name(document: &Located) -> Option<Found> {
    let metadata = document.field("metadata");
    let name = metadata.map(|metadata| word(metadata, "name")).unwrap_or_default();
    let generated = metadata.is_some_and(|metadata| metadata.field("generateName").is_some());
    let cause = match (check_dns_subdomain(name), check_label_value(name)) {
        (Ok(()), Ok(())) => return None,
        _ if name.is_empty() && generated => return None,
        (Err(error), _) | (Ok(()), Err(error)) => error.to_string(),
    };
    let path = "metadata.name".to_owned();
    Some(Found { line: document.line_of(&path), weight: Weight::Problem, path, cause })
}

/// A kind of our group that there is none of. Kinds of others are passed over.
fn unknown_kind(document: &Located) -> Option<Found> {
    let (group, kind) = (trimtab_api::API_VERSION.split('/').next()?, word(document, "kind"));
    let is_ours = word(document, "apiVersion").split('/').next() == Some(group);
    (is_ours && kind != "AppRelease").then(|| Found {
        line: document.line_of("kind"),
        weight: Weight::Problem,
        path: "kind".to_owned(),
        cause: format!("`{kind}` is no kind of {group}: it is ManagedApp or FleetPolicy"),
    })
}

/// Members that no object has: all that is written in them is lost.
fn unknown_members(document: &Located) -> Vec<Found> {
    let Node::Fields(fields) = &document.node else { return Vec::new() };
    let known = ["apiVersion", "kind", "metadata", "spec", "status"];
    let unknown = fields.iter().filter(|(name, _, _)| !known.contains(&name.as_str()));
    unknown
        .map(|(name, line, _)| Found {
            line: *line,
            weight: Weight::Problem,
            path: name.clone(),
            cause: "an object has no such field: it is apiVersion, kind, metadata or spec".to_owned(),
        })
        .collect()
}

/// Compares shapes: unknown fields are warnings, wrong types are problems.
fn compare(schema: &Value, here: &Located, path: &str, found: &mut Vec<Found>) {
    let problem =
        |cause: String| Found { line: here.line, weight: Weight::Problem, path: path.to_owned(), cause };
    if let Some(wanted) = mismatch(schema, &here.node) {
        found.push(problem(format!("must be {wanted}")));
        return;
    }
    match &here.node {
        Node::Fields(fields) if schema["x-kubernetes-preserve-unknown-fields"] != json!(true) => {
            for (name, line, inner) in fields {
                let path = format!("{path}.{name}");
                match (&schema["properties"][name], &schema["additionalProperties"]) {
                    (known @ Value::Object(_), _) => compare(known, inner, &path, found),
                    (_, any @ Value::Object(_)) => compare(any, inner, &path, found),
                    _ => found.push(Found {
                        line: *line,
                        weight: Weight::Warning,
                        path,
                        cause: "unknown field, it has no effect".to_owned(),
                    }),
                }
            }
        }
        Node::List(items) if schema["items"].is_object() => {
            for (index, inner) in items.iter().enumerate() {
                compare(&schema["items"], inner, &format!("{path}[{index}]"), found);
            }
        }
        _ => {}
    }
}

/// What a value should have been, when it is something else. Null counts as not written.
fn mismatch(schema: &Value, node: &Node) -> Option<&'static str> {
    let fits = |wanted: &str| match node {
        Node::Scalar(Value::Null) => true,
        Node::Fields(_) => wanted == "object",
        Node::List(_) => wanted == "array",
        Node::Scalar(Value::Bool(_)) => wanted == "boolean",
        Node::Scalar(Value::String(_)) => wanted == "string",
        Node::Scalar(Value::Number(number)) => {
            wanted == "number" || (wanted == "integer" && !number.is_f64())
        }
        Node::Scalar(_) => false,
    };
    let said = match schema["type"].as_str()? {
        "object" => "an object with fields",
        "array" => "a list",
        "boolean" => "true or false",
        "integer" => "a whole number",
        "number" => "a number",
        _ => "text; quote it",
    };
    (!fits(schema["type"].as_str()?)).then_some(said)
}

/// Asks whether the series of every rule exist, and whether they tell pods apart.
async fn ask(prometheus: &Prometheus, text: &str) -> Vec<Found> {
    let mut found = Vec::new();
    for document in documents(text).unwrap_or_default() {
        for (path, specs) in rule_lists(&document.value()) {
            let layer = [(Origin::Service, specs.as_slice(), path.as_str())];
            for (index, spec) in specs.iter().enumerate() {
                let merged = merge_rules(&layer, &mut Vec::new());
                let Some(rule) =
                    merged.into_iter().find(|rule| rule.name == spec.name && rule.origin == Origin::Service)
                else {
                    continue;
                };
                let alternatives = match rule.kind {
                    RuleKind::Ratio(ratio) => ratio.sources.into_iter().map(|source| source.total).collect(),
                    RuleKind::Events(events) => events.counters,
                    RuleKind::Crashes(crashes) => crashes.counters,
                    RuleKind::Alert(alert) => alert_selectors(&alert.expr),
                };
                let (trimtab_judge::rule::ArmLabel::Pod(label) | trimtab_judge::rule::ArmLabel::Arm(label)) =
                    rule.arms;
                if let Some(cause) = unbound(prometheus, &alternatives, &label).await {
                    let path = format!("{path}[{index}]");
                    found.push(Found { line: document.line_of(&path), weight: Weight::Problem, path, cause });
                }
            }
        }
    }
    found
}

fn alert_selectors(expr: &str) -> Vec<String> {
    trimtab_promql::parse(expr)
        .map(|parsed| trimtab_promql::selectors(&parsed).iter().map(ToString::to_string).collect())
        .unwrap_or_default()
}

/// Why a rule cannot judge anything; none when one of the alternatives can be used.
async fn unbound(prometheus: &Prometheus, alternatives: &[String], label: &str) -> Option<String> {
    let now_ms = Clock::system().now().as_millisecond();
    let mut causes = Vec::new();
    for selector in alternatives {
        match prometheus.label_presence(selector, label, SERIES_WINDOW, now_ms).await {
            Ok(answer) => match answer.value {
                LabelPresence::Everywhere => return None,
                LabelPresence::NoSeries => causes.push(format!("no series {selector} within an hour")),
                LabelPresence::Nowhere | LabelPresence::Partly => {
                    causes.push(format!("not every series {selector} has the label {label}, which tells new pods from old ones"));
                }
            },
            Err(error) => causes.push(error.to_string()),
        }
    }
    (!causes.is_empty()).then(|| causes.join("; "))
}

/// The lists of rules in an object, with their paths.
fn rule_lists(object: &Value) -> Vec<(String, Vec<RuleSpec>)> {
    ["spec.rules", "spec.delivery.rules", "spec.defaults.delivery.rules"]
        .into_iter()
        .filter_map(|path| {
            let list = object.pointer(&format!("/{}", path.replace('.', "/")))?;
            Some((path.to_owned(), serde_json::from_value(list.clone()).ok()?))
        })
        .collect()
}
