//! What a manager costs a cluster: memory, CPU and API writes, at rest and while many services ship at once.
//!
//! The control plane, the manager and its rights are real. Pods are modelled: they become ready and answer nobody, so that
//! thousands fit on one machine. Prometheus is real and has no series of them: it is asked, and answers that there are none.

mod fleet;
mod report;

use std::collections::BTreeMap;
use std::time::Duration;

use anyhow::{Context, Result, bail};
use jiff::Timestamp;
use serde_json::Value;
use tokio::time::{Instant, sleep};
use trimtab_kube::clock::Clock;

pub use self::report::Cost;
use self::report::{Claimed, Idle, Shipped};
use crate::audit::AuditEvent;
use crate::judged::{self, FIRST_MANAGER, MANAGER_USER, Site};
use crate::lab::{Lab, LabOptions, Pods};
use crate::usage::Usage;

/// How long creating and claiming everything may take.
const CLAIM_LIMIT: Duration = Duration::from_secs(1_800);
/// How long the releases may take.
const SHIP_LIMIT: Duration = Duration::from_secs(900);
/// Silence of the manager that counts as rest: a minute after a claim it says whether its rules find their series.
const QUIET: Duration = Duration::from_secs(90);
/// How often the lab looks.
const LOOK: Duration = Duration::from_secs(1);
/// Pods for one node, of the 250 that it takes: the scheduler has room to choose.
const PODS_PER_NODE: usize = 150;
/// What the manager writes at rest: it says that it lives.
const LEASES: &str = "coordination.k8s.io leases";
/// Records of releases.
const RECORDS: &str = "/apis/trimtab.dev/v1alpha1/appreleases?resourceVersion=0";

/// What is measured.
#[derive(Debug, Clone)]
pub struct CostPlan {
    /// Services.
    pub apps: usize,
    /// Of which so many ship a release, all at once.
    pub releases: usize,
    /// Pods of each service.
    pub replicas: usize,
    /// How long a release is judged after its last pod is ready, as in a policy.
    pub watch: String,
    /// How long the manager is measured at rest.
    pub idle: Duration,
}

/// A lab with modelled pods, and nodes for all of them, in which the API server writes down what the manager asks for.
///
/// # Errors
/// As [`LabOptions::new`].
pub fn options(plan: &CostPlan) -> Result<LabOptions> {
    let mut options = judged::options()?;
    options.control_plane.audited = Some(MANAGER_USER.to_owned());
    options.pods = Pods::Modelled;
    options.nodes = ((plan.apps + plan.releases) * plan.replicas).div_ceil(PODS_PER_NODE);
    Ok(options)
}

/// Measures it, from the first service to the last verdict.
///
/// # Errors
/// When the lab does not do what it should, or a good release is not kept; the error carries the end of the manager's output.
pub async fn measure(lab: &Lab, plan: &CostPlan) -> Result<Cost> {
    let site = Site::prepare(lab).await?;
    let meter = Meter { lab, manager: site.manager_id(FIRST_MANAGER)? };
    let measured = async {
        let claimed = claim(&meter, plan).await?;
        eprintln!("{} services are claimed and at rest", plan.apps);
        let idle = rest(&meter, plan).await?;
        let shipped = ship(&meter, plan).await?;
        anyhow::Ok(Cost { plan: plan.clone(), claimed, idle, shipped })
    };
    measured.await.with_context(|| site.tail())
}

/// What is read of the one manager.
struct Meter<'l> {
    lab: &'l Lab,
    manager: u32,
}

impl Meter<'_> {
    fn usage(&self) -> Result<Usage> {
        Usage::of(self.manager)
    }

    /// Everything that it asked so far.
    fn asked(&self) -> Result<Vec<AuditEvent>> {
        self.lab.control_plane().audit()
    }

    /// Waits until it has written nothing for a while: how much it wrote since `before`, by resource.
    async fn until_quiet(&self, before: usize) -> Result<BTreeMap<String, usize>> {
        let (mut last, mut since) = (BTreeMap::new(), Instant::now());
        while since.elapsed() < QUIET {
            sleep(LOOK * 5).await;
            let written = writes(&self.asked()?[before..]);
            if written != last {
                (last, since) = (written, Instant::now());
            }
        }
        Ok(last)
    }
}

