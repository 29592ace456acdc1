//! What makes an object invalid.

use serde_json::Value;

use crate::crd::schema;
use crate::failure::Cause;
use crate::json::{at, integer, list, text};
use crate::kinds::Kind;
use crate::names::{NAME_BYTES_MAX, is_dns_label, is_dns_subdomain, is_label_value, is_qualified_name};
use crate::selector::label_selector_matches;

/// All annotations of an object together, in bytes.
const ANNOTATIONS_BYTES_MAX: usize = 256 * 1024;

const SUBDOMAIN: &str = "a lowercase RFC 1123 subdomain must consist of lower case alphanumeric characters, '-' or '.', and \
     must start and end with an alphanumeric character (e.g. 'example.com', regex used for validation is \
     '[a-z0-9]([-a-z0-9]*[a-z0-9])?(\\.[a-z0-9]([-a-z0-9]*[a-z0-9])?)*')";
const LABEL: &str = "a lowercase RFC 1123 label must consist of lower case alphanumeric characters or '-', and must start \
     and end with an alphanumeric character (e.g. 'my-name',  or '123-abc', regex used for validation is \
     '[a-z0-9]([-a-z0-9]*[a-z0-9])?')";
const LABEL_VALUE: &str = "a valid label must be an empty string or consist of alphanumeric characters, '-', '_' or '.', and \
     must start and end with an alphanumeric character (e.g. 'MyValue',  or 'my_value',  or '12345', regex used for \
     validation is '(([A-Za-z0-9][-A-Za-z0-9_.]*)?[A-Za-z0-9])?')";

/// Everything that is wrong with an object; `old` is `None` for a creation.
pub(crate) fn object(kind: &Kind, subresource: &str, old: Option<&Value>, new: &Value) -> Vec<Cause> {
    let mut causes = Vec::new();
    metadata(kind, old, new, &mut causes);
    if let Some(custom) = &kind.custom {
        if let Some(schema) = &custom.schema {
            causes.extend(schema::validate(new, schema));
        }
        if causes.is_empty() {
            causes.extend(custom.check_rules(old, new));
        }
        return causes;
    }
    if subresource == "status" {
        return causes;
    }
    match (kind.group.as_str(), kind.plural.as_str()) {
        ("apps", "deployments" | "replicasets" | "statefulsets" | "daemonsets") => {
            workload(old, new, &mut causes);
        }
        ("", "pods") => pod(subresource, old, new, &mut causes),
        ("", "services") => service(old, new, &mut causes),
        ("", "configmaps" | "secrets") => immutable_data(old, new, &mut causes),
        ("autoscaling", _) => autoscaler(new, &mut causes),
        ("policy", "poddisruptionbudgets") => disruption_budget(new, &mut causes),
        ("rbac.authorization.k8s.io", "rolebindings" | "clusterrolebindings") => {
            unchanged("roleRef", old, new, "cannot change roleRef", &mut causes);
        }
        ("apiextensions.k8s.io", "customresourcedefinitions") => definition(new, &mut causes),
        ("batch", "jobs") => job(old, new, &mut causes),
        _ => {}
    }
    causes
}

fn metadata(kind: &Kind, old: Option<&Value>, new: &Value, causes: &mut Vec<Cause>) {
    if old.is_none() {
        name(kind, new, causes);
    }
    for (key, value) in at(new, "metadata.labels").as_object().into_iter().flatten() {
        if !is_qualified_name(key) {
            let detail = "name part must consist of alphanumeric characters, '-', '_' or '.', and must start and end \
                          with an alphanumeric character (e.g. 'MyName',  or 'my.name',  or '123-abc', regex used for \
                          validation is '([A-Za-z0-9][-A-Za-z0-9_.]*)?[A-Za-z0-9]')";
            causes.push(Cause::invalid("metadata.labels", &key.clone().into(), detail));
        }
        if !value.as_str().is_some_and(is_label_value) {
            causes.push(Cause::invalid("metadata.labels", value, LABEL_VALUE));
        }
    }
    let annotations = at(new, "metadata.annotations").as_object();
    let bytes: usize = annotations
        .into_iter()
        .flatten()
        .map(|(key, value)| key.len() + value.as_str().map_or(0, str::len))
        .sum();
    if bytes > ANNOTATIONS_BYTES_MAX {
        causes.push(Cause {
            reason: "FieldValueTooLong",
            message: format!("Too long: may not be more than {ANNOTATIONS_BYTES_MAX} bytes"),
            field: "metadata.annotations".to_owned(),
        });
    }
    owners(new, causes);
    if let Some(old) = old {
        new_finalizers(old, new, causes);
    }
}

