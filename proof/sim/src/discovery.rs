//! What is served: versions, discovery, OpenAPI, health.

use http::{Method, Response};
use serde_json::{Value, json};

use crate::body::SimBody;
use crate::failure::Failure;
use crate::kinds::{Kind, Registry};
use crate::openapi;
use crate::route::Call;
use crate::server::Server;

/// Answers a path that is no resource.
pub(crate) fn answer(server: &Server<'_>, call: &Call) -> Result<Response<SimBody>, Failure> {
    if !matches!(call.method, Method::GET | Method::HEAD) {
        return Err(Failure::method_not_allowed());
    }
    let registry = &server.state.registry;
    let segments: Vec<&str> = call.path.split('/').filter(|segment| !segment.is_empty()).collect();
    let aggregated = call.accept.contains("apidiscovery.k8s.io");
    match segments.as_slice() {
        [] => Ok(SimBody::value(200, &json!({"paths": paths(registry)}))),
        ["healthz" | "readyz" | "livez", ..] => Ok(SimBody::text(200, "ok".to_owned())),
        ["version"] => Ok(SimBody::value(200, &version(&server.config.git_version))),
        ["api"] if aggregated => Ok(aggregated_groups(registry, |group| group.is_empty())),
        ["apis"] if aggregated => Ok(aggregated_groups(registry, |group| !group.is_empty())),
        ["api"] => Ok(SimBody::value(
            200,
            &json!({"kind": "APIVersions", "versions": ["v1"], "serverAddressByClientCIDRs": []}),
        )),
        ["apis"] => {
            let groups: Vec<Value> =
                named_groups(registry).map(|(group, versions)| group_of(group, versions)).collect();
            Ok(SimBody::value(200, &json!({"kind": "APIGroupList", "apiVersion": "v1", "groups": groups})))
        }
        ["apis", group] => named_groups(registry)
            .find(|(other, _)| other == group)
            .map(|(group, versions)| SimBody::value(200, &typed_group(group, versions)))
            .ok_or_else(Failure::no_such_path),
        ["api", version] => resource_list(registry, "", version),
        ["apis", group, version] => resource_list(registry, group, version),
        ["openapi", rest @ ..] => openapi::answer(registry, rest),
        _ => Err(Failure::no_such_path()),
    }
}

fn named_groups(registry: &Registry) -> impl Iterator<Item = (&String, &Vec<String>)> {
    registry.groups().iter().filter(|(group, _)| !group.is_empty()).map(|(group, versions)| (group, versions))
}

fn paths(registry: &Registry) -> Vec<String> {
    let mut paths = vec!["/api".to_owned(), "/api/v1".to_owned(), "/apis".to_owned()];
    for (group, versions) in named_groups(registry) {
        paths.push(format!("/apis/{group}"));
        paths.extend(versions.iter().map(|version| format!("/apis/{group}/{version}")));
    }
    paths.extend(["/healthz", "/livez", "/openapi/v3", "/readyz", "/version"].map(str::to_owned));
    paths
}

fn version(git_version: &str) -> Value {
    let mut numbers = git_version.trim_start_matches('v').split('.');
    json!({
        "major": numbers.next().unwrap_or_default(), "minor": numbers.next().unwrap_or_default(),
        "gitVersion": git_version, "gitCommit": "", "gitTreeState": "clean", "buildDate": "1970-01-01T00:00:00Z",
        "goVersion": "", "compiler": "", "platform": "linux/amd64",
    })
}

fn group_of(group: &str, versions: &[String]) -> Value {
    let listed: Vec<Value> = versions
        .iter()
        .map(|version| json!({"groupVersion": format!("{group}/{version}"), "version": version}))
        .collect();
    json!({"name": group, "versions": listed, "preferredVersion": listed.first()})
}

fn typed_group(group: &str, versions: &[String]) -> Value {
    let mut value = group_of(group, versions);
    value["kind"] = "APIGroup".into();
    value["apiVersion"] = "v1".into();
    value
}

const VERBS: &[&str] = &["create", "delete", "deletecollection", "get", "list", "patch", "update", "watch"];

