//! `rollback`: what comes back, and what must not.

use std::time::Duration;

use serde_json::json;
use trimtab::cli::exit::Exit;
use trimtab_sim::Effect;

use crate::support::{SHOP, Shop, template};
use crate::{image, strike};

#[tokio::test(start_paused = true)]
async fn rollback_makes_an_earlier_template_a_new_release() {
    for line in
        ["rollback payments", "rollback payments --to v126 --because slow", "rollback payments --to 126"]
    {
        let shop = Shop::claimed().await;
        let said = shop.run(line).await;
        assert_eq!((said.exit, said.out.as_str()), (Exit::Done, "payments v128\n"), "{line}: {}", said.err);
        assert!(
            said.err.contains("v128 brings back v126 (payments:0)")
                && said.err.contains("not rolled back: databases"),
            "{}",
            said.err
        );
        let record = shop.record(128).expect("recorded");
        assert_eq!(
            (&record["spec"]["rollbackTo"], &record["spec"]["image"]),
            (&json!(126), &json!("payments:0")),
            "{line}"
        );
        let kept = shop.record(126).expect("recorded")["spec"]["template"].clone();
        assert_eq!(shop.deployment()["spec"]["template"], kept, "{line}");
    }
}

#[tokio::test(start_paused = true)]
async fn rollback_of_a_release_under_way_is_abort() {
    let shop = Shop::with_v128(json!({"phase": "Judging"})).await;
    let said = shop.run("rollback payments").await;
    assert_eq!((said.exit, said.out.as_str()), (Exit::Done, "payments v128 aborted\n"), "{}", said.err);
}

#[tokio::test(start_paused = true)]
async fn a_template_that_changed_meanwhile_is_not_overwritten() {
    let shop = Shop::claimed().await;
    shop.sim.faults().add(strike("patch", "deployments.apps", Effect::Delay(Duration::from_secs(5))));
    let other = async {
        tokio::time::sleep(Duration::from_secs(2)).await;
        shop.merge_as("argocd", "payments", json!({"spec": {"template": template("payments:9")}})).await;
    };
    let (said, ()) = tokio::join!(shop.run("rollback payments"), other);
    assert_eq!((said.exit, said.out.as_str()), (Exit::Refused, ""), "{}", said.err);
    assert!(said.err.contains("was changed while you looked"), "{}", said.err);
    assert_eq!((shop.record(128), image(&shop.deployment())), (None, "payments:9"));
}

#[tokio::test(start_paused = true)]
async fn a_deployment_whose_labels_changed_meanwhile_is_rolled_back_all_the_same() {
    let shop = Shop::claimed().await;
    shop.sim.faults().add(strike("patch", "deployments.apps", Effect::Delay(Duration::from_secs(5))));
    let other = async {
        tokio::time::sleep(Duration::from_secs(2)).await;
        shop.merge("payments", json!({"metadata": {"labels": {"team": "money"}}})).await;
    };
    let (said, ()) = tokio::join!(shop.run("rollback payments"), other);
    assert_eq!((said.exit, said.out.as_str()), (Exit::Done, "payments v128\n"), "{}", said.err);
    assert_eq!(
        (image(&shop.deployment()), &shop.deployment()["metadata"]["labels"]["team"]),
        ("payments:0", &json!("money"))
    );
}

#[tokio::test(start_paused = true)]
async fn what_the_manager_did_not_write_is_not_brought_back() {
    let shop = Shop::claimed().await;
    let mut forged = shop.record(126).expect("recorded");
    forged["metadata"] =
        json!({"name": "payments-v125", "namespace": SHOP, "labels": {"trimtab.dev/app": "payments"}});
    forged["spec"]["number"] = json!(125);
    forged["spec"]["template"]["spec"]["containers"][0]["securityContext"] = json!({"privileged": true});
    shop.create("appreleases", forged.clone()).await;
    // A number that came to nothing, filled in since with a template and something like a seal.
    forged["metadata"]["name"] = json!("payments-v124");
    forged["metadata"]["annotations"] = json!({"trimtab.dev/seal": "5e".repeat(32)});
    forged["spec"]["number"] = json!(124);
    shop.create("appreleases", forged).await;
    shop.status("appreleases", "payments-v124", json!({"phase": "Superseded"})).await;
    let condition = json!({"type": "RecordsCounted", "status": "False", "reason": "RecordRefused", "message": "not counted and never restored: it"});
    shop.status("managedapps", "payments", json!({"conditions": [condition]})).await;
    let before = shop.deployment();

    let said = shop.run("rollback payments --to v125").await;
    let why = "not counted, and never brought back: AppRelease payments-v125: the manager did not write it: it has no seal";
    assert!(said.exit == Exit::Refused && said.err.contains(why), "{:?} {}", said.exit, said.err);
    let said = shop.run("rollback payments --to v124").await;
    assert!(
        said.exit == Exit::Refused && said.err.contains("keeps no template"),
        "{:?} {}",
        said.exit,
        said.err
    );
    assert_eq!(shop.deployment(), before);

    let said = shop.run("history payments").await;
    assert!(
        !said.out.contains("v125") && said.err.contains("not counted: AppRelease payments-v125"),
        "{}{}",
        said.out,
        said.err
    );
    let said = shop.run("explain payments v125").await;
    assert!(said.err.contains(why), "{}", said.err);
    let said = shop.run("explain payments").await;
    assert!(said.out.contains("note: not counted and never restored"), "{}", said.out);
    let said = shop.run("get payments").await;
    assert!(said.out.contains("Healthy on v127; has records that do not count"), "{}", said.out);
}
