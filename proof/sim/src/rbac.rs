//! Role-based access control, evaluated over the stored roles and bindings.

use std::borrow::Cow;

use serde_json::Value;

use crate::config::Rbac;
use crate::failure::Failure;
use crate::json::{at, list, text};
use crate::route::{Call, Route};
use crate::server::Server;

const SERVICE_ACCOUNT: &str = "system:serviceaccount:";

/// What is asked for.
struct Attributes<'a> {
    verb: &'a str,
    group: &'a str,
    resource: Cow<'a, str>,
    name: &'a str,
    namespace: &'a str,
}

/// The groups that a user is in.
pub(crate) fn groups(user: &str) -> Vec<String> {
    let mut groups = Vec::new();
    match user.strip_prefix(SERVICE_ACCOUNT).and_then(|rest| rest.split_once(':')) {
        Some((namespace, _)) => {
            groups.push("system:serviceaccounts".to_owned());
            groups.push(format!("system:serviceaccounts:{namespace}"));
        }
        None => groups.push("system:masters".to_owned()),
    }
    groups.push("system:authenticated".to_owned());
    groups
}

/// Refuses with 403 what no stored rule allows.
pub(crate) fn authorize(server: &Server<'_>, call: &Call, route: &Route, verb: &str) -> Result<(), Failure> {
    let resource = match route.subresource.as_str() {
        "" => Cow::Borrowed(route.plural.as_str()),
        subresource => Cow::Owned(format!("{}/{subresource}", route.plural)),
    };
    let verb = if verb == "apply" { "patch" } else { verb };
    let attributes =
        Attributes { verb, group: &route.group, resource, name: &route.name, namespace: &route.namespace };
    if allowed(server, &call.user, &attributes) {
        return Ok(());
    }
    let place = match route.namespace.as_str() {
        "" => "at the cluster scope".to_owned(),
        namespace => format!("in the namespace \"{namespace}\""),
    };
    let why = format!(
        "User \"{}\" cannot {verb} resource \"{}\" in API group \"{}\" {place}",
        call.user, attributes.resource, route.group
    );
    let subject = crate::failure::Subject { group: &route.group, plural: &route.plural, kind: "" };
    Err(Failure::forbidden(&subject, &route.name, &why))
}

/// The answer to an access review.
pub(crate) fn review(server: &Server<'_>, user: &str, review: &Value) -> bool {
    if server.config.rbac == Rbac::Off {
        return true;
    }
    let asked = at(review, "spec.resourceAttributes");
    if asked.is_null() {
        return true;
    }
    let (resource, subresource) = (text(asked, "resource"), text(asked, "subresource"));
    let resource = if subresource.is_empty() {
        Cow::Borrowed(resource)
    } else {
        Cow::Owned(format!("{resource}/{subresource}"))
    };
    let attributes = Attributes {
        verb: text(asked, "verb"),
        group: text(asked, "group"),
        resource,
        name: text(asked, "name"),
        namespace: text(asked, "namespace"),
    };
    allowed(server, user, &attributes)
}

fn allowed(server: &Server<'_>, user: &str, attributes: &Attributes<'_>) -> bool {
    if !user.starts_with(SERVICE_ACCOUNT) {
        return true;
    }
    let groups = groups(user);
    let store = &server.state.store;
    let cluster_wide = store
        .in_collection("clusterrolebindings.rbac.authorization.k8s.io")
        .filter(|(_, binding)| binds(&binding.value, user, &groups))
        .any(|(_, binding)| role_allows(server, &binding.value, "", attributes));
    if cluster_wide || attributes.namespace.is_empty() {
        return cluster_wide;
    }
    store
        .in_namespace("rolebindings.rbac.authorization.k8s.io", attributes.namespace)
        .filter(|(_, binding)| binds(&binding.value, user, &groups))
        .any(|(_, binding)| role_allows(server, &binding.value, attributes.namespace, attributes))
}

fn binds(binding: &Value, user: &str, groups: &[String]) -> bool {
    list(binding, "subjects").iter().any(|subject| {
        let name = text(subject, "name");
        match text(subject, "kind") {
            "ServiceAccount" => {
                let namespace = match text(subject, "namespace") {
                    "" => text(binding, "metadata.namespace"),
                    namespace => namespace,
                };
                user == format!("{SERVICE_ACCOUNT}{namespace}:{name}")
            }
            "User" => user == name,
            "Group" => groups.iter().any(|group| group == name),
            _ => false,
        }
    })
}

fn role_allows(server: &Server<'_>, binding: &Value, namespace: &str, attributes: &Attributes<'_>) -> bool {
    let name = text(binding, "roleRef.name");
    let role = match text(binding, "roleRef.kind") {
        "ClusterRole" => server.state.store.get("clusterroles.rbac.authorization.k8s.io", name),
        _ => server.state.store.get("roles.rbac.authorization.k8s.io", &format!("{namespace}/{name}")),
    };
    role.is_some_and(|role| list(&role.value, "rules").iter().any(|rule| rule_allows(rule, attributes)))
}

fn rule_allows(rule: &Value, attributes: &Attributes<'_>) -> bool {
    let lists = |field: &str, wanted: &str| list(rule, field).iter().any(|one| one == "*" || one == wanted);
    let subresource_of_any = attributes.resource.split_once('/').is_some_and(|(_, subresource)| {
        list(rule, "resources").iter().any(|one| one.as_str() == Some(&format!("*/{subresource}")))
    });
    let names = list(rule, "resourceNames");
    lists("verbs", attributes.verb)
        && lists("apiGroups", attributes.group)
        && (lists("resources", &attributes.resource) || subresource_of_any)
        && (names.is_empty() || names.iter().any(|one| one.as_str() == Some(attributes.name)))
}
