//! Real Helm, which applies server-side and without force, and a chart that renders every field: a restored template must
//! not stand in the way of the fix, and `paused: false` must not turn our pause into somebody else's.

use anyhow::{Context, Result, bail, ensure};
use serde_json::Value;
use trimtab_lab::Lab;
use trimtab_lab::judged::{managed_app, workload};

use crate::stage::{NAMESPACE, PATIENCE, Stage, deployment, text, wait_for_release, wait_until_phase};

/// The service, and the release of its chart.
const CHARTED: &str = "charted";
/// Pods of it.
const REPLICAS: u32 = 2;

/// A chart on disk for as long as this lives.
struct Chart(std::path::PathBuf);

impl Chart {
    fn write() -> Result<Self> {
        let folder = std::env::temp_dir().join(format!("trimtab-chart-{}", std::process::id()));
        std::fs::create_dir_all(folder.join("templates"))?;
        let chart = "apiVersion: v2\nname: charted\nversion: 0.1.0\n";
        std::fs::write(folder.join("Chart.yaml"), chart)?;
        let manifest = workload(NAMESPACE, CHARTED, "{{ .Values.tag }}", REPLICAS)
            .replace("  replicas:", "  paused: false\n  replicas:");
        std::fs::write(folder.join("templates/all.yaml"), manifest)?;
        Ok(Self(folder))
    }

    async fn ship(&self, lab: &Lab, tag: &str) -> Result<()> {
        let (folder, tag) = (self.0.to_string_lossy().into_owned(), format!("tag={tag}"));
        lab.helm(&["upgrade", "--install", CHARTED, &folder, "-n", NAMESPACE, "--set", &tag]).await.map(drop)
    }
}

impl Drop for Chart {
    fn drop(&mut self) {
        // Left behind in the folder for temporary files at worst.
        let _ = std::fs::remove_dir_all(&self.0);
    }
}

pub(crate) async fn helm_ships_the_fix_after_a_rollback(lab: &Lab, stage: &mut Stage) -> Result<()> {
    let chart = Chart::write()?;
    chart.ship(lab, "v1").await?;
    lab.apply(&managed_app(NAMESPACE, CHARTED, "{delivery: {watch: 1h}}")).await?;
    wait_until_phase(lab, CHARTED, "Healthy").await?;

    chart.ship(lab, "v2").await?;
    let release = format!("{CHARTED}-v2");
    wait_for_release(lab, &release, "Judging").await?;
    stage.site.trimtab(lab, &["abort", CHARTED, "-n", NAMESPACE, "--because", "the lab says so"]).await?;
    wait_for_release(lab, &release, "RolledBack").await?;
    owns_nothing_of_the_spec(lab).await?;

    // The same values again, as a pipeline does that knows nothing of the rollback.
    chart.ship(lab, "v2").await.context("the rejected template applied again")?;
    wait_until_phase(lab, CHARTED, "Held").await?;
    ensure!(deployment(lab, CHARTED).await?["spec"]["paused"] == true, "what is held is not paused");

    chart.ship(lab, "v3").await.context("the fix")?;
    wait_for_release(lab, &format!("{CHARTED}-v3"), "Judging").await?;
    let fixed = deployment(lab, CHARTED).await?;
    ensure!(fixed["spec"]["paused"] != true, "the fix is paused: {}", fixed["spec"]);
    lab.wait_for_rollout(NAMESPACE, &format!("deployment/{CHARTED}"), PATIENCE).await
}

/// Once a template is restored, whoever applies the next one meets no conflict with our field manager.
async fn owns_nothing_of_the_spec(lab: &Lab) -> Result<()> {
    lab.wait_for("the fields are given back", PATIENCE, async || {
        let path = format!("/apis/apps/v1/namespaces/{NAMESPACE}/deployments/{CHARTED}");
        let object = lab.get(&path).await?;
        let entries = object["metadata"]["managedFields"].as_array().context("nobody owns anything")?;
        let ours = |entry: &&Value| {
            text(entry, "/manager").starts_with("trimtab") && entry.pointer("/fieldsV1/f:spec").is_some()
        };
        match entries.iter().find(ours) {
            Some(entry) => bail!("we own {}", entry["fieldsV1"]["f:spec"]),
            None => Ok(Some(())),
        }
    })
    .await
}
