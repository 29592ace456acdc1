//! What cannot be done is refused, with the next command.

use std::ffi::OsString;

use serde_json::json;
use trimtab::cli::exit::Exit;

use crate::support::Shop;

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
async fn what_is_not_there_is_an_error_of_every_command() {
    for line in [
        "get other",
        "get other -o json",
        "explain other",
        "explain other v1",
        "history other",
        "history other -o json",
        "rules other",
        "rules other -o yaml",
        "deploy other --image x",
        "promote other --because x",
        "abort other",
        "rollback other",
        "claim other",
        "release other",
    ] {
        let shop = Shop::claimed().await;
        let said = shop.run(line).await;
        assert_eq!((said.exit, said.out.as_str()), (Exit::Error, ""), "{line}: {}", said.err);
        let cause = "error: namespace shop has no service and no Deployment other\nhint: ";
        assert!(said.err.starts_with(cause), "{line}: {}", said.err);
    }
    for line in ["uninstall --instance other", "uninstall --instance other --yes"] {
        let shop = Shop::claimed().await;
        let said = shop.run(line).await;
        let told = "error: namespace trimtab-system has no manager of instance other, and no service is its\n\
                    hint: `kubectl get deployments -l trimtab.dev/instance -n trimtab-system` lists those that there are\n";
        assert_eq!((said.exit, said.out.as_str(), said.err.as_str()), (Exit::Error, "", told), "{line}");
    }
    let said = Shop::open().await.run("rules payments").await;
    assert!(said.exit == Exit::Done && said.err.contains("this is what would judge it"), "{said:?}");
}

#[tokio::test(start_paused = true)]
async fn a_deleted_deployment_is_told_with_the_next_command() {
    for line in [
        "deploy payments --image payments:3",
        "promote payments --because x",
        "abort payments",
        "rollback payments",
        "rollback payments --to v126",
        "claim payments",
    ] {
        let shop = Shop::held().await;
        shop.delete_deployment().await;
        let said = shop.run(line).await;
        let told = "error: Deployment shop/payments is gone, and ManagedApp payments still claims it\n\
                    hint: apply its manifest again, or let go of the service: `trimtab release payments -n shop`\n";
        assert_eq!((said.exit, said.err.as_str()), (Exit::Error, told), "{line}");
        assert_eq!(shop.changes(), Vec::<String>::new(), "{line}");
    }
}

/// Some commands take a release after the service and some do not; nobody has to know which.
#[tokio::test(start_paused = true)]
async fn a_release_in_the_wrong_place_is_told_with_the_right_command() {
    let shop = Shop::with_v128(json!({"phase": "Judging"})).await;
    for (line, told) in [
        (
            "abort payments v128 --because x",
            "error: abort acts on the release under way, and takes no number such as v128\n\
             hint: `trimtab abort payments -n shop`; to bring back v128, `trimtab rollback payments --to v128 -n shop`\n",
        ),
        (
            "rollback payments v126",
            "error: rollback takes the release to bring back as --to v126\n\
             hint: `trimtab rollback payments --to v126 -n shop`\n",
        ),
    ] {
        let said = shop.run(line).await;
        assert_eq!((said.exit, said.err.as_str()), (Exit::Usage, told), "{line}");
    }
    assert_eq!(shop.changes(), Vec::<String>::new());
    let words = "trimtab promote payments v128".split(' ').map(OsString::from);
    let told = trimtab::cli::parse(words).expect_err("it gives no reason").to_string();
    assert!(told.contains("tip: a decision is recorded with its reason: add --because"), "{told}");
}

/// A script whose variable is not set, and one that has two words in it.
#[test]
fn what_is_no_name_is_refused_by_the_command_line() {
    for line in [
        "release |",
        "get |",
        "explain |",
        "deploy | --image a:1",
        "claim a/b",
        "history A",
        "rules ..",
        "get -n |",
    ] {
        let words = line.split(' ').map(|word| if word == "|" { "" } else { word });
        let words = std::iter::once("trimtab").chain(words).map(std::ffi::OsString::from);
        let error = trimtab::cli::parse(words).expect_err(line).to_string();
        assert!(error.contains("is not a valid name"), "{line}: {error}");
    }
}

/// Whatever asks for it: nothing of ours asks the server for an object without a name.
#[tokio::test(start_paused = true)]
async fn an_object_without_a_name_is_not_asked_for() {
    let shop = Shop::claimed().await;
    let api = trimtab_kube::Api::new(shop.sim.client("system:admin").client, "test");
    let preconditions = trimtab_kube::api::Preconditions::default();
    let background = trimtab_kube::api::Propagation::Background;
    let deleted =
        api.delete(trimtab_kube::kinds::MANAGED_APPS, Some("shop"), "", &preconditions, background).await;
    let error = deleted.expect_err("it would be every service").to_string();
    assert!(error.ends_with("invalid: a name is empty"), "{error}");
    assert!(shop.sim.get("managedapps.trimtab.dev", "shop", "payments").is_some());
}
