//! OpenAPI v3, as far as kubectl needs it: which operations take `fieldValidation`, and the schemas of custom kinds.

use http::Response;
use serde_json::{Map, Value, json};

use crate::body::SimBody;
use crate::failure::Failure;
use crate::ids::digest;
use crate::kinds::{Kind, Registry};

/// Answers paths beneath `/openapi`.
pub(crate) fn answer(registry: &Registry, rest: &[&str]) -> Result<Response<SimBody>, Failure> {
    match rest {
        ["v3"] => Ok(SimBody::value(200, &index(registry))),
        ["v3", "api", version] => document(registry, "", version),
        ["v3", "apis", group, version] => document(registry, group, version),
        _ => Err(Failure::no_such_path()),
    }
}

fn index(registry: &Registry) -> Value {
    let mut paths = Map::new();
    for (group, versions) in registry.groups() {
        for version in versions {
            let path =
                if group.is_empty() { format!("api/{version}") } else { format!("apis/{group}/{version}") };
            let kinds: Vec<String> = registry
                .in_version(group, version)
                .map(|kind| format!("{:?}", kind.custom.as_ref().map(|custom| &custom.schema)))
                .collect();
            let hash = digest(kinds.join(" ").as_bytes());
            let location = format!("/openapi/v3/{path}?hash={}", &hash[..32]);
            paths.insert(path, json!({"serverRelativeURL": location}));
        }
    }
    json!({"paths": paths})
}

fn document(registry: &Registry, group: &str, version: &str) -> Result<Response<SimBody>, Failure> {
    let mut paths = Map::new();
    let mut schemas = Map::new();
    for kind in registry.in_version(group, version) {
        let base =
            if group.is_empty() { format!("/api/{version}") } else { format!("/apis/{group}/{version}") };
        let path = if kind.namespaced {
            format!("{base}/namespaces/{{namespace}}/{}/{{name}}", kind.plural)
        } else {
            format!("{base}/{}/{{name}}", kind.plural)
        };
        paths.insert(path, operations(kind));
        schemas.insert(schema_name(kind), schema_of(kind));
    }
    if paths.is_empty() {
        return Err(Failure::no_such_path());
    }
    let document = json!({
        "openapi": "3.0.0", "info": {"title": "Kubernetes", "version": "unversioned"},
        "paths": paths, "components": {"schemas": schemas},
    });
    Ok(SimBody::value(200, &document))
}

fn schema_name(kind: &Kind) -> String {
    let mut labels: Vec<&str> = kind.group.split('.').rev().filter(|label| !label.is_empty()).collect();
    labels.push(&kind.version);
    labels.push(&kind.kind);
    labels.join(".")
}

fn group_version_kind(kind: &Kind) -> Value {
    json!({"group": kind.group, "version": kind.version, "kind": kind.kind})
}

fn operations(kind: &Kind) -> Value {
    let parameter = |name: &str| json!({"name": name, "in": "query", "schema": {"type": "string"}});
    let reference = json!({"$ref": format!("#/components/schemas/{}", schema_name(kind))});
    let answer =
        json!({"200": {"description": "OK", "content": {"application/json": {"schema": reference}}}});
    json!({
        "get": {
            "x-kubernetes-action": "get", "x-kubernetes-group-version-kind": group_version_kind(kind),
            "responses": answer,
        },
        "patch": {
            "x-kubernetes-action": "patch", "x-kubernetes-group-version-kind": group_version_kind(kind),
            "parameters": [
                parameter("dryRun"), parameter("fieldManager"), parameter("fieldValidation"), parameter("force"),
            ],
            "responses": answer,
        },
    })
}

fn schema_of(kind: &Kind) -> Value {
    let mut schema = kind
        .custom
        .as_ref()
        .and_then(|custom| custom.schema.clone())
        .unwrap_or_else(|| json!({"type": "object", "x-kubernetes-preserve-unknown-fields": true}));
    schema["x-kubernetes-group-version-kind"] = json!([group_version_kind(kind)]);
    schema
}
