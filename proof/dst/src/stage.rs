//! A whole cluster in one process: simulated API server, modelled world, and the real manager on top.

use std::collections::BTreeSet;
use std::sync::Arc;
use std::time::Duration;

use jiff::{SignedDuration, Timestamp};
use serde_json::{Value, json};
use tokio::task::JoinHandle;
use trimtab_control::context::Context;
use trimtab_control::manager::{ManagerOptions, Parts, stand};
use trimtab_control::measure::PrometheusMeasure;
use trimtab_control::seals::SEAL_SECRET;
use trimtab_delivery::names::MANAGER;
use trimtab_kube::entropy::Entropy;
use trimtab_kube::host::Host;
use trimtab_kube::kinds::{Namespaces, Stores};
use trimtab_kube::lease::Elector;
use trimtab_kube::{Api, CancellationToken, Clock};
use trimtab_providers::prometheus::{Limits, Prometheus, PrometheusConfig};
use trimtab_sim::{Actor, Rbac, Sim, SimConfig};
use trimtab_world::fleet::Fleet;
use trimtab_world::prometheus::{InProcess, PhaseLabel};
use trimtab_world::{Clients, Storage, World, WorldConfig};

use crate::fault::Ongoing;
use crate::messages::Messages;
use crate::planted::{self, Planted, Wrapped};

/// Namespace of the scenarios' services.
pub const NAMESPACE: &str = "shop";
/// Namespace of the manager.
pub const OWN_NAMESPACE: &str = "trimtab-system";
/// The manager's user.
pub const MANAGER_USER: &str = "system:serviceaccount:trimtab-system:trimtab";

/// The resource that managers compete for.
pub const LEASES: &str = "leases.coordination.k8s.io";

/// The objects that `trimtab install` prints and that the simulation needs.
pub(crate) const INSTALLED: [&str; 5] = [
    include_str!("../../../deploy/crds/managedapps.yaml"),
    include_str!("../../../deploy/crds/fleetpolicies.yaml"),
    include_str!("../../../deploy/crds/appreleases.yaml"),
    include_str!("../../../deploy/admission.yaml"),
    include_str!("../../../deploy/rbac.yaml"),
];

/// How a stage is set.
#[derive(Clone, Debug)]
pub struct StageOptions {
    /// Source of everything that looks random.
    pub seed: u64,
    /// Wall-clock time at the start.
    pub epoch: Timestamp,
    /// Whether the admission policy is installed.
    pub admission: bool,
    /// Services that run from the start, without a rollout.
    pub fleet: Fleet,
    /// What is wrong with every manager, on purpose.
    pub planted: Option<Planted>,
    /// Namespaces that managers look after and have rights in.
    pub watched: Namespaces,
    /// Which instance every manager is that is not started as another one.
    pub instance: Option<String>,
    /// What one question of a manager to Prometheus may cost.
    pub limits: Limits,
    /// How the phase of a pod reaches its series.
    pub phase_label: PhaseLabel,
}

impl StageOptions {
    /// The usual stage; 2026-01-01 is its first day.
    #[must_use]
    pub fn seeded(seed: u64) -> Self {
        let epoch = SimConfig::seeded(seed).epoch;
        let limits = Limits { concurrent_queries: 64, ..Limits::default() };
        Self {
            seed,
            epoch,
            admission: true,
            fleet: Fleet::of(Vec::new()),
            planted: None,
            watched: Namespaces::All,
            instance: None,
            limits,
            phase_label: PhaseLabel::Absent,
        }
    }
}

/// The cluster, and the manager that runs on it.
pub struct Stage {
    /// The API server.
    pub sim: Sim,
    /// What surrounds it.
    pub world: World,
    /// Messages that were sent to people.
    pub messages: Messages,
    /// Time.
    pub clock: Clock,
    /// The API as a person uses it.
    pub person: Api,
    managers: Vec<Running>,
    started: u32,
    killed: u32,
    planted: Option<Planted>,
    watched: Namespaces,
    instance: Option<String>,
    limits: Limits,
    seed: u64,
    faults: Ongoing,
}

struct Running {
    number: u32,
    actor: Actor,
    stop: CancellationToken,
    task: JoinHandle<()>,
}

