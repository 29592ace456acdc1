//! The lab itself: every part does its work, together.

use std::process::ExitCode;
use std::time::Duration;

use anyhow::{Context, Result, ensure};
use trimtab_lab::{Case, Component, Connections, Lab, LabOptions, LoadPlan, harness};

/// Long enough for a machine that builds meanwhile; the parts themselves take a few seconds.
const PATIENCE: Duration = Duration::from_secs(60);

fn main() -> ExitCode {
    harness::run(
        LabOptions::new(),
        vec![
            Case::new("deployment_is_scheduled_run_scraped_and_reached", |lab| Box::pin(deployment(lab))),
            Case::new("release_replaces_pods_without_a_failed_request", |lab| Box::pin(release(lab))),
            Case::new("panicking_container_is_restarted", |lab| Box::pin(panicking(lab))),
            Case::new("image_that_cannot_be_pulled_says_so", |lab| Box::pin(no_image(lab))),
            Case::new("job_runs_its_command", |lab| Box::pin(job(lab))),
            Case::new("service_account_tokens_work", |lab| Box::pin(tokens(lab))),
            Case::new("helm_talks_to_the_server", |lab| Box::pin(helm(lab))),
            Case::new("api_server_comes_back_with_its_data", |lab| Box::pin(revive(lab))),
        ],
    )
}

fn payments(tag: &str) -> String {
    format!(
        r#"
apiVersion: apps/v1
kind: Deployment
metadata: {{name: payments, labels: {{app: payments}}}}
spec:
  replicas: 3
  selector: {{matchLabels: {{app: payments}}}}
  template:
    metadata: {{labels: {{app: payments, trimtab.dev/phase: stable}}}}
    spec:
      terminationGracePeriodSeconds: 5
      containers:
      - name: service
        image: shop/payments:{tag}
        ports: [{{name: http, containerPort: 8080}}]
        readinessProbe: {{httpGet: {{path: /healthz, port: http}}, periodSeconds: 1}}
---
apiVersion: v1
kind: Service
metadata: {{name: payments}}
spec: {{selector: {{app: payments}}, ports: [{{port: 80, targetPort: http}}]}}
"#
    )
}

async fn deployment(lab: &mut Lab) -> Result<()> {
    lab.apply(&payments("v1-errors20")).await?;
    lab.wait_for_rollout("default", "deployment/payments", PATIENCE).await?;
    let plan = LoadPlan {
        connections: Connections::Fresh,
        ..LoadPlan::new("default", "payments", 100.0, PATIENCE * 2)
    };
    let load = lab.start_load(plan).await?;
    let scraped = lab.wait_for("Prometheus scrapes three pods", PATIENCE, async || {
        let up = lab
            .prometheus()?
            .query_number("count(up{app=\"payments\",trimtab_dev_phase=\"stable\"} == 1)")
            .await?;
        Ok(up.filter(|up| *up == 3.0))
    });
    scraped.await?;
    let ratio = "sum(rate(http_requests_total{app=\"payments\",code=\"500\"}[30s])) / \
                 sum(rate(http_requests_total{app=\"payments\"}[30s]))";
    let seen = lab.wait_for("Prometheus sees errors", PATIENCE, async || {
        Ok(lab.prometheus()?.query_number(ratio).await?.filter(|ratio| ratio.is_finite()))
    });
    let seen = seen.await?;
    let report = load.stop().await?;
    let requests = report.requests.len();
    ensure!(requests > 100, "only {requests} requests were sent");
    ensure!(report.targets.len() == 3, "load went to {} pods, not three", report.targets.len());
    let failed = report.failed() as f64 / requests as f64;
    ensure!(
        (failed - 0.2).abs() < 0.1,
        "{failed} of requests failed, not about 0.2: {:?}",
        report.outcomes()
    );
    ensure!((seen - 0.2).abs() < 0.15, "Prometheus saw a ratio of {seen}, not about 0.2");
    Ok(())
}

async fn release(lab: &mut Lab) -> Result<()> {
    lab.apply(&payments("v2")).await?;
    lab.wait_for_rollout("default", "deployment/payments", PATIENCE).await?;
    let load = lab.start_load(LoadPlan::new("default", "payments", 100.0, PATIENCE * 2)).await?;
    lab.apply(&payments("v3")).await?;
    lab.wait_for_rollout("default", "deployment/payments", PATIENCE).await?;
    lab.wait_for("both templates got traffic, the old one no more", PATIENCE, async || {
        let report = load.so_far();
        let traffic = report.by_template();
        let last = traffic.values().map(|template| template.last).max().unwrap_or_default();
        let quiet = traffic.values().any(|template| last - template.last > Duration::from_secs(2));
        Ok((traffic.len() == 2 && quiet).then_some(()))
    })
    .await?;
    let report = load.stop().await?;
    ensure!(report.failed() == 0, "a good release failed requests: {:?}", report.outcomes());
    Ok(())
}

