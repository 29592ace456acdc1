//! A service is deleted, and its manager hears of that late: the records that it makes anew are collected at once, and it does
//! not make them hundreds of times.

use trimtab_dst::stage::NAMESPACE;
use trimtab_dst::{Stage, StageOptions, script};

/// Writes in the twelve seconds until the manager knows: one burst, and two a second.
const WRITES_MAX: usize = 80;

#[tokio::test(start_paused = true)]
async fn what_is_undone_at_once_is_not_done_without_end() {
    let mut stage = Stage::set(&StageOptions::seeded(230));
    let before = "service web replicas=3 rps=40 image=shop/web:v1\nadvance 5m\nstart manager\nclaim web\nsettle\n\
        fault late-events resource=managedapps.trimtab.dev by=12s for=30s\n";
    let said = script::run(before, &mut stage).await;
    assert!(!said.contains("line "), "{said}");
    let counted = stage.writes().len();
    let said = script::run("unclaim web\nadvance 30s\nend faults\nsettle\n", &mut stage).await;
    assert!(!said.contains("line "), "{said}");
    let writes = stage.writes().split_off(counted);
    assert!(writes.len() <= WRITES_MAX, "{} writes", writes.len());
    assert!(
        stage.sim.list("appreleases.trimtab.dev", Some(NAMESPACE)).is_empty(),
        "they go with their owner"
    );
    let deployment = stage.sim.get("deployments.apps", NAMESPACE, "web").expect("it runs on");
    assert!(deployment["metadata"]["annotations"].get("trimtab.dev/claim").is_none(), "{deployment}");
    stage.stop_managers().await;
}
