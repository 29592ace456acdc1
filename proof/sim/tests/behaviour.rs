//! What the simulation adds to an API server: identities, crashes, faults, determinism, oracles.

use std::time::Duration;

use futures::TryStreamExt;
use k8s_openapi::api::core::v1::{ConfigMap, Secret};
use kube::Api;
use kube::api::{
    DeleteParams, ListParams, Patch, PatchParams, PostParams, VersionMatch, WatchEvent, WatchParams,
};
use kube::runtime::{WatchStreamExt, watcher};
use serde_json::{Value, json};
use trimtab_sim::{
    Effect, Fault, HALF_OPEN_NOTICED, Rbac, RequestOrder, Sim, SimConfig, WatchEffect, Watches,
};

fn config_map(name: &str) -> ConfigMap {
    serde_json::from_value(json!({"metadata": {"name": name}, "data": {"k": "v"}})).expect("a config map")
}

fn maps(sim: &Sim, user: &str) -> Api<ConfigMap> {
    Api::namespaced(sim.client(user).client, "default")
}

#[tokio::test(start_paused = true)]
async fn the_ledger_names_writers_and_changes() {
    let sim = Sim::new(SimConfig::seeded(1));
    let api = maps(&sim, "system:serviceaccount:a:b");
    api.create(&PostParams { field_manager: Some("me".into()), ..Default::default() }, &config_map("x"))
        .await
        .unwrap();
    let patch = Patch::Merge(json!({"data": {"k": "v"}}));
    api.patch("x", &PatchParams::default(), &patch).await.unwrap();
    let _ = api.get("x").await.unwrap();
    let seen: Vec<_> = sim
        .ledger()
        .into_iter()
        .map(|entry| (entry.user, entry.verb, entry.resource, entry.name, entry.code, entry.changed))
        .collect();
    let user = "system:serviceaccount:a:b".to_owned();
    let row = |verb: &str, code, changed| {
        (user.clone(), verb.to_owned(), "configmaps".to_owned(), "x".to_owned(), code, changed)
    };
    assert_eq!(seen, [row("create", 201, true), row("patch", 200, false)]);
    assert_eq!((sim.requests(&user).reads(), sim.requests(&user).writes()), (1, 2));
}

#[tokio::test(start_paused = true)]
async fn an_actor_dies_after_its_last_write() {
    let sim = Sim::new(SimConfig::seeded(1));
    let actor = sim.client("mortal");
    let api: Api<ConfigMap> = Api::namespaced(actor.client.clone(), "default");
    let mut watch = Box::pin(api.watch(&WatchParams::default(), "0").await.unwrap());
    actor.die_after_writes(2);
    for name in ["a", "b"] {
        api.create(&PostParams::default(), &config_map(name)).await.unwrap();
    }
    assert!(actor.is_dead());
    assert!(api.create(&PostParams::default(), &config_map("c")).await.is_err());
    assert!(api.get("a").await.is_err());
    let mut events = 0;
    let broken = loop {
        match watch.try_next().await {
            Ok(Some(_)) => events += 1,
            Ok(None) => break false,
            Err(_) => break true,
        }
    };
    assert!(broken && events <= 2, "{events} events, broken: {broken}");
    assert_eq!(sim.list("configmaps", Some("default")).len(), 2);
}

#[tokio::test(start_paused = true)]
async fn an_unknown_outcome_is_applied() {
    let sim = Sim::new(SimConfig::seeded(1));
    let api = maps(&sim, "u");
    sim.faults().add(Fault { times: Some(1), ..Fault::always(Effect::DropAfter) });
    assert!(api.create(&PostParams::default(), &config_map("a")).await.is_err());
    assert!(sim.get("configmaps", "default", "a").is_some());
    sim.faults().add(Fault { times: Some(1), ..Fault::always(Effect::DropBefore) });
    assert!(api.create(&PostParams::default(), &config_map("b")).await.is_err());
    assert!(sim.get("configmaps", "default", "b").is_none());
}

#[tokio::test(start_paused = true)]
async fn refusals_carry_their_code() {
    let sim = Sim::new(SimConfig::seeded(1));
    let refuse = Effect::Refuse { code: 429, retry_after: Some(3) };
    sim.faults().add(Fault { verbs: vec!["create".into()], ..Fault::always(refuse) });
    let error = maps(&sim, "u").create(&PostParams::default(), &config_map("a")).await.unwrap_err();
    assert!(matches!(error, kube::Error::Api(status) if status.code == 429));
    assert_eq!(sim.faults().struck(), 1);
}