impl Stage {
    /// Sets the stage. Nothing is deployed and no manager runs yet. Must be called within a tokio runtime.
    ///
    /// # Panics
    /// When the manifests that ship with Trimtab are refused by the simulated API server.
    #[must_use]
    pub fn set(options: &StageOptions) -> Self {
        let mut config = SimConfig::seeded(options.seed);
        config.epoch = options.epoch;
        config.rbac = Rbac::Enforced;
        let sim = Sim::new(config);
        let mut objects: Vec<Value> = INSTALLED.iter().flat_map(|text| documents(text)).collect();
        objects.retain(|object| options.admission || !is_admission(object));
        if let Namespaces::These(watched) = &options.watched {
            narrow(&mut objects, watched);
        }
        objects.extend(rights_of_the_world());
        let mut namespaces = BTreeSet::from([NAMESPACE, OWN_NAMESPACE]);
        if let Namespaces::These(watched) = &options.watched {
            namespaces.extend(watched.iter().map(|name| &**name));
        }
        let space = |name| json!({"apiVersion": "v1", "kind": "Namespace", "metadata": {"name": name}});
        sim.load(namespaces.into_iter().map(space).chain(objects).chain([seal_key()]).collect())
            .expect("the manifests that ship with Trimtab are valid");
        let storage = Storage {
            load: &|objects| sim.load(objects),
            get: &|resource, namespace, name| sim.get(resource, namespace, name),
        };
        options.fleet.settle(options.epoch, &storage).expect("a fleet of the model's own making is valid");
        let clock = Clock::following_tokio(options.epoch);
        let clients = Clients::connect(|user| sim.client(user).client);
        let mut config = WorldConfig::new(options.seed, &options.fleet);
        config.prometheus.phase_label = options.phase_label;
        let world = World::start(clients, &clock, config);
        let person = Api::new(sim.client("alice").client, "kubectl-client-side-apply");
        Self {
            sim,
            world,
            messages: Messages::default(),
            clock,
            person,
            managers: Vec::new(),
            started: 0,
            killed: 0,
            planted: options.planted,
            watched: options.watched.clone(),
            instance: options.instance.clone(),
            limits: options.limits.clone(),
            seed: options.seed,
            faults: Ongoing::default(),
        }
    }

    /// What the controllers of a test of its own stand on, with the rights of the manager.
    #[must_use]
    pub fn stand(&self, stores: Stores) -> (Context, Elector) {
        let api = Api::new(self.sim.client(MANAGER_USER).client, MANAGER);
        let options = ManagerOptions {
            namespace: OWN_NAMESPACE.to_owned(),
            identity: "manager".to_owned(),
            ..ManagerOptions::default()
        };
        stand(&options, &api, self.clock.clone(), stores)
    }

    /// Starts a manager; several compete for one lease.
    ///
    /// # Panics
    /// Never: the address of the modelled Prometheus is a constant.
    pub fn start_manager(&mut self) -> Actor {
        self.start_manager_skewed(SignedDuration::ZERO)
    }

    /// Starts a manager of another instance than the stage's.
    pub fn start_manager_of(&mut self, instance: Option<&str>) -> Actor {
        let usual = std::mem::replace(&mut self.instance, instance.map(str::to_owned));
        let actor = self.start_manager();
        self.instance = usual;
        actor
    }

    /// Starts a manager whose wall clock is ahead of everybody else's by `skew`, or behind.
    ///
    /// # Panics
    /// Never: the address of the modelled Prometheus is a constant.
    pub fn start_manager_skewed(&mut self, skew: SignedDuration) -> Actor {
        self.started += 1;
        let actor = self.sim.client(MANAGER_USER);
        let now = self.clock.now();
        let clock = Clock::following_tokio(now.saturating_add(skew).unwrap_or(now));
        let mut config = PrometheusConfig::new("prometheus", "http://prometheus.monitoring:9090");
        config.limits = self.limits.clone();
        let prometheus = Prometheus::new(Arc::new(InProcess(self.world.prometheus().clone())), config)
            .expect("a constant address is valid");
        let measure = Arc::new(PrometheusMeasure::new(Arc::new(prometheus)));
        let Wrapped { client, transport, measure } =
            planted::wrap(self.planted, &actor, &self.messages, measure);
        let parts = Parts { api: Api::new(client, MANAGER), clock, measure, transport, host: Host::new() };
        let options = ManagerOptions {
            namespace: OWN_NAMESPACE.to_owned(),
            identity: format!("manager-{}", self.started),
            watched: self.watched.clone(),
            instance: self.instance.clone(),
            entropy: Entropy::seeded(self.seed),
        };
        let stop = CancellationToken::new();
        let task = tokio::spawn(trimtab_control::run(options, parts, stop.clone()));
        self.managers.push(Running { number: self.started, actor: actor.clone(), stop, task });
        actor
    }

    /// Kills every running manager between two writes: nothing of theirs gets through any more.
    pub fn kill_managers(&mut self) {
        for manager in self.managers.drain(..) {
            self.killed += 1;
            manager.kill();
        }
    }

    /// Kills the manager that was started as the `number`-th, if it runs.
    pub fn kill_manager(&mut self, number: u32) {
        let (dying, living) = self.managers.drain(..).partition(|manager| manager.number == number);
        self.managers = living;
        let dying: Vec<Running> = dying;
        self.killed += u32::try_from(dying.len()).unwrap_or(u32::MAX);
        dying.iter().for_each(Running::kill);
    }

    /// How many managers were killed so far.
    #[must_use]
    pub fn killed(&self) -> u32 {
        self.killed
    }

    /// Running managers: the number each was started as, and who it is to the API server.
    pub fn managers(&self) -> impl Iterator<Item = (u32, &Actor)> {
        self.managers.iter().map(|manager| (manager.number, &manager.actor))
    }

