//! The store without what differs between equivalent histories, for differential oracles.

use std::collections::BTreeMap;

use serde_json::{Value, json};

use crate::json::text;
use crate::store::Store;

/// Fields whose values are times, addresses or identities.
const MASKED_FIELDS: &[&str] = &[
    "resourceVersion",
    "uid",
    "creationTimestamp",
    "deletionTimestamp",
    "managedFields",
    "lastTransitionTime",
    "lastUpdateTime",
    "lastProbeTime",
    "lastScaleTime",
    "lastTimestamp",
    "firstTimestamp",
    "eventTime",
    "startTime",
    "startedAt",
    "finishedAt",
    "completedAt",
    "acquireTime",
    "renewTime",
    "podIP",
    "podIPs",
    "hostIP",
    "hostIPs",
    "clusterIP",
    "clusterIPs",
    "containerID",
];

/// See [`Sim::masked_state`](crate::Sim::masked_state).
pub(crate) fn masked(store: &Store) -> BTreeMap<String, Value> {
    let mut state = BTreeMap::new();
    for (storage, collection) in &store.collections {
        for (key, stored) in collection {
            let mut value = stored.value.clone();
            mask(&mut value);
            let generate = text(&stored.value, "metadata.generateName");
            let path = if generate.is_empty() {
                format!("{storage}/{key}")
            } else {
                value["metadata"]["name"] = json!(format!("{generate}*"));
                unused(&state, storage, key, generate)
            };
            state.insert(path, value);
        }
    }
    state
}

/// Objects with generated names are numbered in the order of their names.
fn unused(state: &BTreeMap<String, Value>, storage: &str, key: &str, generate: &str) -> String {
    let namespace = key.rsplit_once('/').map_or("", |(namespace, _)| namespace);
    (0_u32..)
        .map(|number| format!("{storage}/{namespace}/{generate}*{number}"))
        .find(|path| !state.contains_key(path))
        .expect("one of 2^32 numbers is free")
}

fn mask(value: &mut Value) {
    match value {
        Value::Object(object) => {
            object.retain(|name, _| !MASKED_FIELDS.contains(&name.as_str()));
            object.values_mut().for_each(mask);
        }
        Value::Array(items) => items.iter_mut().for_each(mask),
        _ => {}
    }
}
