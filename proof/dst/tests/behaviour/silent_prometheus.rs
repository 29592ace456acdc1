//! Prometheus says nothing while more services are judged than are reconciled at one time: a crash is told all the same, and
//! a person's word counts. A test of its own and no scenario: twenty services dying after every write would take an hour.

use std::fmt::Write as _;

use trimtab_dst::{Stage, StageOptions, script};

const SEED: u64 = 7;
/// More than the manager reconciles at one time.
const JUDGED: usize = 19;

async fn show(stage: &mut Stage, commands: &str) -> String {
    script::run(commands, stage).await
}

#[tokio::test(start_paused = true)]
async fn a_crash_and_a_decision_count_while_prometheus_is_silent() {
    let mut stage = Stage::set(&StageOptions::seeded(SEED));
    let names: Vec<String> =
        (1..=JUDGED).map(|number| format!("svc{number:02}")).chain(["ledger".into()]).collect();
    let mut before = String::new();
    for name in &names {
        let _ = writeln!(before, "service {name} replicas=1 rps=1 image=shop/{name}:v1");
    }
    before.push_str("advance 10m\nstart manager\n");
    for name in &names {
        let _ = writeln!(before, "claim {name}");
    }
    before.push_str("settle\nprometheus silent\n");
    for name in names.iter().take(JUDGED) {
        let _ = writeln!(before, "apply {name} shop/{name}:v2 by argocd-controller");
    }
    before.push_str("advance 1m\n");
    let transcript = show(&mut stage, &before).await;
    assert!(!transcript.contains("line "), "{transcript}");

    let crash = "apply ledger shop/ledger:v2-panic3s by argocd-controller\nadvance 20s\nshow ledger\n";
    let crashed = show(&mut stage, crash).await;
    assert!(crashed.contains("Healthy on v1 (v2 rejected)"), "{crashed}");
    assert!(crashed.contains("RolledBack: panics-and-crashes: 1 on new pods"), "{crashed}");

    let decision = "decide svc01 v2 roll-back because support sees complaints\nadvance 5s\nshow svc01\n";
    let decided = show(&mut stage, decision).await;
    assert!(decided.contains("RolledBack: rolled back by alice: support sees complaints"), "{decided}");

    let after = show(&mut stage, "prometheus up\nsettle\nshow svc02\n").await;
    assert!(after.contains("svc02: Healthy on v2"), "{after}");
    stage.stop_managers().await;
}
