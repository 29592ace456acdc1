//! A fleet in a few words: namespaces, nodes, and services with the objects a team would have written for them.

use std::collections::BTreeSet;

use serde_json::{Value, json};
use trimtab_kube::resource::{DEPLOYMENTS, NAMESPACES, NODES, SERVICES};
use trimtab_kube::{Api, ApiError, Key, Resource};

use crate::object::{self, text};
use crate::traffic::load::ServiceLoad;

/// The port that the containers of a fleet listen on.
pub const CONTAINER_PORT: u32 = 8080;

/// One service: a Deployment, a Service in front of it, and the load it gets.
#[derive(Debug, Clone)]
pub struct ServiceSpec {
    /// Namespace and name, of the Deployment and of the Service.
    pub key: Key,
    /// Replicas of the Deployment.
    pub replicas: u32,
    /// Image of the one container; its tag says how it behaves.
    pub image: String,
    /// What clients ask of it; none by default.
    pub load: ServiceLoad,
    /// CPU request of the container, as a quantity.
    pub cpu_request: String,
    /// Merged over the Deployment's spec at the top level: strategy, `minReadySeconds`, and so on.
    pub deployment_spec: Value,
}

impl ServiceSpec {
    /// Three replicas of `namespace/name:v1` without load.
    pub fn new(namespace: &str, name: &str) -> Self {
        ServiceSpec {
            key: Key::new(namespace, name),
            replicas: 3,
            image: format!("{namespace}/{name}:v1"),
            load: ServiceLoad::default(),
            cpu_request: "100m".to_owned(),
            deployment_spec: json!({}),
        }
    }

    /// The Deployment and the Service.
    pub fn objects(&self) -> [Value; 2] {
        let labels = json!({"app": self.key.name});
        let metadata = json!({"namespace": self.key.namespace, "name": self.key.name, "labels": labels});
        let mut deployment = json!({
            "apiVersion": "apps/v1", "kind": "Deployment", "metadata": metadata,
            "spec": {
                "replicas": self.replicas, "selector": {"matchLabels": labels},
                "template": {"metadata": {"labels": labels}, "spec": {"containers": [self.container()]}},
            },
        });
        for (field, value) in self.deployment_spec.as_object().into_iter().flatten() {
            deployment["spec"][field] = value.clone();
        }
        let service = json!({
            "apiVersion": "v1", "kind": "Service", "metadata": metadata,
            "spec": {"selector": labels, "ports": [{"name": "http", "port": 80, "targetPort": "http"}]},
        });
        [deployment, service]
    }

    fn container(&self) -> Value {
        json!({
            "name": "service", "image": self.image,
            "ports": [{"name": "http", "containerPort": CONTAINER_PORT}],
            "readinessProbe": {"httpGet": {"path": "/ready", "port": "http"}, "periodSeconds": 5},
            "resources": {"requests": {"cpu": self.cpu_request, "memory": "64Mi"}},
        })
    }
}

/// Services and the nodes they run on.
#[derive(Debug, Clone)]
pub struct Fleet {
    /// How many nodes; they are called `node-1`, `node-2`, ...
    pub nodes: u32,
    /// The services.
    pub services: Vec<ServiceSpec>,
}

impl Fleet {
    /// Three nodes with these services.
    pub fn of(services: Vec<ServiceSpec>) -> Self {
        Fleet { nodes: 3, services }
    }

    /// `count` idle services of one replica each, in namespaces of 100.
    pub fn idle(count: u32) -> Self {
        let service = |number: u32| {
            let namespace = format!("team-{:02}", number / 100);
            ServiceSpec { replicas: 1, ..ServiceSpec::new(&namespace, &format!("service-{number:04}")) }
        };
        Fleet { nodes: 20, services: (0..count).map(service).collect() }
    }

    /// The names of the nodes.
    pub fn node_names(&self) -> Vec<String> {
        (1..=self.nodes).map(|number| format!("node-{number}")).collect()
    }

    /// All objects, in an order in which they can be created.
    pub fn objects(&self) -> Vec<Value> {
        let namespaces: BTreeSet<&str> =
            self.services.iter().map(|service| &*service.key.namespace).collect();
        let namespaces = namespaces.into_iter().filter(|name| *name != "default");
        let namespaces = namespaces
            .map(|name| json!({"apiVersion": "v1", "kind": "Namespace", "metadata": {"name": name}}));
        let nodes = self.node_names().into_iter().map(|name| node(&name));
        let services = self.services.iter().flat_map(ServiceSpec::objects);
        namespaces.chain(nodes).chain(services).collect()
    }

    /// Creates all objects, one after the other. What is there already is left as it is.
    ///
    /// # Errors
    /// The first refusal that is not "already exists".
    pub async fn create(&self, api: &Api) -> Result<(), ApiError> {
        for object in self.objects() {
            let key = object::key(&object);
            match api.create(resource_of(&object), key.namespace(), &object).await {
                Ok(_) | Err(ApiError::AlreadyExists { .. }) => {}
                Err(error) => return Err(error),
            }
        }
        Ok(())
    }
}

fn node(name: &str) -> Value {
    let capacity = json!({"cpu": "64", "memory": "256Gi", "pods": "500"});
    let ready = json!([{"type": "Ready", "status": "True", "reason": "KubeletReady"}]);
    json!({
        "apiVersion": "v1", "kind": "Node",
        "metadata": {"name": name, "labels": {"kubernetes.io/hostname": name, "kubernetes.io/os": "linux"}},
        "spec": {},
        "status": {"capacity": capacity, "allocatable": capacity, "conditions": ready},
    })
}

fn resource_of(object: &Value) -> &'static Resource {
    match text(object, "/kind") {
        "Namespace" => NAMESPACES,
        "Node" => NODES,
        "Service" => SERVICES,
        _ => DEPLOYMENTS,
    }
}
