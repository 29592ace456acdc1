//! A person who looks in the wrong place, and services that no manager looks after.

mod support;

use std::time::Duration;

use serde_json::{Value, json};
use trimtab::cli::exit::Exit;
use trimtab_kube::Api;
use trimtab_kube::api::{Preconditions, Propagation};
use trimtab_kube::kinds::MANAGED_APPS;
use trimtab_sim::{Effect, Fault};

use support::{PERSON, SHOP, Shop};

#[tokio::test(start_paused = true)]
async fn the_wrong_namespace_is_named_with_the_right_one() {
    let shop = Shop::claimed().await;
    for verb in ["get", "explain", "history"] {
        let said = shop.run(&format!("{verb} payments -n default")).await;
        let told = format!(
            "error: namespace default has no service and no Deployment payments\n\
             hint: there is one: in namespace shop, `trimtab {verb} payments -n shop`\n"
        );
        assert_eq!((said.exit, said.err), (Exit::Error, told), "{verb}");
    }
    let said = shop.run("get -n default").await;
    let told = "no service is claimed in namespace default\nin other namespaces: 1\nhint: `trimtab get -A`\n";
    assert!(said.exit == Exit::Done && said.err.starts_with(told), "{}", said.err);
}

#[tokio::test(start_paused = true)]
async fn who_may_not_list_other_namespaces_is_told_where_it_was_looked() {
    let shop = Shop::claimed().await;
    let fault = Fault {
        user: Some(PERSON.to_owned()),
        verbs: vec!["list".to_owned()],
        ..Fault::always(Effect::Refuse { code: 403, retry_after: None })
    };
    shop.sim.faults().add(fault);
    let said = shop.run("explain payments -n default").await;
    assert_eq!(
        said.err,
        "error: namespace default has no service and no Deployment payments\n\
         hint: choose another namespace with -n; `trimtab get --all -n default` lists those of this one\n"
    );
}

#[tokio::test(start_paused = true)]
async fn a_service_whose_manager_went_away_is_unknown() {
    let shop = Shop::claimed().await;
    let said = shop.run("get payments").await;
    assert!(said.out.contains("✔ Healthy on v127") && said.err.is_empty(), "{said:?}");
    tokio::time::sleep(Duration::from_secs(3 * 3600)).await;
    let said = shop.run("get payments").await;
    assert!(said.out.contains("? unknown, was Healthy on v127"), "{}", said.out);
    assert!(said.err.contains("no manager acts since ") && said.err.contains(", 3h ago\n"), "{}", said.err);
    let pods = "`kubectl get pods -l app.kubernetes.io/name=trimtab -n trimtab-system`";
    assert!(said.err.contains(pods), "{}", said.err);
    let said = shop.run("explain payments").await;
    assert!(said.out.starts_with("shop/payments  ? unknown: no manager acts since "), "{}", said.out);
    assert!(said.out.contains("last written  Healthy on v127") && said.out.contains(pods), "{}", said.out);
    let said = shop.run("deploy payments --image payments:2").await;
    assert!(said.exit == Exit::Done && said.err.contains("3h ago: this waits for one\n"), "{}", said.err);
}

#[tokio::test(start_paused = true)]
async fn a_service_of_an_instance_that_nobody_runs_is_unknown() {
    let shop = Shop::claimed().await;
    shop.label("trimtab.dev/instance", "team-a").await;
    for line in ["get", "explain payments"] {
        let said = shop.run(line).await;
        let text = said.out + &said.err;
        assert!(text.contains("? unknown"), "{text}");
        assert!(
            text.contains(
                "no manager of instance team-a ever acted: there is no lease trimtab-manager-team-a"
            ),
            "{text}"
        );
        assert!(text.contains("`kubectl label managedapp payments trimtab.dev/instance- -n shop`"), "{text}");
    }
    shop.manager("trimtab-manager-team-a", "pod-1").await;
    let said = shop.run("get").await;
    assert!(said.out.contains("✔ Healthy on v127") && said.err.is_empty(), "{said:?}");
}

#[tokio::test(start_paused = true)]
async fn a_lease_that_may_not_be_read_is_told_and_changes_no_state() {
    let shop = Shop::claimed().await;
    let fault = Fault {
        user: Some(PERSON.to_owned()),
        resource: Some("leases.coordination.k8s.io".to_owned()),
        ..Fault::always(Effect::Refuse { code: 403, retry_after: None })
    };
    shop.sim.faults().add(fault);
    let said = shop.run("get").await;
    assert!(said.out.contains("✔ Healthy on v127"), "{}", said.out);
    assert!(said.err.starts_with("whether a manager acts is not known: "), "{}", said.err);
    assert!(said.err.contains("`kubectl auth can-i list leases.coordination.k8s.io -A`"), "{}", said.err);
}

#[tokio::test(start_paused = true)]
async fn a_placeholder_is_no_reason_and_no_image() {
    let shop = Shop::claimed().await;
    for line in ["promote payments --because ...", "deploy payments --image ..."] {
        assert_eq!(shop.run(line).await.exit, Exit::Refused, "{line}");
    }
    assert_eq!(shop.changes(), Vec::<String>::new());
}

#[tokio::test(start_paused = true)]
async fn an_instance_is_removed_alone() {
    let shop = Shop::claimed().await;
    let choices = trimtab::cli::install::Choices {
        namespace: "trimtab-system".to_owned(),
        image: "trimtab:1".to_owned(),
        instance: Some("team-a".to_owned()),
        ..Default::default()
    };
    let own = trimtab::cli::install::objects(&choices).expect("readable files");
    let own = own.into_iter().filter(trimtab::cli::install::is_own);
    shop.sim.load(own.collect()).expect("valid objects");
    let said = shop.run("uninstall --instance team-a --yes").await;
    assert_eq!(said.exit, Exit::Done, "{}", said.err);
    assert_eq!(
        shop.changes(),
        [
            "delete deployments.apps trimtab-team-a",
            "delete poddisruptionbudgets.policy trimtab-team-a",
            "delete clusterrolebindings.rbac.authorization.k8s.io trimtab-policy-view-team-a",
            "delete clusterroles.rbac.authorization.k8s.io trimtab-policy-view-team-a",
        ],
        "the claim of a service without the label stays, and so does what the others need"
    );
    assert!(shop.sim.get("deployments.apps", "trimtab-system", "trimtab").is_some());
    assert!(shop.sim.get("managedapps.trimtab.dev", SHOP, "payments").is_some());
}

/// Its `ManagedApp` is gone, and the manager that would have let go of it as well.
#[tokio::test(start_paused = true)]
async fn a_claim_that_no_service_names_goes_with_its_instance() {
    let shop = Shop::claimed().await;
    shop.merge("payments", json!({"metadata": {"annotations": {"trimtab.dev/instance": "team-a"}}})).await;
    let admin = Api::new(shop.sim.client("system:admin").client, "test");
    let (all, background) = (Preconditions::default(), Propagation::Background);
    admin.delete(MANAGED_APPS, Some(SHOP), "payments", &all, background).await.expect("it is there");
    // There is nothing of the other instance, which is told, and its removal touches nothing.
    for (id, exit, claim) in [("team-b", Exit::Error, json!("open")), ("team-a", Exit::Done, Value::Null)] {
        let said = shop.run(&format!("uninstall --instance {id} --yes")).await;
        assert_eq!(said.exit, exit, "{}", said.err);
        let annotations = &shop.deployment()["metadata"]["annotations"];
        assert_eq!(annotations.get("trimtab.dev/claim").cloned().unwrap_or_default(), claim, "{id}");
    }
}
