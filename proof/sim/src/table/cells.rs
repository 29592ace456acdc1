//! Columns and cells of built-in kinds, after the name.

use jiff::Timestamp;
use serde_json::Value;

use super::{Column, age};
use crate::json::{at, integer, list, text};
use crate::kinds::Kind;
use crate::selector::label_selector_text;

const NONE: &str = "<none>";

/// The columns after the name.
pub(crate) fn columns(kind: &Kind) -> &'static [Column] {
    match (kind.group.as_str(), kind.plural.as_str()) {
        ("", "pods") => &[
            ("Ready", "string", 0),
            ("Status", "string", 0),
            ("Restarts", "string", 0),
            ("Age", "string", 0),
            ("IP", "string", 1),
            ("Node", "string", 1),
            ("Nominated Node", "string", 1),
            ("Readiness Gates", "string", 1),
        ],
        ("apps", "deployments") => &[
            ("Ready", "string", 0),
            ("Up-to-date", "string", 0),
            ("Available", "string", 0),
            ("Age", "string", 0),
            ("Containers", "string", 1),
            ("Images", "string", 1),
            ("Selector", "string", 1),
        ],
        ("apps", "replicasets") => &[
            ("Desired", "integer", 0),
            ("Current", "integer", 0),
            ("Ready", "integer", 0),
            ("Age", "string", 0),
            ("Containers", "string", 1),
            ("Images", "string", 1),
            ("Selector", "string", 1),
        ],
        ("apps", "statefulsets") => &[
            ("Ready", "string", 0),
            ("Age", "string", 0),
            ("Containers", "string", 1),
            ("Images", "string", 1),
        ],
        ("", "services") => &[
            ("Type", "string", 0),
            ("Cluster-IP", "string", 0),
            ("External-IP", "string", 0),
            ("Port(s)", "string", 0),
            ("Age", "string", 0),
            ("Selector", "string", 1),
        ],
        ("", "configmaps") => &[("Data", "string", 0), ("Age", "string", 0)],
        ("", "secrets") => &[("Type", "string", 0), ("Data", "string", 0), ("Age", "string", 0)],
        ("", "namespaces") => &[("Status", "string", 0), ("Age", "string", 0)],
        ("", "nodes") => {
            &[("Status", "string", 0), ("Roles", "string", 0), ("Age", "string", 0), ("Version", "string", 0)]
        }
        ("", "serviceaccounts") => &[("Age", "string", 0)],
        ("", "events") | ("events.k8s.io", "events") => &[
            ("Last Seen", "string", 0),
            ("Type", "string", 0),
            ("Reason", "string", 0),
            ("Object", "string", 0),
            ("Message", "string", 0),
        ],
        ("policy", "poddisruptionbudgets") => &[
            ("Min Available", "string", 0),
            ("Max Unavailable", "string", 0),
            ("Allowed Disruptions", "integer", 0),
            ("Age", "string", 0),
        ],
        ("autoscaling", _) => &[
            ("Reference", "string", 0),
            ("Targets", "string", 0),
            ("MinPods", "string", 0),
            ("MaxPods", "string", 0),
            ("Replicas", "string", 0),
            ("Age", "string", 0),
        ],
        ("coordination.k8s.io", "leases") => &[("Holder", "string", 0), ("Age", "string", 0)],
        ("batch", "jobs") => &[
            ("Status", "string", 0),
            ("Completions", "string", 0),
            ("Duration", "string", 0),
            ("Age", "string", 0),
        ],
        ("discovery.k8s.io", "endpointslices") => &[
            ("AddressType", "string", 0),
            ("Ports", "string", 0),
            ("Endpoints", "string", 0),
            ("Age", "string", 0),
        ],
        ("apiextensions.k8s.io", _) => &[("Created At", "date", 0)],
        ("rbac.authorization.k8s.io", "clusterroles" | "roles") => &[("Created At", "date", 0)],
        ("rbac.authorization.k8s.io", _) => &[("Role", "string", 0), ("Age", "string", 0)],
        _ => &[("Age", "string", 0)],
    }
}

