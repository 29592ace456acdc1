//! Conformance cases: what an API server answers, as data that runs on this server and on a real one alike.
//!
//! A case is a list of steps in a namespace of its own. Where the simulation and a real kube-apiserver differ, the simulation is
//! wrong. Cases live in `proof/sim/conformance/*.yaml`.

mod matching;
mod parse;
mod target;

use std::collections::BTreeMap;
use std::fmt;
use std::time::Duration;

use serde_json::{Value, json};

use matching::difference;
use parse::substitute;
pub use target::{HttpRequest, Reply, Target};

/// A step that waits tries this often before it fails.
const ATTEMPTS_MAX: u32 = 100;

/// Time between two attempts.
const ATTEMPT_PERIOD: Duration = Duration::from_millis(100);

/// One case: a name and what to do.
#[derive(Clone, Debug, PartialEq)]
pub struct Case {
    /// Unique, in the form `topic/what-holds`.
    pub name: String,
    pub(crate) steps: Vec<Step>,
}

/// One request, or one watch, and what it must answer.
#[derive(Clone, Debug, PartialEq)]
pub(crate) enum Step {
    Request { request: HttpRequest, code: u16, expect: Value, save: BTreeMap<String, String>, repeat: Repeat },
    Watch { path: String, events: Vec<Value>, bookmarks: Bookmarks },
}

/// Whether a step is tried until it holds.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Repeat {
    Once,
    UntilItHolds,
}

/// Whether bookmarks are among the expected events of a watch.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Bookmarks {
    Ignored,
    Expected,
}

/// Where a server deviates from a case.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Difference {
    /// The case.
    pub case: String,
    /// The step, counted from 1; 0 when the namespace could not be made.
    pub step: usize,
    /// What was asked.
    pub request: String,
    /// What was expected and what came.
    pub detail: String,
}

impl fmt::Display for Difference {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{} step {} ({}): {}", self.case, self.step, self.request, self.detail)
    }
}

impl std::error::Error for Difference {}

/// Every case.
///
/// # Panics
/// When a case file is malformed, which a test of this crate excludes.
pub fn cases() -> Vec<Case> {
    FILES.iter().flat_map(|(topic, text)| parse::file(topic, text).expect("case files are tested")).collect()
}

const FILES: &[(&str, &str)] = &[
    ("objects", include_str!("../../conformance/objects.yaml")),
    ("lists", include_str!("../../conformance/lists.yaml")),
    ("watches", include_str!("../../conformance/watches.yaml")),
    ("patches", include_str!("../../conformance/patches.yaml")),
    ("apply", include_str!("../../conformance/apply.yaml")),
    ("deletion", include_str!("../../conformance/deletion.yaml")),
    ("subresources", include_str!("../../conformance/subresources.yaml")),
    ("custom", include_str!("../../conformance/custom.yaml")),
    ("policies", include_str!("../../conformance/policies.yaml")),
    ("discovery", include_str!("../../conformance/discovery.yaml")),
];

/// Runs one case against a server, in a new namespace that is deleted afterwards.
///
/// # Errors
/// The first step that did not answer as expected.
pub async fn run(case: &Case, target: &dyn Target) -> Result<(), Difference> {
    let fail = |step: usize, request: &str, detail: String| Difference {
        case: case.name.clone(),
        step,
        request: request.to_owned(),
        detail,
    };
    let namespace =
        fresh_namespace(target).await.map_err(|detail| fail(0, "POST /api/v1/namespaces", detail))?;
    let mut variables = BTreeMap::from([("ns".to_owned(), namespace.clone())]);
    let mut outcome = Ok(());
    for (index, step) in case.steps.iter().enumerate() {
        let done = perform(step, target, &mut variables).await;
        if let Err((request, detail)) = done {
            outcome = Err(fail(index + 1, &request, detail));
            break;
        }
    }
    let cleanup = HttpRequest::of("DELETE", &format!("/api/v1/namespaces/{namespace}"));
    // A namespace that stays behind is no deviation.
    let _ = target.send(&cleanup).await;
    outcome
}

async fn fresh_namespace(target: &dyn Target) -> Result<String, String> {
    let mut request = HttpRequest::of("POST", "/api/v1/namespaces");
    let body = json!({"apiVersion": "v1", "kind": "Namespace", "metadata": {"generateName": "conformance-"}});
    request.body = Some(body.to_string());
    request.content_type = "application/json".to_owned();
    let reply = target.send(&request).await?;
    match reply.body["metadata"]["name"].as_str() {
        Some(name) if reply.code == 201 => Ok(name.to_owned()),
        _ => Err(format!("no namespace: {} {}", reply.code, reply.body)),
    }
}

async fn perform(
    step: &Step,
    target: &dyn Target,
    variables: &mut BTreeMap<String, String>,
) -> Result<(), (String, String)> {
    match step {
        Step::Request { request, code, expect, save, repeat } => {
            let request = request.with(variables);
            let expect = substitute(expect, variables);
            let attempts = if *repeat == Repeat::UntilItHolds { ATTEMPTS_MAX } else { 1 };
            let mut last = String::new();
            for attempt in 0..attempts {
                if attempt > 0 {
                    tokio::time::sleep(ATTEMPT_PERIOD).await;
                }
                let reply = target.send(&request).await.map_err(|error| (request.to_string(), error))?;
                match check(&reply, *code, &expect) {
                    None => {
                        return remember(&reply.body, save, variables)
                            .map_err(|why| (request.to_string(), why));
                    }
                    Some(why) => last = why,
                }
            }
            Err((request.to_string(), last))
        }
        Step::Watch { path, events, bookmarks } => {
            let path = substitute(&Value::from(path.as_str()), variables);
            let path = path.as_str().unwrap_or_default().to_owned();
            let mut seen = target.watch(&path).await.map_err(|error| (format!("WATCH {path}"), error))?;
            if *bookmarks == Bookmarks::Ignored {
                seen.retain(|event| event["type"] != "BOOKMARK");
            }
            let expected = substitute(&Value::from(events.clone()), variables);
            match difference(&expected, &Value::from(seen), "events") {
                None => Ok(()),
                Some(why) => Err((format!("WATCH {path}"), why)),
            }
        }
    }
}

fn check(reply: &Reply, code: u16, expect: &Value) -> Option<String> {
    if reply.code != code {
        return Some(format!("expected {code}, got {}: {}", reply.code, reply.body));
    }
    difference(expect, &reply.body, "body")
}

fn remember(
    body: &Value,
    save: &BTreeMap<String, String>,
    variables: &mut BTreeMap<String, String>,
) -> Result<(), String> {
    for (name, path) in save {
        let value = crate::json::at(body, path);
        let text = match value {
            Value::Null => return Err(format!("{path} is not in the answer")),
            Value::String(text) => text.clone(),
            other => other.to_string(),
        };
        variables.insert(name.clone(), text);
    }
    Ok(())
}
