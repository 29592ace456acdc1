//! `get`, `history`, `explain` and `rules`: they change nothing.

use std::time::Duration;

use serde_json::{Value, json};
use trimtab::cli::exit::Exit;

use crate::support::{PERSON, Shop};

#[tokio::test(start_paused = true)]
async fn commands_that_read_only_read() {
    let shop = Shop::held().await;
    for line in [
        "get",
        "get -A --all -o wide",
        "get payments -o json",
        "history payments -o wide",
        "history payments -o yaml",
        "explain payments",
        "explain payments v128",
        "explain payments -o json",
        "rules payments",
        "uninstall",
    ] {
        let said = shop.run(line).await;
        assert_eq!(said.exit, Exit::Done, "{line}: {}", said.err);
    }
    assert_eq!(shop.sim.requests(PERSON).writes(), 0);
}

#[tokio::test(start_paused = true)]
async fn explaining_a_held_service_says_how_to_let_go_of_it() {
    let said = Shop::held().await.run("explain payments").await;
    for line in [
        "Healthy on v127 (v128 rejected)",
        "trimtab promote payments v128 -n shop --because ...",
        "trimtab release payments --force -n shop",
    ] {
        assert!(said.out.contains(line), "{line}: {}", said.out);
    }
}

/// Beside a FAIL, a service that runs what failed would be a riddle.
#[tokio::test(start_paused = true)]
async fn explaining_a_promoted_release_says_who_kept_it_and_why() {
    let shop = Shop::with_v128(json!({"phase": "Judging"})).await;
    assert_eq!(shop.run("promote payments --because load-test").await.exit, Exit::Done);
    let rule = json!({"name": "rpc-errors", "verdict": "Fail", "summary": "3.6 % vs 0.4 %", "evidence": [4.1, 3.505]});
    let kept =
        json!({"phase": "Kept", "verdict": "Fail", "summary": "kept by alice: load-test", "rules": [rule]});
    shop.status("appreleases", "payments-v128", kept).await;
    shop.status("managedapps", "payments", json!({"current": 128, "lastRelease": 128})).await;
    tokio::time::sleep(Duration::from_secs(180)).await;
    let said = shop.run("explain payments").await;
    for line in [
        "  alice decided 3m ago to keep v128: load-test\n",
        "\nevidence on v128, as last written; the decision of alice counts\n  ✖ rpc-errors FAIL: 3.6 % vs 0.4 %\n",
        "      evidence  12,589 to 1 of the 3,199 to 1 that decide\n",
    ] {
        assert!(said.out.contains(line), "{line}: {}", said.out);
    }
    let said = shop.run("explain payments -o json").await;
    let told: Value = serde_json::from_str(&said.out).expect("JSON");
    let decision = &told["decisions"][0];
    assert_eq!(
        (&decision["release"], &decision["decision"]["because"]),
        (&json!("v128"), &json!("load-test"))
    );
    let said = Shop::claimed().await.run("explain payments").await;
    assert!(!said.out.contains("decided"), "nobody decided: {}", said.out);
}
