//! The figures, and what they are held against.

use std::collections::BTreeMap;
use std::fmt;
use std::time::Duration;

use super::CostPlan;
use crate::usage::Usage;

/// Writes of a release, labels of pods apart.
const WRITES_PER_RELEASE_MAX: f64 = 12.0;
/// Labels of pods.
const PODS: &str = " pods";

type Writes = BTreeMap<String, usize>;

/// Everything that was measured.
#[derive(Debug)]
pub struct Cost {
    pub(super) plan: CostPlan,
    pub(super) claimed: Claimed,
    pub(super) idle: Idle,
    pub(super) shipped: Shipped,
}

#[derive(Debug)]
pub(super) struct Claimed {
    pub(super) took: Duration,
    pub(super) writes: Writes,
    pub(super) cpu: Duration,
    pub(super) usage: Usage,
}

#[derive(Debug)]
pub(super) struct Idle {
    pub(super) took: Duration,
    pub(super) cpu: Duration,
    pub(super) writes: Writes,
    pub(super) leases: usize,
}

#[derive(Debug)]
pub(super) struct Shipped {
    /// Until every release was kept.
    pub(super) took: Duration,
    /// Until the last one was begun.
    pub(super) begun: Duration,
    pub(super) writes: Writes,
    /// Used over the time until the manager was silent again.
    pub(super) cpu: Duration,
    pub(super) over: Duration,
    pub(super) usage: Usage,
}

impl Cost {
    /// Whether the manager wrote nothing at rest, and no more for a release than is promised.
    #[must_use]
    pub fn keeps_promises(&self) -> bool {
        self.idle.writes.is_empty() && self.writes_per_release() <= WRITES_PER_RELEASE_MAX
    }

    fn writes_per_release(&self) -> f64 {
        let (writes, _) = split(&self.shipped.writes);
        writes / self.plan.releases.max(1) as f64
    }
}

/// Writes of anything but pods, and labels of pods.
fn split(writes: &Writes) -> (f64, f64) {
    let labels = writes.get(PODS).copied().unwrap_or_default();
    let all: usize = writes.values().sum();
    ((all - labels) as f64, labels as f64)
}

fn mebibytes(kibibytes: u64) -> f64 {
    kibibytes as f64 / 1024.0
}

impl fmt::Display for Cost {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let Self { plan, claimed, idle, shipped } = self;
        let CostPlan { apps, releases, replicas, watch, .. } = plan;
        let (services, each) = (*apps as f64, *releases.max(&1) as f64);
        writeln!(f, "{apps} services of {replicas} pods")?;
        let (writes, labels) = split(&claimed.writes);
        writeln!(
            f,
            "claimed: after {:.0} s, {:.1} writes and {:.1} pod labels each, {:.1} ms of CPU each",
            claimed.took.as_secs_f64(),
            writes / services,
            labels / services,
            claimed.cpu.as_secs_f64() * 1000.0 / services,
        )?;
        writeln!(
            f,
            "memory: {:.1} MiB resident at rest, {:.1} MiB after the releases, {:.1} MiB at most",
            mebibytes(claimed.usage.resident),
            mebibytes(shipped.usage.resident),
            mebibytes(shipped.usage.peak),
        )?;
        let share = idle.cpu.as_secs_f64() / idle.took.as_secs_f64() * 100.0;
        let written: usize = idle.writes.values().sum();
        writeln!(
            f,
            "at rest for {:.0} s: {share:.2} % of a core, {written} writes, and {} of the lease",
            idle.took.as_secs_f64(),
            idle.leases,
        )?;
        let (_, labels) = split(&shipped.writes);
        writeln!(
            f,
            "{releases} releases at once, judged for {watch}: all begun after {:.1} s, all kept after {:.0} s",
            shipped.begun.as_secs_f64(),
            shipped.took.as_secs_f64(),
        )?;
        writeln!(
            f,
            "  {:.1} writes and {:.1} pod labels each, {:.1} ms of CPU each (all that was used in {:.0} s)",
            self.writes_per_release(),
            labels / each,
            shipped.cpu.as_secs_f64() * 1000.0 / each,
            shipped.over.as_secs_f64(),
        )?;
        shipped
            .writes
            .iter()
            .try_for_each(|(resource, count)| writeln!(f, "  {count:>6} {}", resource.trim()))
    }
}
