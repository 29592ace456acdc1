//! `promote` and `abort`: a person overrules.

use serde_json::json;
use trimtab::cli::exit::Exit;

use crate::image;
use crate::support::{PERSON, Shop, template};

#[tokio::test(start_paused = true)]
async fn abort_decides_once() {
    let shop = Shop::with_v128(json!({"phase": "Judging"})).await;
    for _ in 0..2 {
        let said = shop.run("abort payments --because refunds").await;
        assert_eq!((said.exit, said.out.as_str()), (Exit::Done, "payments v128 aborted\n"), "{}", said.err);
    }
    assert_eq!(shop.changes(), ["patch appreleases.trimtab.dev payments-v128"]);
    let decision = &shop.record(128).expect("recorded")["spec"]["decision"];
    assert_eq!(
        (&decision["verdict"], &decision["actor"], &decision["because"]),
        (&json!("RollBack"), &json!(PERSON), &json!("refunds"))
    );
}

#[tokio::test(start_paused = true)]
async fn a_decision_stands() {
    let shop = Shop::with_v128(json!({"phase": "Judging"})).await;
    shop.run("abort payments --because refunds").await;
    let said = shop.run_as("bob", "promote payments --because fine").await;
    assert_eq!(said.exit, Exit::Refused);
    assert!(said.err.contains("alice decided RollBack for payments v128: refunds"), "{}", said.err);
}

#[tokio::test(start_paused = true)]
async fn what_a_person_rolled_back_is_kept_under_a_new_number() {
    let rejected = json!({"phase": "RolledBack", "summary": "rolled back by alice"});
    let shop = Shop::with_v128(json!({"phase": "Judging"})).await;
    shop.run("abort payments --because refunds").await;
    shop.status("appreleases", "payments-v128", rejected).await;
    shop.merge("payments", json!({"spec": {"template": template("payments:1")}})).await;
    let said = shop.run_as("bob", "promote payments --because it-was-the-card-network").await;
    assert_eq!(
        (said.exit, said.out.as_str()),
        (Exit::Done, "payments v129 kept by decision\n"),
        "{}",
        said.err
    );
    let (old, new) = (shop.record(128).expect("recorded"), shop.record(129).expect("recorded"));
    assert_eq!(
        (&old["spec"]["decision"]["verdict"], &new["spec"]["decision"]["verdict"]),
        (&json!("RollBack"), &json!("Keep"))
    );
    assert_eq!(new["spec"]["rollbackTo"], 128);
    assert_eq!(new["spec"]["template"], json!(null), "what is released is recorded by the manager");
    let ledger = shop.sim.ledger().into_iter().filter(|entry| entry.user == "bob" && entry.changed);
    let changed: Vec<String> = ledger.map(|entry| format!("{} {}", entry.verb, entry.name)).collect();
    assert_eq!(changed, ["create payments-v129", "patch payments"], "the decision first");
    assert_eq!(image(&shop.deployment()), "payments:2");
    assert_eq!(shop.deployment()["metadata"]["annotations"]["trimtab.dev/release"], "v129");
}

#[tokio::test(start_paused = true)]
async fn promote_keeps_what_is_under_way_or_held_by_decision_alone() {
    for shop in [Shop::with_v128(json!({"phase": "Judging"})).await, Shop::held().await] {
        let before = shop.deployment();
        let said = shop.run("promote payments --because load-test").await;
        assert_eq!(
            (said.exit, said.out.as_str()),
            (Exit::Done, "payments v128 kept by decision\n"),
            "{}",
            said.err
        );
        assert_eq!(shop.record(128).expect("recorded")["spec"]["decision"]["verdict"], "Keep");
        assert_eq!(shop.deployment(), before, "lifting the hold is the manager's");
    }
}

#[tokio::test(start_paused = true)]
async fn promote_deploys_a_rejected_release_again() {
    let shop = Shop::claimed().await;
    shop.release(128, "payments:2", json!({"phase": "RolledBack", "summary": "errors"})).await;
    let said = shop.run("promote payments v128 --because load-test").await;
    assert_eq!(said.exit, Exit::Done, "{}", said.err);
    assert_eq!(
        shop.changes(),
        ["patch appreleases.trimtab.dev payments-v128", "patch deployments.apps payments"]
    );
    assert_eq!(image(&shop.deployment()), "payments:2");
    assert_eq!(shop.deployment()["metadata"]["annotations"]["trimtab.dev/release"], "v128");
}

#[tokio::test(start_paused = true)]
async fn a_pause_that_keeps_pods_back_is_told() {
    for line in ["abort payments", "promote payments --because fine"] {
        let shop = Shop::with_v128(json!({"phase": "Judging"})).await;
        shop.merge("payments", json!({"spec": {"paused": true}})).await;
        let said = shop.run(line).await;
        let told = "Deployment shop/payments is paused: no pod changes before that ends";
        let hint = "hint: `kubectl rollout resume deployment/payments -n shop`";
        assert_eq!(said.exit, Exit::Done, "{said:?}");
        assert!(said.err.contains(told) && said.err.contains(hint), "{line}: {}", said.err);
    }
    let shop = Shop::with_v128(json!({"phase": "Judging"})).await;
    let said = shop.run("abort payments").await;
    assert!(!said.err.contains("paused"), "{}", said.err);
}
