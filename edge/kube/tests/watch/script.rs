//! A script of lists and watches: what the server sends in it, and what came out.

use std::time::Duration;

use futures::StreamExt;
use serde::Deserialize;
use trimtab_kube::resource::{Key, PODS};
use trimtab_kube::watch::{Event, Project, ProjectError, Row, Scope, WatchCounts, watch};

use crate::common::{Answer, Trace, data, ok, scripted};

/// How long a script may take, in virtual time.
const SCRIPT_TIME: Duration = Duration::from_secs(3_600);

#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct Name {
    pub(crate) key: Key,
    pub(crate) version: u64,
}

impl Row for Name {
    fn key(&self) -> &Key {
        &self.key
    }

    fn resource_version(&self) -> u64 {
        self.version
    }
}

/// Reads names; an object with `"spec":"bad"` is undecodable.
pub(crate) struct Names;

impl Project for Names {
    type Row = Name;

    fn project(&self, object: &[u8]) -> Result<Name, ProjectError> {
        #[derive(Deserialize)]
        struct Object {
            metadata: Metadata,
            #[serde(default)]
            spec: String,
        }
        #[derive(Deserialize)]
        #[serde(rename_all = "camelCase")]
        struct Metadata {
            namespace: String,
            name: String,
            resource_version: String,
        }
        let Object { metadata, spec } = serde_json::from_slice(object)?;
        if spec == "bad" {
            return Err(ProjectError("spec is bad".to_owned()));
        }
        let version = metadata.resource_version.parse().map_err(|_| ProjectError("version".to_owned()))?;
        Ok(Name { key: Key::new(metadata.namespace, metadata.name), version })
    }
}

pub(crate) fn object(name: &str, version: u64, spec: &str) -> String {
    format!(
        r#"{{"metadata":{{"namespace":"shop","name":"{name}","resourceVersion":"{version}"}},"spec":"{spec}"}}"#
    )
}

pub(crate) fn page(version: u64, token: &str, items: &[String]) -> Answer {
    let items = items.join(",");
    ok([data(&format!(
        r#"{{"metadata":{{"resourceVersion":"{version}","continue":"{token}"}},"items":[{items}]}}"#
    ))])
}

pub(crate) fn event(kind: &str, object: &str) -> String {
    format!(r#"{{"type":"{kind}","object":{object}}}"#)
}

pub(crate) fn bookmark(version: u64) -> String {
    event("BOOKMARK", &format!(r#"{{"kind":"Pod","metadata":{{"resourceVersion":"{version}"}}}}"#))
}

pub(crate) fn expired() -> &'static str {
    r#"{"type":"ERROR","object":{"kind":"Status","code":410,"reason":"Expired","message":"too old"}}"#
}

fn words(event: &Event<Name>) -> String {
    match event {
        Event::Init(row) => format!("Init {}@{}", row.key.name, row.version),
        Event::Apply(row) => format!("Apply {}@{}", row.key.name, row.version),
        Event::Delete(key) => format!("Delete {}", key.name),
        Event::Undecodable(key) => format!("Undecodable {}", key.name),
        Event::Reset | Event::Ready => format!("{event:?}"),
    }
}

/// Runs the script and returns what was asked and what came out, with virtual milliseconds.
pub(crate) async fn run(script: Vec<Answer>) -> (Vec<String>, WatchCounts, Option<String>) {
    let trace = Trace::new();
    let mut events = watch(scripted(script, &trace), PODS, Scope::all(), Names);
    let status = events.status();
    let collect = async {
        while let Some(event) = events.next().await {
            trace.add(&words(&event));
        }
    };
    let _ = tokio::time::timeout(SCRIPT_TIME, collect).await;
    let short = |line: String| {
        format!("{line}\n")
            .replace("/api/v1/pods?watch=true&allowWatchBookmarks=true&resourceVersion=", "watch ")
            .replace("&timeoutSeconds=290", "")
            .replace("/api/v1/pods?limit=500", "list")
            .replace("/api/v1/pods?limit=1\n", "version\n")
            .replace("GET ", "")
            .trim_end()
            .to_owned()
    };
    (trace.lines().into_iter().map(short).collect(), status.counts(), status.last_error())
}

pub(crate) async fn check(name: &str, script: Vec<Answer>, expect: &str) -> WatchCounts {
    let (lines, counts, _) = run(script).await;
    let expect: Vec<&str> = expect.lines().map(str::trim).filter(|line| !line.is_empty()).collect();
    // What happens after the script has run out is the idle timeout of the last request.
    let lines: Vec<&str> = lines.iter().take(expect.len()).map(String::as_str).collect();
    assert_eq!(lines, expect, "{name}");
    counts
}
