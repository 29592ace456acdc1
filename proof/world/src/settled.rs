//! A fleet that has been running for a while, put into a store as it would have become.
//!
//! Thousands of services start faster this way than by being rolled out. What is put there is what the controllers and
//! kubelets would have written: they find nothing to do, which a test holds them to.

use std::sync::Arc;

use jiff::Timestamp;
use serde_json::{Value, json};
use trimtab_kube::resource::SERVICES;
use trimtab_kube::watch::Event;

use crate::controllers::cluster::{Cluster, PodRow};
use crate::controllers::write::Write;
use crate::controllers::{deployment, endpoints, replica_set};
use crate::fleet::{Fleet, ServiceSpec};
use crate::kubelet::pod::{Effect, Pod};
use crate::kubelet::runtime::{Happening, RuntimeEvent};
use crate::kubelet::{address, host_address};
use crate::object::{key, stamp, text};
use crate::row::Whole;

/// The store of a simulated API server, as far as settling needs it.
pub struct Storage<'s> {
    /// Creates objects with their status; the first refusal ends it.
    pub load: &'s dyn Fn(Vec<Value>) -> Result<(), String>,
    /// The object of a resource (`deployments.apps`), namespace and name.
    pub get: &'s dyn Fn(&str, &str, &str) -> Option<Value>,
}

impl Storage<'_> {
    fn put(&self, resource: &str, object: Value) -> Result<Value, String> {
        let key = key(&object);
        (self.load)(vec![object])?;
        (self.get)(resource, &key.namespace, &key.name)
            .ok_or_else(|| format!("{resource} {key} was not kept"))
    }
}

impl Fleet {
    /// Puts the fleet into `storage`, all of it ready since `at`. Nothing of it may be there yet.
    ///
    /// # Errors
    /// The words of the first refusal.
    pub fn settle(&self, at: Timestamp, storage: &Storage<'_>) -> Result<(), String> {
        let is_service = |object: &&Value| matches!(text(object, "/kind"), "Deployment" | "Service");
        (storage.load)(self.objects().into_iter().filter(|object| !is_service(&object)).collect())?;
        let nodes = self.node_names();
        let mut pods: u32 = 0;
        for service in &self.services {
            let places = (0..service.replicas).map(|_| {
                pods += 1;
                (address(pods), nodes[pods as usize % nodes.len()].as_str())
            });
            settle_service(service, &places.collect::<Vec<_>>(), at, storage)?;
        }
        Ok(())
    }
}

/// An address and a node for each pod.
type Places<'n> = [(Arc<str>, &'n str)];

fn settle_service(
    spec: &ServiceSpec,
    places: &Places<'_>,
    at: Timestamp,
    storage: &Storage<'_>,
) -> Result<(), String> {
    let [mut deployment, service] = spec.objects();
    let service = storage.put("services", service)?;
    deployment["metadata"]["annotations"]["deployment.kubernetes.io/revision"] = json!("1");
    deployment["status"] =
        counts(spec.replicas, &["replicas", "updatedReplicas", "readyReplicas", "availableReplicas"]);
    deployment["status"]["conditions"] = conditions(at);
    let deployment = storage.put("deployments.apps", deployment)?;
    let mut set = deployment::first_replica_set(&deployment);
    set["status"] = counts(spec.replicas, &["fullyLabeledReplicas", "readyReplicas", "availableReplicas"]);
    set["status"]["replicas"] = json!(spec.replicas);
    let set = storage.put("replicasets.apps", set)?;
    let mut cluster = Cluster::default();
    cluster.take(SERVICES, Event::Apply(Whole::new(service)));
    for (number, (address, node)) in places.iter().enumerate() {
        let mut pod = replica_set::pod_of(&set);
        let name = format!("{}-{number:05}", text(&set, "/metadata/name"));
        pod["metadata"]["name"] = json!(name);
        pod["spec"]["nodeName"] = json!(node);
        pod["status"] = ready_status(&pod, address, node, at);
        cluster.take_pod(Event::Apply(PodRow::read(&storage.put("pods", pod)?)));
    }
    for write in endpoints::plan(&cluster, &spec.key).writes {
        if let Write::Create { object, .. } = write {
            (storage.load)(vec![object])?;
        }
    }
    Ok(())
}

/// A status with these fields, as far as they are not 0.
fn counts(replicas: u32, fields: &[&str]) -> Value {
    let mut status = json!({"observedGeneration": 1, "terminatingReplicas": 0});
    fields.iter().filter(|_| replicas > 0).for_each(|field| status[*field] = json!(replicas));
    status
}

fn conditions(at: Timestamp) -> Value {
    let condition = |kind: &str, reason: &str, message: &str| {
        json!({
            "type": kind, "status": "True", "reason": reason, "message": message,
            "lastUpdateTime": stamp(at), "lastTransitionTime": stamp(at),
        })
    };
    json!([
        condition("Available", "MinimumReplicasAvailable", "Deployment has minimum availability."),
        condition("Progressing", "NewReplicaSetAvailable", "ReplicaSet has successfully progressed."),
    ])
}

/// What a kubelet says of the pod once all its containers are ready.
fn ready_status(pod: &Value, address: &Arc<str>, node: &str, at: Timestamp) -> Value {
    let mut machine = Pod::new(pod, address.clone(), host_address(node), at);
    for effect in machine.advance(at) {
        let Effect::Start(start) = effect else { continue };
        for happening in [Happening::Running, Happening::Ready] {
            machine.happened(&RuntimeEvent { run: start.run.clone(), happening }, at);
        }
    }
    let mut status = machine.status();
    let scheduled = json!({"type": "PodScheduled", "status": "True", "lastTransitionTime": stamp(at)});
    status["conditions"].as_array_mut().expect("a kubelet reports a list of conditions").push(scheduled);
    status
}