/// What would change something among `events`, the lease apart, by resource.
fn writes(events: &[AuditEvent]) -> BTreeMap<String, usize> {
    let mut written = BTreeMap::new();
    for event in events.iter().filter(|event| event.is_write() && event.resource != LEASES) {
        *written.entry(event.resource.clone()).or_default() += 1;
    }
    written
}

async fn claim(meter: &Meter<'_>, plan: &CostPlan) -> Result<Claimed> {
    let (lab, before) = (meter.lab, meter.asked()?.len());
    fleet::deploy(lab, plan).await?;
    lab.wait_for("every pod is ready", CLAIM_LIMIT, async || {
        sleep(LOOK).await;
        let list = lab.get("/apis/apps/v1/deployments?resourceVersion=0").await?;
        let ready =
            |one: &&Value| one["status"]["readyReplicas"].as_u64() == u64::try_from(plan.replicas).ok();
        enough(items(&list).filter(ready).count(), plan.apps)
    })
    .await?;
    eprintln!("{} services run", plan.apps);
    let (cpu, started) = (meter.usage()?.cpu, Instant::now());
    fleet::claim(lab, plan).await?;
    lab.wait_for("every service is claimed", CLAIM_LIMIT, async || {
        sleep(LOOK).await;
        let list = lab.get("/apis/trimtab.dev/v1alpha1/managedapps?resourceVersion=0").await?;
        enough(items(&list).filter(|app| app["status"]["phase"] == "Healthy").count(), plan.apps)
    })
    .await?;
    let took = started.elapsed();
    let writes = meter.until_quiet(before).await?;
    let usage = meter.usage()?;
    Ok(Claimed { took, writes, cpu: usage.cpu.saturating_sub(cpu), usage })
}

async fn rest(meter: &Meter<'_>, plan: &CostPlan) -> Result<Idle> {
    let (before, cpu, started) = (meter.asked()?.len(), meter.usage()?.cpu, Instant::now());
    sleep(plan.idle).await;
    let cpu = meter.usage()?.cpu.saturating_sub(cpu);
    let (took, asked) = (started.elapsed(), meter.asked()?.split_off(before));
    let leases = asked.iter().filter(|event| event.is_write() && event.resource == LEASES).count();
    Ok(Idle { took, cpu, writes: writes(&asked), leases })
}

async fn ship(meter: &Meter<'_>, plan: &CostPlan) -> Result<Shipped> {
    let (lab, names) = (meter.lab, fleet::shipping(plan));
    let (before, cpu) = (meter.asked()?.len(), meter.usage()?.cpu);
    let (began, started) = (Clock::system().now(), Instant::now());
    fleet::ship(lab, &names).await?;
    let begun = lab
        .wait_for("every release is kept", SHIP_LIMIT, async || {
            sleep(LOOK).await;
            ended(&lab.get(RECORDS).await?, names.len(), began)
        })
        .await?;
    let took = started.elapsed();
    // What is said afterwards belongs to the releases as well.
    let writes = meter.until_quiet(before).await?;
    let usage = meter.usage()?;
    Ok(Shipped { took, begun, writes, cpu: usage.cpu.saturating_sub(cpu), over: started.elapsed(), usage })
}

/// How long the last release took to begin since `began`, once all of them are kept.
fn ended(records: &Value, wanted: usize, began: Timestamp) -> Result<Option<Duration>> {
    let mut begun = Vec::new();
    let started = |record: &Value| record["status"]["startedAt"].as_str()?.parse::<Timestamp>().ok();
    let fresh = items(records).filter_map(|record| Some((record, started(record)?)));
    for (record, at) in fresh.filter(|(_, at)| *at >= began) {
        match record["status"]["phase"].as_str() {
            Some("Kept") => begun.push(Duration::try_from(at.duration_since(began)).unwrap_or_default()),
            Some("Judging") | None => {}
            Some(other) => {
                bail!("{} is {other}: {}", record["metadata"]["name"], record["status"]["summary"])
            }
        }
    }
    Ok(begun.iter().max().copied().filter(|_| begun.len() >= wanted))
}

fn enough(count: usize, wanted: usize) -> Result<Option<()>> {
    if count >= wanted { Ok(Some(())) } else { bail!("{count} of {wanted} so far") }
}

fn items(list: &Value) -> impl Iterator<Item = &Value> {
    list["items"].as_array().into_iter().flatten()
}