    /// What goes wrong at present.
    pub(crate) fn faults(&mut self) -> &mut Ongoing {
        &mut self.faults
    }

    /// Stops every running manager gracefully.
    pub async fn stop_managers(&mut self) {
        for manager in self.managers.drain(..) {
            manager.stop.cancel();
            // Whether it ended well is told by what it wrote, not by its handle.
            let _ = manager.task.await;
        }
    }

    /// Writes of the manager so far, those to its lease apart: mutating requests that were answered with success.
    #[must_use]
    pub fn writes(&self) -> Vec<trimtab_sim::LedgerEntry> {
        self.sim.ledger().into_iter().filter(is_write_of_ours).collect()
    }

    /// Lets virtual time pass.
    pub async fn advance(&self, span: Duration) {
        tokio::time::sleep(span).await;
    }

    /// Whether any service says that a release is under way: its judge is silent, and not done.
    fn is_releasing(&self) -> bool {
        let apps = self.sim.list("managedapps.trimtab.dev", None);
        apps.iter().any(|app| matches!(app["status"]["phase"].as_str(), Some("Releasing" | "RollingBack")))
    }

    /// Lets time pass until no release is under way and the manager has written nothing for `quiet`, or until `limit` has passed; tells which.
    pub async fn settle(&self, quiet: Duration, limit: Duration) -> bool {
        let start = tokio::time::Instant::now();
        let mut seen = self.sim.ledger_since(0).len();
        let mut since = start;
        while start.elapsed() < limit {
            self.advance(SETTLE_STEP).await;
            let fresh = self.sim.ledger_since(seen);
            seen += fresh.len();
            if fresh.iter().any(is_write_of_ours) || self.is_releasing() {
                since = tokio::time::Instant::now();
            }
            if since.elapsed() >= quiet {
                return true;
            }
        }
        false
    }
}

/// Whether it is a write of the manager that succeeded, those to its lease apart.
#[must_use]
pub fn is_write_of_ours(entry: &trimtab_sim::LedgerEntry) -> bool {
    entry.user == MANAGER_USER && entry.resource != LEASES && (200..300).contains(&entry.code)
}

impl Running {
    fn kill(&self) {
        self.actor.kill();
        self.task.abort();
    }
}

/// The manager's rights on the cluster, in some namespaces alone: as `trimtab install --watch-namespace` prints them.
fn narrow(objects: &mut Vec<Value>, watched: &[Arc<str>]) {
    let is_cluster_wide = |object: &Value| {
        object["kind"] == "ClusterRoleBinding" && object["metadata"]["name"] == "trimtab-manager"
    };
    let Some(place) = objects.iter().position(is_cluster_wide) else { return };
    let binding = objects.remove(place);
    objects.extend(watched.iter().map(|namespace| {
        let mut within = binding.clone();
        within["kind"] = json!("RoleBinding");
        within["metadata"] = json!({"name": "trimtab-manager-watch", "namespace": &**namespace});
        within
    }));
}

/// How often a settling stage is looked at.
const SETTLE_STEP: Duration = Duration::from_secs(5);

/// The key of the seals on records, as a manager wrote it that led before.
fn seal_key() -> Value {
    // 32 bytes of the letter k.
    let data = json!({"key": "a2tra2tra2tra2tra2tra2tra2tra2tra2tra2tra2s="});
    json!({"apiVersion": "v1", "kind": "Secret", "metadata": {"name": SEAL_SECRET, "namespace": OWN_NAMESPACE}, "data": data})
}

/// Rights of everybody but Trimtab: RBAC is enforced, so that its own rights are tested with everything else.
fn rights_of_the_world() -> [Value; 2] {
    let subject = |name| json!({"kind": "Group", "apiGroup": "rbac.authorization.k8s.io", "name": name});
    let groups = ["system:serviceaccounts:kube-system", "system:serviceaccounts:monitoring"];
    [
        json!({
            "apiVersion": "rbac.authorization.k8s.io/v1", "kind": "ClusterRole", "metadata": {"name": "world"},
            "rules": [{"apiGroups": ["*"], "resources": ["*"], "verbs": ["*"]}],
        }),
        json!({
            "apiVersion": "rbac.authorization.k8s.io/v1", "kind": "ClusterRoleBinding", "metadata": {"name": "world"},
            "roleRef": {"apiGroup": "rbac.authorization.k8s.io", "kind": "ClusterRole", "name": "world"},
            "subjects": groups.map(subject),
        }),
    ]
}

pub(crate) fn is_admission(object: &Value) -> bool {
    object["kind"].as_str().is_some_and(|kind| kind.starts_with("MutatingAdmissionPolicy"))
}

/// The documents of a YAML stream.
#[must_use]
pub fn documents(text: &str) -> Vec<Value> {
    serde_saphyr::from_multiple(text).expect("the manifests that ship with Trimtab are YAML")
}