fn name(kind: &Kind, new: &Value, causes: &mut Vec<Cause>) {
    let name = text(new, "metadata.name");
    let value = Value::from(name);
    let field = "metadata.name";
    if matches!(kind.group.as_str(), "rbac.authorization.k8s.io") {
        if name.contains('/') || name.contains('%') || matches!(name, "." | "..") {
            causes.push(Cause::invalid(field, &value, "may not contain '/'"));
        }
    } else if kind.is("", "namespaces") || kind.is("", "services") {
        if !is_dns_label(name) {
            causes.push(Cause::invalid(field, &value, LABEL));
        }
    } else if name.len() > NAME_BYTES_MAX {
        causes.push(Cause::invalid(field, &value, "must be no more than 253 bytes"));
    } else if !is_dns_subdomain(name) {
        causes.push(Cause::invalid(field, &value, SUBDOMAIN));
    }
}

fn owners(new: &Value, causes: &mut Vec<Cause>) {
    let references = list(new, "metadata.ownerReferences");
    for (index, owner) in references.iter().enumerate() {
        for field in ["apiVersion", "kind", "name", "uid"] {
            if text(owner, field).is_empty() {
                let path = format!("metadata.ownerReferences[{index}].{field}");
                let detail =
                    if field == "apiVersion" { "version must not be empty" } else { "must not be empty" };
                causes.push(Cause::invalid(path, &"".into(), detail));
            }
        }
    }
    let controllers = references.iter().filter(|owner| owner["controller"] == Value::Bool(true)).count();
    if controllers > 1 {
        let detail = "Only one reference can have Controller set to true. Found \"true\" in references";
        causes.push(Cause::invalid("metadata.ownerReferences", &Value::from("references"), detail));
    }
}

fn new_finalizers(old: &Value, new: &Value, causes: &mut Vec<Cause>) {
    if at(old, "metadata.deletionTimestamp").is_null() {
        return;
    }
    let before = list(old, "metadata.finalizers");
    let added: Vec<String> = list(new, "metadata.finalizers")
        .iter()
        .filter(|finalizer| !before.contains(finalizer))
        .map(Value::to_string)
        .collect();
    if !added.is_empty() {
        let detail = format!(
            "no new finalizers can be added if the object is being deleted, found new finalizers []string{{{}}}",
            added.join(", ")
        );
        causes.push(Cause::forbidden("metadata.finalizers", &detail));
    }
}

fn workload(old: Option<&Value>, new: &Value, causes: &mut Vec<Cause>) {
    not_negative(new, &["spec.replicas", "spec.minReadySeconds", "spec.revisionHistoryLimit"], causes);
    if let (Some(deadline), Some(ready)) =
        (integer(new, "spec.progressDeadlineSeconds"), integer(new, "spec.minReadySeconds").or(Some(0)))
        && deadline <= ready
    {
        let detail = "must be greater than minReadySeconds";
        causes.push(Cause::invalid("spec.progressDeadlineSeconds", &deadline.into(), detail));
    }
    let selector = at(new, "spec.selector");
    if selector.is_null() {
        causes.push(Cause::required("spec.selector", ""));
    } else if selector.as_object().is_some_and(serde_json::Map::is_empty) {
        let detail = "empty selector is invalid for deployment";
        causes.push(Cause::invalid("spec.selector", selector, detail));
    }
    let labels = at(new, "spec.template.metadata.labels");
    if !selector.is_null() && !label_selector_matches(selector, labels) {
        let detail = "`selector` does not match template `labels`";
        causes.push(Cause::invalid("spec.template.metadata.labels", labels, detail));
    }
    unchanged("spec.selector", old, new, "field is immutable", causes);
    strategy(new, causes);
    let policy = text(new, "spec.template.spec.restartPolicy");
    if !policy.is_empty() && policy != "Always" {
        let supported = ["Always".to_owned()];
        causes.push(Cause::unsupported("spec.template.spec.restartPolicy", &policy.into(), &supported));
    }
    pod_spec(at(new, "spec.template.spec"), "spec.template.spec", causes);
}

