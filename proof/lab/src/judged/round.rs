//! One release, from the change of an image to the verdict, as its traffic saw it.

use std::time::Duration;

use anyhow::{Context, Result};
use jiff::Timestamp;
use serde_json::Value;
use tokio::time::{Instant, sleep};

use super::manifest::{managed_app, workload};
use super::text;
use crate::lab::Lab;
use crate::load::{LoadPlan, LoadReport};

/// Namespace of the services.
const NAMESPACE: &str = "default";
/// Pods of a service.
const REPLICAS: u32 = 3;
/// How long a service runs before its release: its usual rates must be known.
const BEFORE: Duration = Duration::from_secs(40);
/// How long a release may take to its verdict.
const VERDICT_LIMIT: Duration = Duration::from_secs(240);
/// How often pods are looked at.
const POD_LOOK: Duration = Duration::from_millis(200);

/// What is shipped.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
pub enum Kind {
    /// 30 % of requests fail, at 50 requests per second.
    Errors,
    /// The process panics three seconds after it starts.
    Panics,
    /// Nothing is wrong, at 50 requests per second.
    Good,
    /// Nothing is wrong; 2 % errors at 1 request per second are the service's normal.
    Quiet,
}

/// What should become of it.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Expected {
    /// The release stays.
    Kept,
    /// The previous one comes back.
    RolledBack,
}

impl Kind {
    /// The word in tables and service names.
    #[must_use]
    pub fn word(self) -> &'static str {
        match self {
            Self::Errors => "errors",
            Self::Panics => "panics",
            Self::Good => "good",
            Self::Quiet => "quiet",
        }
    }

    /// What should become of the release.
    #[must_use]
    pub fn expected(self) -> Expected {
        match self {
            Self::Errors | Self::Panics => Expected::RolledBack,
            Self::Good | Self::Quiet => Expected::Kept,
        }
    }

    fn tags(self) -> (&'static str, &'static str) {
        match self {
            Self::Errors => ("v1", "v2-errors30"),
            Self::Panics => ("v1", "v2-panic3s"),
            Self::Good => ("v1", "v2"),
            Self::Quiet => ("v1-errors2", "v2-errors2"),
        }
    }

    fn rate(self) -> f64 {
        if self == Self::Quiet { 1.0 } else { 50.0 }
    }
}

/// One release to ship.
#[derive(Debug, Clone)]
pub struct Round {
    /// What is shipped.
    pub kind: Kind,
    /// Which of its repetitions this is.
    pub number: usize,
    /// How long the release is judged after its last pod is ready, as a Go duration.
    pub watch: String,
}

/// What became of a release.
#[derive(Debug, Clone)]
pub struct RoundResult {
    /// What was shipped.
    pub kind: Kind,
    /// Whether it ended as it should.
    pub right: bool,
    /// Phase of the release at the end.
    pub phase: String,
    /// The release's own summary.
    pub summary: String,
    /// From the first request that a new pod served to the last.
    pub exposed: Option<Duration>,
    /// Requests that failed from the change of the image on.
    pub failed: u64,
    /// From the first crash of a new pod until no new pod was left.
    pub gone_after_crash: Option<Duration>,
    /// From when the manager first saw the release to its verdict, in whole seconds as it writes them.
    pub judged: Option<Duration>,
}

impl Round {
    fn service(&self) -> String {
        format!("{}-{}", self.kind.word(), self.number)
    }

