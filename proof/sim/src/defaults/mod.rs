//! What the server fills in: defaults of built-in kinds, pruning and defaults of custom ones.

mod pods;
mod workloads;

use serde_json::{Value, json};

use crate::crd::{self, schema};
use crate::failure::Failure;
use crate::json::{as_object_mut, at, default_field, object_mut, text};
use crate::kinds::Kind;
use crate::route::Call;
use crate::typed;

/// Removes unknown fields, or refuses them where the request asks for that.
pub(crate) fn strict(call: &Call, kind: &Kind, object: &mut Value) -> Result<(), Failure> {
    let unknown = match &kind.custom {
        Some(custom) => {
            custom.schema.as_ref().map(|schema| schema::prune(object, schema)).unwrap_or_default()
        }
        None => typed::prune(kind, object).map_err(|why| {
            let version = &kind.version;
            let name = &kind.kind;
            let message = format!("{name} in version \"{version}\" cannot be handled as a {name}: {why}");
            Failure::bad_request(message)
        })?,
    };
    if unknown.is_empty() || call.parameter("fieldValidation") != "Strict" {
        return Ok(());
    }
    let listed: Vec<String> = unknown.iter().map(|path| format!("unknown field \"{path}\"")).collect();
    Err(Failure::bad_request(format!(
        "{} in version \"{}\" cannot be handled as a {}: strict decoding error: {}",
        kind.kind,
        kind.version,
        kind.kind,
        listed.join(", ")
    )))
}

/// Fills in what the object leaves out. `old` is `None` for a creation.
pub(crate) fn apply(kind: &Kind, object: &mut Value, old: Option<&Value>) {
    if let Some(custom) = &kind.custom {
        if let Some(schema) = &custom.schema {
            schema::default(object, schema);
        }
        return;
    }
    match (kind.group.as_str(), kind.plural.as_str()) {
        ("", "pods") => pods::pod(object, old),
        ("", "services") => service(object),
        ("", "secrets") => secret(object),
        ("", "namespaces") => namespace(object, old),
        ("apps", "deployments") => workloads::deployment(object),
        ("apps", "replicasets") | ("", "replicationcontrollers") => workloads::replica_set(object),
        ("apps", "statefulsets") => workloads::stateful_set(object),
        ("apps", "daemonsets") => workloads::daemon_set(object),
        ("batch", "jobs") => workloads::job(object),
        ("batch", "cronjobs") => workloads::cron_job(object),
        ("autoscaling", "horizontalpodautoscalers") => workloads::autoscaler(object),
        ("rbac.authorization.k8s.io", _) => role_binding(object),
        ("admissionregistration.k8s.io", _) => admission_registration(object),
        ("apiextensions.k8s.io", "customresourcedefinitions") => crd::default_definition(object),
        ("discovery.k8s.io", "endpointslices") => endpoint_slice(object),
        _ => {}
    }
}

/// The status that a new object has before any controller saw it.
pub(crate) fn initial_status(kind: &Kind, object: &mut Value) {
    if kind.custom.is_some() {
        return;
    }
    let status = match (kind.group.as_str(), kind.plural.as_str()) {
        ("", "pods") => json!({"phase": "Pending", "qosClass": pods::quality_of_service(object)}),
        ("", "namespaces") => json!({"phase": "Active"}),
        ("", "services") => json!({"loadBalancer": {}}),
        ("apps", "replicasets" | "statefulsets") | ("", "replicationcontrollers") => json!({"replicas": 0}),
        ("apps", "daemonsets") => json!({
            "currentNumberScheduled": 0, "desiredNumberScheduled": 0, "numberMisscheduled": 0, "numberReady": 0,
        }),
        ("policy", "poddisruptionbudgets") => json!({
            "currentHealthy": 0, "desiredHealthy": 0, "disruptionsAllowed": 0, "expectedPods": 0,
        }),
        ("autoscaling", _) => json!({"currentMetrics": null, "desiredReplicas": 0}),
        _ if kind.features.status => json!({}),
        _ => return,
    };
    object["status"] = status;
}

