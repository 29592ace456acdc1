//! Waiting for what becomes of a release, without missing its end.

use std::future::Future;
use std::time::Duration;

use futures::StreamExt;
use serde_json::Value;
use trimtab_api::AppRelease;
use trimtab_control::convert;
use trimtab_delivery::command;
use trimtab_delivery::names::{release_object, release_word};
use trimtab_delivery::snapshot::{Release, ReleasePhase};
use trimtab_kube::api::Selector;
use trimtab_kube::kinds::APP_RELEASES;
use trimtab_kube::resource::DEPLOYMENTS;
use trimtab_kube::watch::{Event, Project, ProjectError, Row, Scope, watch};
use trimtab_kube::{Key, Resource};
use trimtab_units::GoDuration;

use super::exit::{Exit, Failure};
use super::objects::{text, typed};
use super::session::Session;

/// Keeps the whole object: a command looks at one at a time.
struct Whole;

struct WholeRow {
    key: Key,
    resource_version: u64,
    object: Value,
}

impl Row for WholeRow {
    fn key(&self) -> &Key {
        &self.key
    }

    fn resource_version(&self) -> u64 {
        self.resource_version
    }
}

impl Project for Whole {
    type Row = WholeRow;

    fn project(&self, object: &[u8]) -> Result<WholeRow, ProjectError> {
        let object: Value = serde_json::from_slice(object)?;
        let key = Key::new(text(&object, "/metadata/namespace"), text(&object, "/metadata/name"));
        let resource_version = text(&object, "/metadata/resourceVersion").parse().unwrap_or_default();
        Ok(WholeRow { key, resource_version, object })
    }
}

/// Follows one object until `end` finds what it waits for. `None` as its input means that the object is gone.
async fn follow<T>(
    session: &mut Session<'_>,
    resource: &'static Resource,
    name: &str,
    mut end: impl FnMut(&mut Session<'_>, Option<Value>) -> Result<Option<T>, Failure>,
) -> Result<T, Failure> {
    let only = Selector::all().fields(format!("metadata.name={name}"));
    let scope = Scope::namespace(session.namespace.clone()).selecting(only);
    let mut events = watch(session.api.clone(), resource, scope, Whole);
    let mut listed = false;
    while let Some(event) = events.next().await {
        let seen = match event {
            Event::Reset => {
                listed = false;
                continue;
            }
            Event::Init(row) | Event::Apply(row) => {
                listed = true;
                Some(row.object)
            }
            Event::Ready if listed => continue,
            Event::Ready | Event::Delete(_) => None,
            Event::Undecodable(_) => continue,
        };
        if let Some(found) = end(session, seen)? {
            return Ok(found);
        }
    }
    Err(Failure::error(format!("the watch of {resource} {}/{name} ended", session.namespace)))
}

async fn within<T>(
    timeout: GoDuration,
    subject: &str,
    hint: String,
    work: impl Future<Output = Result<T, Failure>>,
) -> Result<T, Failure> {
    let limit = Duration::try_from(timeout).map_err(|error| Failure::error(format!("--wait: {error}")))?;
    match tokio::time::timeout(limit, work).await {
        Ok(result) => result,
        Err(_) => Err(Failure::error(format!("{subject} has no outcome after {timeout}")).hint(hint)),
    }
}

/// Waits for the verdict on a release: every change goes to stderr, the outcome to stdout.
///
/// # Errors
/// When there is no outcome in time, or the release's record is gone.
pub async fn verdict(
    session: &mut Session<'_>,
    service: &str,
    number: u64,
    timeout: GoDuration,
) -> Result<Exit, Failure> {
    let subject = format!("{service} {}", release_word(number));
    let explain = command::trimtab(&format!("explain {service}"), &session.namespace);
    let hint = format!("it goes on without you: `{explain}`");
    let name = release_object(service, number);
    let mut last = String::new();
    let seen = |session: &mut Session<'_>, object: Option<Value>| {
        let Some(object) = object else {
            return Err(Failure::error(format!("the record of {subject} is gone")));
        };
        let release = convert::release(&typed::<AppRelease>(object)?);
        let line = state_line(&release);
        if line != last {
            session.tell(&format!("{subject}: {line}"));
            last = line;
        }
        Ok(outcome(&release).map(|exit| (exit, release.status.summary)))
    };
    let work = follow(session, APP_RELEASES, &name, seen);
    let (exit, summary) = within(timeout, &subject, hint, work).await?;
    // A summary may say already that the evidence was low.
    let summary = summary.strip_prefix("low evidence: ").unwrap_or(&summary);
    session.say(&format!("{subject} {}: {summary}", outcome_word(exit)))?;
    if exit != Exit::Done {
        let words = format!("explain {service} {}", release_word(number));
        session.hint(&format!("`{}`", command::trimtab(&words, &session.namespace)));
    }
    Ok(exit)
}

fn state_line(release: &Release) -> String {
    let status = &release.status;
    let held = if status.held { ", held" } else { "" };
    let word = status.phase.word();
    if status.summary.is_empty() {
        format!("{word}{held}")
    } else {
        format!("{word}{held}: {}", status.summary)
    }
}

/// How waiting for a release ends; `None` while it goes on.
#[must_use]
pub fn outcome(release: &Release) -> Option<Exit> {
    let status = &release.status;
    match status.phase {
        _ if status.held || status.needs_human.is_some() => Some(Exit::Held),
        ReleasePhase::Kept if status.low_evidence => Some(Exit::LowEvidence),
        ReleasePhase::Kept => Some(Exit::Done),
        ReleasePhase::RolledBack => Some(Exit::RolledBack),
        ReleasePhase::Superseded => Some(Exit::Error),
        ReleasePhase::Pending | ReleasePhase::Judging | ReleasePhase::RollingBack => None,
    }
}

