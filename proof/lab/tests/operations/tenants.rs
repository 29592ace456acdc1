//! Somebody who may edit one namespace and nothing else writes a release of their own: the real API server takes it, and the
//! manager neither counts it nor brings it back.

use anyhow::{Context, Result, bail, ensure};
use serde_json::json;
use trimtab_lab::Lab;
use trimtab_lab::judged::{managed_app, workload};

use crate::stage::{
    NAMESPACE, PATIENCE, Stage, condition, deployment, release, ship, text, wait_for_release,
    wait_until_phase,
};

/// The service.
const TARGETED: &str = "targeted";
/// Who may edit the namespace.
const TENANT: &str = "mallory";
/// Pods of the service.
const REPLICAS: u32 = 1;

pub(crate) async fn a_record_that_a_tenant_wrote_is_never_restored(
    lab: &Lab,
    stage: &mut Stage,
) -> Result<()> {
    admit(lab).await?;
    let app = managed_app(NAMESPACE, TARGETED, "{delivery: {watch: 1h}}");
    lab.apply(&format!("{}---{app}", workload(NAMESPACE, TARGETED, "v1", REPLICAS))).await?;
    wait_until_phase(lab, TARGETED, "Healthy").await?;
    let first = format!("{TARGETED}-v1");
    let seal = text(&release(lab, &first).await?, "/metadata/annotations/trimtab.dev~1seal").to_owned();
    ensure!(seal.len() == 64, "the manager's record has the seal {seal:?}");

    // The next number, everything that a record of the manager says, and its seal.
    let forged = forged(lab, &seal).await?;
    as_tenant(lab, &["create", "-f", "-"], &forged.to_string()).await?;
    let status = r#"{"status":{"phase":"RolledBack"}}"#;
    let patch = ["patch", "apprelease", &first, "--subresource=status", "--type=merge", "-p", status];
    ensure!(as_tenant(lab, &patch, "").await.is_err(), "a tenant writes the status of a record");
    let secret = as_tenant(lab, &["get", "secret", "trimtab-seal", "-n", "trimtab-system"], "").await;
    ensure!(secret.is_err(), "a tenant reads the key");
    wait_until_passed_over(lab, TARGETED, &format!("AppRelease {TARGETED}-v2: its seal")).await?;

    ship(lab, TARGETED, "v2").await?;
    let bad = format!("{TARGETED}-v3");
    wait_for_release(lab, &bad, "Judging").await?;
    stage.site.trimtab(lab, &["abort", TARGETED, "-n", NAMESPACE, "--because", "the lab says so"]).await?;
    wait_for_release(lab, &bad, "RolledBack").await?;
    first_template_is_back(lab, TARGETED).await?;

    let refused = stage.site.try_trimtab(lab, &["rollback", TARGETED, "-n", NAMESPACE, "--to", "v2"]).await?;
    let words = String::from_utf8_lossy(&refused.stderr).into_owned();
    ensure!(!refused.status.success() && words.contains("not counted"), "`trimtab rollback` says {words:?}");
    let delete = ["delete", "managedapp,deployment,service", TARGETED, "-n", NAMESPACE, "--wait=false"];
    lab.kubectl(&delete).await?;
    dismiss(lab).await
}

/// A record as the manager writes it, but for a privileged template and the number.
async fn forged(lab: &Lab, seal: &str) -> Result<serde_json::Value> {
    let mut record = release(lab, &format!("{TARGETED}-v1")).await?;
    let mut spec = record["spec"].take();
    spec["number"] = json!(2);
    spec["template"]["spec"]["containers"][0]["securityContext"] = json!({"privileged": true});
    spec["decision"] = json!({"verdict": "Keep", "actor": TENANT, "because": "it is mine"});
    Ok(json!({
        "apiVersion": record["apiVersion"], "kind": "AppRelease", "spec": spec,
        "metadata": {"name": format!("{TARGETED}-v2"), "namespace": NAMESPACE,
            "labels": record["metadata"]["labels"], "ownerReferences": record["metadata"]["ownerReferences"],
            "annotations": {"trimtab.dev/seal": seal}},
    }))
}

/// Lets the tenant edit the namespace.
pub(crate) async fn admit(lab: &Lab) -> Result<()> {
    let group = "rbac.authorization.k8s.io";
    let binding = json!({
        "apiVersion": format!("{group}/v1"), "kind": "RoleBinding",
        "metadata": {"name": TENANT, "namespace": NAMESPACE},
        "roleRef": {"apiGroup": group, "kind": "ClusterRole", "name": "edit"},
        "subjects": [{"apiGroup": group, "kind": "User", "name": TENANT}],
    });
    lab.apply(&binding.to_string()).await.map(drop)
}

/// Takes that right away.
pub(crate) async fn dismiss(lab: &Lab) -> Result<()> {
    lab.kubectl(&["delete", "rolebinding", TENANT, "-n", NAMESPACE]).await.map(drop)
}

/// `kubectl` with the tenant's rights.
pub(crate) async fn as_tenant(lab: &Lab, arguments: &[&str], input: &str) -> Result<()> {
    let own = ["--as", TENANT, "-n", NAMESPACE];
    let output = lab.try_kubectl(lab.admin(), &[&own[..], arguments].concat(), input).await?;
    ensure!(output.status.success(), "{}", String::from_utf8_lossy(&output.stderr));
    Ok(())
}

/// What the tenant is told who asks for something that must be refused.
pub(crate) async fn refusal(lab: &Lab, arguments: &[&str], input: &str) -> Result<String> {
    let refused = as_tenant(lab, arguments, input).await.err();
    let refused = refused.with_context(|| format!("a tenant may {} {input}", arguments.join(" ")))?;
    Ok(format!("{refused:#}"))
}

/// Waits until a service says of a record, in these words, that it does not count.
pub(crate) async fn wait_until_passed_over(lab: &Lab, service: &str, words: &str) -> Result<()> {
    lab.wait_for(&format!("{service} says {words:?}"), PATIENCE, async || {
        let (status, message) = condition(lab, service, "RecordsCounted").await?;
        let said = status == "False" && message.contains(words);
        if said { Ok(Some(())) } else { bail!("it says {status:?} {message:?}") }
    })
    .await
}

/// The Deployment holds the template that the service began with, and nothing that a tenant has slipped in.
pub(crate) async fn first_template_is_back(lab: &Lab, service: &str) -> Result<()> {
    let template = deployment(lab, service).await?["spec"]["template"].clone();
    let image = text(&template, "/spec/containers/0/image");
    ensure!(image == "shop/service:v1", "{image} was put back");
    ensure!(!template.to_string().contains("privileged"), "a forged template was put back: {template}");
    Ok(())
}