fn service(object: &mut Value) {
    let spec = object_mut(object, "spec");
    default_field(spec, "type", "ClusterIP");
    default_field(spec, "sessionAffinity", "None");
    let kind = spec.get("type").and_then(Value::as_str).unwrap_or_default().to_owned();
    if kind != "ExternalName" {
        default_field(spec, "internalTrafficPolicy", "Cluster");
        default_field(spec, "ipFamilies", json!(["IPv4"]));
        default_field(spec, "ipFamilyPolicy", "SingleStack");
    }
    if spec.get("clusterIP").and_then(Value::as_str) == Some("None") {
        default_field(spec, "clusterIPs", json!(["None"]));
    }
    if matches!(kind.as_str(), "NodePort" | "LoadBalancer") {
        default_field(spec, "externalTrafficPolicy", "Cluster");
    }
    if kind == "LoadBalancer" {
        default_field(spec, "allocateLoadBalancerNodePorts", true);
    }
    for port in spec.get_mut("ports").and_then(Value::as_array_mut).into_iter().flatten() {
        let number = port.get("port").cloned().unwrap_or_default();
        let port = as_object_mut(port);
        default_field(port, "protocol", "TCP");
        default_field(port, "targetPort", number);
    }
}

fn secret(object: &mut Value) {
    use base64::Engine;
    let plain = as_object_mut(object).remove("stringData").unwrap_or_default();
    default_field(as_object_mut(object), "type", "Opaque");
    for (name, value) in plain.as_object().into_iter().flatten() {
        let encoded = base64::engine::general_purpose::STANDARD.encode(value.as_str().unwrap_or_default());
        object_mut(object, "data").insert(name.clone(), encoded.into());
    }
}

fn namespace(object: &mut Value, old: Option<&Value>) {
    let name = text(object, "metadata.name").to_owned();
    let labels = object_mut(object_mut_value(object, "metadata"), "labels");
    labels.insert("kubernetes.io/metadata.name".to_owned(), name.into());
    if old.is_none() {
        default_field(object_mut(object, "spec"), "finalizers", json!(["kubernetes"]));
    }
}

fn object_mut_value<'a>(object: &'a mut Value, field: &str) -> &'a mut Value {
    object_mut(object, field);
    &mut object[field]
}

fn role_binding(object: &mut Value) {
    for subject in object.get_mut("subjects").and_then(Value::as_array_mut).into_iter().flatten() {
        if text(subject, "kind") != "ServiceAccount" {
            default_field(as_object_mut(subject), "apiGroup", "rbac.authorization.k8s.io");
        }
    }
    if object.get("roleRef").is_some() {
        default_field(object_mut(object, "roleRef"), "apiGroup", "rbac.authorization.k8s.io");
    }
}

fn admission_registration(object: &mut Value) {
    if matches!(text(object, "kind"), "MutatingAdmissionPolicy" | "ValidatingAdmissionPolicy") {
        let mutating = text(object, "kind") == "MutatingAdmissionPolicy";
        let spec = object_mut(object, "spec");
        default_field(spec, "failurePolicy", "Fail");
        if mutating {
            default_field(spec, "reinvocationPolicy", "Never");
        }
        if let Some(constraints) = spec.get_mut("matchConstraints") {
            default_constraints(constraints);
        }
        return;
    }
    let mutating = text(object, "kind") == "MutatingWebhookConfiguration";
    for webhook in object.get_mut("webhooks").and_then(Value::as_array_mut).into_iter().flatten() {
        let fields = as_object_mut(webhook);
        default_field(fields, "failurePolicy", "Fail");
        default_field(fields, "timeoutSeconds", 10);
        if mutating {
            default_field(fields, "reinvocationPolicy", "Never");
        }
        if let Some(service) = fields.get_mut("clientConfig").and_then(|config| config.get_mut("service")) {
            default_field(as_object_mut(service), "port", 443);
        }
        default_selectors(fields);
        default_scopes(fields.get_mut("rules"));
    }
}

fn default_constraints(constraints: &mut Value) {
    default_selectors(as_object_mut(constraints));
    default_scopes(constraints.get_mut("resourceRules"));
}

fn default_selectors(fields: &mut crate::json::Object) {
    default_field(fields, "matchPolicy", "Equivalent");
    default_field(fields, "namespaceSelector", json!({}));
    default_field(fields, "objectSelector", json!({}));
}

fn default_scopes(rules: Option<&mut Value>) {
    for rule in rules.and_then(Value::as_array_mut).into_iter().flatten() {
        default_field(as_object_mut(rule), "scope", "*");
    }
}

fn endpoint_slice(object: &mut Value) {
    for port in object.get_mut("ports").and_then(Value::as_array_mut).into_iter().flatten() {
        let port = as_object_mut(port);
        default_field(port, "protocol", "TCP");
        default_field(port, "name", "");
    }
}

/// Whether a value is present and not null.
fn given(object: &Value, path: &str) -> bool {
    !at(object, path).is_null()
}
