//! Everything in a cluster that is not the API server: one handle that starts it, and steers it.

use std::sync::{Arc, Mutex};

use tokio::sync::Notify;
use tokio::task::JoinHandle;
use trimtab_kube::api::{Preconditions, Propagation};
use trimtab_kube::resource::PODS;
use trimtab_kube::{Api, ApiError, Clock, Key};

use crate::controllers::{self, ControllerApis};
use crate::fleet::Fleet;
use crate::kubelet::{Binding, Kubelet, KubeletConfig, Modelled};
use crate::prometheus::{Prometheus, PrometheusConfig, Scraped};
use crate::traffic::Traffic;
use crate::traffic::driver::{Shared, drive, locked};
use crate::traffic::load::ServiceLoad;
use crate::traffic::meter::Truth;

/// In whose names the parts of a cluster write: what an audit log shows, and what an oracle tells apart.
pub mod users {
    /// The kubelets and, where there is no scheduler, the binding of pods.
    pub const KUBELET: &str = "system:node:kubelet";
    /// The Deployment controller.
    pub const DEPLOYMENT: &str = "system:serviceaccount:kube-system:deployment-controller";
    /// The ReplicaSet controller.
    pub const REPLICA_SET: &str = "system:serviceaccount:kube-system:replicaset-controller";
    /// The EndpointSlice controller.
    pub const ENDPOINTS: &str = "system:serviceaccount:kube-system:endpointslice-controller";
    /// The disruption controller.
    pub const DISRUPTION: &str = "system:serviceaccount:kube-system:disruption-controller";
    /// The HorizontalPodAutoscaler controller.
    pub const HPA: &str = "system:serviceaccount:kube-system:horizontal-pod-autoscaler";
    /// Reads for all controllers, as the controller manager's informers do.
    pub const INFORMERS: &str = "system:kube-controller-manager";
    /// Traffic and Prometheus: only reads.
    pub const OBSERVER: &str = "system:serviceaccount:monitoring:prometheus";
    /// Whoever steers the world: deletes pods.
    pub const OPERATOR: &str = "operator";
}

/// One connection for each of the [`users`].
pub struct Clients {
    kubelet: kube::Client,
    controllers: ControllerApis,
    observer: Api,
    operator: Api,
}

impl Clients {
    /// Makes the connections with `connect`, which is given the name of the user.
    pub fn connect(mut connect: impl FnMut(&'static str) -> kube::Client) -> Self {
        let mut api = |user, manager| Api::new(connect(user), manager);
        let controllers = ControllerApis {
            reader: api(users::INFORMERS, "kube-controller-manager"),
            deployment: api(users::DEPLOYMENT, "kube-controller-manager"),
            replica_set: api(users::REPLICA_SET, "kube-controller-manager"),
            endpoints: api(users::ENDPOINTS, "kube-controller-manager"),
            disruption: api(users::DISRUPTION, "kube-controller-manager"),
            hpa: api(users::HPA, "kube-controller-manager"),
        };
        let observer = api(users::OBSERVER, "prometheus");
        let operator = api(users::OPERATOR, "operator");
        Clients { kubelet: connect(users::KUBELET), controllers, observer, operator }
    }
}

/// How a world behaves.
#[derive(Debug, Clone)]
pub struct WorldConfig {
    /// Everything random follows from it.
    pub seed: u64,
    /// The nodes that pods are put on, in turn.
    pub nodes: Vec<String>,
    /// How Prometheus is set up.
    pub prometheus: PrometheusConfig,
}

impl WorldConfig {
    /// The usual world for this fleet.
    pub fn new(seed: u64, fleet: &Fleet) -> Self {
        WorldConfig { seed, nodes: fleet.node_names(), prometheus: PrometheusConfig::default() }
    }
}

/// Kubelets, controllers, traffic and Prometheus, running. All of it stops when this is dropped.
pub struct World {
    tasks: Vec<JoinHandle<()>>,
    shared: Arc<Shared>,
    prometheus: Prometheus,
    operator: Api,
}

impl World {
    /// Starts everything on the present tokio runtime, which has to have one thread for runs to repeat.
    pub fn start(clients: Clients, clock: &Clock, config: WorldConfig) -> World {
        let Clients { kubelet, controllers, observer, operator } = clients;
        let shared = Arc::new(Shared {
            traffic: Mutex::new(Traffic::new(config.seed)),
            scraped: Mutex::new(Scraped::new(config.prometheus)),
            load_set: Notify::new(),
        });
        let nodes = KubeletConfig { binding: Binding::Own, nodes: config.nodes };
        let kubelet = Kubelet::new(kubelet, clock.clone(), nodes, Modelled::new(config.seed));
        let metered = shared.clone();
        let cpu = Arc::new(move || locked(&metered.traffic).cpu_usage());
        let tasks = vec![
            tokio::spawn(kubelet.run()),
            tokio::spawn(controllers::run(controllers, clock.clone(), cpu)),
            tokio::spawn(drive(observer, clock.clone(), shared.clone())),
        ];
        let prometheus = Prometheus::new(shared.clone(), clock.clone(), config.seed);
        World { tasks, shared, prometheus, operator }
    }

    /// Sets what clients ask of a service.
    pub fn set_load(&self, service: &Key, load: ServiceLoad) {
        locked(&self.shared.traffic).set_load(service, load);
        self.shared.load_set.notify_one();
    }

    /// Sets the load of every service of a fleet that has one.
    pub fn set_loads(&self, fleet: &Fleet) {
        let loaded = fleet.services.iter().filter(|service| !service.load.rate.is_never());
        loaded.for_each(|service| self.set_load(&service.key, service.load));
    }

    /// What really happened to the requests of a service, since the beginning.
    pub fn truth(&self, service: &Key) -> Truth {
        locked(&self.shared.traffic).truth(service)
    }

    /// What really happened at each pod; see [`Traffic::truth_by_pod`].
    pub fn truth_by_pod(&self) -> Vec<(Key, Truth)> {
        locked(&self.shared.traffic).truth_by_pod()
    }

    /// The Prometheus of this world.
    pub fn prometheus(&self) -> &Prometheus {
        &self.prometheus
    }

    /// Gives the running pods of a service a quiet past under its present load; see [`Prometheus::backfill`].
    pub fn backfill(&self, service: &Key, hours: u32) {
        let load = locked(&self.shared.traffic).load(service).unwrap_or_default();
        self.prometheus.backfill(&service.namespace, &service.name, &load, hours);
    }

    /// Deletes a pod with its own grace period, as `kubectl delete pod` does.
    ///
    /// # Errors
    /// The API server's refusal.
    pub async fn delete_pod(&self, pod: &Key) -> Result<(), ApiError> {
        let any = Preconditions::default();
        self.operator.delete(PODS, pod.namespace(), &pod.name, &any, Propagation::Background).await
    }
}

impl Drop for World {
    fn drop(&mut self) {
        self.tasks.iter().for_each(JoinHandle::abort);
    }
}
