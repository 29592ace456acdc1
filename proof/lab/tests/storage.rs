//! A storage that loses its last second, as etcd does on a machine whose disk only says that it has written: decisions are
//! made again, messages are not told again, and every release comes to its end.

use std::collections::{BTreeMap, BTreeSet};
use std::process::ExitCode;
use std::time::Duration;

use anyhow::{Context, Result, bail, ensure};
use futures::future::try_join_all;
use serde_json::Value;
use tokio::time::{Instant, sleep};
use trimtab_lab::judged::{self, Site, managed_app, workload};
use trimtab_lab::{Case, Lab, Receiver, harness};

const NAMESPACE: &str = "crowd";
/// Services that release at once.
const SERVICES: usize = 10;
/// Storage is remembered when so many messages have come, of two for each release.
const REMEMBERED_AT: usize = 4;
/// How often the receiver is looked at.
const LOOK: Duration = Duration::from_millis(1);
/// What is lost.
const LOST: Duration = Duration::from_secs(1);
const PATIENCE: Duration = Duration::from_secs(180);

fn main() -> ExitCode {
    let case = Case::new("a_lost_second_is_made_up_for_and_nobody_is_told_twice", |lab| {
        Box::pin(a_lost_second_is_made_up_for_and_nobody_is_told_twice(lab))
    });
    harness::run(judged::options(), vec![case])
}

async fn a_lost_second_is_made_up_for_and_nobody_is_told_twice(lab: &mut Lab) -> Result<()> {
    let site = Site::prepare(lab).await?;
    let receiver = Receiver::start().await?;
    let played = play(lab, &receiver).await;
    played.with_context(|| site.tail())
}

async fn play(lab: &mut Lab, receiver: &Receiver) -> Result<()> {
    set(lab, receiver).await?;
    ship(lab, "v2").await?;
    let start = Instant::now();
    while receiver.received("/").len() < REMEMBERED_AT {
        ensure!(start.elapsed() < PATIENCE, "no message came");
        // Most of them are recorded as sent a moment after.
        sleep(LOOK).await;
    }
    lab.control_plane().remember()?;
    let remembered = told(lab).await?;
    sleep(LOST).await;
    let lost: BTreeSet<_> = told(lab).await?.difference(&remembered).cloned().collect();
    ensure!(!lost.is_empty(), "nothing was recorded within {LOST:?}, so nothing is lost and nothing shown");
    lab.control_plane_mut().lose_what_followed().await?;
    lab.wait_for("every release is kept and told", PATIENCE, async || {
        let (releases, told) = (records(lab).await?, told(lab).await?);
        let kept = releases.iter().filter(|release| release["status"]["phase"] == "Kept");
        let kept = kept.filter(|release| release["spec"]["number"] == 2).count();
        if kept == SERVICES && told.len() == 2 * SERVICES {
            return Ok(Some(()));
        }
        bail!(
            "{kept} of {SERVICES} releases are kept, {} of {} messages are recorded as sent",
            told.len(),
            2 * SERVICES
        )
    })
    .await?;
    let mut came: BTreeMap<(String, String), usize> = BTreeMap::new();
    for message in receiver.received("/") {
        let body = message.json();
        let of = format!("{}-{}", text(&body, "service"), text(&body, "release"));
        *came.entry((of, text(&body, "event").to_owned())).or_default() += 1;
    }
    let twice: Vec<_> = came.iter().filter(|(_, times)| **times > 1).collect();
    ensure!(twice.is_empty(), "told more than once: {twice:?}; records lost: {lost:?}");
    let recorded = told(lab).await?;
    ensure!(came.keys().eq(recorded.iter()), "{came:?} came, and {recorded:?} are recorded as sent");
    println!(
        "{} messages came once each; storage had lost that {} of them were sent",
        came.len(),
        lost.len()
    );
    Ok(())
}

fn names() -> impl Iterator<Item = String> {
    (0..SERVICES).map(|number| format!("crowd{number}"))
}

/// The services, running.
async fn set(lab: &Lab, receiver: &Receiver) -> Result<()> {
    lab.kubectl(&["create", "namespace", NAMESPACE]).await?;
    let mut manifests = Vec::new();
    for name in names() {
        let url = receiver.url(&format!("/{name}"));
        let spec = format!("{{delivery: {{watch: 10s}}, notify: {{webhook: {{url: \"{url}\"}}}}}}");
        manifests.push(workload(NAMESPACE, &name, "v1", 1));
        manifests.push(managed_app(NAMESPACE, &name, &spec));
    }
    lab.apply(&manifests.join("---")).await?;
    lab.wait_for("the crowd is healthy", PATIENCE, async || {
        let apps = lab.get(&format!("/apis/trimtab.dev/v1alpha1/namespaces/{NAMESPACE}/managedapps")).await?;
        let healthy = apps["items"].as_array().into_iter().flatten();
        let healthy = healthy.filter(|app| app["status"]["phase"] == "Healthy").count();
        if healthy == SERVICES { Ok(Some(())) } else { bail!("{healthy} of {SERVICES} are") }
    })
    .await
}

async fn ship(lab: &Lab, version: &str) -> Result<()> {
    let ship = async |name: String| {
        let (deployment, image) = (format!("deployment/{name}"), format!("service=shop/service:{version}"));
        lab.kubectl(&["set", "image", &deployment, &image, "-n", NAMESPACE]).await
    };
    try_join_all(names().map(ship)).await.map(drop)
}

async fn records(lab: &Lab) -> Result<Vec<Value>> {
    let list = lab.get(&format!("/apis/trimtab.dev/v1alpha1/namespaces/{NAMESPACE}/appreleases")).await?;
    list["items"].as_array().cloned().context("a list has items")
}

/// The messages that are recorded as sent: the record of the release, and the event.
async fn told(lab: &Lab) -> Result<BTreeSet<(String, String)>> {
    let mut told = BTreeSet::new();
    for release in records(lab).await? {
        let entries = release["status"]["notifications"].as_array().cloned().unwrap_or_default();
        let sent = entries.iter().filter(|entry| text(entry, "state") == "Sent");
        let of = text(&release["metadata"], "name");
        told.extend(sent.map(|entry| (of.to_owned(), text(entry, "event").to_owned())));
    }
    Ok(told)
}

fn text<'a>(object: &'a Value, member: &str) -> &'a str {
    object[member].as_str().unwrap_or_default()
}
