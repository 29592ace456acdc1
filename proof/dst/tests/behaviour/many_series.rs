//! A service with more series than are read: it is judged by sums, and where even they are too many it is said before there
//! is a release. No scenario: the limits are the manager's.

use trimtab_dst::stage::NAMESPACE;
use trimtab_dst::{Stage, StageOptions, script};
use trimtab_providers::prometheus::Limits;

const SEED: u64 = 7;
const BEGIN: &str =
    "service api replicas=10 rps=100 image=shop/api:v1\nadvance 10m\nstart manager\nclaim api\nadvance 5m\n";

/// Ten pods of two series each, and a manager that reads eight series and so many sums.
async fn begun(max_sums: usize) -> Stage {
    let mut options = StageOptions::seeded(SEED);
    options.limits = Limits { max_series: 8, max_sums, ..options.limits };
    let mut stage = Stage::set(&options);
    let transcript = script::run(BEGIN, &mut stage).await;
    assert!(!transcript.contains("line "), "{transcript}");
    stage
}

/// Reason and message of the condition `RulesBound`.
fn rules_bound(stage: &Stage) -> String {
    let app = stage.sim.get("managedapps.trimtab.dev", NAMESPACE, "api").expect("it is claimed");
    let conditions = app["status"]["conditions"].as_array().cloned().unwrap_or_default();
    let bound = conditions.iter().find(|condition| condition["type"] == "RulesBound");
    bound.map(|bound| format!("{}: {}", bound["reason"], bound["message"])).unwrap_or_default()
}

#[tokio::test(start_paused = true)]
async fn more_series_than_are_read_are_summed_up() {
    let mut stage = begun(1_000).await;
    assert!(rules_bound(&stage).starts_with("\"Bound\""), "{}", rules_bound(&stage));
    let bad = script::run("deploy api shop/api:v2-errors60\nsettle\nshow api\n", &mut stage).await;
    assert!(bad.contains("Healthy on v1 (v2 rejected)"), "{bad}");
    assert!(bad.contains("RolledBack: rpc-errors: canary"), "{bad}");
    let good = script::run("deploy api shop/api:v3\nsettle\nshow api\n", &mut stage).await;
    assert!(good.contains("v3 shop/api:v3 Kept: rpc-errors: canary 0/"), "{good}");
    stage.stop_managers().await;
}

#[tokio::test(start_paused = true)]
async fn what_will_not_fit_is_said_before_any_release() {
    let mut stage = begun(15).await;
    let said = rules_bound(&stage);
    assert!(said.starts_with("\"TooManySeries\": \"too many series for rpc-errors"), "{said}");
    assert!(said.contains("raise --prometheus-max-sums"), "{said}");
    stage.stop_managers().await;
}
