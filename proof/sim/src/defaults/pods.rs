//! Defaults of pods and of the pod templates in workloads.

use serde_json::{Value, json};

use super::given;
use crate::json::{as_object_mut, at, default_field, list, object_mut, text};

/// A pod as such, with what admission adds to it.
pub(crate) fn pod(object: &mut Value, old: Option<&Value>) {
    spec(object_mut_spec(object));
    if old.is_some() {
        return;
    }
    let fields = object_mut(object, "spec");
    default_field(fields, "enableServiceLinks", true);
    default_field(fields, "preemptionPolicy", "PreemptLowerPriority");
    default_field(fields, "priority", 0);
    let tolerations = fields.entry("tolerations").or_insert_with(|| json!([]));
    for key in ["node.kubernetes.io/not-ready", "node.kubernetes.io/unreachable"] {
        let Some(tolerations) = tolerations.as_array_mut() else { return };
        if !tolerations.iter().any(|one| text(one, "key") == key) {
            tolerations.push(json!({
                "effect": "NoExecute", "key": key, "operator": "Exists", "tolerationSeconds": 300,
            }));
        }
    }
}

fn object_mut_spec(object: &mut Value) -> &mut Value {
    object_mut(object, "spec");
    &mut object["spec"]
}

/// The pod template of a workload, at `spec.template`.
pub(crate) fn template(workload: &mut Value) {
    if !given(workload, "spec.template") {
        return;
    }
    let template = &mut workload["spec"]["template"];
    if template.is_object() {
        spec(object_mut_spec(template));
    }
}

fn spec(spec: &mut Value) {
    let fields = as_object_mut(spec);
    default_field(fields, "restartPolicy", "Always");
    default_field(fields, "terminationGracePeriodSeconds", 30);
    default_field(fields, "dnsPolicy", "ClusterFirst");
    default_field(fields, "securityContext", json!({}));
    default_field(fields, "schedulerName", "default-scheduler");
    match fields.get("serviceAccountName").and_then(Value::as_str).map(str::to_owned) {
        Some(account) if !account.is_empty() => {
            fields.insert("serviceAccount".to_owned(), account.into());
        }
        _ => {
            if let Some(account) = fields.get("serviceAccount").cloned() {
                fields.insert("serviceAccountName".to_owned(), account);
            }
        }
    }
    for list in ["containers", "initContainers"] {
        for one in fields.get_mut(list).and_then(Value::as_array_mut).into_iter().flatten() {
            container(one);
        }
    }
    for volume in fields.get_mut("volumes").and_then(Value::as_array_mut).into_iter().flatten() {
        volume_source(volume);
    }
}

fn container(container: &mut Value) {
    let image = text(container, "image").to_owned();
    let fields = as_object_mut(container);
    default_field(fields, "terminationMessagePath", "/dev/termination-log");
    default_field(fields, "terminationMessagePolicy", "File");
    default_field(fields, "imagePullPolicy", pull_policy(&image));
    default_field(fields, "resources", json!({}));
    for port in fields.get_mut("ports").and_then(Value::as_array_mut).into_iter().flatten() {
        default_field(as_object_mut(port), "protocol", "TCP");
    }
    for probe in ["livenessProbe", "readinessProbe", "startupProbe"] {
        if let Some(probe) = fields.get_mut(probe).filter(|probe| probe.is_object()) {
            default_probe(probe);
        }
    }
    for variable in fields.get_mut("env").and_then(Value::as_array_mut).into_iter().flatten() {
        if let Some(reference) = variable.get_mut("valueFrom").and_then(|from| from.get_mut("fieldRef")) {
            default_field(as_object_mut(reference), "apiVersion", "v1");
        }
    }
    requests_from_limits(container);
}

fn default_probe(probe: &mut Value) {
    let fields = as_object_mut(probe);
    default_field(fields, "timeoutSeconds", 1);
    default_field(fields, "periodSeconds", 10);
    default_field(fields, "successThreshold", 1);
    default_field(fields, "failureThreshold", 3);
    if let Some(http) = fields.get_mut("httpGet").filter(|http| http.is_object()) {
        let http = as_object_mut(http);
        default_field(http, "path", "/");
        default_field(http, "scheme", "HTTP");
    }
}

fn requests_from_limits(container: &mut Value) {
    let Some(limits) = at(container, "resources.limits").as_object().cloned() else { return };
    let resources = object_mut(container, "resources");
    let requests = as_object_mut(resources.entry("requests").or_insert(Value::Null));
    for (name, limit) in limits {
        default_field(requests, &name, limit);
    }
}

fn pull_policy(image: &str) -> &'static str {
    let last = image.rsplit('/').next().unwrap_or_default();
    let untagged = !last.contains(':') && !image.contains('@');
    if untagged || last.ends_with(":latest") { "Always" } else { "IfNotPresent" }
}

/// 0644, as JSON has no octal numbers.
const FILE_MODE: i64 = 420;

fn volume_source(volume: &mut Value) {
    for source in ["configMap", "secret", "projected", "downwardAPI"] {
        if let Some(fields) = volume.get_mut(source).filter(|source| source.is_object()) {
            default_field(as_object_mut(fields), "defaultMode", FILE_MODE);
        }
    }
    if let Some(host) = volume.get_mut("hostPath").filter(|host| host.is_object()) {
        default_field(as_object_mut(host), "type", "");
    }
    let sources = volume.as_object().map_or(0, |fields| fields.len());
    if sources == 1 && volume.get("name").is_some() {
        volume["emptyDir"] = json!({});
    }
}

/// `Guaranteed`, `Burstable` or `BestEffort`, from the requests and limits of all containers.
pub(crate) fn quality_of_service(pod: &Value) -> &'static str {
    let containers: Vec<&Value> =
        list(pod, "spec.containers").iter().chain(list(pod, "spec.initContainers")).collect();
    let named = |container: &Value, part: &str, resource: &str| {
        at(at(container, "resources"), part).get(resource).cloned()
    };
    let any = containers.iter().any(|container| {
        ["requests", "limits"]
            .iter()
            .any(|part| ["cpu", "memory"].iter().any(|resource| named(container, part, resource).is_some()))
    });
    let guaranteed = !containers.is_empty()
        && containers.iter().all(|container| {
            ["cpu", "memory"].iter().all(|resource| {
                let limit = named(container, "limits", resource);
                let request = named(container, "requests", resource);
                limit.is_some() && (request.is_none() || request == limit)
            })
        });
    match (any, guaranteed) {
        (false, _) => "BestEffort",
        (true, true) => "Guaranteed",
        (true, false) => "Burstable",
    }
}
