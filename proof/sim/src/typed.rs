//! Which fields built-in kinds have, learnt from their generated types: unknown ones are dropped and wrong types refused, as a server
//! that decodes into structs does. The objects themselves are never replaced by a typed round trip.

use k8s_openapi::api::{
    apps::v1 as apps, autoscaling::v2 as autoscaling, batch::v1 as batch, coordination::v1 as coordination,
    core::v1 as core, discovery::v1 as discovery, policy::v1 as policy, rbac::v1 as rbac,
};
use serde::Serialize;
use serde::de::DeserializeOwned;
use serde_json::Value;

use crate::kinds::Kind;

/// The object as its type sees it; `None` for kinds whose type is not known here.
///
/// # Errors
/// What the type objects to.
fn seen(kind: &Kind, object: &Value) -> Result<Option<Value>, String> {
    let look = match (kind.group.as_str(), kind.plural.as_str()) {
        ("", "configmaps") => through::<core::ConfigMap>,
        ("", "events") | ("events.k8s.io", "events") => through::<core::Event>,
        ("", "namespaces") => through::<core::Namespace>,
        ("", "nodes") => through::<core::Node>,
        ("", "pods") => through::<core::Pod>,
        ("", "secrets") => through::<core::Secret>,
        ("", "serviceaccounts") => through::<core::ServiceAccount>,
        ("", "services") => through::<core::Service>,
        ("apps", "daemonsets") => through::<apps::DaemonSet>,
        ("apps", "deployments") => through::<apps::Deployment>,
        ("apps", "replicasets") => through::<apps::ReplicaSet>,
        ("apps", "statefulsets") => through::<apps::StatefulSet>,
        ("autoscaling", _) => through::<autoscaling::HorizontalPodAutoscaler>,
        ("batch", "jobs") => through::<batch::Job>,
        ("batch", "cronjobs") => through::<batch::CronJob>,
        ("coordination.k8s.io", "leases") => through::<coordination::Lease>,
        ("discovery.k8s.io", "endpointslices") => through::<discovery::EndpointSlice>,
        ("policy", _) => through::<policy::PodDisruptionBudget>,
        ("rbac.authorization.k8s.io", "roles") => through::<rbac::Role>,
        ("rbac.authorization.k8s.io", "clusterroles") => through::<rbac::ClusterRole>,
        _ => return Ok(None),
    };
    look(object).map(Some)
}

fn through<T: DeserializeOwned + Serialize>(object: &Value) -> Result<Value, String> {
    let typed = T::deserialize(object).map_err(|error| format!("json: cannot unmarshal: {error}"))?;
    serde_json::to_value(typed).map_err(|error| error.to_string())
}

/// Drops the fields that the kind's type does not have; returns their paths.
///
/// # Errors
/// What the type objects to.
pub(crate) fn prune(kind: &Kind, object: &mut Value) -> Result<Vec<String>, String> {
    let Some(known) = seen(kind, object)? else { return Ok(Vec::new()) };
    let mut pruned = Vec::new();
    for (name, value) in object.as_object_mut().into_iter().flatten() {
        if name != "metadata" {
            drop_unknown(value, known.get(name), name, &mut pruned);
        }
    }
    let unknown: Vec<String> = object
        .as_object()
        .into_iter()
        .flatten()
        .map(|(name, _)| name.clone())
        .filter(|name| known.get(name).is_none())
        .collect();
    if let Some(fields) = object.as_object_mut() {
        for name in unknown {
            fields.remove(&name);
            pruned.push(name);
        }
    }
    Ok(pruned)
}

fn drop_unknown(value: &mut Value, known: Option<&Value>, path: &str, pruned: &mut Vec<String>) {
    match (value, known) {
        (Value::Object(fields), Some(Value::Object(known))) => {
            let names: Vec<String> = fields.keys().cloned().collect();
            for name in names {
                let inner = format!("{path}.{name}");
                match known.get(&name) {
                    Some(known) => drop_unknown(&mut fields[&name], Some(known), &inner, pruned),
                    None if fields[&name].is_null() => {}
                    None => {
                        fields.remove(&name);
                        pruned.push(inner);
                    }
                }
            }
        }
        (Value::Array(items), Some(Value::Array(known))) => {
            for (index, item) in items.iter_mut().enumerate() {
                drop_unknown(item, known.get(index), &format!("{path}[{index}]"), pruned);
            }
        }
        _ => {}
    }
}