fn strategy(new: &Value, causes: &mut Vec<Cause>) {
    let rolling = at(new, "spec.strategy.rollingUpdate");
    if text(new, "spec.strategy.type") == "Recreate" && !rolling.is_null() {
        let detail = "may not be specified when strategy `type` is 'Recreate'";
        causes.push(Cause::forbidden("spec.strategy.rollingUpdate", detail));
    }
    let is_zero =
        |value: &Value| matches!(value.as_i64(), Some(0)) || matches!(value.as_str(), Some("0%" | "0"));
    if is_zero(at(rolling, "maxSurge")) && is_zero(at(rolling, "maxUnavailable")) {
        let detail = "may not be 0 when `maxSurge` is 0";
        let field = "spec.strategy.rollingUpdate.maxUnavailable";
        causes.push(Cause::invalid(field, at(rolling, "maxUnavailable"), detail));
    }
}

fn pod(subresource: &str, old: Option<&Value>, new: &Value, causes: &mut Vec<Cause>) {
    pod_spec(at(new, "spec"), "spec", causes);
    let Some(old) = old else { return };
    if subresource == "resize" || subresource == "ephemeralcontainers" || mutable_pod(old) == mutable_pod(new)
    {
        return;
    }
    let detail = "pod updates may not change fields other than `spec.containers[*].image`,\
                  `spec.initContainers[*].image`,`spec.activeDeadlineSeconds`,`spec.tolerations` (only additions to \
                  existing tolerations),`spec.terminationGracePeriodSeconds` (allow it to be set to 1 if it was \
                  previously negative)\n";
    causes.push(Cause::forbidden("spec", detail));
}

/// The spec without what a pod update may change.
fn mutable_pod(pod: &Value) -> Value {
    let mut spec = at(pod, "spec").clone();
    let Some(fields) = spec.as_object_mut() else { return spec };
    fields.remove("activeDeadlineSeconds");
    fields.remove("tolerations");
    fields.remove("schedulingGates");
    for list in ["containers", "initContainers"] {
        for container in fields.get_mut(list).and_then(Value::as_array_mut).into_iter().flatten() {
            if let Some(container) = container.as_object_mut() {
                container.remove("image");
            }
        }
    }
    spec
}

fn pod_spec(spec: &Value, path: &str, causes: &mut Vec<Cause>) {
    let containers = list(spec, "containers");
    if containers.is_empty() {
        causes.push(Cause::required(format!("{path}.containers"), ""));
    }
    let mut names: Vec<&str> = Vec::new();
    for (list_name, containers) in
        [("containers", containers), ("initContainers", list(spec, "initContainers"))]
    {
        for (index, container) in containers.iter().enumerate() {
            let field = format!("{path}.{list_name}[{index}]");
            check_container(container, &field, &mut names, causes);
        }
    }
}

fn check_container<'a>(container: &'a Value, field: &str, names: &mut Vec<&'a str>, causes: &mut Vec<Cause>) {
    let name = text(container, "name");
    if name.is_empty() {
        causes.push(Cause::required(format!("{field}.name"), ""));
    } else if !is_dns_label(name) {
        causes.push(Cause::invalid(format!("{field}.name"), &name.into(), LABEL));
    } else if names.contains(&name) {
        causes.push(Cause::duplicate(format!("{field}.name"), &name.into()));
    }
    names.push(name);
    if text(container, "image").is_empty() {
        causes.push(Cause::required(format!("{field}.image"), ""));
    }
    for (index, port) in list(container, "ports").iter().enumerate() {
        let number = integer(port, "containerPort");
        if !number.is_some_and(|number| (1..=65_535).contains(&number)) {
            let value = number.unwrap_or(0);
            let path = format!("{field}.ports[{index}].containerPort");
            causes.push(Cause::invalid(path, &value.into(), "must be between 1 and 65535, inclusive"));
        }
    }
}

fn service(old: Option<&Value>, new: &Value, causes: &mut Vec<Cause>) {
    let headless_or_external =
        text(new, "spec.clusterIP") == "None" || text(new, "spec.type") == "ExternalName";
    let ports = list(new, "spec.ports");
    if ports.is_empty() && !headless_or_external {
        causes.push(Cause::required("spec.ports", ""));
    }
    for (index, port) in ports.iter().enumerate() {
        let number = integer(port, "port").unwrap_or(0);
        if !(1..=65_535).contains(&number) {
            let field = format!("spec.ports[{index}].port");
            causes.push(Cause::invalid(field, &number.into(), "must be between 1 and 65535, inclusive"));
        }
        if ports.len() > 1 && text(port, "name").is_empty() {
            causes.push(Cause::required(format!("spec.ports[{index}].name"), ""));
        }
    }
    let Some(old) = old else { return };
    let (before, after) = (text(old, "spec.clusterIP"), text(new, "spec.clusterIP"));
    let same_type = text(old, "spec.type") != "ExternalName" && text(new, "spec.type") != "ExternalName";
    if same_type && !before.is_empty() && before != after {
        let detail = "may not change once set";
        causes.push(Cause::invalid("spec.clusterIPs[0]", &Value::from(vec![after]), detail));
    }
}