    /// Ships the release and waits for its end.
    ///
    /// # Errors
    /// When the lab fails; a wrong verdict is a result, not an error.
    pub async fn run(&self, lab: &Lab) -> Result<RoundResult> {
        let name = self.service();
        let (old, new) = self.kind.tags();
        let app = managed_app(NAMESPACE, &name, &format!("{{delivery: {{watch: {}}}}}", self.watch));
        lab.apply(&format!("{}---{app}", workload(NAMESPACE, &name, old, REPLICAS))).await?;
        lab.wait_for_rollout(NAMESPACE, &format!("deployment/{name}"), VERDICT_LIMIT).await?;
        let plan = LoadPlan::new(NAMESPACE, &name, self.kind.rate(), BEFORE + VERDICT_LIMIT * 2);
        let load = lab.start_load(plan).await?;
        self.wait_until_claimed(lab, &name).await?;
        sleep(BEFORE).await;
        let before = load.so_far().failed();
        let image = format!("service=shop/service:{new}");
        lab.kubectl(&["set", "image", &format!("deployment/{name}"), &image]).await?;
        let (release, gone_after_crash) = watch_release(lab, &name).await?;
        let report = load.stop().await?;
        let phase = text(&release, "/status/phase").to_owned();
        let result = RoundResult {
            kind: self.kind,
            right: phase == word(self.kind.expected()),
            phase,
            summary: text(&release, "/status/summary").to_owned(),
            exposed: exposure(&report),
            failed: report.failed().saturating_sub(before),
            gone_after_crash,
            judged: judged(&release),
        };
        lab.kubectl(&["delete", "managedapp,service,deployment", &name, "--wait=false"]).await?;
        Ok(result)
    }

    async fn wait_until_claimed(&self, lab: &Lab, name: &str) -> Result<()> {
        let path = format!("/apis/trimtab.dev/v1alpha1/namespaces/{NAMESPACE}/managedapps/{name}");
        lab.wait_for("the service is claimed", VERDICT_LIMIT, async || {
            let app = lab.get(&path).await?;
            Ok((text(&app, "/status/phase") == "Healthy").then_some(()))
        })
        .await
    }
}

fn word(expected: Expected) -> &'static str {
    match expected {
        Expected::Kept => "Kept",
        Expected::RolledBack => "RolledBack",
    }
}

/// Watches pods and the newest release until the release has ended, one way or the other.
async fn watch_release(lab: &Lab, name: &str) -> Result<(Value, Option<Duration>)> {
    let start = Instant::now();
    let (mut crashed, mut gone) = (None, None);
    while start.elapsed() < VERDICT_LIMIT {
        let pods = new_pods(lab, name).await?;
        if crashed.is_none() && pods.iter().any(has_crashed) {
            crashed = Some(Instant::now());
        }
        if crashed.is_some() && gone.is_none() && pods.is_empty() {
            gone = Some(Instant::now());
        }
        let path = format!("/apis/trimtab.dev/v1alpha1/namespaces/{NAMESPACE}/appreleases/{name}-v2");
        if let Ok(release) = lab.get(&path).await
            && ["Kept", "RolledBack", "Superseded"].contains(&text(&release, "/status/phase"))
        {
            let gone = gone.or_else(|| crashed.map(|_| Instant::now()));
            return Ok((release, crashed.zip(gone).map(|(crashed, gone)| gone - crashed)));
        }
        sleep(POD_LOOK).await;
    }
    anyhow::bail!("release v2 of {name} came to no end within {VERDICT_LIMIT:?}")
}

/// Pods of the second template that are not being deleted.
async fn new_pods(lab: &Lab, name: &str) -> Result<Vec<Value>> {
    let path = format!("/api/v1/namespaces/{NAMESPACE}/pods?labelSelector=app%3D{name}");
    let list = lab.get(&path).await?;
    let pods = list.get("items").and_then(Value::as_array).cloned().context("a list of pods has no items")?;
    let new = |pod: &Value| text(pod, "/spec/containers/0/image").contains(":v2");
    Ok(pods.into_iter().filter(|pod| new(pod) && pod["metadata"]["deletionTimestamp"].is_null()).collect())
}

fn has_crashed(pod: &Value) -> bool {
    let status = &pod["status"]["containerStatuses"][0];
    status["restartCount"].as_u64().unwrap_or(0) > 0 || !status["state"]["terminated"].is_null()
}

fn judged(release: &Value) -> Option<Duration> {
    let at = |pointer| text(release, pointer).parse::<Timestamp>().ok();
    let span = at("/status/decidedAt")?.duration_since(at("/status/startedAt")?);
    Duration::try_from(span).ok()
}

/// From the first request that a pod of the newest template got to the last.
fn exposure(report: &LoadReport) -> Option<Duration> {
    let traffic = report.by_template();
    let newest = traffic.values().max_by_key(|template| template.first)?;
    (traffic.len() > 1).then(|| newest.last - newest.first)
}
