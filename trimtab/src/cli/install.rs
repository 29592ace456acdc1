//! `trimtab install`: everything that the cluster needs, as one stream of YAML.
//!
//! The files in `deploy/` are complete and can be applied as they are. What a person chooses is set in the parsed
//! objects, never in text.

use std::collections::BTreeSet;
use std::io::Write;

use serde_json::{Value, json};
use trimtab_delivery::names::{INSTANCE_LABEL, lease_name};

use super::args::values::named_image;
use super::args::{Globals, InstallArgs};
use super::exit::{Exit, Failure};
use super::output::yaml;

/// Name of the binding of the manager's rights on the cluster.
pub const BINDING: &str = "trimtab-manager";
/// Name of the bindings that take its place where only some namespaces are looked after.
pub const BINDING_WITHIN: &str = "trimtab-manager-watch";
/// Name of the right to see policies, and whether the manager acts.
const POLICY_VIEW: &str = "trimtab-policy-view";
/// Name of the manager's Deployment.
const WORKLOAD: &str = "trimtab";
/// Namespace of the manager where nobody says otherwise.
pub const NAMESPACE: &str = "trimtab-system";

const MANAGER: &str = include_str!("../../../deploy/manager.yaml");
const RBAC: &str = include_str!("../../../deploy/rbac.yaml");
const ADMISSION: &str = include_str!("../../../deploy/admission.yaml");
const MANAGED_APPS: &str = include_str!("../../../deploy/crds/managedapps.yaml");
const FLEET_POLICIES: &str = include_str!("../../../deploy/crds/fleetpolicies.yaml");
const APP_RELEASES: &str = include_str!("../../../deploy/crds/appreleases.yaml");

const NAME_LABEL: &str = "app.kubernetes.io/name";

/// What a person chooses about an installation.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Choices {
    /// Namespace of the manager.
    pub namespace: String,
    /// Image of the manager.
    pub image: String,
    /// Where Prometheus is.
    pub prometheus_url: Option<String>,
    /// Matchers that narrow every query; empty for none.
    pub prometheus_matchers: String,
    /// Namespaces to look after; none for all of them.
    pub watched: Vec<String>,
    /// The label value of the services that it looks after; none for those without that label.
    pub instance: Option<String>,
}

/// Prints the installation.
///
/// # Errors
/// When stdout is closed, or the namespace cannot be one.
pub fn install(args: &InstallArgs, globals: &Globals, out: &mut dyn Write) -> Result<Exit, Failure> {
    let choices = Choices {
        namespace: globals.namespace.clone().unwrap_or_else(|| NAMESPACE.to_owned()),
        image: named_image(&args.image)?.to_owned(),
        prometheus_url: args.prometheus_url.clone(),
        prometheus_matchers: args.prometheus_matchers.clone(),
        watched: args.watch_namespace.iter().cloned().collect::<BTreeSet<_>>().into_iter().collect(),
        instance: instance(args.instance.as_deref())?,
    };
    if let Err(error) = trimtab_units::names::check_dns_label(&choices.namespace) {
        return Err(Failure::error(format!("--namespace: {error}")));
    }
    for name in &choices.watched {
        trimtab_units::names::check_dns_label(name)
            .map_err(|error| Failure::error(format!("--watch-namespace: {error}")))?;
    }
    for object in objects(&choices)? {
        write!(out, "---\n{}", yaml(&object)?)?;
    }
    Ok(Exit::Done)
}

/// An instance as a person names it: the value of a label, and a part of names.
///
/// # Errors
/// When it cannot be either.
pub(super) fn instance(given: Option<&str>) -> Result<Option<String>, Failure> {
    let given = given.filter(|id| !id.is_empty());
    if let Some(id) = given {
        trimtab_units::names::check_dns_label(&workload(Some(id)))
            .map_err(|error| Failure::error(format!("--instance: {error}")))?;
    }
    Ok(given.map(str::to_owned))
}

/// Name of the manager's Deployment, and of what goes with it.
#[must_use]
pub fn workload(instance: Option<&str>) -> String {
    instance.map_or_else(|| WORKLOAD.to_owned(), |id| format!("{WORKLOAD}-{id}"))
}

/// Whether an object is an instance's own. All others are shared: the admission policy lets one account alone lift a hold.
#[must_use]
pub fn is_own(object: &Value) -> bool {
    let kind = object["kind"].as_str().unwrap_or_default();
    let name = object["metadata"]["name"].as_str().unwrap_or_default();
    matches!(kind, "Deployment" | "PodDisruptionBudget") || name.starts_with(POLICY_VIEW)
}

/// The definition of one of our kinds, by its plural.
///
/// # Errors
/// Never for the kinds that ship.
pub fn definition(plural: &str) -> Result<Value, Failure> {
    let text = match plural {
        "managedapps" => MANAGED_APPS,
        "fleetpolicies" => FLEET_POLICIES,
        _ => APP_RELEASES,
    };
    Ok(documents(text)?.remove(0))
}