fn outcome_word(exit: Exit) -> &'static str {
    match exit {
        Exit::Done => "kept",
        Exit::LowEvidence => "kept on low evidence",
        Exit::RolledBack => "rolled back",
        Exit::Held => "waits for a person",
        Exit::Error | Exit::Refused | Exit::Usage | Exit::Unread => "superseded",
    }
}

/// Waits until Kubernetes has rolled a Deployment out that Trimtab does not judge.
///
/// # Errors
/// When it does not come about in time, or the Deployment is gone.
pub async fn rolled_out(
    session: &mut Session<'_>,
    deployment: &str,
    timeout: GoDuration,
) -> Result<Exit, Failure> {
    let subject = format!("Deployment {}/{deployment}", session.namespace);
    let status = format!("rollout status deployment/{deployment}");
    let hint = format!("`{}`", command::kubectl(&status, &session.namespace));
    let mut last = String::new();
    let seen = |session: &mut Session<'_>, object: Option<Value>| {
        let Some(object) = object else { return Err(Failure::error(format!("{subject} is gone"))) };
        let progress = progress(&object);
        let line = match &progress {
            Progress::Waits(line) | Progress::Stuck(line) => line,
            Progress::Done => "all pods are available",
        };
        if line != last {
            session.tell(&format!("{subject}: {line}"));
            last = line.to_owned();
        }
        match progress {
            Progress::Waits(_) => Ok(None),
            Progress::Stuck(line) => Err(Failure::error(format!("{subject} does not progress: {line}"))),
            Progress::Done => Ok(Some(Exit::Done)),
        }
    };
    let work = follow(session, DEPLOYMENTS, deployment, seen);
    within(timeout, &subject, hint, work).await
}

/// How far a native rollout is.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Progress {
    /// Not there yet.
    Waits(String),
    /// The progress deadline has passed.
    Stuck(String),
    /// Every pod runs the new template and is available.
    Done,
}

/// Reads how far a native rollout is.
#[must_use]
pub fn progress(deployment: &Value) -> Progress {
    let number = |pointer: &str| deployment.pointer(pointer).and_then(Value::as_i64).unwrap_or_default();
    if number("/status/observedGeneration") < number("/metadata/generation") {
        return Progress::Waits("not seen by its controller yet".to_owned());
    }
    let conditions = deployment.pointer("/status/conditions").and_then(Value::as_array);
    let stuck = conditions
        .into_iter()
        .flatten()
        .find(|condition| text(condition, "/reason") == "ProgressDeadlineExceeded");
    if let Some(stuck) = stuck {
        return Progress::Stuck(text(stuck, "/message").to_owned());
    }
    let wanted = deployment.pointer("/spec/replicas").and_then(Value::as_i64).unwrap_or(1);
    let (updated, all, available) =
        (number("/status/updatedReplicas"), number("/status/replicas"), number("/status/availableReplicas"));
    match () {
        () if updated < wanted => Progress::Waits(format!("{updated} of {wanted} new pods exist")),
        () if all > updated => Progress::Waits(format!("old pods left: {}", all - updated)),
        () if available < updated => {
            Progress::Waits(format!("{available} of {updated} new pods are available"))
        }
        () => Progress::Done,
    }
}

#[cfg(test)]
mod tests {
    use serde_json::json;
    use trimtab_plan::Reason;

    use super::*;

    #[test]
    fn releases_end() {
        let check = |phase, change: fn(&mut Release), expect: Option<Exit>| {
            let mut release = convert::release(&AppRelease::default());
            release.status.phase = phase;
            change(&mut release);
            assert_eq!(outcome(&release), expect, "{phase:?}");
        };
        check(ReleasePhase::Pending, |_| {}, None);
        check(ReleasePhase::Judging, |_| {}, None);
        check(ReleasePhase::RollingBack, |_| {}, None);
        check(
            ReleasePhase::RollingBack,
            |r| r.status.needs_human = Some(Reason::Recovering),
            Some(Exit::Held),
        );
        check(ReleasePhase::Kept, |_| {}, Some(Exit::Done));
        check(ReleasePhase::Kept, |r| r.status.low_evidence = true, Some(Exit::LowEvidence));
        check(ReleasePhase::RolledBack, |_| {}, Some(Exit::RolledBack));
        check(ReleasePhase::RolledBack, |r| r.status.held = true, Some(Exit::Held));
        check(ReleasePhase::Superseded, |_| {}, Some(Exit::Error));
    }

    #[test]
    fn native_rollouts_progress() {
        let check = |status: Value, expect: Progress| {
            let deployment =
                json!({"metadata": {"generation": 2}, "spec": {"replicas": 3}, "status": status});
            assert_eq!(progress(&deployment), expect);
        };
        let waits = |line: &str| Progress::Waits(line.to_owned());
        check(json!({"observedGeneration": 1}), waits("not seen by its controller yet"));
        check(
            json!({"observedGeneration": 2, "updatedReplicas": 1, "replicas": 4}),
            waits("1 of 3 new pods exist"),
        );
        check(
            json!({"observedGeneration": 2, "updatedReplicas": 3, "replicas": 4}),
            waits("old pods left: 1"),
        );
        check(
            json!({"observedGeneration": 2, "updatedReplicas": 3, "replicas": 3, "availableReplicas": 2}),
            waits("2 of 3 new pods are available"),
        );
        check(
            json!({"observedGeneration": 2, "updatedReplicas": 3, "replicas": 3, "availableReplicas": 3}),
            Progress::Done,
        );
        check(
            json!({"observedGeneration": 2, "conditions": [{"reason": "ProgressDeadlineExceeded", "message": "too slow"}]}),
            Progress::Stuck("too slow".to_owned()),
        );
    }
}
