//! A Prometheus whose shards are behind by more than a window's overlap: a good release is kept on its evidence, and a bad one
//! comes back. A test of its own and no scenario: dying after every write takes long while everything is late.

use trimtab_dst::{Stage, StageOptions, script};

const SEED: u64 = 7;

#[tokio::test(start_paused = true)]
async fn shards_that_are_behind_cost_time_and_no_evidence() {
    let mut stage = Stage::set(&StageOptions::seeded(SEED));
    let begin = "service pay replicas=4 rps=100 errors=2 image=shop/pay:v1\nadvance 10m\nstart manager\nclaim pay\nsettle\n";
    let begun = script::run(begin, &mut stage).await;
    assert!(!begun.contains("line "), "{begun}");
    for (share, by) in [(50, "45s"), (100, "20s")] {
        let name = format!("{share} % of the pods behind by {by}");
        let fault = format!("fault prometheus-lag share={share} by={by}\n");
        let good = format!("{fault}deploy pay shop/pay:good{share}\nsettle\nshow pay\n");
        let good = script::run(&good, &mut stage).await;
        assert!(good.contains(&format!("shop/pay:good{share} Kept: rpc-errors: canary")), "{name}: {good}");
        let bad =
            format!("deploy pay shop/pay:bad{share}-errors30\nsettle\nshow pay\nend faults\nadvance 2m\n");
        let bad = script::run(&bad, &mut stage).await;
        assert!(
            bad.contains(&format!("bad{share}-errors30 RolledBack: rpc-errors: canary")),
            "{name}: {bad}"
        );
    }
    stage.stop_managers().await;
}