/// Subresources: name, kind, group and version of what they exchange, verbs.
fn subresources(kind: &Kind) -> Vec<(&'static str, String, String, String, &'static [&'static str])> {
    let own = |name: &'static str, verbs: &'static [&'static str]| {
        (name, kind.kind.clone(), kind.group.clone(), kind.version.clone(), verbs)
    };
    let other = |name: &'static str, what: &str, group: &str, verbs: &'static [&'static str]| {
        (name, what.to_owned(), group.to_owned(), "v1".to_owned(), verbs)
    };
    let mut all = Vec::new();
    if kind.features.status {
        all.push(own("status", &["get", "patch", "update"]));
    }
    if kind.features.scale {
        all.push(other("scale", "Scale", "autoscaling", &["get", "patch", "update"]));
    }
    if kind.is("", "pods") {
        all.push(other("binding", "Binding", "", &["create"]));
        all.push(other("eviction", "Eviction", "policy", &["create"]));
        all.push(own("log", &["get"]));
        all.push(own("resize", &["get", "patch", "update"]));
    }
    if kind.is("", "namespaces") {
        all.push(own("finalize", &["update"]));
    }
    if kind.is("", "serviceaccounts") {
        all.push(other("token", "TokenRequest", "authentication.k8s.io", &["create"]));
    }
    all
}

fn resource_list(registry: &Registry, group: &str, version: &str) -> Result<Response<SimBody>, Failure> {
    let mut resources = Vec::new();
    for kind in registry.in_version(group, version) {
        let mut resource = json!({
            "name": kind.plural, "singularName": kind.singular, "namespaced": kind.namespaced,
            "kind": kind.kind, "verbs": VERBS,
        });
        if !kind.short_names.is_empty() {
            resource["shortNames"] = kind.short_names.clone().into();
        }
        if !kind.categories.is_empty() {
            resource["categories"] = kind.categories.clone().into();
        }
        resources.push(resource);
        for (name, what, sub_group, sub_version, verbs) in subresources(kind) {
            resources.push(json!({
                "name": format!("{}/{name}", kind.plural), "singularName": "", "namespaced": kind.namespaced,
                "kind": what, "group": sub_group, "version": sub_version, "verbs": verbs,
            }));
        }
    }
    if resources.is_empty() {
        return Err(Failure::no_such_path());
    }
    let group_version = if group.is_empty() { version.to_owned() } else { format!("{group}/{version}") };
    Ok(SimBody::value(
        200,
        &json!({
            "kind": "APIResourceList", "apiVersion": "v1", "groupVersion": group_version, "resources": resources,
        }),
    ))
}

const AGGREGATED: &str = "application/json;g=apidiscovery.k8s.io;v=v2;as=APIGroupDiscoveryList";

fn aggregated_groups(registry: &Registry, wanted: impl Fn(&str) -> bool) -> Response<SimBody> {
    let items: Vec<Value> = registry
        .groups()
        .iter()
        .filter(|(group, _)| wanted(group))
        .map(|(group, versions)| {
            let versions: Vec<Value> = versions
                .iter()
                .map(|version| {
                    let resources: Vec<Value> =
                        registry.in_version(group, version).map(|kind| aggregated_resource(kind)).collect();
                    json!({"version": version, "resources": resources, "freshness": "Current"})
                })
                .collect();
            json!({"metadata": {"name": group, "creationTimestamp": null}, "versions": versions})
        })
        .collect();
    let list = json!({
        "kind": "APIGroupDiscoveryList", "apiVersion": "apidiscovery.k8s.io/v2", "metadata": {}, "items": items,
    });
    SimBody::media(200, AGGREGATED, list.to_string().into())
}

fn aggregated_resource(kind: &Kind) -> Value {
    let subresources: Vec<Value> = subresources(kind)
        .into_iter()
        .map(|(name, what, group, version, verbs)| {
            json!({
                "subresource": name, "verbs": verbs,
                "responseKind": {"group": group, "version": version, "kind": what},
            })
        })
        .collect();
    let mut resource = json!({
        "resource": kind.plural, "singularResource": kind.singular, "verbs": VERBS,
        "scope": if kind.namespaced { "Namespaced" } else { "Cluster" },
        "responseKind": {"group": kind.group, "version": kind.version, "kind": kind.kind},
    });
    if !kind.short_names.is_empty() {
        resource["shortNames"] = kind.short_names.clone().into();
    }
    if !kind.categories.is_empty() {
        resource["categories"] = kind.categories.clone().into();
    }
    if !subresources.is_empty() {
        resource["subresources"] = subresources.into();
    }
    resource
}
