//! `deploy`, and waiting for what becomes of it.

use std::time::Duration;

use serde_json::{Value, json};
use trimtab::cli::exit::Exit;
use trimtab_sim::Effect;

use crate::support::{PERSON, Said, Shop};
use crate::{image, strike};

#[tokio::test(start_paused = true)]
async fn deploy_is_one_record_and_one_patch() {
    let shop = Shop::claimed().await;
    let said = shop.run("deploy payments --image payments:2 --because retries").await;
    assert_eq!((said.exit, said.out.as_str()), (Exit::Done, "payments v128\n"), "{}", said.err);
    assert_eq!(
        shop.changes(),
        ["create appreleases.trimtab.dev payments-v128", "patch deployments.apps payments"]
    );
    let deployment = shop.deployment();
    assert_eq!(image(&deployment), "payments:2");
    assert_eq!(deployment["metadata"]["annotations"]["trimtab.dev/release"], "v128");
    assert_eq!(deployment["spec"]["template"]["spec"]["containers"][1]["image"], "envoy:1");
    let record = shop.record(128).expect("recorded");
    let expect = json!({"app": "payments", "number": 128, "previous": 127, "image": "payments:2", "actor": PERSON, "reason": "retries"});
    assert_eq!(record["spec"], expect, "the manager fills in the template");
    assert_eq!(record["metadata"]["ownerReferences"][0]["name"], "payments");
}

/// A record tells the image of the service container: by it the manager knows the template that the number was given to.
#[tokio::test(start_paused = true)]
async fn a_deployed_sidecar_leaves_the_image_of_the_service() {
    let shop = Shop::claimed().await;
    let sidecar = shop.deployment()["spec"]["template"]["spec"]["containers"][1]["name"].clone();
    let command =
        format!("deploy payments --image envoy:2 --container {}", sidecar.as_str().expect("a name"));
    let said = shop.run(&command).await;
    assert_eq!(said.exit, Exit::Done, "{}", said.err);
    assert_eq!(shop.record(128).expect("recorded")["spec"]["image"], image(&shop.deployment()));
}

#[tokio::test(start_paused = true)]
async fn two_people_get_two_numbers() {
    let shop = Shop::claimed().await;
    let (one, two) = tokio::join!(
        shop.run_as("alice", "deploy payments --image payments:2"),
        shop.run_as("bob", "deploy payments --image payments:3"),
    );
    let mut numbers = [one.out, two.out];
    numbers.sort();
    assert_eq!(numbers, ["payments v128\n", "payments v129\n"]);
    let shown = shop.deployment()["metadata"]["annotations"]["trimtab.dev/release"].clone();
    let number: u64 = shown
        .as_str()
        .and_then(|word| word.strip_prefix('v'))
        .and_then(|word| word.parse().ok())
        .expect("a number");
    assert_eq!(
        shop.record(number).expect("recorded")["spec"]["image"],
        image(&shop.deployment()),
        "the number is the template's"
    );
}

#[tokio::test(start_paused = true)]
async fn a_record_whose_template_never_arrived_is_taken_back() {
    for line in ["deploy payments --image payments:2", "rollback payments --to v126"] {
        let shop = Shop::claimed().await;
        shop.sim.faults().add(strike(
            "patch",
            "deployments.apps",
            Effect::Refuse { code: 403, retry_after: None },
        ));
        let said = shop.run(line).await;
        assert_eq!((said.exit, said.out.as_str()), (Exit::Error, ""), "{line}: {}", said.err);
        assert!(said.err.contains("took v128 back"), "{line}: {}", said.err);
        assert_eq!((shop.record(128), image(&shop.deployment())), (None, "payments:1"), "{line}");
    }
}