#[tokio::test(start_paused = true)]
async fn frozen_reads_see_the_past_where_they_may() {
    let sim = Sim::new(SimConfig::seeded(1));
    let api = maps(&sim, "u");
    let any = ListParams::default().at("0").matching(VersionMatch::NotOlderThan);
    api.create(&PostParams::default(), &config_map("a")).await.unwrap();
    sim.faults().freeze_reads("u", sim.revision());
    api.create(&PostParams::default(), &config_map("b")).await.unwrap();
    assert_eq!(api.list(&any).await.unwrap().items.len(), 1);
    assert_eq!(
        api.list(&ListParams::default()).await.unwrap().items.len(),
        2,
        "without a version: consistent"
    );
    sim.faults().thaw_reads("u");
    assert_eq!(api.list(&any).await.unwrap().items.len(), 2);
}

#[tokio::test(start_paused = true)]
async fn held_watches_deliver_later_and_in_order() {
    let sim = Sim::new(SimConfig::seeded(1));
    let api = maps(&sim, "u");
    let mut watch = Box::pin(api.watch(&WatchParams::default(), "0").await.unwrap());
    let hold = sim.faults().add_to_watches(Watches::of_user("u"), WatchEffect::Held);
    for name in ["a", "b"] {
        api.create(&PostParams::default(), &config_map(name)).await.unwrap();
    }
    assert!(tokio::time::timeout(Duration::from_secs(30), watch.try_next()).await.is_err());
    sim.end_fault(hold);
    for expected in ["a", "b"] {
        let event = watch.try_next().await.unwrap().unwrap();
        assert!(matches!(event, WatchEvent::Added(map) if map.metadata.name.as_deref() == Some(expected)));
    }
}

#[tokio::test(start_paused = true)]
async fn late_events_of_one_kind_come_after_younger_ones_of_another() {
    let sim = Sim::new(SimConfig::seeded(1));
    let (maps, secrets) = (maps(&sim, "u"), Api::<Secret>::namespaced(sim.client("u").client, "default"));
    let late = Watches { resource: Some("configmaps".to_owned()), ..Watches::of_user("u") };
    sim.faults().add_to_watches(late, WatchEffect::Late(Duration::from_secs(20)));
    let mut of_maps = Box::pin(maps.watch(&WatchParams::default(), "0").await.unwrap());
    let mut of_secrets = Box::pin(secrets.watch(&WatchParams::default(), "0").await.unwrap());
    maps.create(&PostParams::default(), &config_map("older")).await.unwrap();
    let younger = Secret { metadata: config_map("younger").metadata, ..Secret::default() };
    secrets.create(&PostParams::default(), &younger).await.unwrap();
    let started = tokio::time::Instant::now();
    assert!(of_secrets.try_next().await.unwrap().is_some());
    assert_eq!(started.elapsed().as_secs(), 0);
    assert!(of_maps.try_next().await.unwrap().is_some());
    assert_eq!(started.elapsed().as_secs(), 19);
}

#[tokio::test(start_paused = true)]
async fn half_open_watches_are_noticed_by_their_silence() {
    let sim = Sim::new(SimConfig::seeded(1));
    let api = maps(&sim, "u");
    let mut watch = Box::pin(api.watch(&WatchParams::default(), "0").await.unwrap());
    sim.abandon_watches(&Watches::of_user("u"));
    api.create(&PostParams::default(), &config_map("a")).await.unwrap();
    let started = tokio::time::Instant::now();
    assert!(watch.try_next().await.is_err());
    assert_eq!(started.elapsed().as_secs(), HALF_OPEN_NOTICED.as_secs() - 1);
}

#[tokio::test(start_paused = true)]
async fn faults_strike_one_process_of_a_user_and_end() {
    let sim = Sim::new(SimConfig::seeded(1));
    let (one, other) = (sim.client("u"), sim.client("u"));
    let fault = Fault { actor: Some(one.number()), ..Fault::always(Effect::DropBefore) };
    let id = sim.faults().add(fault);
    let of = |actor: &trimtab_sim::Actor| Api::<ConfigMap>::namespaced(actor.client.clone(), "default");
    assert!(of(&one).list(&ListParams::default()).await.is_err());
    assert!(of(&other).list(&ListParams::default()).await.is_ok());
    sim.end_fault(id);
    assert!(of(&one).list(&ListParams::default()).await.is_ok());
}