async fn panicking(lab: &mut Lab) -> Result<()> {
    run_pod(lab, "panicking", "a:v1-panic1s").await?;
    let path = "/api/v1/namespaces/default/pods/panicking";
    let code = lab.wait_for("the container was restarted", PATIENCE, async || {
        let pod = lab.get(path).await?;
        let status = &pod["status"]["containerStatuses"][0];
        let restarts = status["restartCount"].as_u64().unwrap_or(0);
        Ok(status["lastState"]["terminated"]["exitCode"].as_i64().filter(|_| restarts > 0))
    });
    let code = code.await?;
    ensure!(code == 101, "the exit code is {code}, not that of a panic");
    let log = lab.container_log("panicking", "service");
    ensure!(log.contains("panic"), "the container wrote {log:?}");
    lab.kubectl(&["delete", "pod", "panicking"]).await.map(drop)
}

async fn no_image(lab: &mut Lab) -> Result<()> {
    run_pod(lab, "imageless", "a:v1-nopull").await?;
    lab.wait_for("the pod waits for its image", PATIENCE, async || {
        let pod = lab.get("/api/v1/namespaces/default/pods/imageless").await?;
        let reason = pod["status"]["containerStatuses"][0]["state"]["waiting"]["reason"].as_str();
        Ok(reason.filter(|reason| ["ErrImagePull", "ImagePullBackOff"].contains(reason)).map(drop))
    })
    .await?;
    lab.kubectl(&["delete", "pod", "imageless"]).await.map(drop)
}

async fn job(lab: &mut Lab) -> Result<()> {
    lab.apply(
        r#"
apiVersion: batch/v1
kind: Job
metadata: {name: measure}
spec:
  backoffLimit: 0
  template:
    spec:
      restartPolicy: Never
      containers:
      - name: measure
        image: shop/measure:v1
        command: [sh, -c, 'echo "measured $ANSWER"; exit 3']
        env: [{name: ANSWER, value: "42"}]
"#,
    )
    .await?;
    lab.kubectl(&["wait", "job/measure", "--for=condition=Failed", "--timeout=60s"]).await?;
    let pods = lab.get("/api/v1/namespaces/default/pods?labelSelector=job-name%3Dmeasure").await?;
    let pod = &pods["items"][0];
    let code = pod["status"]["containerStatuses"][0]["state"]["terminated"]["exitCode"].as_i64();
    ensure!(code == Some(3), "the exit code is {code:?}, not 3");
    let log = lab.container_log(pod["metadata"]["name"].as_str().context("a pod has a name")?, "measure");
    ensure!(log == "measured 42\n", "the container wrote {log:?}");
    Ok(())
}

async fn tokens(lab: &mut Lab) -> Result<()> {
    let token = lab.kubectl(&["create", "token", "default"]).await?;
    // The kubeconfig's own token would win over a flag, so this one gets a file of its own.
    let nobody = trimtab_lab::Access { token: token.trim().to_owned(), ..lab.admin().clone() };
    let request = http::Request::get("/api/v1/pods").body(Vec::new())?;
    let refused = nobody.client().await?.request_text(request).await;
    let refused = refused.err().context("a service account without rights may list pods")?.to_string();
    ensure!(refused.contains("system:serviceaccount:default:default"), "the server answered {refused}");
    Ok(())
}

async fn helm(lab: &mut Lab) -> Result<()> {
    let list = lab.helm(&["list", "--output=json"]).await?;
    ensure!(list.trim() == "[]", "helm sees releases that nobody installed: {list}");
    Ok(())
}

async fn revive(lab: &mut Lab) -> Result<()> {
    lab.kubectl(&["create", "configmap", "kept"]).await?;
    lab.control_plane_mut().kill(Component::ApiServer).await?;
    let dead = lab.get("/api/v1/namespaces/default/configmaps/kept").await;
    ensure!(dead.is_err(), "a dead API server answered");
    lab.control_plane_mut().revive(Component::ApiServer).await?;
    lab.get("/api/v1/namespaces/default/configmaps/kept").await.map(drop)
}

async fn run_pod(lab: &Lab, name: &str, image: &str) -> Result<()> {
    let containers = format!("containers: [{{name: service, image: {image:?}}}]");
    let manifest =
        format!("{{apiVersion: v1, kind: Pod, metadata: {{name: {name}}}, spec: {{{containers}}}}}");
    lab.apply(&manifest).await.map(drop)
}