#[tokio::test(start_paused = true)]
async fn an_answer_that_got_lost_is_not_taken_for_a_failure() {
    let shop = Shop::claimed().await;
    shop.sim.faults().add(strike("patch", "deployments.apps", Effect::DropAfter));
    let said = shop.run("deploy payments --image payments:2").await;
    assert_eq!((said.exit, said.out.as_str()), (Exit::Done, "payments v128\n"), "{}", said.err);
    assert!(shop.record(128).is_some());
}

#[tokio::test(start_paused = true)]
async fn an_unclaimed_deployment_is_deployed_and_not_judged() {
    let shop = Shop::open().await;
    let said = shop.run("deploy payments --image payments:2").await;
    assert_eq!((said.exit, said.out.as_str()), (Exit::Done, "payments payments:2\n"));
    assert!(
        said.err.contains("not judged") && said.err.contains("hint: `trimtab claim payments -n shop`"),
        "{}",
        said.err
    );
    assert_eq!(shop.changes(), ["patch deployments.apps payments"]);
}

/// Deploys and waits, while the record goes through these states a minute apart.
async fn deploy_and_wait(states: &[Value]) -> Said {
    let shop = Shop::claimed().await;
    let manager = async {
        for state in states {
            tokio::time::sleep(Duration::from_secs(60)).await;
            shop.status("appreleases", "payments-v128", state.clone()).await;
        }
    };
    let (said, ()) = tokio::join!(shop.run("deploy payments --image payments:2 --wait=30m"), manager);
    said
}

#[tokio::test(start_paused = true)]
async fn waiting_ends_with_the_outcome() {
    let judging = json!({"phase": "Judging", "summary": "judged against v127"});
    let check = async |last: Value, exit: Exit, out: &str| {
        let said = deploy_and_wait(&[judging.clone(), last]).await;
        assert_eq!((said.exit, said.out), (exit, format!("payments v128\n{out}")), "{}", said.err);
        assert!(said.err.contains("payments v128: Judging: judged against v127\n"), "{}", said.err);
    };
    check(json!({"phase": "Kept", "summary": "fine"}), Exit::Done, "payments v128 kept: fine\n").await;
    check(
        json!({"phase": "Kept", "lowEvidence": true, "summary": "quiet"}),
        Exit::LowEvidence,
        "payments v128 kept on low evidence: quiet\n",
    )
    .await;
    check(
        json!({"phase": "RolledBack", "summary": "errors"}),
        Exit::RolledBack,
        "payments v128 rolled back: errors\n",
    )
    .await;
    check(
        json!({"phase": "RolledBack", "held": true, "summary": "errors"}),
        Exit::Held,
        "payments v128 waits for a person: errors\n",
    )
    .await;
    check(
        json!({"phase": "Superseded", "summary": "replaced by v129"}),
        Exit::Error,
        "payments v128 superseded: replaced by v129\n",
    )
    .await;
}

#[tokio::test(start_paused = true)]
async fn waiting_has_an_end() {
    let said = deploy_and_wait(&[json!({"phase": "Judging", "summary": "judged against v127"})]).await;
    assert_eq!(said.exit, Exit::Error);
    assert!(said.err.contains("error: payments v128 has no outcome after 30m"), "{}", said.err);
}

/// As `promote`, `abort` and `rollback` take it; `--reason` was the word before.
#[tokio::test(start_paused = true)]
async fn the_reason_of_a_deploy_is_recorded() {
    for (flag, recorded) in [
        ("--because retries", json!("retries")),
        ("--reason retries", json!("retries")),
        ("--because ...", json!(null)),
    ] {
        let shop = Shop::claimed().await;
        let said = shop.run(&format!("deploy payments --image payments:2 {flag}")).await;
        assert_eq!(said.exit, Exit::Done, "{flag}: {}", said.err);
        assert_eq!(shop.record(128).expect("recorded")["spec"]["reason"], recorded, "{flag}");
    }
    let said = Shop::open().await.run("deploy payments --image payments:2 --because retries").await;
    assert!(said.err.contains("the reason is recorded nowhere"), "{}", said.err);
}
