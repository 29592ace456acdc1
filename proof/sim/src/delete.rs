//! Deletion: options, grace, finalizers, propagation.

use std::sync::Arc;

use serde_json::{Value, json};

use crate::config::wire_time;
use crate::failure::Failure;
use crate::json::{at, list, object_mut, text};
use crate::route::{Call, Route};
use crate::selector::Selector;
use crate::server::{Answer, Server, Target};
use crate::store::Stored;
use crate::write::is_finally_deleted;

pub(crate) const FOREGROUND: &str = "foregroundDeletion";
pub(crate) const ORPHAN: &str = "orphan";

/// What happens to the dependents.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Propagation {
    Foreground,
    Background,
    Orphan,
}

/// Delete options, from the body or the query.
#[derive(Debug)]
struct Options {
    grace_seconds: Option<i64>,
    propagation: Option<Propagation>,
    /// Preconditions; an empty one is one, and holds for no object.
    uid: Option<String>,
    revision: Option<String>,
    dry_run: bool,
}

impl Options {
    fn of(call: &Call) -> Result<Self, Failure> {
        let body = if call.body.is_empty() { Value::Null } else { crate::decode::body(call)? };
        let propagation = match text(&body, "propagationPolicy") {
            "" => call.parameter("propagationPolicy"),
            given => given,
        };
        let legacy = at(&body, "orphanDependents").as_bool();
        let propagation = match (propagation, legacy) {
            ("Foreground", _) => Some(Propagation::Foreground),
            ("Background", _) | ("", Some(false)) => Some(Propagation::Background),
            ("Orphan", _) | ("", Some(true)) => Some(Propagation::Orphan),
            ("", None) => None,
            (other, _) => {
                return Err(Failure::bad_request(format!("invalid propagation policy {other:?}")));
            }
        };
        let grace_seconds = at(&body, "gracePeriodSeconds")
            .as_i64()
            .or_else(|| call.parameter("gracePeriodSeconds").parse().ok());
        if grace_seconds.is_some_and(|seconds| seconds < 0) {
            return Err(Failure::bad_request("gracePeriodSeconds: must be greater than or equal to 0"));
        }
        Ok(Options {
            grace_seconds,
            propagation,
            uid: at(&body, "preconditions.uid").as_str().map(str::to_owned),
            revision: at(&body, "preconditions.resourceVersion").as_str().map(str::to_owned),
            dry_run: call.is_dry_run() || list(&body, "dryRun").iter().any(|one| one == "All"),
        })
    }

    fn check(&self, target: &Target, stored: &Stored) -> Result<(), Failure> {
        let uid = text(&stored.value, "metadata.uid");
        if let Some(wanted) = self.uid.as_deref().filter(|wanted| *wanted != uid) {
            let why =
                format!("Precondition failed: UID in precondition: {wanted}, UID in object meta: {uid}");
            return Err(Failure::conflict(&target.kind.subject(), &target.route.name, &why));
        }
        let revision = stored.revision.to_string();
        if let Some(wanted) = self.revision.as_deref().filter(|wanted| *wanted != revision) {
            let why = format!(
                "Precondition failed: ResourceVersion in precondition: {wanted}, ResourceVersion in object meta: {revision}"
            );
            return Err(Failure::conflict(&target.kind.subject(), &target.route.name, &why));
        }
        Ok(())
    }
}

