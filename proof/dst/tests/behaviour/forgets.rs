//! What is remembered of services goes when they go.

use std::fmt::Write as _;
use std::sync::Arc;

use trimtab_control::bindings::Bindings;
use trimtab_control::controllers::delivery::Delivery;
use trimtab_control::controllers::messages::Messages;
use trimtab_control::host::Controllers;
use trimtab_control::measure::PrometheusMeasure;
use trimtab_control::measurements::{Measure, Measurements};
use trimtab_control::outbox::Outbox;
use trimtab_dst::messages::Answers;
use trimtab_dst::stage::OWN_NAMESPACE;
use trimtab_dst::{Stage, StageOptions, script};
use trimtab_kube::host::Host;
use trimtab_kube::kinds::{self, Namespaces};
use trimtab_kube::queue::Queue;
use trimtab_kube::{CancellationToken, Key};
use trimtab_providers::prometheus::{Prometheus, PrometheusConfig};
use trimtab_world::prometheus::InProcess;

/// Services that come and go.
const SERVICES: usize = 30;

/// One command for every service.
fn each(command: impl Fn(&str) -> String) -> String {
    let mut commands = String::new();
    for number in 0..SERVICES {
        let _ = writeln!(commands, "{}", command(&format!("svc{number}")));
    }
    commands
}

async fn play(stage: &mut Stage, commands: &str) {
    let transcript = script::run(commands, stage).await;
    assert!(!transcript.contains("line "), "{transcript}");
}

#[tokio::test(start_paused = true)]
async fn nothing_of_deleted_services_stays_in_memory() {
    let mut stage = Stage::set(&StageOptions::seeded(7));
    let (context, elector) = stage.stand(kinds::all());
    let queue = |name| -> Queue<Key> { Queue::new(name, context.clock.clone()) };
    let (services, asked, told) = (queue("services"), queue("measurements"), queue("messages"));
    let transport = Arc::new(InProcess(stage.world.prometheus().clone()));
    let prometheus =
        Prometheus::new(transport, PrometheusConfig::new("main", "http://prometheus:9090")).unwrap();
    let measure: Arc<dyn Measure> = Arc::new(PrometheusMeasure::new(Arc::new(prometheus)));
    let measurements =
        Measurements::new(measure.clone(), context.clock.clone(), asked.clone(), services.clone());
    let outbox = Arc::new(Outbox::new(
        context.api.clone(),
        Arc::new(stage.messages.clone()),
        context.clock.clone(),
        OWN_NAMESPACE.to_owned(),
        context.standing.leadership().clone(),
        told.clone(),
    ));
    let mut controllers = Controllers::new(context.clone());
    let delivery = Delivery {
        stores: context.stores.clone(),
        measurements: measurements.clone(),
        bindings: Arc::new(Bindings::new(measure, queue("bindings"))),
        outbox: outbox.clone(),
        instance: None,
    };
    controllers.add(delivery, services.clone());
    let messages = Messages { stores: context.stores.clone(), outbox: outbox.clone() };
    controllers.add(messages, told.clone());
    let asking = measurements.clone();
    controllers.add_worker(asked, SERVICES, move |service| {
        let asking = asking.clone();
        async move { asking.ask(service).await }
    });
    let (stop, host) = (CancellationToken::new(), Host::new());
    let stopping = stop.clone();
    let manager =
        tokio::spawn(async move { controllers.run(elector, &Namespaces::All, &host, stopping).await });

    // Nobody takes their messages, so that all of them are on their way when their services go.
    stage.messages.answer(Answers::Refusing);
    let before = "object <<\napiVersion: trimtab.dev/v1alpha1\nkind: FleetPolicy\nmetadata: {name: everyone}\n\
                  spec: {notify: {webhook: {url: \"https://hooks.example/releases\"}}}\n.\n";
    play(&mut stage, before).await;
    play(&mut stage, &each(|name| format!("service {name} replicas=1 rps=1 image=shop/{name}:v1"))).await;
    play(&mut stage, "advance 10m\n").await;
    play(&mut stage, &each(|name| format!("claim {name}"))).await;
    play(&mut stage, "advance 1m\n").await;
    play(&mut stage, &each(|name| format!("apply {name} shop/{name}:v2 by argocd-controller"))).await;
    play(&mut stage, "advance 20s\n").await;
    assert_eq!((outbox.remembered(), measurements.remembered()), (SERVICES, SERVICES));
    play(&mut stage, &each(|name| format!("unclaim {name}"))).await;
    play(&mut stage, &each(|name| format!("delete deployment {name}"))).await;
    play(&mut stage, "advance 2m\n").await;
    assert_eq!(
        (outbox.remembered(), measurements.remembered(), context.expectations.len()),
        (0, 0, 0),
        "messages, judges, expectations"
    );
    assert!(services.is_idle() && told.is_idle(), "{:?} {:?}", services.counts(), told.counts());
    stop.cancel();
    manager.await.unwrap();
}
