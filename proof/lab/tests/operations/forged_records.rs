//! Records that somebody who may edit one namespace writes and edits by hand: the real API server refuses what it can tell,
//! and the manager passes over the rest.

use anyhow::{Result, ensure};
use serde_json::{Value, json};
use trimtab_lab::Lab;
use trimtab_lab::judged::{managed_app, workload};

use crate::stage::{NAMESPACE, Stage, release, ship, text, wait_for_release, wait_until_phase};
use crate::tenants::{admit, as_tenant, dismiss, first_template_is_back, refusal, wait_until_passed_over};

/// The service.
const PENNED: &str = "penned";
/// A service that does not exist.
const OTHER: &str = "elsewhere";
/// Pods of the service.
const REPLICAS: u32 = 1;
/// A release that crashes once it is out.
const BAD: &str = "v2-panic3s";
/// The largest number that the server takes: with it, no other would be left.
const LARGEST: i64 = i64::MAX;

pub(crate) async fn records_that_a_tenant_wrote_are_refused_or_passed_over(
    lab: &Lab,
    _: &mut Stage,
) -> Result<()> {
    admit(lab).await?;
    let outcome = releases_among_forged_records(lab).await;
    // Whatever came of it: what crashes for ever, and what was forged, must not be met by the cases after this one.
    let removed = remove_everything(lab).await;
    outcome.and(removed)
}

async fn releases_among_forged_records(lab: &Lab) -> Result<()> {
    let app = managed_app(NAMESPACE, PENNED, "{delivery: {watch: 5s}}");
    lab.apply(&format!("{}---{app}", workload(NAMESPACE, PENNED, "v1", REPLICAS))).await?;
    wait_until_phase(lab, PENNED, "Healthy").await?;
    the_server_refuses(lab).await?;
    the_manager_passes_over(lab).await?;
    the_next_one_is_judged(lab).await?;
    the_seal_sees_what_the_server_does_not(lab).await
}

/// Removes the service, the forged records, and the tenant.
async fn remove_everything(lab: &Lab) -> Result<()> {
    let all = ["delete", "-n", NAMESPACE, "--ignore-not-found", "--wait=false"];
    lab.kubectl(&[&all[..], &["managedapp,deployment,service", PENNED]].concat()).await?;
    remove_forged(lab).await?;
    dismiss(lab).await
}

async fn remove_forged(lab: &Lab) -> Result<()> {
    let [largest, ours, its] = &forged_names();
    let delete = ["delete", "apprelease", "-n", NAMESPACE, "--ignore-not-found", largest, ours, its];
    lab.kubectl(&delete).await.map(drop)
}

/// The largest number, the name of the service's second release, and that of another service's.
fn forged_names() -> [String; 3] {
    [format!("{PENNED}-v{LARGEST}"), format!("{PENNED}-v2"), format!("{OTHER}-v2")]
}

/// A number that is none, and another history of a record that is sealed.
async fn the_server_refuses(lab: &Lab) -> Result<()> {
    let said = refusal(lab, &["create", "-f", "-"], &taken(0).to_string()).await?;
    let named = said.contains("spec.number") && said.contains("greater than or equal to 1");
    ensure!(named, "of the number 0 the server says: {said}");
    let first = format!("{PENNED}-v1");
    let edits = [
        (json!({"template": {"spec": {"containers": []}}}), "template is immutable once set"),
        (json!({"template": null}), "template is immutable once set"),
        (json!({"templateHash": "other"}), "templateHash is immutable once set"),
        (json!({"templateHash": null}), "templateHash is immutable once set"),
        (json!({"number": 2}), "app, number and actor are immutable"),
    ];
    for (spec, why) in edits {
        let patch = json!({"spec": spec}).to_string();
        let said = refusal(lab, &["patch", "apprelease", &first, "--type=merge", "-p", &patch], "").await?;
        ensure!(said.contains(why), "of the edit {patch} the server says: {said}");
    }
    Ok(())
}

/// The largest number, taken as a person takes one, and copies of what the manager sealed that mix up two services.
async fn the_manager_passes_over(lab: &Lab) -> Result<()> {
    as_tenant(lab, &["create", "-f", "-"], &taken(LARGEST).to_string()).await?;
    let [largest, under_our_name, under_its_name] = forged_names();
    let stored = release(lab, &largest).await?["spec"]["number"].clone();
    ensure!(stored == LARGEST, "the server keeps {stored} for {LARGEST}");
    let far = format!("AppRelease {largest}: v{LARGEST} is more than 1000 above v1");
    wait_until_passed_over(lab, PENNED, &far).await?;

    let first = release(lab, &format!("{PENNED}-v1")).await?;
    // The one that the service speaks of comes last: once it does, the manager has seen both.
    let copies = [copy(&first, &under_our_name, PENNED, OTHER), copy(&first, &under_its_name, OTHER, PENNED)];
    let list = json!({"apiVersion": "v1", "kind": "List", "items": copies});
    as_tenant(lab, &["create", "-f", "-"], &list.to_string()).await?;
    let misnamed =
        format!("AppRelease {under_its_name}: v2 of {PENNED} is called {under_our_name}, and 1 more");
    wait_until_passed_over(lab, PENNED, &misnamed).await
}

/// The next release has the next number whose name is free, is judged like any other, and what it replaced comes back.
async fn the_next_one_is_judged(lab: &Lab) -> Result<()> {
    ship(lab, PENNED, BAD).await?;
    let closed = wait_for_release(lab, &format!("{PENNED}-v3"), "RolledBack").await?;
    let spec = &closed["spec"];
    ensure!(spec["number"] == 3 && spec["previous"] == 1, "another release follows on v1: {spec}");
    let summary = text(&closed, "/status/summary");
    ensure!(summary.starts_with("panics-and-crashes: "), "the verdict is another one: {summary}");
    first_template_is_back(lab, PENNED).await
}

/// The server compares the fields that a template had before, and lets one be renamed.
async fn the_seal_sees_what_the_server_does_not(lab: &Lab) -> Result<()> {
    // The service names the first of the records that do not count.
    remove_forged(lab).await?;
    let sealed = format!("{PENNED}-v3");
    let renamed = json!({"spec": {"template": {"spec": null, "other": {"containers": []}}}}).to_string();
    as_tenant(lab, &["patch", "apprelease", &sealed, "--type=merge", "-p", &renamed], "").await?;
    wait_until_passed_over(lab, PENNED, &format!("AppRelease {sealed}: its seal")).await
}

/// A record as somebody creates it who takes a number for what they are about to release.
fn taken(number: i64) -> Value {
    json!({
        "apiVersion": "trimtab.dev/v1alpha1", "kind": "AppRelease",
        "metadata": {"name": format!("{PENNED}-v{number}"), "namespace": NAMESPACE,
            "labels": {"trimtab.dev/app": PENNED}},
        "spec": {"app": PENNED, "number": number, "actor": "mallory", "image": "shop/service:evil"},
    })
}

/// The second release of `app`, with the seal of a record of the manager and a privileged template, under any name and label.
fn copy(first: &Value, name: &str, label: &str, app: &str) -> Value {
    let mut spec = first["spec"].clone();
    spec["app"] = json!(app);
    spec["number"] = json!(2);
    spec["template"]["spec"]["containers"][0]["securityContext"] = json!({"privileged": true});
    json!({
        "apiVersion": first["apiVersion"], "kind": "AppRelease", "spec": spec,
        "metadata": {"name": name, "namespace": NAMESPACE, "labels": {"trimtab.dev/app": label},
            "annotations": first["metadata"]["annotations"]},
    })
}
