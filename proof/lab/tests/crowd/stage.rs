//! The crowd: its services, its receiver, and what the records say of its messages.

use std::collections::BTreeMap;
use std::time::Duration;

use anyhow::{Context, Result, bail, ensure};
use futures::future::try_join_all;
use serde_json::Value;
use tokio::time::{Instant, sleep};
use trimtab_lab::judged::{Scene, Site, managed_app, text, workload};
use trimtab_lab::{Lab, Received, Receiver};

const NAMESPACE: &str = "crowd";
/// Services that release at once.
pub(crate) const SERVICES: usize = 20;
/// Messages of one release: it started, and it was kept.
pub(crate) const EVENTS: usize = 2;
/// What a record says of a message that came.
pub(crate) const SENT: &str = "Sent";
/// How often the receiver is looked at.
const LOOK: Duration = Duration::from_millis(1);
/// How long anything may take that takes some ten seconds on an idle machine.
pub(crate) const PATIENCE: Duration = Duration::from_secs(180);

/// A message as records know it: the record's name, and the event.
pub(crate) type Entry = (String, String);

/// The crowd.
pub(crate) struct Crowd {
    /// Trimtab in the lab.
    pub(crate) site: Site,
    receiver: Receiver,
    /// Releases of each service so far.
    rounds: usize,
}

impl Scene for Crowd {
    async fn set(lab: &Lab) -> Result<Self> {
        let site = Site::prepare(lab).await?;
        let receiver = Receiver::start().await?;
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
            let apps = list(lab, "managedapps").await?;
            let healthy = apps.iter().filter(|app| text(app, "/status/phase") == "Healthy").count();
            if healthy == SERVICES { Ok(Some(())) } else { bail!("{healthy} of {SERVICES} are") }
        })
        .await?;
        Ok(Self { site, receiver, rounds: 0 })
    }

    fn site(&mut self) -> &mut Site {
        &mut self.site
    }
}

impl Crowd {
    /// Every service releases.
    pub(crate) async fn ship(&mut self, lab: &Lab) -> Result<()> {
        self.rounds += 1;
        let image = format!("service=shop/service:v{}", self.rounds + 1);
        let ship = async |name: String| {
            lab.kubectl(&["set", "image", &format!("deployment/{name}"), &image, "-n", NAMESPACE]).await
        };
        try_join_all(names().map(ship)).await.map(drop)
    }

    /// Every message that came so far, in order.
    pub(crate) fn came(&self) -> Vec<Received> {
        self.receiver.received("/")
    }

    /// Waits until so many messages came; most of them are recorded as sent a moment after.
    pub(crate) async fn wait_for_messages(&self, count: usize) -> Result<()> {
        let start = Instant::now();
        while self.came().len() < count {
            ensure!(start.elapsed() < PATIENCE, "only {} of {count} messages came", self.came().len());
            sleep(LOOK).await;
        }
        Ok(())
    }

    /// Waits until every message of every round is recorded as sent.
    pub(crate) async fn wait_until_told(&self, lab: &Lab) -> Result<()> {
        let owed = SERVICES * EVENTS * self.rounds;
        lab.wait_for(&format!("everything of round {} is told", self.rounds), PATIENCE, async || {
            let states = states(lab).await?;
            let sent = states.values().filter(|state| *state == SENT).count();
            if sent == owed { Ok(Some(())) } else { bail!("{sent} of {owed} are: {states:?}") }
        })
        .await
    }
}

/// What the records say of every message.
pub(crate) async fn states(lab: &Lab) -> Result<BTreeMap<Entry, String>> {
    let mut states = BTreeMap::new();
    for release in list(lab, "appreleases").await? {
        for entry in release["status"]["notifications"].as_array().into_iter().flatten() {
            let of = (text(&release, "/metadata/name").to_owned(), text(entry, "/event").to_owned());
            states.insert(of, text(entry, "/state").to_owned());
        }
    }
    Ok(states)
}

/// What came, by what the records call it.
pub(crate) fn arrivals(received: &[Received]) -> BTreeMap<Entry, Vec<&Received>> {
    let mut arrivals: BTreeMap<Entry, Vec<&Received>> = BTreeMap::new();
    for message in received {
        let body = message.json();
        let record = format!("{}-{}", text(&body, "/service"), text(&body, "/release"));
        arrivals.entry((record, text(&body, "/event").to_owned())).or_default().push(message);
    }
    arrivals
}

fn names() -> impl Iterator<Item = String> {
    (0..SERVICES).map(|number| format!("crowd{number:02}"))
}

async fn list(lab: &Lab, plural: &str) -> Result<Vec<Value>> {
    let list = lab.get(&format!("/apis/trimtab.dev/v1alpha1/namespaces/{NAMESPACE}/{plural}")).await?;
    list["items"].as_array().cloned().context("a list has items")
}