#[tokio::test(start_paused = true)]
async fn recorded_changes_name_their_author_and_survive_compaction() {
    let sim = Sim::new(SimConfig::seeded(1));
    sim.record_changes(&["configmaps"]);
    let api = maps(&sim, "u");
    api.create(&PostParams::default(), &config_map("a")).await.unwrap();
    sim.compact();
    api.delete("a", &DeleteParams::default()).await.unwrap();
    let changes = sim.take_changes();
    let seen: Vec<(&str, bool, bool)> = changes
        .iter()
        .map(|change| (change.by(), change.before().is_some(), change.after().is_some()))
        .collect();
    assert_eq!(seen, [("u", false, true), ("u", true, false)]);
    assert!(sim.take_changes().is_empty());
}

#[tokio::test(start_paused = true)]
async fn bookmarks_come_every_minute() {
    let sim = Sim::new(SimConfig::seeded(1));
    let api = maps(&sim, "u");
    let mut watch = Box::pin(api.watch(&WatchParams::default(), "0").await.unwrap());
    let started = tokio::time::Instant::now();
    assert!(matches!(watch.try_next().await.unwrap().unwrap(), WatchEvent::Bookmark(_)));
    assert_eq!(started.elapsed().as_secs(), 60);
}

#[tokio::test(start_paused = true)]
async fn a_watcher_survives_compaction_and_broken_connections() {
    let sim = Sim::new(SimConfig::seeded(1));
    let api = maps(&sim, "u");
    let mut objects =
        Box::pin(watcher(api.clone(), watcher::Config::default()).default_backoff().applied_objects());
    api.create(&PostParams::default(), &config_map("a")).await.unwrap();
    assert_eq!(objects.try_next().await.unwrap().unwrap().metadata.name.as_deref(), Some("a"));
    sim.drop_watches();
    api.create(&PostParams::default(), &config_map("b")).await.unwrap();
    sim.compact();
    let mut seen = Vec::new();
    while !seen.contains(&"b".to_owned()) {
        if let Ok(Some(map)) = objects.try_next().await {
            seen.push(map.metadata.name.unwrap());
        }
    }
}

async fn scenario(seed: u64, order: RequestOrder) -> (String, String) {
    let sim = Sim::new(SimConfig { order, ..SimConfig::seeded(seed) });
    let fault = Fault { probability: 0.3, ..Fault::always(Effect::Refuse { code: 503, retry_after: None }) };
    sim.faults().add(fault);
    let workers = (0..5).map(|worker| {
        let api = maps(&sim, &format!("worker-{worker}"));
        async move {
            for round in 0..20 {
                let _ = api.create(&PostParams::default(), &config_map(&format!("m{}", round % 7))).await;
                let patch =
                    Patch::Merge(json!({"data": {"by": worker.to_string(), "round": round.to_string()}}));
                let _ = api.patch(&format!("m{}", round % 7), &PatchParams::default(), &patch).await;
                let _ = api.delete(&format!("m{}", (round + worker) % 7), &Default::default()).await;
            }
        }
    });
    futures::future::join_all(workers).await;
    (sim.state_digest(), format!("{:?}", sim.ledger()))
}

#[tokio::test(start_paused = true)]
async fn equal_seeds_give_equal_traces_and_others_do_not() {
    for order in [RequestOrder::Sorted, RequestOrder::Shuffled] {
        let first = scenario(42, order).await;
        assert_eq!(first, scenario(42, order).await);
        assert_ne!(first, scenario(43, order).await);
    }
}

#[tokio::test(start_paused = true)]
async fn masked_states_of_different_seeds_are_equal() {
    let mut states = Vec::new();
    for seed in [1, 2] {
        let sim = Sim::new(SimConfig::seeded(seed));
        tokio::time::sleep(Duration::from_secs(seed * 100)).await;
        maps(&sim, "u").create(&PostParams::default(), &config_map("a")).await.unwrap();
        states.push((sim.masked_state(), sim.state_digest()));
    }
    assert_eq!(states[0].0, states[1].0);
    assert_ne!(states[0].1, states[1].1);
}

