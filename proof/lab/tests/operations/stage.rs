//! What the cases share: one site, a receiver of messages, and services that get traffic from the beginning, so that
//! what is usual for them is known by the time that they are needed.

use std::time::Duration;

use anyhow::{Context, Result, bail};
use serde_json::Value;
pub(crate) use trimtab_lab::judged::text;
use trimtab_lab::judged::{self, MANAGER_USER, Scene, Site, managed_app, workload};
use trimtab_lab::{Lab, LabOptions, Load, LoadPlan, Receiver};

use crate::series;

/// Namespace of the services.
pub(crate) const NAMESPACE: &str = "shop";
/// How long anything may take that takes seconds on an idle machine.
pub(crate) const PATIENCE: Duration = Duration::from_secs(90);
/// Requests per second to each service with traffic.
const RATE: f64 = 50.0;
/// How long traffic lasts at most; it is stopped when it is not needed any more.
const LONGEST_TRAFFIC: Duration = Duration::from_secs(1_200);
/// Pods of each service with traffic.
const REPLICAS: u32 = 3;
/// Scrapes of each pod from which a service's usual rates can be read.
const SCRAPES_NEEDED: f64 = 6.0;
/// Signs what is sent to the generic webhook.
pub(crate) const SIGNING_KEY: &str = "a key that nobody else knows";
/// Slack channel that services name.
pub(crate) const CHANNEL: &str = "#shop";
/// Service whose messages are counted.
pub(crate) const TOLD: &str = "told";
/// Service whose release outlives its manager.
pub(crate) const HANDED_OVER: &str = "handed-over";

/// What the cases share.
pub(crate) struct Stage {
    /// Trimtab in the lab.
    pub(crate) site: Site,
    /// Where messages go.
    pub(crate) receiver: Receiver,
    loads: Vec<Load>,
}

/// A lab in which the API server writes down what the manager asks for.
pub(crate) fn options() -> Result<LabOptions> {
    let mut options = judged::options()?;
    options.control_plane.audited = Some(MANAGER_USER.to_owned());
    Ok(options)
}

impl Scene for Stage {
    async fn set(lab: &Lab) -> Result<Self> {
        let site = Site::prepare(lab).await?;
        let receiver = Receiver::start().await?;
        lab.kubectl(&["create", "namespace", NAMESPACE]).await?;
        let url = |name: &str| format!("--from-literal={name}={}", receiver.url(&format!("/slack/{name}")));
        let urls = [url(TOLD), url(HANDED_OVER)];
        lab.kubectl(&["create", "secret", "generic", "slack", "-n", NAMESPACE, &urls[0], &urls[1]]).await?;
        let key = format!("--from-literal=key={SIGNING_KEY}");
        lab.kubectl(&["create", "secret", "generic", "hook", "-n", NAMESPACE, &key]).await?;
        // As docs/guides/install.md has it.
        let opt_in = "create rolebinding trimtab-secrets --clusterrole=trimtab-secret-reader \
                      --serviceaccount=trimtab-system:trimtab";
        let opt_in: Vec<&str> = opt_in.split_whitespace().chain(["-n", NAMESPACE]).collect();
        lab.kubectl(&opt_in).await?;
        let mut loads = Vec::new();
        for name in [TOLD, HANDED_OVER] {
            // Slack and a webhook are told of everything.
            let spec = format!(
                "{{notify: {{slack: '{CHANNEL}', slackUrlFrom: {{name: slack, key: {name}}}, \
                 webhook: {{url: \"{}\", signingKeyFrom: {{name: hook, key: key}}}}}}}}",
                receiver.url(&format!("/hook/{name}"))
            );
            let app = managed_app(NAMESPACE, name, &spec);
            lab.apply(&format!("{}---{app}", workload(NAMESPACE, name, "v1", REPLICAS))).await?;
            loads.push(lab.start_load(LoadPlan::new(NAMESPACE, name, RATE, LONGEST_TRAFFIC)).await?);
        }
        series::expect(lab).await?;
        Ok(Self { site, receiver, loads })
    }

