//! What Trimtab costs the API server, counted by the simulated one.

use std::time::Duration;

use serde_json::json;
use trimtab_dst::{Stage, StageOptions, in_virtual_time, script};
use trimtab_world::fleet::{Fleet, ServiceSpec};

const SEED: u64 = 7;
/// Writes of ours for one guarded release of three pods that is kept, labels of pods apart.
const WRITES_PER_RELEASE_MAX: usize = 12;
/// The same for one that is rolled back: the previous template is written, and its fields are given back. One write less where
/// the verdict comes before the last pod is ready.
const WRITES_PER_ROLLBACK_MAX: usize = 14;
/// Labels per pod and release.
const LABELS_PER_POD_MAX: usize = 2;

async fn writes_of(release: &str) -> (usize, usize) {
    let mut stage = Stage::set(&StageOptions::seeded(SEED));
    let before = "service payments replicas=3 rps=50 image=shop/payments:v1\nadvance 10m\nstart manager\nclaim payments\nsettle\n";
    script::run(before, &mut stage).await;
    let counted = stage.writes().len();
    let transcript = script::run(release, &mut stage).await;
    assert!(!transcript.contains("line "), "{transcript}");
    let writes = stage.writes().split_off(counted);
    let (labels, others): (Vec<_>, Vec<_>) = writes.into_iter().partition(|write| write.resource == "pods");
    for write in &others {
        println!("  {} {} {}: {}", write.verb, write.resource, write.name, write.code);
    }
    (others.len(), labels.len())
}

#[test]
fn a_guarded_release_stays_within_its_writes() {
    for (release, writes_max, pods) in [
        ("deploy payments shop/payments:v2\nsettle\n", WRITES_PER_RELEASE_MAX, 6),
        ("apply payments shop/payments:v2 by argocd-controller\nsettle\n", WRITES_PER_RELEASE_MAX, 6),
        (
            "apply payments shop/payments:v2-errors30 by argocd-controller\nsettle\n",
            WRITES_PER_ROLLBACK_MAX,
            9,
        ),
    ] {
        let (writes, labels) = in_virtual_time(writes_of(release));
        println!("{writes} writes and {labels} pod labels: {release}");
        assert!(writes <= writes_max, "{writes} writes: {release}");
        assert!(labels <= pods * LABELS_PER_POD_MAX, "{labels} labels: {release}");
    }
}

#[test]
fn an_idle_fleet_writes_nothing() {
    in_virtual_time(async {
        let fleet = Fleet::idle(2_000);
        let app = |service: &ServiceSpec| {
            json!({
                "apiVersion": trimtab_api::API_VERSION, "kind": "ManagedApp",
                "metadata": {"namespace": &*service.key.namespace, "name": &*service.key.name}, "spec": {},
            })
        };
        let apps = fleet.services.iter().map(app).collect();
        let mut stage = Stage::set(&StageOptions { fleet, ..StageOptions::seeded(SEED) });
        stage.sim.load(apps).expect("valid services");
        stage.start_manager();
        assert!(
            stage.settle(Duration::from_secs(120), Duration::from_secs(3600)).await,
            "the fleet does not settle"
        );
        let settled = stage.writes().len();
        assert!(settled >= 2 * 2_000, "only {settled} writes: the fleet was not claimed");
        stage.advance(Duration::from_secs(600)).await;
        assert_eq!(stage.writes().len(), settled, "an idle fleet was written to");
    });
}