/// All objects, in the order in which they must be applied: what others refer to comes first, the manager last.
///
/// # Errors
/// Never for the files that ship.
pub fn objects(choices: &Choices) -> Result<Vec<Value>, Failure> {
    let mut objects = Vec::new();
    for text in [MANAGED_APPS, FLEET_POLICIES, APP_RELEASES, MANAGER, RBAC, ADMISSION] {
        objects.extend(documents(text)?);
    }
    if !choices.watched.is_empty() {
        objects = objects.into_iter().flat_map(|object| narrowed(object, &choices.watched)).collect();
    }
    objects.sort_by_key(|object| place(object["kind"].as_str().unwrap_or_default()));
    for object in &mut objects {
        choose(object, choices);
    }
    Ok(objects)
}

/// The manager's rights on the cluster, in some namespaces alone.
fn narrowed(object: Value, namespaces: &[String]) -> Vec<Value> {
    if object["kind"] != "ClusterRoleBinding" || object["metadata"]["name"] != BINDING {
        return vec![object];
    }
    let within = |namespace: &String| {
        let mut binding = object.clone();
        binding["kind"] = json!("RoleBinding");
        binding["metadata"] = json!({"name": BINDING_WITHIN, "namespace": namespace});
        binding
    };
    namespaces.iter().map(within).collect()
}

fn documents(text: &str) -> Result<Vec<Value>, Failure> {
    serde_saphyr::from_multiple(text)
        .map_err(|error| Failure::error(format!("a built-in file cannot be read: {error}")))
}

fn place(kind: &str) -> u8 {
    match kind {
        "Namespace" => 0,
        "CustomResourceDefinition" => 1,
        "ServiceAccount" | "ClusterRole" | "Role" => 2,
        "ClusterRoleBinding" | "RoleBinding" => 3,
        "MutatingAdmissionPolicy" => 4,
        "MutatingAdmissionPolicyBinding" => 5,
        _ => 6,
    }
}

fn choose(object: &mut Value, choices: &Choices) {
    let namespace = json!(choices.namespace);
    let elsewhere = object["metadata"]["name"] == BINDING_WITHIN;
    if let Some(own) = object.pointer_mut("/metadata/namespace").filter(|_| !elsewhere) {
        *own = namespace.clone();
    }
    for subject in object.get_mut("subjects").and_then(Value::as_array_mut).into_iter().flatten() {
        if let Some(own) = subject.get_mut("namespace") {
            *own = namespace.clone();
        }
    }
    match object["kind"].as_str() {
        Some("Namespace") => object["metadata"]["name"] = namespace,
        Some("MutatingAdmissionPolicy") => choose_user(object, &choices.namespace),
        Some("Deployment") => choose_manager(object, choices),
        _ => {}
    }
    if let Some(id) = choices.instance.as_deref().filter(|_| is_own(object)) {
        choose_instance(object, id);
    }
}

/// Its own names and labels: no selector of one instance finds the pods of another.
fn choose_instance(object: &mut Value, id: &str) {
    let own = json!(workload(Some(id)));
    object["metadata"]["name"] = object_name(&object["metadata"]["name"], id);
    for labels in [
        "/metadata/labels",
        "/spec/selector/matchLabels",
        "/spec/template/metadata/labels",
        "/spec/template/spec/affinity/podAntiAffinity/preferredDuringSchedulingIgnoredDuringExecution/0/podAffinityTerm/labelSelector/matchLabels",
    ] {
        if let Some(label) = object.pointer_mut(labels).and_then(|labels| labels.get_mut(NAME_LABEL)) {
            *label = own.clone();
        }
    }
    if object["kind"] == "Deployment" {
        object["metadata"]["labels"][INSTANCE_LABEL] = json!(id);
    }
    if let Some(role) = object.get_mut("roleRef") {
        role["name"] = object_name(&role["name"], id);
    }
    if let Some(leases) = object.pointer_mut("/rules/1/resourceNames") {
        *leases = json!([lease_name(Some(id))]);
    }
}

fn object_name(name: &Value, id: &str) -> Value {
    json!(format!("{}-{id}", name.as_str().unwrap_or_default()))
}

/// The hold is for everybody but the manager itself.
fn choose_user(policy: &mut Value, namespace: &str) {
    let expression = format!("request.userInfo.username != 'system:serviceaccount:{namespace}:trimtab'");
    for condition in
        policy.pointer_mut("/spec/matchConditions").and_then(Value::as_array_mut).into_iter().flatten()
    {
        if condition["name"] == "by-others" {
            condition["expression"] = json!(expression);
        }
    }
}