#[tokio::test(start_paused = true)]
async fn rbac_allows_what_is_bound_and_nothing_else() {
    let sim = Sim::new(SimConfig { rbac: Rbac::Enforced, ..SimConfig::seeded(1) });
    let objects: Vec<Value> = vec![
        json!({"apiVersion": "rbac.authorization.k8s.io/v1", "kind": "Role", "metadata": {"name": "r"},
            "rules": [{"apiGroups": [""], "resources": ["configmaps"], "verbs": ["get"]}]}),
        json!({"apiVersion": "rbac.authorization.k8s.io/v1", "kind": "RoleBinding", "metadata": {"name": "r"},
            "roleRef": {"apiGroup": "rbac.authorization.k8s.io", "kind": "Role", "name": "r"},
            "subjects": [{"kind": "ServiceAccount", "name": "b", "namespace": "a"}]}),
    ];
    sim.load(objects).unwrap();
    maps(&sim, "admin").create(&PostParams::default(), &config_map("x")).await.unwrap();
    let api = maps(&sim, "system:serviceaccount:a:b");
    assert!(api.get("x").await.is_ok());
    let kube::Error::Api(status) = api.list(&ListParams::default()).await.unwrap_err() else { panic!() };
    assert_eq!(status.code, 403);
    assert_eq!(
        status.message,
        "configmaps is forbidden: User \"system:serviceaccount:a:b\" cannot list resource \"configmaps\" in API group \"\" \
         in the namespace \"default\""
    );
}

#[tokio::test(start_paused = true)]
async fn time_is_virtual() {
    let sim = Sim::new(SimConfig::seeded(1));
    let before = sim.now();
    tokio::time::sleep(Duration::from_secs(30 * 86_400)).await;
    assert_eq!(sim.now().as_second() - before.as_second(), 30 * 86_400);
}

#[tokio::test(start_paused = true)]
async fn garbage_never_panics() {
    let sim = Sim::new(SimConfig::seeded(1));
    let client = sim.client("u").client;
    let bodies = [
        "",
        "null",
        "[]",
        "\"x\"",
        "{}",
        "{\"metadata\": 5}",
        "{\"metadata\": {\"name\": 5}}",
        "{",
        "{\"spec\": []}",
    ];
    let paths = [
        "/api/v1/namespaces/default/pods",
        "/apis/apps/v1/namespaces/default/deployments",
        "/api/v1/namespaces/default/services",
        "/apis/apiextensions.k8s.io/v1/customresourcedefinitions",
        "/apis/autoscaling/v1/namespaces/default/horizontalpodautoscalers",
        "/api/v1/namespaces/default/pods/x/eviction",
        "/apis/admissionregistration.k8s.io/v1/mutatingadmissionpolicies",
    ];
    for path in paths {
        for body in bodies {
            for (method, media) in [("POST", "application/json"), ("PATCH", "application/apply-patch+yaml")] {
                let target =
                    if method == "PATCH" { format!("{path}/x?fieldManager=m") } else { path.to_owned() };
                let request = http::Request::builder()
                    .method(method)
                    .uri(target)
                    .header("content-type", media)
                    .body(kube::client::Body::from(body.as_bytes().to_vec()))
                    .unwrap();
                assert!(client.send(request).await.is_ok(), "{method} {path} {body}");
            }
        }
    }
}

#[tokio::test(start_paused = true)]
async fn a_hundred_thousand_objects_load_in_seconds() {
    let sim = Sim::new(SimConfig::seeded(1));
    let started = cpu_seconds();
    let objects = (0..100_000)
        .map(|number| json!({"apiVersion": "v1", "kind": "ConfigMap", "metadata": {"name": format!("m{number}")}, "data": {"k": "v"}}))
        .collect();
    sim.load(objects).unwrap();
    let spent = cpu_seconds() - started;
    assert_eq!(sim.list("configmaps", None).len(), 100_000);
    assert!(spent < 10.0, "{spent} s of CPU");
}

/// CPU time of this process, which the neighbours' load does not change.
fn cpu_seconds() -> f64 {
    const TICKS_PER_SECOND: f64 = 100.0;
    let stat = std::fs::read_to_string("/proc/thread-self/stat").expect("Linux");
    let fields: Vec<&str> = stat.rsplit(')').next().expect("a split has parts").split_whitespace().collect();
    let ticks = |index: usize| fields[index].parse::<f64>().expect("ticks are numbers");
    (ticks(11) + ticks(12)) / TICKS_PER_SECOND
}

/// Clients tell ages by it, and the clock of the machine has nothing to do with that of the simulation.
#[tokio::test(start_paused = true)]
async fn answers_are_dated_by_the_clock_of_the_simulation() {
    let sim = Sim::new(SimConfig::seeded(1));
    tokio::time::sleep(Duration::from_secs(90)).await;
    for path in ["/version", "/api/v1/namespaces", "/api/v1/namespaces/default/configmaps/missing"] {
        let request = http::Request::get(path).body(kube::client::Body::empty()).unwrap();
        let answer = sim.client("kubectl").client.send(request).await.unwrap();
        let date = answer.headers()[http::header::DATE].to_str().unwrap().to_owned();
        assert_eq!(date, "Thu, 01 Jan 2026 00:01:30 GMT", "{path}");
    }
}