/// The cells under [`columns`].
pub(crate) fn cells(kind: &Kind, object: &Value, now: Timestamp) -> Vec<Value> {
    let age = Value::from(age(at(object, "metadata.creationTimestamp"), now));
    match (kind.group.as_str(), kind.plural.as_str()) {
        ("", "pods") => pod(object, age),
        ("apps", "deployments") => {
            let mut cells = vec![
                ready_of(object).into(),
                count(object, "status.updatedReplicas"),
                count(object, "status.availableReplicas"),
                age,
            ];
            cells.extend(template(object));
            cells
        }
        ("apps", "replicasets") => {
            let mut cells = vec![
                count(object, "spec.replicas"),
                count(object, "status.replicas"),
                count(object, "status.readyReplicas"),
                age,
            ];
            cells.extend(template(object));
            cells
        }
        ("apps", "statefulsets") => {
            let mut cells = vec![ready_of(object).into(), age];
            cells.extend(template(object).into_iter().take(2));
            cells
        }
        ("", "services") => service(object, age),
        ("", "configmaps") => {
            vec![(size(object, "data") + size(object, "binaryData")).to_string().into(), age]
        }
        ("", "secrets") => vec![text(object, "type").into(), size(object, "data").to_string().into(), age],
        ("", "namespaces") => vec![text(object, "status.phase").into(), age],
        ("", "nodes") => node(object, age),
        ("", "events") | ("events.k8s.io", "events") => event(object, now),
        ("policy", "poddisruptionbudgets") => vec![
            or_not_available(at(object, "spec.minAvailable")),
            or_not_available(at(object, "spec.maxUnavailable")),
            count(object, "status.disruptionsAllowed"),
            age,
        ],
        ("autoscaling", _) => autoscaler(object, age),
        ("coordination.k8s.io", "leases") => vec![text(object, "spec.holderIdentity").into(), age],
        ("batch", "jobs") => job(object, age, now),
        ("discovery.k8s.io", "endpointslices") => endpoint_slice(object, age),
        ("apiextensions.k8s.io", _) | ("rbac.authorization.k8s.io", "clusterroles" | "roles") => {
            vec![at(object, "metadata.creationTimestamp").clone()]
        }
        ("rbac.authorization.k8s.io", _) => {
            vec![format!("{}/{}", text(object, "roleRef.kind"), text(object, "roleRef.name")).into(), age]
        }
        _ => vec![age],
    }
}

fn count(object: &Value, path: &str) -> Value {
    integer(object, path).unwrap_or(0).into()
}

fn size(object: &Value, path: &str) -> usize {
    at(object, path).as_object().map_or(0, serde_json::Map::len)
}

fn or_none(value: &str) -> Value {
    if value.is_empty() { NONE.into() } else { value.into() }
}

fn or_not_available(value: &Value) -> Value {
    if value.is_null() { "N/A".into() } else { super::shown(value).into() }
}

fn ready_of(object: &Value) -> String {
    let ready = integer(object, "status.readyReplicas").unwrap_or(0);
    format!("{ready}/{}", integer(object, "spec.replicas").unwrap_or(0))
}

fn template(object: &Value) -> Vec<Value> {
    let containers = list(object, "spec.template.spec.containers");
    let join = |field: &str| containers.iter().map(|one| text(one, field)).collect::<Vec<_>>().join(",");
    vec![
        join("name").into(),
        join("image").into(),
        or_none(&label_selector_text(at(object, "spec.selector"))),
    ]
}

fn pod(object: &Value, age: Value) -> Vec<Value> {
    let statuses = list(object, "status.containerStatuses");
    let ready = statuses.iter().filter(|status| status["ready"] == Value::Bool(true)).count();
    let restarts: i64 = statuses.iter().filter_map(|status| integer(status, "restartCount")).sum();
    let total = list(object, "spec.containers").len();
    vec![
        format!("{ready}/{total}").into(),
        pod_status(object).into(),
        restarts.to_string().into(),
        age,
        or_none(text(object, "status.podIP")),
        or_none(text(object, "spec.nodeName")),
        or_none(text(object, "status.nominatedNodeName")),
        NONE.into(),
    ]
}

fn pod_status(object: &Value) -> String {
    let phase = text(object, "status.phase");
    let mut reason = match text(object, "status.reason") {
        "" => phase,
        reason => reason,
    };
    for status in list(object, "status.containerStatuses").iter().rev() {
        let waiting = text(status, "state.waiting.reason");
        let terminated = text(status, "state.terminated.reason");
        if !waiting.is_empty() {
            reason = waiting;
        } else if !terminated.is_empty() {
            reason = terminated;
        }
    }
    if !at(object, "metadata.deletionTimestamp").is_null() {
        reason = "Terminating";
    }
    reason.to_owned()
}

