//! Defaults of workloads and autoscalers.

use serde_json::{Value, json};

use super::pods;
use crate::json::{as_object_mut, at, default_field, object_mut};

pub(crate) fn deployment(object: &mut Value) {
    let spec = object_mut(object, "spec");
    default_field(spec, "replicas", 1);
    default_field(spec, "revisionHistoryLimit", 10);
    default_field(spec, "progressDeadlineSeconds", 600);
    // The server does not store a pause that is none, whoever wrote it.
    if spec.get("paused") == Some(&json!(false)) {
        spec.remove("paused");
    }
    let strategy = as_object_mut(spec.entry("strategy").or_insert(Value::Null));
    default_field(strategy, "type", "RollingUpdate");
    if strategy.get("type").and_then(Value::as_str) == Some("RollingUpdate") {
        let rolling = as_object_mut(strategy.entry("rollingUpdate").or_insert(Value::Null));
        default_field(rolling, "maxSurge", "25%");
        default_field(rolling, "maxUnavailable", "25%");
    }
    pods::template(object);
}

pub(crate) fn replica_set(object: &mut Value) {
    default_field(object_mut(object, "spec"), "replicas", 1);
    pods::template(object);
}

pub(crate) fn stateful_set(object: &mut Value) {
    let spec = object_mut(object, "spec");
    default_field(spec, "replicas", 1);
    default_field(spec, "revisionHistoryLimit", 10);
    default_field(spec, "podManagementPolicy", "OrderedReady");
    default_field(
        spec,
        "persistentVolumeClaimRetentionPolicy",
        json!({"whenDeleted": "Retain", "whenScaled": "Retain"}),
    );
    let strategy = as_object_mut(spec.entry("updateStrategy").or_insert(Value::Null));
    default_field(strategy, "type", "RollingUpdate");
    if strategy.get("type").and_then(Value::as_str) == Some("RollingUpdate") {
        let rolling = as_object_mut(strategy.entry("rollingUpdate").or_insert(Value::Null));
        default_field(rolling, "partition", 0);
    }
    pods::template(object);
}

pub(crate) fn daemon_set(object: &mut Value) {
    let spec = object_mut(object, "spec");
    default_field(spec, "revisionHistoryLimit", 10);
    let strategy = as_object_mut(spec.entry("updateStrategy").or_insert(Value::Null));
    default_field(strategy, "type", "RollingUpdate");
    if strategy.get("type").and_then(Value::as_str) == Some("RollingUpdate") {
        let rolling = as_object_mut(strategy.entry("rollingUpdate").or_insert(Value::Null));
        default_field(rolling, "maxSurge", 0);
        default_field(rolling, "maxUnavailable", 1);
    }
    pods::template(object);
}

pub(crate) fn job(object: &mut Value) {
    let uid = at(object, "metadata.uid").clone();
    let name = at(object, "metadata.name").clone();
    let spec = object_mut(object, "spec");
    default_field(spec, "backoffLimit", 6);
    default_field(spec, "completionMode", "NonIndexed");
    default_field(spec, "suspend", false);
    default_field(spec, "podReplacementPolicy", "TerminatingOrFailed");
    if spec.get("completions").is_none() && spec.get("parallelism").is_none() {
        default_field(spec, "completions", 1);
    }
    default_field(spec, "parallelism", 1);
    let manual = spec.get("manualSelector").and_then(Value::as_bool).unwrap_or(false);
    if !manual && !uid.is_null() {
        let selector = json!({"matchLabels": {"batch.kubernetes.io/controller-uid": uid}});
        default_field(spec, "selector", selector);
        let template = spec.entry("template").or_insert_with(|| json!({}));
        object_mut(template, "metadata");
        let labels = object_mut(&mut template["metadata"], "labels");
        for (label, value) in [
            ("batch.kubernetes.io/controller-uid", &uid),
            ("batch.kubernetes.io/job-name", &name),
            ("controller-uid", &uid),
            ("job-name", &name),
        ] {
            default_field(labels, label, value.clone());
        }
    }
    pods::template(object);
}

pub(crate) fn cron_job(object: &mut Value) {
    let spec = object_mut(object, "spec");
    default_field(spec, "concurrencyPolicy", "Allow");
    default_field(spec, "suspend", false);
    default_field(spec, "successfulJobsHistoryLimit", 3);
    default_field(spec, "failedJobsHistoryLimit", 1);
    if let Some(template) = spec.get_mut("jobTemplate") {
        pods::template(template);
    }
}

pub(crate) fn autoscaler(object: &mut Value) {
    let spec = object_mut(object, "spec");
    default_field(spec, "minReplicas", 1);
    let cpu = json!([{"type": "Resource", "resource": {
        "name": "cpu", "target": {"type": "Utilization", "averageUtilization": 80},
    }}]);
    default_field(spec, "metrics", cpu);
    let Some(behavior) = spec.get_mut("behavior").filter(|behavior| behavior.is_object()) else { return };
    let up = as_object_mut(as_object_mut(behavior).entry("scaleUp").or_insert(Value::Null));
    default_field(up, "stabilizationWindowSeconds", 0);
    default_field(up, "selectPolicy", "Max");
    default_field(
        up,
        "policies",
        json!([
            {"type": "Pods", "value": 4, "periodSeconds": 15},
            {"type": "Percent", "value": 100, "periodSeconds": 15},
        ]),
    );
    let down = as_object_mut(as_object_mut(behavior).entry("scaleDown").or_insert(Value::Null));
    default_field(down, "selectPolicy", "Max");
    default_field(down, "policies", json!([{"type": "Percent", "value": 100, "periodSeconds": 15}]));
}
