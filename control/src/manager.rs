//! The manager: which controllers there are, and what they stand on.

use std::sync::Arc;

use futures::FutureExt;
use trimtab_delivery::names::lease_name;
use trimtab_kube::entropy::Entropy;
use trimtab_kube::expectations::Expectations;
use trimtab_kube::host::Host;
use trimtab_kube::kinds::{self, Namespaces, Stores};
use trimtab_kube::lease::{Elector, LeaseConfig, elect};
use trimtab_kube::queue::Queue;
use trimtab_kube::{Api, CancellationToken, Clock, Key};
use trimtab_providers::http::HttpTransport;

use crate::bindings::Bindings;
use crate::context::Context;
use crate::controllers::delivery::{Delivery, check_bindings};
use crate::controllers::messages::Messages;
use crate::controllers::policy::Policy;
use crate::controllers::unclaim::Unclaim;
use crate::host::Controllers;
use crate::measurements::{Measure, Measurements};
use crate::outbox::Outbox;
use crate::seals::Seals;
use crate::standing::Standing;

/// Services that are asked about at one time: a place is held while a question waits for its turn, so there are enough for
/// the services of a namespace whose every question takes as long as it may, and for all others.
const MEASURED_AT_ONCE: usize = 1_024;
/// Services whose rules are looked up at one time: nobody waits for it.
const CHECKS_AT_ONCE: usize = 2;

/// How a manager is set up.
#[derive(Clone, Debug, Default)]
pub struct ManagerOptions {
    /// Namespace of the lease, of the key of seals, and of the Secrets that policies name.
    pub namespace: String,
    /// Who this process is among its replicas; unique.
    pub identity: String,
    /// Which namespaces it looks after.
    pub watched: Namespaces,
    /// Which services it looks after: those whose label says so; without it, those that have no such label.
    pub instance: Option<String>,
    /// What a new key is made of.
    pub entropy: Entropy,
}

/// What a manager stands on; the simulated cluster brings its own.
pub struct Parts {
    /// The API, with the delivery field manager.
    pub api: Api,
    /// Time.
    pub clock: Clock,
    /// Answers the judges.
    pub measure: Arc<dyn Measure>,
    /// Takes messages to people.
    pub transport: Arc<dyn HttpTransport>,
    /// Probes and metrics are registered here.
    pub host: Host,
}

/// Runs until `stop` is cancelled: leads when it can, watches always. Returns after the last write was answered and the
/// lease was given back.
pub async fn run(options: ManagerOptions, parts: Parts, stop: CancellationToken) {
    let Parts { api, clock, measure, transport, host } = parts;
    let (context, elector) = stand(&options, &api, clock, kinds::all());
    let mut controllers = Controllers::new(context.clone());
    add_delivery(&mut controllers, &context, &options, measure, transport);
    let queue = |name| Queue::new(name, context.clock.clone());
    let unclaim = Unclaim { stores: context.stores.clone(), instance: options.instance.clone() };
    controllers.add(unclaim, queue("unclaim"));
    // Whether a policy is valid is said by whoever looks after the whole cluster, once.
    if options.watched == Namespaces::All && options.instance.is_none() {
        controllers.add(Policy { stores: context.stores.clone() }, queue("policy"));
    }
    controllers.run(elector, &options.watched, &host, stop).await;
}

/// What controllers stand on, and the elector that makes this process their leader.
#[must_use]
pub fn stand(options: &ManagerOptions, api: &Api, clock: Clock, stores: Stores) -> (Context, Elector) {
    let lease = LeaseConfig::new(lease(options), options.identity.clone());
    let (leadership, elector) = elect(api.clone(), clock.clone(), lease);
    let context = Context {
        api: api.fenced(leadership.clone()),
        clock,
        standing: Standing::new(leadership, stores.clone()),
        seals: Seals::new(&options.namespace, options.entropy.clone(), stores.trust().clone()),
        stores,
        expectations: Expectations::default(),
    };
    (context, elector)
}

fn lease(options: &ManagerOptions) -> Key {
    Key::new(options.namespace.as_str(), lease_name(options.instance.as_deref()))
}

/// Delivery, and what works for it beside it.
fn add_delivery(
    controllers: &mut Controllers,
    context: &Context,
    options: &ManagerOptions,
    measure: Arc<dyn Measure>,
    transport: Arc<dyn HttpTransport>,
) {
    let services: Queue<Key> = Queue::new("delivery", context.clock.clone());
    let unasked: Queue<Key> = Queue::new("bindings", context.clock.clone());
    let open: Queue<Key> = Queue::new("measurements", context.clock.clone());
    let measurements =
        Measurements::new(measure.clone(), context.clock.clone(), open.clone(), services.clone());
    let bindings = Arc::new(Bindings::new(measure, unasked.clone()));
    let told: Queue<Key> = Queue::new("messages", context.clock.clone());
    let outbox = Arc::new(Outbox::new(
        context.api.clone(),
        transport,
        context.clock.clone(),
        options.namespace.clone(),
        context.standing.leadership().clone(),
        told.clone(),
    ));
    let messages = Messages { stores: context.stores.clone(), outbox: outbox.clone() };
    controllers.add(messages, told);
    controllers.add(
        Delivery {
            stores: context.stores.clone(),
            measurements: measurements.clone(),
            bindings: bindings.clone(),
            outbox,
            instance: options.instance.clone(),
        },
        services.clone(),
    );
    controllers.add_worker(open, MEASURED_AT_ONCE, move |service| {
        let measurements = measurements.clone();
        async move { measurements.ask(service).await }
    });
    let (context, instance) = (context.clone(), options.instance.clone());
    controllers.add_worker(unasked, CHECKS_AT_ONCE, move |service| {
        check_bindings(context.clone(), instance.clone(), bindings.clone(), service, services.clone()).boxed()
    });
}
