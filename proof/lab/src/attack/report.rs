//! The figures, and what they are held against.

use std::fmt;
use std::time::Duration;

use super::{AttackPlan, Used, With};
use crate::judged::{Kind, Promise, RoundResult, median, table};

/// Memory that `deploy/manager.yaml` gives the manager, in KiB.
const MEMORY_MAX_KIB: u64 = 512 * 1024;
/// Of a core. Without a limit a manager takes what there is; a tenant must not make it need that.
const CPU_MAX: f64 = 1.0;

/// Everything that was measured.
#[derive(Debug)]
pub struct Outcome {
    pub(super) plan: AttackPlan,
    pub(super) alone: With<Vec<RoundResult>>,
    pub(super) begun: Used,
    pub(super) beside: With<Vec<RoundResult>>,
    /// Questions about the tenant's namespace that Prometheus answered slowly.
    pub(super) asked: u64,
    /// Megabytes of these answers that were taken.
    pub(super) sent: u64,
}

impl Outcome {
    /// Whether the neighbours were judged as if nobody attacked, within the memory that a manager has.
    #[must_use]
    pub fn keeps_promises(&self) -> bool {
        self.promises().iter().all(|promise| promise.kept)
    }

    fn promises(&self) -> Vec<Promise> {
        let (_, mut promises) = table(&self.beside.results);
        let peak = self.beside.used.usage.peak;
        promises.push(Promise {
            text: format!("memory at most {} MiB", MEMORY_MAX_KIB / 1024),
            measured: format!("{:.0} MiB", mebibytes(peak)),
            kept: peak <= MEMORY_MAX_KIB,
        });
        let share = self.beside.used.share_of_a_core();
        promises.push(Promise {
            text: format!("CPU at most {:.0} % of a core", CPU_MAX * 100.0),
            measured: format!("{:.1} %", share * 100.0),
            kept: share <= CPU_MAX,
        });
        // A tenant that nobody asked about shows nothing.
        promises.push(Promise {
            text: "the tenant's rules were asked about".to_owned(),
            measured: format!("{} times, {} MB", self.asked, self.sent),
            kept: self.asked > 0,
        });
        promises
    }
}

fn mebibytes(kibibytes: u64) -> f64 {
    kibibytes as f64 / 1024.0
}

impl fmt::Display for Outcome {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        writeln!(f, "without the attack\n{}", table(&self.alone.results).0)?;
        writeln!(f, "with it\n{}", table(&self.beside.results).0)?;
        write_used(f, "without the attack", &self.alone.used)?;
        write_used(f, &format!("until {} records and all rules are there", self.plan.records), &self.begun)?;
        write_used(f, "with the attack", &self.beside.used)?;
        for (name, shipped) in [("without the attack", &self.alone), ("with the attack", &self.beside)] {
            write_spans(f, name, &shipped.results)?;
        }
        self.promises().iter().try_for_each(|promise| {
            let word = if promise.kept { "kept  " } else { "BROKEN" };
            writeln!(f, "{word} {}: {}", promise.text, promise.measured)
        })
    }
}

fn write_used(f: &mut fmt::Formatter<'_>, name: &str, used: &Used) -> fmt::Result {
    let share = used.share_of_a_core() * 100.0;
    writeln!(
        f,
        "{name}: {share:.1} % of a core for {:.0} s, {:.0} MiB resident at the end, {:.0} MiB at most",
        used.took.as_secs_f64(),
        mebibytes(used.usage.resident),
        mebibytes(used.usage.peak),
    )
}

fn write_spans(f: &mut fmt::Formatter<'_>, name: &str, results: &[RoundResult]) -> fmt::Result {
    for kind in [Kind::Errors, Kind::Quiet] {
        let judged: Vec<Duration> =
            results.iter().filter(|result| result.kind == kind).filter_map(|result| result.judged).collect();
        let (Some(middle), Some(worst)) = (median(judged.clone()), judged.iter().max()) else { continue };
        let word = kind.word();
        writeln!(f, "{name}, {word}: verdict after {middle:.0?} in the middle, {worst:.0?} at most")?;
    }
    Ok(())
}
