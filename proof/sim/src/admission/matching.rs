//! Which requests a policy is for.

use serde_json::{Value, json};

use super::Admission;
use crate::json::{at, list, text};
use crate::selector::label_selector_matches;
use crate::server::Server;

/// Whether constraints, which must name the resource, match the request.
pub(super) fn matches(
    server: &Server<'_>,
    admission: &Admission<'_>,
    constraints: &Value,
    object: &Value,
) -> bool {
    list(constraints, "resourceRules").iter().any(|rule| rule_matches(admission, rule))
        && rest_matches(server, admission, constraints, object)
}

/// As [`matches`], for the narrowing of a binding: without rules it narrows by selectors only.
pub(super) fn matches_narrowed(
    server: &Server<'_>,
    admission: &Admission<'_>,
    constraints: &Value,
    object: &Value,
) -> bool {
    let rules = list(constraints, "resourceRules");
    (rules.is_empty() || rules.iter().any(|rule| rule_matches(admission, rule)))
        && rest_matches(server, admission, constraints, object)
}

fn rest_matches(server: &Server<'_>, admission: &Admission<'_>, constraints: &Value, object: &Value) -> bool {
    let excluded = list(constraints, "excludeResourceRules").iter().any(|rule| rule_matches(admission, rule));
    !excluded
        && namespace_matches(server, admission, at(constraints, "namespaceSelector"))
        && object_matches(admission, at(constraints, "objectSelector"), object)
}

fn rule_matches(admission: &Admission<'_>, rule: &Value) -> bool {
    let kind = &admission.target.kind;
    let lists = |field: &str, wanted: &str| list(rule, field).iter().any(|one| one == "*" || one == wanted);
    let names = list(rule, "resourceNames");
    let scope = text(rule, "scope");
    let in_scope = match scope {
        "Namespaced" => kind.namespaced,
        "Cluster" => !kind.namespaced,
        _ => true,
    };
    // Under matchPolicy Equivalent, which is the default, a rule for one version stands for all of them.
    lists("apiGroups", &kind.group)
        && !list(rule, "apiVersions").is_empty()
        && lists("operations", admission.operation)
        && resource_listed(admission, list(rule, "resources"))
        && in_scope
        && (names.is_empty() || names.iter().any(|one| one == &admission.target.route.name))
}

fn resource_listed(admission: &Admission<'_>, resources: &[Value]) -> bool {
    let plural = &admission.target.kind.plural;
    let subresource = &admission.target.route.subresource;
    resources.iter().filter_map(Value::as_str).any(|listed| match listed.split_once('/') {
        None => subresource.is_empty() && (listed == "*" || listed == plural),
        Some((resource, sub)) => {
            (resource == "*" || resource == plural) && (sub == "*" || sub == subresource)
        }
    })
}

fn is_everything(selector: &Value) -> bool {
    selector.as_object().is_none_or(serde_json::Map::is_empty)
}

fn namespace_matches(server: &Server<'_>, admission: &Admission<'_>, selector: &Value) -> bool {
    if is_everything(selector) || !admission.target.kind.namespaced {
        return true;
    }
    server
        .state
        .store
        .get("namespaces", &admission.target.route.namespace)
        .is_some_and(|namespace| label_selector_matches(selector, at(&namespace.value, "metadata.labels")))
}

/// Either state of the object may match: otherwise a label change would escape the policy.
fn object_matches(admission: &Admission<'_>, selector: &Value, object: &Value) -> bool {
    let empty = json!({});
    let selects = |value: &Value| {
        let labels = at(value, "metadata.labels");
        label_selector_matches(selector, if labels.is_null() { &empty } else { labels })
    };
    is_everything(selector) || selects(object) || admission.old.is_some_and(selects)
}
