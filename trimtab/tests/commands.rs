//! Commands against a simulated API server: what they change, what they say, and how they end.

mod support;

use std::time::Duration;

use serde_json::{Value, json};
use trimtab::cli::exit::Exit;
use trimtab_sim::{Effect, Fault};

use support::{PERSON, SHOP, Said, Shop, template};

fn image(deployment: &Value) -> &str {
    deployment["spec"]["template"]["spec"]["containers"][0]["image"].as_str().unwrap_or_default()
}

fn strike(verb: &str, resource: &str, effect: Effect) -> Fault {
    Fault {
        user: Some(PERSON.to_owned()),
        verbs: vec![verb.to_owned()],
        resource: Some(resource.to_owned()),
        times: Some(1),
        ..Fault::always(effect)
    }
}

#[tokio::test(start_paused = true)]
async fn deploy_is_one_record_and_one_patch() {
    let shop = Shop::claimed().await;
    let said = shop.run("deploy payments --image payments:2 --reason retries").await;
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
async fn refusals_change_nothing() {
    async fn check(shop: Shop, line: &str, cause: &str) {
        let said = shop.run(line).await;
        assert_eq!(said.exit, Exit::Refused, "{line}: {said:?}");
        assert!(
            said.err.starts_with("error: ") && said.err.contains(cause) && said.err.contains("\nhint: "),
            "{line}: {}",
            said.err
        );
        assert_eq!((said.out.as_str(), shop.changes()), ("", Vec::new()), "{line}");
    }
    let judging = || Shop::with_v128(json!({"phase": "Judging"}));
    let rolling_back = || Shop::with_v128(json!({"phase": "RollingBack"}));
    check(Shop::claimed().await, "deploy payments --image payments:1", "runs payments:1 already").await;
    check(Shop::open().await, "deploy payments --image payments:1", "runs payments:1 already").await;
    check(
        Shop::held().await,
        "deploy payments --image payments:2",
        "v128 of payments was rolled back with this template",
    )
    .await;
    check(Shop::claimed().await, "deploy payments --image p:2 --container nginx", "has no container nginx")
        .await;
    check(Shop::claimed().await, "abort payments", "no release under way").await;
    check(rolling_back().await, "abort payments", "being rolled back already").await;
    check(Shop::claimed().await, "promote payments --because x", "no release under way and none rejected")
        .await;
    check(Shop::claimed().await, "promote payments v127 --because x", "v127 of payments is Kept").await;
    check(Shop::claimed().await, "promote payments v99 --because x", "has no release v99").await;
    check(Shop::claimed().await, "promote payments latest --because x", "`latest` is no release").await;
    check(Shop::open().await, "promote payments --because x", "is not claimed").await;
    check(Shop::claimed().await, "rollback payments --to v127", "holds the template of v127 already").await;
    check(Shop::held().await, "rollback payments", "the rejected v128 is held and touches no pod").await;
    check(Shop::open().await, "rollback payments --to v3", "has no release v3").await;
    check(Shop::open().await, "rollback payments", "has no earlier revision").await;
    check(Shop::claimed().await, "claim payments", "is claimed already").await;
    check(Shop::open().await, "release payments", "is not claimed").await;
    check(Shop::held().await, "release payments", "is held").await;
    let shop = judging().await;
    shop.status("managedapps", "payments", json!({"phase": "Releasing"})).await;
    check(shop, "release payments", "is under way").await;
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
async fn claim_and_release_write_one_object() {
    let shop = Shop::open().await;
    let said = shop.run("claim payments --dry-run --strategy rolling").await;
    assert_eq!((said.exit, shop.changes()), (Exit::Done, Vec::new()));
    assert!(said.out.contains("strategy: Rolling"), "{}", said.out);
    assert_eq!(shop.run("claim payments").await.out, "payments claimed\n");
    assert_eq!(shop.run("release payments").await.out, "payments released\n");
    assert_eq!(
        shop.changes(),
        ["create managedapps.trimtab.dev payments", "delete managedapps.trimtab.dev payments"]
    );
}

#[tokio::test(start_paused = true)]
async fn claim_refuses_what_others_manage() {
    let shop = Shop::open().await;
    let owner =
        json!({"apiVersion": "x/v1", "kind": "Operator", "name": "shop", "uid": "u", "controller": true});
    shop.merge("payments", json!({"metadata": {"ownerReferences": [owner]}})).await;
    let said = shop.run("claim payments").await;
    assert_eq!(said.exit, Exit::Refused);
    assert!(said.err.contains("is managed by Operator shop"), "{}", said.err);
}

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
        "rules other -o json",
        "uninstall",
    ] {
        let said = shop.run(line).await;
        assert_eq!(said.exit, Exit::Done, "{line}: {}", said.err);
    }
    assert_eq!(shop.sim.requests(PERSON).writes(), 0);
}

#[tokio::test(start_paused = true)]
async fn explaining_a_held_service_says_how_to_free_it_by_hand() {
    let said = Shop::held().await.run("explain payments").await;
    for line in [
        "Healthy on v127 (v128 rejected)",
        "kubectl annotate deployment payments -n shop trimtab.dev/claim-",
        "kubectl rollout resume deployment/payments -n shop",
    ] {
        assert!(said.out.contains(line), "{line}: {}", said.out);
    }
}

#[tokio::test(start_paused = true)]
async fn uninstall_keeps_every_workload_as_it_runs() {
    let shop = Shop::held().await;
    let said = shop.run("uninstall --yes").await;
    assert_eq!(said.exit, Exit::Done, "{}", said.err);
    assert!(
        said.out.contains("let go of Deployment shop/payments, and the template that runs put back"),
        "{}",
        said.out
    );
    tokio::time::sleep(Duration::from_secs(60)).await;
    let deployment = shop.deployment();
    assert_eq!(image(&deployment), "payments:1");
    assert_eq!(deployment["spec"]["paused"], Value::Null);
    assert_eq!(deployment["metadata"]["annotations"].get("trimtab.dev/claim"), None);
    let changes = shop.changes();
    assert_eq!(
        changes[..2],
        [
            "delete clusterrolebindings.rbac.authorization.k8s.io trimtab-manager",
            "delete deployments.apps trimtab"
        ]
    );
    assert_eq!(changes[2], "patch deployments.apps payments");
    for resource in [
        "customresourcedefinitions.apiextensions.k8s.io",
        "mutatingadmissionpolicies.admissionregistration.k8s.io",
    ] {
        assert_eq!(shop.sim.list(resource, None), Vec::<Value>::new(), "{resource}");
    }
    let again = shop.run("uninstall --yes").await;
    assert_eq!((again.exit, again.out.as_str()), (Exit::Done, ""), "{}", again.err);
}

#[tokio::test(start_paused = true)]
async fn uninstall_stops_before_it_would_ship_what_was_rejected() {
    let shop = Shop::held().await;
    for number in [126, 127] {
        shop.status("appreleases", &format!("payments-v{number}"), json!({"phase": "Superseded"})).await;
    }
    let said = shop.run("uninstall --yes").await;
    assert_eq!(said.exit, Exit::Error, "{}", said.out);
    assert!(said.err.contains("it would ship what was rejected"), "{}", said.err);
    assert!(shop.sim.get("managedapps.trimtab.dev", SHOP, "payments").is_some());
    assert_eq!(shop.deployment()["spec"]["paused"], json!(true));
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