impl Server<'_> {
    pub(crate) fn delete(&mut self, call: &Call, target: &Target) -> Result<Answer, Failure> {
        let options = Options::of(call)?;
        let stored = self.existing(target)?;
        self.delete_object(target, &stored, &options)
    }

    pub(crate) fn delete_collection(&mut self, call: &Call, target: &Target) -> Result<Answer, Failure> {
        let options = Options::of(call)?;
        let kind = target.kind.clone();
        let selector =
            Selector::parse(call.parameter("labelSelector"), call.parameter("fieldSelector"), &kind)?;
        let prefix = match target.route.namespace.as_str() {
            "" => String::new(),
            namespace => format!("{namespace}/"),
        };
        let victims: Vec<(String, Arc<Stored>)> = self
            .state
            .store
            .in_collection(&kind.storage)
            .filter(|(key, stored)| key.starts_with(&prefix) && selector.matches(&stored.value))
            .map(|(key, stored)| (key.clone(), stored.clone()))
            .collect();
        let mut items = Vec::with_capacity(victims.len());
        for (_, stored) in &victims {
            let route = Route {
                name: text(&stored.value, "metadata.name").to_owned(),
                namespace: text(&stored.value, "metadata.namespace").to_owned(),
                ..target.route.clone()
            };
            self.delete_object(&Target { route, kind: kind.clone() }, stored, &options)?;
            items.push(crate::present::convert(&kind, &stored.value).into_owned());
        }
        let list = json!({
            "kind": kind.list_kind, "apiVersion": kind.api_version(),
            "metadata": {"resourceVersion": self.state.store.revision.to_string()}, "items": items,
        });
        Ok(Answer::Value(200, list))
    }

    /// Deletes for the server itself, with background propagation and the object's own grace period.
    pub(crate) fn delete_internally(&mut self, target: &Target, stored: &Arc<Stored>) {
        let options = Options {
            grace_seconds: None,
            propagation: Some(Propagation::Background),
            uid: None,
            revision: None,
            dry_run: false,
        };
        // Without preconditions and dry run, deleting an existing object cannot be refused.
        let _ = self.delete_object(target, stored, &options);
    }

    /// Deletes on behalf of an eviction.
    pub(crate) fn delete_evicted(
        &mut self,
        call: &Call,
        target: &Target,
        stored: &Arc<Stored>,
        delete_options: &Value,
    ) -> Result<(), Failure> {
        let options = Options {
            grace_seconds: at(delete_options, "gracePeriodSeconds").as_i64(),
            propagation: None,
            uid: at(delete_options, "preconditions.uid").as_str().map(str::to_owned),
            revision: at(delete_options, "preconditions.resourceVersion").as_str().map(str::to_owned),
            dry_run: call.is_dry_run(),
        };
        self.delete_object(target, stored, &options).map(|_| ())
    }

    fn delete_object(
        &mut self,
        target: &Target,
        stored: &Arc<Stored>,
        options: &Options,
    ) -> Result<Answer, Failure> {
        options.check(target, stored)?;
        let kind = target.kind.clone();
        let mut value = stored.value.clone();
        self.mark_finalizers(target, &mut value, options);
        let grace = grace_seconds(target, &value, options);
        let waits = grace > 0
            || !list(&value, "metadata.finalizers").is_empty()
            || !list(&value, "spec.finalizers").is_empty();
        if !waits {
            if options.dry_run {
                return Ok(success(target, stored));
            }
            let last = self.state.store.remove(&kind.storage, &target.key(), value);
            self.forget(&kind, &last.value);
            return Ok(if returns_object(target) {
                Answer::Stored(200, last)
            } else {
                success(target, stored)
            });
        }
        self.begin_deletion(&mut value, grace, kind.features.generation || kind.custom.is_some());
        if kind.is("", "namespaces") {
            value["status"]["phase"] = "Terminating".into();
        }
        if options.dry_run {
            return Ok(Answer::Unstored(200, value));
        }
        if value == stored.value {
            return Ok(Answer::Stored(200, stored.clone()));
        }
        if is_finally_deleted(&value) {
            let last = self.state.store.remove(&kind.storage, &target.key(), value);
            self.forget(&kind, &last.value);
            return Ok(Answer::Stored(200, last));
        }
        let stored = self.state.store.put(&kind.storage, &target.key(), value);
        self.state.background.changed(&kind, &stored.value);
        Ok(Answer::Stored(200, stored))
    }

    /// The finalizers that make the garbage collector treat the dependents as asked.
    fn mark_finalizers(&self, target: &Target, value: &mut Value, options: &Options) {
        let wanted = options.propagation.or_else(|| {
            let own = list(value, "metadata.finalizers");
            if own.iter().any(|one| one == ORPHAN) {
                Some(Propagation::Orphan)
            } else if own.iter().any(|one| one == FOREGROUND) {
                Some(Propagation::Foreground)
            } else if target.kind.is("batch", "jobs") {
                Some(Propagation::Orphan)
            } else {
                None
            }
        });
        let finalizers = object_mut(value, "metadata").entry("finalizers").or_insert_with(|| json!([]));
        if let Some(finalizers) = finalizers.as_array_mut() {
            finalizers.retain(|one| one != FOREGROUND && one != ORPHAN);
            match wanted {
                Some(Propagation::Foreground) => finalizers.push(FOREGROUND.into()),
                Some(Propagation::Orphan) => finalizers.push(ORPHAN.into()),
                Some(Propagation::Background) | None => {}
            }
        }
        if list(value, "metadata.finalizers").is_empty() {
            object_mut(value, "metadata").remove("finalizers");
        }
    }

    fn begin_deletion(&self, value: &mut Value, grace: i64, counts_generation: bool) {
        let already = at(value, "metadata.deletionTimestamp").is_null();
        let previous = at(value, "metadata.deletionGracePeriodSeconds").as_i64();
        if !already && previous.is_none_or(|previous| previous <= grace) {
            return;
        }
        let due = self.now.saturating_add(jiff::SignedDuration::from_secs(grace)).unwrap_or(self.now);
        let generation = at(value, "metadata.generation").as_i64();
        let metadata = object_mut(value, "metadata");
        metadata.insert("deletionTimestamp".to_owned(), wire_time(due).into());
        metadata.insert("deletionGracePeriodSeconds".to_owned(), grace.into());
        if let (true, true, Some(generation)) = (already, counts_generation, generation) {
            metadata.insert("generation".to_owned(), (generation + 1).into());
        }
    }
}

/// Pods that run somewhere are given time; everything else goes at once.
fn grace_seconds(target: &Target, value: &Value, options: &Options) -> i64 {
    if !target.kind.is("", "pods") {
        return 0;
    }
    let assigned = !text(value, "spec.nodeName").is_empty();
    let over = matches!(text(value, "status.phase"), "Succeeded" | "Failed");
    if !assigned || over {
        return 0;
    }
    options.grace_seconds.or_else(|| at(value, "spec.terminationGracePeriodSeconds").as_i64()).unwrap_or(30)
}

fn returns_object(target: &Target) -> bool {
    target.kind.group.is_empty()
        && matches!(
            target.kind.plural.as_str(),
            "pods" | "services" | "serviceaccounts" | "persistentvolumeclaims" | "resourcequotas"
        )
}

fn success(target: &Target, stored: &Stored) -> Answer {
    let mut details = json!({
        "name": target.route.name, "kind": target.kind.plural, "uid": text(&stored.value, "metadata.uid"),
    });
    if !target.kind.group.is_empty() {
        details["group"] = target.kind.group.clone().into();
    }
    Answer::Value(
        200,
        json!({"kind": "Status", "apiVersion": "v1", "metadata": {}, "status": "Success", "details": details}),
    )
}