fn choose_manager(deployment: &mut Value, choices: &Choices) {
    let mut arguments =
        vec!["manager".to_owned(), format!("--leader-election-namespace={}", choices.namespace)];
    arguments.extend(choices.prometheus_url.iter().map(|url| format!("--prometheus-url={url}")));
    if !choices.prometheus_matchers.is_empty() {
        arguments.push(format!("--prometheus-matchers={}", choices.prometheus_matchers));
    }
    arguments.extend(choices.instance.iter().map(|id| format!("--instance={id}")));
    arguments.extend(choices.watched.iter().map(|name| format!("--watch-namespace={name}")));
    if let Some(container) = deployment.pointer_mut("/spec/template/spec/containers/0") {
        container["image"] = json!(choices.image);
        container["args"] = json!(arguments);
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn choices() -> Choices {
        Choices {
            namespace: "ops".to_owned(),
            image: "registry.example/trimtab:1".to_owned(),
            prometheus_url: Some("http://prometheus.monitoring:9090".to_owned()),
            prometheus_matchers: r#"cluster="eu-1""#.to_owned(),
            watched: Vec::new(),
            instance: None,
        }
    }

    #[test]
    fn what_is_printed_is_what_was_meant() {
        for object in objects(&choices()).unwrap() {
            let back: Value = serde_saphyr::from_str(&yaml(&object).unwrap()).unwrap();
            assert_eq!(back, object);
        }
    }

    #[test]
    fn every_choice_arrives_and_no_default_is_left() {
        let text: String = objects(&choices()).unwrap().iter().map(Value::to_string).collect();
        assert!(!text.contains(NAMESPACE), "{text}");
        for wanted in [
            "registry.example/trimtab:1",
            "--prometheus-url=http://prometheus.monitoring:9090",
            r#"--prometheus-matchers=cluster=\"eu-1\""#,
            "system:serviceaccount:ops:trimtab'",
        ] {
            assert!(text.contains(wanted), "{wanted}");
        }
    }

    #[test]
    fn a_manager_of_some_namespaces_has_rights_in_no_others() {
        let objects =
            objects(&Choices { watched: vec!["shop".to_owned(), "web".to_owned()], ..choices() }).unwrap();
        let bindings: Vec<String> = objects
            .iter()
            .filter(|object| object["roleRef"]["name"] == "trimtab-manager")
            .map(|object| {
                let text = |pointer: &str| object.pointer(pointer).and_then(Value::as_str).unwrap_or("-");
                let (kind, place) = (text("/kind"), text("/metadata/namespace"));
                format!(
                    "{kind} in {place} of a {} to {}",
                    text("/roleRef/kind"),
                    text("/subjects/0/namespace")
                )
            })
            .collect();
        assert_eq!(
            bindings,
            [
                "RoleBinding in shop of a ClusterRole to ops",
                "RoleBinding in web of a ClusterRole to ops",
                "RoleBinding in ops of a Role to ops",
            ]
        );
        let text: String = objects.iter().map(Value::to_string).collect();
        assert!(text.contains("--watch-namespace=shop") && text.contains("--watch-namespace=web"), "{text}");
    }

    #[test]
    fn references_come_after_what_they_refer_to() {
        let kinds: Vec<String> =
            objects(&choices()).unwrap().iter().map(|o| o["kind"].as_str().unwrap().to_owned()).collect();
        assert_eq!(kinds.first().map(String::as_str), Some("Namespace"));
        let position = |kind: &str| kinds.iter().position(|k| k == kind).unwrap();
        assert!(position("CustomResourceDefinition") < position("ClusterRole"));
        assert!(position("MutatingAdmissionPolicy") < position("MutatingAdmissionPolicyBinding"));
        assert!(position("ServiceAccount") < position("Deployment"));
    }

    /// A permission is added here on purpose or not at all.
    #[test]
    fn permissions_of_the_manager() {
        let objects = objects(&choices()).unwrap();
        let mut granted: Vec<String> = Vec::new();
        for role in
            objects.iter().filter(|o| o["metadata"]["name"] == "trimtab-manager" && o["rules"].is_array())
        {
            for rule in role["rules"].as_array().unwrap() {
                let words = |field: &str| {
                    rule[field]
                        .as_array()
                        .unwrap()
                        .iter()
                        .map(|w| w.as_str().unwrap().to_owned())
                        .collect::<Vec<_>>()
                };
                for resource in words("resources") {
                    let scope = if role["kind"] == "Role" { "own namespace: " } else { "" };
                    let one = rule["resourceNames"][0].as_str().map(|name| format!(" {name} alone"));
                    granted.push(format!(
                        "{scope}{} {resource}{}: {}",
                        words("apiGroups").join(","),
                        one.unwrap_or_default(),
                        words("verbs").join(" ")
                    ));
                }
            }
        }
        granted.sort();
        let expect = include_str!("../../tests/golden/permissions.txt");
        assert_eq!(granted.join("\n") + "\n", expect);
    }
}
