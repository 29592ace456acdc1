//! The leader is killed again and again while twenty services release at once: every message that is owed arrives, and one
//! arrives twice only where its manager died after it was sent and before its record said so.

use std::collections::BTreeMap;
use std::time::Duration;

use anyhow::{Result, bail, ensure};
use futures::future::try_join_all;
use serde_json::Value;
use tokio::time::{Instant, sleep};
use trimtab_lab::judged::{FIRST_MANAGER, managed_app, workload};
use trimtab_lab::{Lab, Received};

use crate::stage::{PATIENCE, Stage, items, text};

/// Namespace of the twenty.
const NAMESPACE: &str = "crowd";
/// Services that release at once.
const SERVICES: usize = 20;
/// Releases of each.
const ROUNDS: usize = 3;
/// The manager is killed as soon as so many messages of a round have come: some while releases begin, some while they end.
const KILLED_AT: [usize; 4] = [4, 12, 26, 34];
/// Messages of one release: it started, and it was kept.
const EVENTS: usize = 2;
/// How often the receiver is looked at.
const LOOK: Duration = Duration::from_millis(1);

/// A message as records know it: the record's name, and the event.
type Entry = (String, String);

/// The death of a manager.
struct Death {
    at: Instant,
    /// What the records said of every message when it was dead.
    states: BTreeMap<Entry, String>,
}

pub(crate) async fn only_a_death_doubles_a_message(lab: &Lab, stage: &mut Stage) -> Result<()> {
    stage.site.kill().await?;
    stage.site.start_manager(lab, FIRST_MANAGER).await?;
    set(lab, stage).await?;
    let mut deaths = Vec::new();
    for round in 1..=ROUNDS {
        let before = stage.receiver.received(PATH).len();
        ship_all(lab, round + 1).await?;
        for count in KILLED_AT {
            wait_for_messages(stage, before + count).await?;
            stage.site.kill_manager(FIRST_MANAGER).await?;
            let states = states(lab).await?;
            // What it sent is read by now.
            deaths.push(Death { at: Instant::now(), states });
            // Nobody else competes, so nothing is proved by waiting until the dead one's lease runs out.
            let lease = ["delete", "lease", "trimtab-manager", "-n", "trimtab-system"];
            lab.kubectl(&lease).await?;
            stage.site.start_manager(lab, FIRST_MANAGER).await?;
        }
        wait_until_told(lab, round).await?;
    }
    judge(&stage.receiver.received(PATH), &deaths, &states(lab).await?)
}

/// Where the receiver gets their messages.
const PATH: &str = "/hook/crowd/";

/// The services, running.
async fn set(lab: &Lab, stage: &Stage) -> Result<()> {
    lab.kubectl(&["create", "namespace", NAMESPACE]).await?;
    let mut manifests = Vec::new();
    for name in names() {
        let url = stage.receiver.url(&format!("{PATH}{name}"));
        let spec = format!("{{delivery: {{watch: 10s}}, notify: {{webhook: {{url: \"{url}\"}}}}}}");
        manifests.push(workload(NAMESPACE, &name, "v1", 1));
        manifests.push(managed_app(NAMESPACE, &name, &spec));
    }
    lab.apply(&manifests.join("---")).await?;
    lab.wait_for("the crowd is healthy", PATIENCE * 2, async || {
        let apps = list(lab, "managedapps").await?;
        let healthy = items(&apps)?.iter().filter(|app| text(app, "/status/phase") == "Healthy").count();
        if healthy == SERVICES { Ok(Some(())) } else { bail!("{healthy} of {SERVICES} are") }
    })
    .await
}

fn names() -> impl Iterator<Item = String> {
    (0..SERVICES).map(|number| format!("crowd{number:02}"))
}

async fn list(lab: &Lab, plural: &str) -> Result<Value> {
    lab.get(&format!("/apis/trimtab.dev/v1alpha1/namespaces/{NAMESPACE}/{plural}")).await
}

async fn ship_all(lab: &Lab, version: usize) -> Result<()> {
    let ship = async |name: String| {
        let (deployment, image) = (format!("deployment/{name}"), format!("service=shop/service:v{version}"));
        lab.kubectl(&["set", "image", &deployment, &image, "-n", NAMESPACE]).await
    };
    try_join_all(names().map(ship)).await.map(drop)
}

async fn wait_for_messages(stage: &Stage, count: usize) -> Result<()> {
    let start = Instant::now();
    while stage.receiver.received(PATH).len() < count {
        let came = stage.receiver.received(PATH).len();
        ensure!(start.elapsed() < PATIENCE, "only {came} of {count} messages came\n{}", stage.site.tail());
        sleep(LOOK).await;
    }
    Ok(())
}

/// What the records say of every message.
async fn states(lab: &Lab) -> Result<BTreeMap<Entry, String>> {
    let mut states = BTreeMap::new();
    for release in items(&list(lab, "appreleases").await?)? {
        for entry in release["status"]["notifications"].as_array().into_iter().flatten() {
            let of = (text(release, "/metadata/name").to_owned(), text(entry, "/event").to_owned());
            states.insert(of, text(entry, "/state").to_owned());
        }
    }
    Ok(states)
}

async fn wait_until_told(lab: &Lab, round: usize) -> Result<()> {
    lab.wait_for(&format!("everything of round {round} is told"), PATIENCE * 2, async || {
        let states = states(lab).await?;
        let sent = states.values().filter(|state| *state == "Sent").count();
        let owed = SERVICES * EVENTS * round;
        if sent == owed { Ok(Some(())) } else { bail!("{sent} of {owed} are: {states:?}") }
    })
    .await
}

/// Holds what came against what was owed and who died when.
fn judge(received: &[Received], deaths: &[Death], owed: &BTreeMap<Entry, String>) -> Result<()> {
    let mut arrivals: BTreeMap<Entry, Vec<&Received>> = BTreeMap::new();
    for message in received {
        let body = message.json();
        let record = format!("{}-{}", text(&body, "/service"), text(&body, "/release"));
        arrivals.entry((record, text(&body, "/event").to_owned())).or_default().push(message);
    }
    for entry in owed.keys() {
        ensure!(arrivals.contains_key(entry), "{entry:?} never came");
    }
    let mut doubles = 0;
    let mut keys = BTreeMap::new();
    for (entry, came) in &arrivals {
        ensure!(owed.contains_key(entry), "{entry:?} is owed by nobody");
        let key = came[0].header("idempotency-key");
        ensure!(!key.is_empty(), "{entry:?} has no key");
        ensure!(came.iter().all(|one| one.header("idempotency-key") == key), "{entry:?} has several keys");
        ensure!(keys.insert(key, entry).is_none(), "the key of {entry:?} is another's too");
        for pair in came.windows(2) {
            doubles += 1;
            let between = |death: &&Death| pair[0].at <= death.at && death.at <= pair[1].at;
            let dying = deaths
                .iter()
                .filter(between)
                .find(|death| death.states.get(entry).is_some_and(|state| state.starts_with("Sending")));
            let said: Vec<_> = deaths.iter().filter(between).map(|death| death.states.get(entry)).collect();
            ensure!(dying.is_some(), "{entry:?} came twice, and no death explains it: records said {said:?}");
        }
    }
    println!(
        "{} messages owed, {} came, {doubles} of them doubles by {} deaths, each between sending and recording",
        owed.len(),
        received.len(),
        deaths.len()
    );
    Ok(())
}
