//! What the manager asked for during the cases before this one, as the API server wrote it down.

use std::collections::{BTreeMap, BTreeSet};

use anyhow::{Context, Result, ensure};
use serde_json::Value;
use trimtab_lab::Lab;
use trimtab_lab::judged::{managed_app, workload};

use crate::stage::{NAMESPACE, Stage, wait_until_phase};

/// A service that is claimed here, so that there is something to see when this case runs alone.
const WITNESS: &str = "witness";
/// All that the manager may ever change, in the words of "Who may write what" in ARCHITECTURE.md: verb, group, resource.
const WRITES: [&str; 12] = [
    "create coordination.k8s.io leases",
    "update coordination.k8s.io leases",
    "create events.k8s.io events",
    "patch apps deployments",
    "patch  pods",
    "patch  secrets",
    "create trimtab.dev appreleases",
    "patch trimtab.dev appreleases",
    "delete trimtab.dev appreleases",
    "patch trimtab.dev appreleases/status",
    "patch trimtab.dev fleetpolicies/status",
    "patch trimtab.dev managedapps/status",
];
/// What claiming a service takes, at the least.
const WITNESSED: [&str; 3] =
    ["create trimtab.dev appreleases", "patch apps deployments", "patch trimtab.dev managedapps/status"];
/// The answer to somebody who may not.
const FORBIDDEN: u64 = 403;

pub(crate) async fn the_manager_asks_for_nothing_it_may_not_have(lab: &Lab, _: &mut Stage) -> Result<()> {
    let app = managed_app(NAMESPACE, WITNESS, "{}");
    lab.apply(&format!("{}---{app}", workload(NAMESPACE, WITNESS, "v1", 0))).await?;
    wait_until_phase(lab, WITNESS, "Healthy").await?;
    let mut asked: BTreeMap<String, usize> = BTreeMap::new();
    for event in lab.control_plane().audit()? {
        ensure!(
            event.code != FORBIDDEN,
            "the manager may not {} {}: {}",
            event.verb,
            event.resource,
            event.uri
        );
        if event.resource.is_empty() {
            continue;
        }
        let what = format!("{} {}", event.verb, event.resource);
        ensure!(
            !event.is_write() || WRITES.contains(&what.as_str()),
            "the manager changes what is not its own: {what}"
        );
        ensure!(
            event.resource != " secrets" || event.verb == "get" || is_seal_key(&event.uri),
            "the manager does more than read one Secret: {what} {}",
            event.uri
        );
        *asked.entry(what).or_default() += 1;
    }
    for what in WITNESSED {
        ensure!(asked.contains_key(what), "a service was claimed, and nobody saw `{what}`");
    }
    let requests: usize = asked.values().sum();
    println!("{requests} requests of the manager, none refused:");
    asked.iter().for_each(|(what, count)| println!("  {count:>5} {what}"));
    let unused: Vec<String> =
        granted(lab).await?.into_iter().filter(|what| !asked.contains_key(what)).collect();
    println!(
        "granted, and not needed so far: {}",
        if unused.is_empty() { "nothing".to_owned() } else { unused.join(", ") }
    );
    lab.kubectl(&["delete", "managedapp,deployment,service", WITNESS, "-n", NAMESPACE, "--wait=false"])
        .await
        .map(drop)
}

/// Whether a request is about the one Secret that the manager writes.
fn is_seal_key(uri: &str) -> bool {
    uri.split('?')
        .next()
        .is_some_and(|path| path.ends_with("/namespaces/trimtab-system/secrets/trimtab-seal"))
}

/// What RBAC lets the manager do, as verb, group and resource.
async fn granted(lab: &Lab) -> Result<BTreeSet<String>> {
    let mut granted = BTreeSet::new();
    let group = "/apis/rbac.authorization.k8s.io/v1";
    for role in ["clusterroles/trimtab-manager", "namespaces/trimtab-system/roles/trimtab-manager"] {
        let role = lab.get(&format!("{group}/{role}")).await?;
        for rule in role["rules"].as_array().context("a role has rules")? {
            for verb in words(&rule["verbs"]) {
                for (api, resource) in words(&rule["apiGroups"]).zip(std::iter::repeat(&rule["resources"])) {
                    granted.extend(words(resource).map(|resource| format!("{verb} {api} {resource}")));
                }
            }
        }
    }
    Ok(granted)
}

fn words(list: &Value) -> impl Iterator<Item = &str> {
    list.as_array().into_iter().flatten().filter_map(Value::as_str)
}