    fn site(&mut self) -> &mut Site {
        &mut self.site
    }
}

impl Stage {
    /// Ends all traffic.
    pub(crate) fn stop_traffic(&mut self) {
        self.loads.clear();
    }
}

/// Waits until a service is healthy and every pod of it was scraped often enough to know its usual rates.
pub(crate) async fn wait_until_known(lab: &Lab, name: &str) -> Result<()> {
    wait_until_phase(lab, name, "Healthy").await?;
    let of = format!("http_requests_total{{namespace=\"{NAMESPACE}\",app=\"{name}\",code=\"200\"}}");
    let known = format!("count(count_over_time({of}[5m]) >= {SCRAPES_NEEDED})");
    lab.wait_for(&format!("the usual rates of {name} are known"), PATIENCE, async || {
        let pods = lab.prometheus()?.query_number(&known).await?;
        Ok(pods.filter(|pods| *pods >= f64::from(REPLICAS)).map(drop))
    })
    .await
}

/// Waits until the manager says of a service that it is in a phase.
pub(crate) async fn wait_until_phase(lab: &Lab, name: &str, phase: &str) -> Result<()> {
    lab.wait_for(&format!("service {name} is {phase}"), PATIENCE, async || {
        let app = app(lab, name).await?;
        let is = text(&app, "/status/phase");
        if is == phase { Ok(Some(())) } else { bail!("it is {is:?}: {}", text(&app, "/status/summary")) }
    })
    .await
}

/// Waits until a release is in a phase, and returns it.
pub(crate) async fn wait_for_release(lab: &Lab, release: &str, phase: &str) -> Result<Value> {
    lab.wait_for(&format!("release {release} is {phase}"), PATIENCE, async || {
        let found = self::release(lab, release).await?;
        let is = text(&found, "/status/phase");
        if is == phase { Ok(Some(found)) } else { bail!("it is {is:?}: {}", text(&found, "/status/summary")) }
    })
    .await
}

/// Gives a service another image.
pub(crate) async fn ship(lab: &Lab, name: &str, tag: &str) -> Result<()> {
    let (deployment, image) = (format!("deployment/{name}"), format!("service=shop/service:{tag}"));
    lab.kubectl(&["set", "image", &deployment, &image, "-n", NAMESPACE]).await.map(drop)
}

/// A ManagedApp.
pub(crate) async fn app(lab: &Lab, name: &str) -> Result<Value> {
    lab.get(&format!("/apis/trimtab.dev/v1alpha1/namespaces/{NAMESPACE}/managedapps/{name}")).await
}

/// Status and message of a condition of a service; empty where it has none.
pub(crate) async fn condition(lab: &Lab, name: &str, kind: &str) -> Result<(String, String)> {
    let app = app(lab, name).await?;
    let all = app["status"]["conditions"].as_array().cloned().unwrap_or_default();
    let found = all.into_iter().find(|condition| condition["type"] == kind).unwrap_or_default();
    Ok((text(&found, "/status").to_owned(), text(&found, "/message").to_owned()))
}

/// An AppRelease.
pub(crate) async fn release(lab: &Lab, name: &str) -> Result<Value> {
    lab.get(&format!("/apis/trimtab.dev/v1alpha1/namespaces/{NAMESPACE}/appreleases/{name}")).await
}

/// A Deployment.
pub(crate) async fn deployment(lab: &Lab, name: &str) -> Result<Value> {
    lab.get(&format!("/apis/apps/v1/namespaces/{NAMESPACE}/deployments/{name}")).await
}

/// The items of a list.
pub(crate) fn items(list: &Value) -> Result<&[Value]> {
    list["items"].as_array().map(Vec::as_slice).context("a list has no items")
}
