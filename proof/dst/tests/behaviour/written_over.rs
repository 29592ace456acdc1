//! Somebody writes a rejected template over a release, as often as it is brought back. No scenario: how often that is depends
//! on when a manager dies, and so does what is written on the Deployment.

use trimtab_dst::{Stage, StageOptions};

use crate::support::{play, shows};

const SEED: u64 = 7;
const BEGIN: &str =
    "service api replicas=3 rps=50 image=shop/api:v1\nadvance 10m\nstart manager\nclaim api\nsettle
deploy api shop/api:v2-errors60\nwait api until RolledBack\nsettle\n";
const WRITTEN_OVER: &str = "apply api shop/api:v2-errors60 by argocd\nadvance 2s\n";
/// More often than a release is brought back.
const TIMES: usize = 6;

/// `v3` is under way with this image, and the rejected `v2` was written over it again and again.
async fn written_over(image: &str) -> Stage {
    let mut stage = Stage::set(&StageOptions::seeded(SEED));
    play(&mut stage, BEGIN).await;
    play(&mut stage, &format!("deploy api {image}\nwait api until Judging\nadvance 2s\n")).await;
    play(&mut stage, &WRITTEN_OVER.repeat(TIMES)).await;
    stage
}

#[tokio::test(start_paused = true)]
async fn a_person_is_asked_and_what_they_decide_is_carried_out() {
    let asked = [
        "api: Needs a person: a rejected template is written over v3 again and again (v2 rejected) [Degraded]",
        "Deployment: shop/api:v2-errors60, paused, claim held shop/api:v2-errors60",
        "`trimtab promote api -n shop --because ...` to bring it back again, `trimtab abort api -n shop`",
    ];
    let ends = [
        ("keep", "api: Healthy on v3 [Healthy]", "v3 shop/api:v3 Kept: kept by alice: argocd is stopped"),
        (
            "roll-back",
            "api: Healthy on v1 (v2, v3 rejected) [Healthy]",
            "v3 shop/api:v3 RolledBack: rolled back by alice: argocd is stopped",
        ),
    ];
    for (verdict, state, record) in ends {
        let mut stage = written_over("shop/api:v3").await;
        shows(&mut stage, "show api\nexplain api\n", &asked).await;
        let decides = format!("decide api v3 {verdict} because argocd is stopped\nsettle\nshow api\n");
        shows(&mut stage, &decides, &[state, record]).await;
        stage.stop_managers().await;
    }
}

#[tokio::test(start_paused = true)]
async fn a_release_that_fails_meanwhile_is_taken_back() {
    let mut stage = written_over("shop/api:v3-errors8").await;
    let taken_back =
        ["api: Healthy on v1 (v2, v3 rejected) [Healthy]", "v3 shop/api:v3-errors8 RolledBack: rpc-errors: "];
    shows(&mut stage, "advance 5m\nsettle\nshow api\n", &taken_back).await;
    stage.stop_managers().await;
}
