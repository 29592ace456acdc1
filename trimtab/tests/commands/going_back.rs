//! `rollback`: waiting for what becomes of it, what was never kept, and a rollback that fails.

use std::time::Duration;

use serde_json::{Value, json};
use tokio::time::sleep;
use trimtab::cli::exit::Exit;

use crate::support::{Said, Shop};

/// Runs a command, while the manager writes this status of `release` after a minute.
async fn while_it_becomes(shop: &Shop, line: &str, release: &str, status: Value) -> Said {
    let (said, ()) = tokio::join!(shop.run(line), async {
        sleep(Duration::from_secs(60)).await;
        shop.status("appreleases", release, status).await;
    });
    said
}

#[tokio::test(start_paused = true)]
async fn to_wait_until_a_release_is_rolled_back_is_what_was_asked_for() {
    let ends = [
        (json!({"phase": "RolledBack", "summary": "rolled back by alice: slow"}), Exit::Done),
        (json!({"phase": "Kept", "summary": "kept by bob: not slow"}), Exit::Done),
        (json!({"phase": "RollingBack", "needsHuman": true, "summary": "slow"}), Exit::Held),
        (json!({"phase": "Superseded", "summary": "replaced by v129 before a verdict"}), Exit::Error),
    ];
    for (status, exit) in ends {
        let shop = Shop::with_v128(json!({"phase": "Judging"})).await;
        let line = "rollback payments --because slow --wait";
        let said = while_it_becomes(&shop, line, "payments-v128", status.clone()).await;
        assert_eq!(said.exit, exit, "{status}: {said:?}");
        let summary = status["summary"].as_str().expect("it has one");
        assert!(said.out.contains("payments v128 aborted") && said.out.contains(summary), "{said:?}");
        let decision = &shop.record(128).expect("it is recorded")["spec"]["decision"];
        assert_eq!((&decision["verdict"], &decision["because"]), (&json!("RollBack"), &json!("slow")));
    }
}

/// A command that was pasted as it was printed gives no reason.
#[tokio::test(start_paused = true)]
async fn the_reason_of_going_back_is_recorded() {
    for (because, recorded) in [("slow", json!("slow")), ("...", json!(null))] {
        let shop = Shop::claimed().await;
        let said = shop.run(&format!("rollback payments --because {because}")).await;
        assert_eq!(said.exit, Exit::Done, "{said:?}");
        assert_eq!(shop.record(128).expect("it is recorded")["spec"]["reason"], recorded, "{because}");
    }
}

#[tokio::test(start_paused = true)]
async fn to_wait_for_an_older_release_ends_with_its_verdict() {
    let ends = [
        (json!({"phase": "Kept", "summary": "no worse"}), Exit::Done),
        (json!({"phase": "Kept", "lowEvidence": true, "summary": "too little traffic"}), Exit::LowEvidence),
        (json!({"phase": "Kept", "needsHuman": true, "summary": "fails too"}), Exit::Held),
    ];
    for (status, exit) in ends {
        let shop = Shop::claimed().await;
        let said = while_it_becomes(&shop, "rollback payments --wait", "payments-v128", status).await;
        assert_eq!(said.exit, exit, "{said:?}");
        assert_eq!(shop.record(128).expect("it is recorded")["spec"]["rollbackTo"], json!(126));
        assert!(!said.err.contains("never kept"), "{said:?}");
    }
    let shop = Shop::claimed().await;
    let said = shop.run("rollback payments --wait=2m").await;
    let told = "payments v128 has no outcome after 2m0s\nhint: it goes on without you: `trimtab explain payments -n shop`\n";
    assert!(said.exit == Exit::Error && said.err.ends_with(told), "{said:?}");
}

#[tokio::test(start_paused = true)]
async fn what_was_never_kept_is_said_to_be_judged_like_any_release() {
    let shop = Shop::claimed().await;
    shop.release(128, "payments:2", json!({"phase": "Superseded", "startedAt": "2026-01-01T00:00:00Z"}))
        .await;
    let said = shop.run("rollback payments --to v128").await;
    assert_eq!(said.exit, Exit::Done, "{said:?}");
    let told = "v128 was never kept: v129 is judged, and rolled back if it fails\n";
    assert!(said.err.contains(told), "{said:?}");
}

#[tokio::test(start_paused = true)]
async fn a_rollback_that_failed_is_answered_by_promote() {
    let shop = Shop::with_v128(json!({"phase": "Kept"})).await;
    let said = shop.run("promote payments --because x").await;
    assert_eq!(said.exit, Exit::Refused, "nobody asked: {said:?}");
    shop.status("appreleases", "payments-v128", json!({"needsHuman": true})).await;
    let said = shop.run("promote payments --because x").await;
    assert_eq!((said.exit, said.out.as_str()), (Exit::Done, "payments v128 kept by decision\n"), "{said:?}");
    let decision = &shop.record(128).expect("it is recorded")["spec"]["decision"];
    assert_eq!((&decision["verdict"], &decision["because"]), (&json!("Keep"), &json!("x")));
}

#[tokio::test(start_paused = true)]
async fn to_go_back_to_what_a_release_falls_back_to_is_to_end_it() {
    let shop = Shop::with_v128(json!({"phase": "Judging"})).await;
    let said = shop.run("rollback payments --to v127 --because slow").await;
    assert_eq!((said.exit, said.out.as_str()), (Exit::Done, "payments v128 aborted\n"), "{said:?}");
    let decision = &shop.record(128).expect("it is recorded")["spec"]["decision"];
    assert_eq!((&decision["verdict"], &decision["because"]), (&json!("RollBack"), &json!("slow")));
    assert_eq!(shop.record(129), None, "no release is made of it");

    let shop = Shop::with_v128(json!({"phase": "Judging"})).await;
    let said = shop.run("deploy payments --image payments:1").await;
    let told = "error: this is the template of v127 of payments, which was kept, and v128 is under way\n\
                hint: `trimtab abort payments -n shop` ends v128 and brings v127 back\n";
    assert_eq!((said.exit, said.err.as_str()), (Exit::Refused, told), "{said:?}");
    assert_eq!(shop.changes(), Vec::<String>::new());
}

#[tokio::test(start_paused = true)]
async fn a_deploy_over_a_held_release_passes_by_itself() {
    let shop = Shop::held().await;
    let said = shop.run("deploy payments --image payments:3").await;
    let told =
        "the rejected v128 is held; v129 passes once the manager has seen that it is another template\n";
    assert!(said.exit == Exit::Done && said.err.contains(told), "{said:?}");
    assert!(!said.err.contains("rollout resume"), "{said:?}");
}
