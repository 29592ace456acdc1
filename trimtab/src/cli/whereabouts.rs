//! Where a service is, when it is not where a command looked for it.

use serde_json::Value;
use trimtab_delivery::command;
use trimtab_kube::api::Selector;
use trimtab_kube::kinds::MANAGED_APPS;
use trimtab_kube::resource::DEPLOYMENTS;
use trimtab_kube::{Api, Resource};

use super::exit::Failure;

/// Namespaces that are named at most.
const NAMED_MAX: usize = 3;

/// The failure of `trimtab {verb} {name}` in a namespace that has no such `ManagedApp`: what is there instead, and where
/// the service of that name is, as far as the person may list.
pub(super) async fn unclaimed(api: &Api, namespace: &str, name: &str, verb: &str) -> Failure {
    let here = api.get(DEPLOYMENTS, Some(namespace), name).await;
    if !matches!(here, Ok(Some(_))) {
        return missing(api, namespace, name, verb).await;
    }
    Failure::error(format!("{namespace}/{name} is not claimed: nothing judges its deploys")).hint(format!(
        "`{}`; `{}`",
        command::trimtab(&format!("claim {name}"), namespace),
        command::kubectl(&format!("rollout status deployment/{name}"), namespace)
    ))
}

/// The failure of `trimtab {verb} {name}` in a namespace that has neither the service nor its Deployment.
pub(super) async fn missing(api: &Api, namespace: &str, name: &str, verb: &str) -> Failure {
    let failure = Failure::error(format!("namespace {namespace} has no service and no Deployment {name}"));
    let Some(claimed) = namespaces(api, MANAGED_APPS, name).await else {
        let hint = format!(
            "choose another namespace with -n; `{}` lists those of this one",
            command::trimtab("get --all", namespace)
        );
        return failure.hint(hint);
    };
    if !claimed.is_empty() {
        let there = |namespace: &str| command::trimtab(&format!("{verb} {name}"), namespace);
        return failure.hint(format!("there is one: {}", listed(&claimed, there)));
    }
    let deployments = namespaces(api, DEPLOYMENTS, name).await.unwrap_or_default();
    if !deployments.is_empty() {
        let there = |namespace: &str| command::trimtab(&format!("claim {name}"), namespace);
        return failure.hint(format!("a Deployment, not claimed: {}", listed(&deployments, there)));
    }
    failure.hint("no namespace has one; `trimtab get -A --all` lists services and Deployments")
}

fn listed(namespaces: &[String], there: impl Fn(&str) -> String) -> String {
    let one = |namespace: &String| format!("in namespace {namespace}, `{}`", there(namespace));
    let mut words: Vec<String> = namespaces.iter().take(NAMED_MAX).map(one).collect();
    if namespaces.len() > NAMED_MAX {
        words.push(format!("and in {} more, `trimtab get -A`", namespaces.len() - NAMED_MAX));
    }
    words.join("; ")
}

/// The namespaces with an object of a name; none where the person may not list them all.
async fn namespaces(api: &Api, resource: &Resource, name: &str) -> Option<Vec<String>> {
    let named = Selector::all().fields(format!("metadata.name={name}"));
    let found = api.list(resource, None, &named).await.ok()?;
    let of = |object: &Value| object["metadata"]["namespace"].as_str().map(str::to_owned);
    let mut namespaces: Vec<String> = found.iter().filter_map(of).collect();
    namespaces.sort();
    Some(namespaces)
}
