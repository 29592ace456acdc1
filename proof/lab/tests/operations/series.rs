//! Rules that have nothing to judge by say so before the first release: on the object, and in `lint`, which asks the same
//! Prometheus.

use anyhow::{Context, Result, ensure};
use trimtab_lab::Lab;
use trimtab_lab::judged::{managed_app, workload};

use crate::stage::{NAMESPACE, PATIENCE, Stage, TOLD, condition, wait_until_known};

/// A service without traffic whose owner expects a metric that it does not have.
const EXPECTANT: &str = "expectant";
/// Its spec: one rule that finds its series as soon as pods are scraped, and one that never will.
const SPEC: &str = "{delivery: {rules: [{name: scraped, alert: {expr: up == 0}}, \
                    {name: queue, events: {counter: queue_rejections_total}}]}}";

/// Ships it long before the case: pods are asked about once they can have been scraped.
pub(crate) async fn expect(lab: &Lab) -> Result<()> {
    let app = managed_app(NAMESPACE, EXPECTANT, SPEC);
    lab.apply(&format!("{}---{app}", workload(NAMESPACE, EXPECTANT, "v1", 1))).await.map(drop)
}

pub(crate) async fn a_rule_without_series_says_so_before_a_release(
    lab: &Lab,
    stage: &mut Stage,
) -> Result<()> {
    wait_until_known(lab, TOLD).await?;
    let bound = |service: &'static str, expected: &'static str| async move {
        lab.wait_for("the rules were looked up", PATIENCE * 2, async || {
            let (status, message) = condition(lab, service, "RulesBound").await?;
            Ok((status == expected).then_some(message))
        })
        .await
        .with_context(|| format!("RulesBound of {service} is not {expected}"))
    };
    bound(TOLD, "True").await?;
    let message = bound(EXPECTANT, "False").await?;
    ensure!(message.starts_with("no series for queue; "), "the condition says {message:?}");
    lint(lab, stage).await?;
    lab.kubectl(&["delete", "managedapp,deployment,service", EXPECTANT, "-n", NAMESPACE, "--wait=false"])
        .await
        .map(drop)
}

async fn lint(lab: &Lab, stage: &Stage) -> Result<()> {
    let file = lab.directory().join("expectant.yaml");
    std::fs::write(&file, managed_app(NAMESPACE, EXPECTANT, SPEC))?;
    let file = file.display().to_string();
    let url = lab.prometheus()?.url();
    let here = stage.site.try_trimtab(lab, &["lint", &file, "--prometheus-url", url]).await?;
    let said = String::from_utf8_lossy(&here.stdout).into_owned();
    ensure!(!here.status.success(), "lint finds nothing wrong: {said}");
    let cause = "spec.delivery.rules[1]: no series queue_rejections_total within an hour";
    ensure!(said.contains(cause) && !said.contains("rules[0]"), "lint says: {said}");
    let elsewhere =
        ["lint", &file, "--prometheus-url", url, "--prometheus-matchers", "cluster=\"elsewhere\""];
    let elsewhere = stage.site.try_trimtab(lab, &elsewhere).await?;
    let said = String::from_utf8_lossy(&elsewhere.stdout).into_owned();
    ensure!(said.contains("spec.delivery.rules[0]: no series up"), "another cluster has the series: {said}");
    Ok(())
}
