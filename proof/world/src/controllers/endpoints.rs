//! The EndpointSlice controller: which addresses serve a Service.

use std::collections::BTreeMap;
use std::sync::Arc;

use serde_json::{Value, json};
use trimtab_kube::Key;
use trimtab_kube::resource::{ENDPOINT_SLICES, SERVICES};
use trimtab_kube::rng::stable_hash;

use super::cluster::{Cluster, Index, PodRow, controller_reference, service_selector};
use super::write::{Plan, Write};
use crate::object::{self, count, list, text};
use crate::row::Whole;

/// Endpoints in one slice.
const SLICE_ENDPOINTS: usize = 100;
/// Who manages the slices.
const MANAGER: &str = "endpointslice-controller.k8s.io";

/// What to do about one Service.
pub fn plan(cluster: &Cluster, key: &Key) -> Plan {
    let existing: Vec<&Arc<Whole>> = cluster.slices.at(&Index::Service(key.clone())).collect();
    let Some(row) = cluster.services.get(key) else { return Plan::nothing() };
    let service = &*row.object;
    let Some(selector) = service_selector(service) else { return Plan::nothing() };
    let pods = cluster.selected_pods(key, &selector);
    let pods = pods.into_iter().filter(|pod| !pod.ip.is_empty() && !pod.is_over());
    // Pods that disagree about the number of a named port cannot share a slice.
    let mut groups: BTreeMap<String, (Value, Vec<Value>)> = BTreeMap::new();
    for pod in pods {
        let ports = ports(service, pod);
        let group = groups.entry(ports.to_string()).or_insert_with(|| (ports, Vec::new()));
        group.1.push(endpoint(cluster, service, pod));
    }
    if groups.is_empty() {
        groups.insert(String::new(), (json!([]), Vec::new()));
    }
    let wanted = groups.into_values().flat_map(|(ports, endpoints)| {
        let parts: Vec<Vec<Value>> = match endpoints.is_empty() {
            true => vec![Vec::new()],
            false => endpoints.chunks(SLICE_ENDPOINTS).map(<[Value]>::to_vec).collect(),
        };
        parts.into_iter().map(move |endpoints| (ports.clone(), endpoints))
    });
    let mut writes = Vec::new();
    let mut names = Vec::new();
    for (number, (ports, endpoints)) in wanted.enumerate() {
        let name = slice_name(&key.name, number);
        writes.extend(slice_write(service, &existing, &name, &ports, &endpoints));
        names.push(name);
    }
    let surplus =
        existing.iter().filter(|slice| is_ours(slice) && !names.contains(&slice.key.name.to_string()));
    writes.extend(surplus.map(|slice| Write::delete(ENDPOINT_SLICES, &slice.object)));
    Plan::of(writes)
}

fn is_ours(slice: &Whole) -> bool {
    let manager = slice.object.pointer("/metadata/labels/endpointslice.kubernetes.io~1managed-by");
    manager == Some(&json!(MANAGER))
}

/// `payments-x7k2f`: the same name every time, so that a create that was repeated makes no second slice.
fn slice_name(service: &str, number: usize) -> String {
    let hash = stable_hash(&[service.as_bytes(), &number.to_be_bytes()]);
    format!("{service}-{:05x}", hash & 0xf_ffff)
}

fn slice_write(
    service: &Value,
    existing: &[&Arc<Whole>],
    name: &str,
    ports: &Value,
    endpoints: &[Value],
) -> Option<Write> {
    if let Some(slice) = existing.iter().find(|slice| &*slice.key.name == name) {
        let same = slice.object["endpoints"] == json!(endpoints) && slice.object["ports"] == *ports;
        let changes = json!({"endpoints": endpoints, "ports": ports});
        return (!same).then(|| Write::update(ENDPOINT_SLICES, &slice.object, changes));
    }
    let mut labels = object::labels(service, "/metadata/labels");
    labels.insert("kubernetes.io/service-name".to_owned(), text(service, "/metadata/name").to_owned());
    labels.insert("endpointslice.kubernetes.io/managed-by".to_owned(), MANAGER.to_owned());
    let namespace = text(service, "/metadata/namespace");
    let slice = json!({
        "apiVersion": "discovery.k8s.io/v1", "kind": "EndpointSlice", "addressType": "IPv4",
        "metadata": {
            "name": name, "namespace": namespace, "labels": labels,
            "ownerReferences": [controller_reference(SERVICES, service)],
        },
        "endpoints": endpoints, "ports": ports,
    });
    Some(Write::Create { resource: ENDPOINT_SLICES, namespace: namespace.to_owned(), object: slice })
}

fn ports(service: &Value, pod: &PodRow) -> Value {
    let ports = list(service, "/spec/ports").iter().filter_map(|port| {
        let number = match &port["targetPort"] {
            Value::String(name) => {
                pod.ports.iter().find(|(named, _)| named == name).map(|(_, number)| *number)?
            }
            Value::Number(_) => count(port, "/targetPort", 0),
            _ => count(port, "/port", 0),
        };
        let protocol = Some(text(port, "/protocol")).filter(|word| !word.is_empty()).unwrap_or("TCP");
        Some(json!({"name": text(port, "/name"), "port": number, "protocol": protocol}))
    });
    ports.collect()
}

fn endpoint(cluster: &Cluster, service: &Value, pod: &PodRow) -> Value {
    let serving = pod.ready_since.is_some();
    let terminating = !cluster.is_active(pod);
    let always = service.pointer("/spec/publishNotReadyAddresses") == Some(&json!(true));
    json!({
        "addresses": [pod.ip],
        "conditions": {"ready": always || serving && !terminating, "serving": serving, "terminating": terminating},
        "nodeName": pod.node,
        "targetRef": {"kind": "Pod", "namespace": pod.key.namespace, "name": pod.key.name, "uid": pod.uid},
    })
}
