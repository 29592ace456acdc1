//! `promote` and `abort`: a person overrules.

use serde_json::{Value, json};
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
    assert!(!said.err.contains("another template"), "{}", said.err);
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

/// Ending a pause ships the template under it: nobody is sent to do that.
#[tokio::test(start_paused = true)]
async fn a_pause_over_another_template_is_told_as_such() {
    let another = json!({"spec": {"paused": true, "template": template("payments:3")}});
    for line in ["abort payments", "rollback payments", "promote payments --because fine"] {
        let shop = Shop::with_v128(json!({"phase": "Judging"})).await;
        shop.merge("payments", another.clone()).await;
        let said = shop.run(line).await;
        assert_eq!(said.exit, Exit::Done, "{said:?}");
        assert!(said.err.contains("holds another template than that of v128"), "{line}: {}", said.err);
        assert!(!said.err.contains("rollout resume") && !said.err.contains("comes back"), "{}", said.err);
        assert_eq!(image(&shop.deployment()), "payments:3", "it is somebody's");
    }
    let shop = Shop::with_v128(json!({"phase": "Judging"})).await;
    shop.merge("payments", another).await;
    let before = shop.record(128).expect("recorded")["spec"]["decision"].clone();
    let said = shop.run("rollback payments --to v127 --because refunds").await;
    assert_eq!((said.exit, before), (Exit::Done, Value::Null), "{}", said.err);
    assert!(said.err.contains("v127 is back; v128 is aborted"), "{}", said.err);
    let decision = &shop.record(128).expect("recorded")["spec"]["decision"];
    assert_eq!((&decision["verdict"], &decision["because"]), (&json!("RollBack"), &json!("refunds")));
    let shop = Shop::with_v128(json!({"phase": "Judging"})).await;
    shop.merge("payments", json!({"spec": {"paused": true, "template": template("payments:3")}})).await;
    let said = shop.run("abort payments").await;
    let hint = "hint: `trimtab rollback payments -n shop --to v127` puts the template of v127 in its place";
    assert!(said.err.contains(hint), "{}", said.err);
    let said = shop.run("rollback payments -n shop --to v127").await;
    assert_eq!((said.exit, said.out.as_str()), (Exit::Done, "payments v127\n"), "{}", said.err);
    assert!(said.err.contains("hint: `kubectl rollout resume deployment/payments -n shop`"), "{}", said.err);
    assert_eq!(image(&shop.deployment()), "payments:1");
}

/// What a release falls back to takes over from nothing: it is what was wanted.
#[tokio::test(start_paused = true)]
async fn what_was_before_it_is_no_other_template() {
    let shop = Shop::with_v128(json!({"phase": "Judging"})).await;
    shop.merge("payments", json!({"spec": {"template": template("payments:1")}})).await;
    let said = shop.run("abort payments").await;
    assert!(said.err.contains("v127 comes back") && !said.err.contains("--to"), "{}", said.err);
}
