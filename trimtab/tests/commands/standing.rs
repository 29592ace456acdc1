//! Commands where they make no sense: a service that another one looks after, one whose claim is being taken up, one that no
//! manager has looked at, and values that stand for nothing.

use serde_json::json;
use trimtab::cli::exit::Exit;

use crate::support::{SHOP, Shop};

/// Another service that names the Deployment of `payments`.
async fn with_second(shop: &Shop) {
    shop.create("managedapps", json!({
        "apiVersion": "trimtab.dev/v1alpha1", "kind": "ManagedApp", "metadata": {"name": "second", "namespace": SHOP},
        "spec": {"target": {"name": "payments"}},
    })).await;
    let refused = json!([{"type": "Claimed", "status": "False", "reason": "Invalid", "message": "claimed by payments",
        "lastTransitionTime": "2026-01-01T00:00:00Z"}]);
    shop.status("managedapps", "second", json!({"phase": "Unclaimed", "conditions": refused})).await;
    let uid = shop.deployment()["metadata"]["uid"].clone();
    shop.status("managedapps", "payments", json!({"targetUid": uid})).await;
}

#[tokio::test(start_paused = true)]
async fn what_another_service_looks_after_is_left_to_it() {
    for verb in ["abort", "rollback", "deploy --image payments:2", "promote --because x"] {
        let shop = Shop::claimed().await;
        with_second(&shop).await;
        let (verb, flags) = verb.split_once(' ').unwrap_or((verb, ""));
        let missing = flags.split(' ').next().filter(|flag| !flag.is_empty());
        let missing = missing.map(|flag| format!(" {flag} ...")).unwrap_or_default();
        let said = shop.run(&format!("{verb} second {flags}")).await;
        let told = format!(
            "error: Deployment shop/payments is looked after by the service payments, not by second\n\
             hint: `trimtab {verb} payments -n shop{missing}`\n"
        );
        assert_eq!((said.exit, said.err.as_str()), (Exit::Refused, told.as_str()), "{verb}");
        assert_eq!(shop.changes(), Vec::<String>::new(), "{verb}");
    }
}

#[tokio::test(start_paused = true)]
async fn nothing_is_rolled_back_while_a_claim_is_taken_up() {
    for line in
        ["abort payments", "rollback payments", "rollback payments --to v1", "promote payments --because x"]
    {
        let shop = Shop::open().await;
        shop.create("managedapps", json!({
            "apiVersion": "trimtab.dev/v1alpha1", "kind": "ManagedApp", "metadata": {"name": "payments", "namespace": SHOP}, "spec": {},
        })).await;
        let said = shop.run(line).await;
        let told = "error: payments is being claimed: nothing is under way, and nothing is recorded yet\n\
                    hint: `trimtab explain payments -n shop`\n";
        assert_eq!((said.exit, said.err.as_str()), (Exit::Refused, told), "{line}");
        assert_eq!(shop.changes(), Vec::<String>::new(), "{line}");
    }
}

#[tokio::test(start_paused = true)]
async fn abort_ends_a_rollout_and_nothing_that_is_over() {
    let shop = Shop::open().await;
    let status = json!({"status": {"observedGeneration": shop.deployment()["metadata"]["generation"],
        "replicas": 3, "updatedReplicas": 3, "availableReplicas": 3}});
    shop.tries("PATCH", "/apis/apps/v1/namespaces/shop/deployments/payments/status", &status)
        .await
        .expect("it is taken");
    let said = shop.run("abort payments").await;
    let told = "error: payments is not claimed, and no rollout is under way\n\
                hint: `kubectl rollout undo deployment/payments -n shop` goes back to the revision before\n";
    assert_eq!((said.exit, said.err.as_str()), (Exit::Refused, told));
    assert_eq!(shop.changes(), Vec::<String>::new());
}

/// A template that no manager has looked at: what was kept last comes back.
#[tokio::test(start_paused = true)]
async fn what_no_manager_has_seen_is_rolled_back() {
    let shop = Shop::claimed().await;
    assert_eq!(shop.run("deploy payments --image payments:2").await.exit, Exit::Done);
    let said = shop.run("promote payments v128 --because x").await;
    assert!(
        said.err.contains("error: no manager has seen the template of v128 of payments yet"),
        "{}",
        said.err
    );
    let said = shop.run("rollback payments").await;
    assert_eq!((said.exit, said.out.as_str()), (Exit::Done, "payments v127\n"), "{}", said.err);
    assert!(said.err.contains("v127 is back: what was deployed since is no release yet"), "{}", said.err);
    assert!(shop.record(129).is_none());
}

#[tokio::test(start_paused = true)]
async fn what_runs_is_not_promoted_again() {
    let shop = Shop::held().await;
    let said = shop.run("promote payments --because fine").await;
    assert_eq!(said.exit, Exit::Done, "{}", said.err);
    shop.release(129, "payments:3", json!({"phase": "Kept"})).await;
    shop.status("appreleases", "payments-v128", json!({"held": null})).await;
    shop.merge("payments", json!({"spec": {"template": crate::support::template("payments:2")}})).await;
    let said = shop.run("promote payments v128 --because fine").await;
    assert!(
        said.exit == Exit::Refused && said.err.contains("holds the template of v128 already"),
        "{said:?}"
    );
}

/// A variable that is not set stands for nothing, and never for everything.
#[test]
fn empty_values_are_refused() {
    for line in [
        "uninstall --instance",
        "install --instance",
        "install --image",
        "install --prometheus-url",
        "deploy payments --image",
        "deploy payments --image x --container",
        "rollback payments --to",
        "explain payments",
        "promote payments --because x",
        "get -n",
    ] {
        let words = ["trimtab"].into_iter().chain(line.split(' ')).chain([""]);
        assert!(trimtab::cli::parse(words.map(Into::into)).is_err(), "{line}");
    }
    for line in [
        "deploy payments --image x --wait=-5m",
        "deploy payments --image x --wait=0s",
        "install --prometheus-url nowhere",
        "get payments --all",
        "explain payments v",
        "rollback payments --to +1",
    ] {
        let words = ["trimtab"].into_iter().chain(line.split(' '));
        assert!(trimtab::cli::parse(words.map(Into::into)).is_err(), "{line}");
    }
}
