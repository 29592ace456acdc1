//! A number that a person gave counts for the image that they gave it to, and for no other.

use trimtab_dst::{Stage, StageOptions, script};

/// Somebody ships something else over a deploy that no manager has seen. Before, the record was adopted for the template that
/// it was not made for, which the API server refused for ever.
#[tokio::test(start_paused = true)]
async fn a_template_written_over_a_numbered_one_gets_its_own_number() {
    let mut stage = Stage::set(&StageOptions::seeded(7));
    let story = "service pay replicas=2 rps=20 image=shop/pay:v1\nadvance 10m\nstart manager\nclaim pay\nsettle\n\
                 kill manager\ndeploy pay shop/pay:v2\napply pay shop/pay:v3 by argocd-controller\nadvance 30s\n\
                 start manager\nsettle\nshow pay\n";
    let told = script::run(story, &mut stage).await;
    stage.stop_managers().await;
    assert!(told.contains("pay: Healthy on v3"), "{told}");
    assert!(told.contains("v2 shop/pay:v2 Superseded: its template never reached the Deployment"), "{told}");
    assert!(told.contains("v3 shop/pay:v3 Kept: rpc-errors"), "{told}");
}