fn immutable_data(old: Option<&Value>, new: &Value, causes: &mut Vec<Cause>) {
    if old.is_some_and(|old| old["immutable"] == Value::Bool(true)) {
        for field in ["data", "binaryData"] {
            if old.is_some_and(|old| old.get(field) != new.get(field)) {
                causes.push(Cause::forbidden(field, "field is immutable when `immutable` is set"));
            }
        }
    }
}

fn autoscaler(new: &Value, causes: &mut Vec<Cause>) {
    let least = integer(new, "spec.minReplicas").unwrap_or(1);
    let most = integer(new, "spec.maxReplicas").unwrap_or(0);
    if least < 1 {
        causes.push(Cause::invalid("spec.minReplicas", &least.into(), "must be greater than or equal to 1"));
    }
    if most < 1 {
        causes.push(Cause::invalid("spec.maxReplicas", &most.into(), "must be greater than 0"));
    } else if most < least {
        let detail = "must be greater than or equal to `minReplicas`";
        causes.push(Cause::invalid("spec.maxReplicas", &most.into(), detail));
    }
    for field in ["spec.scaleTargetRef.kind", "spec.scaleTargetRef.name"] {
        if text(new, field).is_empty() {
            causes.push(Cause::required(field, ""));
        }
    }
}

fn disruption_budget(new: &Value, causes: &mut Vec<Cause>) {
    let both = !at(new, "spec.minAvailable").is_null() && !at(new, "spec.maxUnavailable").is_null();
    if both {
        let detail = "minAvailable and maxUnavailable cannot be both set";
        causes.push(Cause::invalid("spec", &Value::from("spec"), detail));
    }
}

fn job(old: Option<&Value>, new: &Value, causes: &mut Vec<Cause>) {
    pod_spec(at(new, "spec.template.spec"), "spec.template.spec", causes);
    let policy = text(new, "spec.template.spec.restartPolicy");
    if !matches!(policy, "OnFailure" | "Never") {
        let supported = ["OnFailure".to_owned(), "Never".to_owned()];
        causes.push(Cause::unsupported("spec.template.spec.restartPolicy", &policy.into(), &supported));
    }
    unchanged("spec.template", old, new, "field is immutable", causes);
}

fn definition(new: &Value, causes: &mut Vec<Cause>) {
    let wanted = format!("{}.{}", text(new, "spec.names.plural"), text(new, "spec.group"));
    if text(new, "metadata.name") != wanted {
        let detail = "must be spec.names.plural+\".\"+spec.group";
        causes.push(Cause::invalid("metadata.name", at(new, "metadata.name"), detail));
    }
    let scope = text(new, "spec.scope");
    if !matches!(scope, "Namespaced" | "Cluster") {
        let supported = ["Cluster".to_owned(), "Namespaced".to_owned()];
        causes.push(Cause::unsupported("spec.scope", &scope.into(), &supported));
    }
    let versions = list(new, "spec.versions");
    let stored = versions.iter().filter(|version| version["storage"] == Value::Bool(true)).count();
    if stored != 1 {
        let detail = "must have exactly one version marked as storage version";
        causes.push(Cause::invalid("spec.versions", &Value::from("versions"), detail));
    }
    for (index, version) in versions.iter().enumerate() {
        if at(version, "schema.openAPIV3Schema").is_null() {
            let field = format!("spec.versions[{index}].schema.openAPIV3Schema");
            causes.push(Cause::required(field, "schemas are required"));
        }
    }
}

fn not_negative(new: &Value, fields: &[&str], causes: &mut Vec<Cause>) {
    for field in fields {
        if let Some(number) = integer(new, field).filter(|number| *number < 0) {
            causes.push(Cause::invalid(*field, &number.into(), "must be greater than or equal to 0"));
        }
    }
}

fn unchanged(field: &str, old: Option<&Value>, new: &Value, detail: &str, causes: &mut Vec<Cause>) {
    if let Some(old) = old
        && at(old, field) != at(new, field)
    {
        causes.push(Cause::invalid(field, at(new, field), detail));
    }
}
