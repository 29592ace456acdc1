//! `claim`, `release` and `uninstall`: a Deployment gets into care and out of it.

use std::time::Duration;

use serde_json::{Value, json};
use trimtab::cli::exit::Exit;

use crate::image;
use crate::support::{SHOP, Shop};

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

/// There is nothing left that a held template could reach, and nothing for a manager to do.
#[tokio::test(start_paused = true)]
async fn a_service_whose_deployment_was_deleted_is_let_go_of() {
    for shop in [Shop::claimed().await, Shop::held().await] {
        shop.delete_deployment().await;
        let said = shop.run("release payments").await;
        let told = "Deployment shop/payments does not exist, so nothing else changes; the records of its releases go with the service, and what they remember as rejected ships unjudged\n\
                    hint: when it is applied, `trimtab claim payments -n shop` begins anew\n";
        assert_eq!(
            (said.exit, said.out.as_str(), said.err.as_str()),
            (Exit::Done, "payments released\n", told)
        );
        assert_eq!(shop.changes(), ["delete managedapps.trimtab.dev payments"]);
    }
}