fn service(object: &Value, age: Value) -> Vec<Value> {
    let ports: Vec<String> = list(object, "spec.ports")
        .iter()
        .map(|port| {
            let (number, protocol) = (integer(port, "port").unwrap_or(0), text(port, "protocol"));
            match integer(port, "nodePort").filter(|port| *port > 0) {
                Some(node) => format!("{number}:{node}/{protocol}"),
                None => format!("{number}/{protocol}"),
            }
        })
        .collect();
    let selector: Vec<String> = at(object, "spec.selector")
        .as_object()
        .into_iter()
        .flatten()
        .map(|(name, value)| format!("{name}={}", value.as_str().unwrap_or_default()))
        .collect();
    vec![
        text(object, "spec.type").into(),
        or_none(text(object, "spec.clusterIP")),
        or_none(text(object, "spec.externalName")),
        or_none(&ports.join(",")),
        age,
        or_none(&selector.join(",")),
    ]
}

fn node(object: &Value, age: Value) -> Vec<Value> {
    let ready =
        list(object, "status.conditions").iter().find(|condition| text(condition, "type") == "Ready").map_or(
            "Unknown",
            |condition| if text(condition, "status") == "True" { "Ready" } else { "NotReady" },
        );
    let mut status = ready.to_owned();
    if at(object, "spec.unschedulable") == &Value::Bool(true) {
        status.push_str(",SchedulingDisabled");
    }
    vec![status.into(), NONE.into(), age, text(object, "status.nodeInfo.kubeletVersion").into()]
}

fn event(object: &Value, now: Timestamp) -> Vec<Value> {
    let first_given = |paths: &[&str]| {
        paths.iter().map(|path| at(object, path)).find(|value| !value.is_null()).cloned().unwrap_or_default()
    };
    let seen =
        first_given(&["lastTimestamp", "deprecatedLastTimestamp", "eventTime", "metadata.creationTimestamp"]);
    let about = first_given(&["involvedObject", "regarding"]);
    vec![
        age(&seen, now).into(),
        text(object, "type").into(),
        text(object, "reason").into(),
        format!("{}/{}", text(&about, "kind").to_lowercase(), text(&about, "name")).into(),
        first_given(&["message", "note"]).as_str().unwrap_or_default().trim().into(),
    ]
}

fn autoscaler(object: &Value, age: Value) -> Vec<Value> {
    let target = at(object, "spec.scaleTargetRef");
    let targets: Vec<String> = list(object, "spec.metrics")
        .iter()
        .map(|metric| {
            let name = text(metric, "resource.name");
            match integer(metric, "resource.target.averageUtilization") {
                Some(wanted) => format!("{name}: <unknown>/{wanted}%"),
                None => "<unknown>/<auto>".to_owned(),
            }
        })
        .collect();
    vec![
        format!("{}/{}", text(target, "kind"), text(target, "name")).into(),
        or_none(&targets.join(", ")),
        integer(object, "spec.minReplicas").unwrap_or(1).to_string().into(),
        count(object, "spec.maxReplicas"),
        count(object, "status.currentReplicas"),
        age,
    ]
}

fn job(object: &Value, age: Value, now: Timestamp) -> Vec<Value> {
    let condition = |wanted: &str| {
        list(object, "status.conditions")
            .iter()
            .any(|condition| text(condition, "type") == wanted && text(condition, "status") == "True")
    };
    let status = match (condition("Complete"), condition("Failed"), condition("Suspended")) {
        (true, _, _) => "Complete",
        (_, true, _) => "Failed",
        (_, _, true) => "Suspended",
        _ => "Running",
    };
    let done = integer(object, "status.succeeded").unwrap_or(0);
    let wanted = integer(object, "spec.completions").unwrap_or(1);
    let started = at(object, "status.startTime");
    let end = text(object, "status.completionTime").parse::<Timestamp>().unwrap_or(now);
    let lasted = if started.is_null() { String::new() } else { super::age(started, end) };
    vec![status.into(), format!("{done}/{wanted}").into(), lasted.into(), age]
}

fn endpoint_slice(object: &Value, age: Value) -> Vec<Value> {
    let ports: Vec<String> = list(object, "ports")
        .iter()
        .map(|port| integer(port, "port").map_or("*".to_owned(), |number| number.to_string()))
        .collect();
    let addresses: Vec<&str> = list(object, "endpoints")
        .iter()
        .filter_map(|endpoint| list(endpoint, "addresses").first()?.as_str())
        .collect();
    let shown = |parts: &[String]| if parts.is_empty() { "<unset>".to_owned() } else { parts.join(",") };
    let addresses: Vec<String> = addresses.into_iter().map(str::to_owned).collect();
    vec![text(object, "addressType").into(), shown(&ports).into(), shown(&addresses).into(), age]
}
