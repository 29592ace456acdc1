//! What one namespace that does its worst costs everybody else.
//!
//! Neighbours ship releases that are right and wrong, first alone and then beside a tenant who may edit one namespace and
//! uses all of it: thousands of forged records, as many rules as fit with expressions that explode, pods with labels of
//! 10 kB, templates of 900 kB, and a Prometheus that answers with 50 MB, slowly, whatever is asked about that namespace. The
//! control plane, the manager, Prometheus and the neighbours' traffic are real.

mod front;
mod report;
mod tenant;

use std::time::Duration;

use anyhow::{Context, Result};
use futures::future::{try_join, try_join_all};
use tokio::time::Instant;

use self::front::Front;
pub use self::report::Outcome;
use self::tenant::Tenant;
use crate::judged::{FIRST_MANAGER, Kind, Round, RoundResult, Site};
use crate::lab::Lab;
use crate::usage::Usage;

/// What is measured.
#[derive(Debug, Clone)]
pub struct AttackPlan {
    /// Neighbours' releases of each kind, without the attack and again with it.
    pub runs: usize,
    /// How long a release is judged after its last pod is ready, as in a policy.
    pub watch: String,
    /// Releases that the tenant writes by hand, of one service.
    pub records: usize,
}

/// What the manager used for a while.
#[derive(Debug)]
struct Used {
    took: Duration,
    cpu: Duration,
    /// At the end.
    usage: Usage,
}

impl Used {
    fn share_of_a_core(&self) -> f64 {
        self.cpu.as_secs_f64() / self.took.as_secs_f64()
    }
}

/// What came of something, and what the manager used meanwhile.
#[derive(Debug)]
struct With<T> {
    results: T,
    used: Used,
}

/// Measures it: neighbours alone, the beginning of the attack, neighbours beside it.
///
/// # Errors
/// When the lab does not do what it should, or the attack did not take place; the error carries the end of the manager's
/// output.
pub async fn measure(lab: &Lab, plan: &AttackPlan) -> Result<Outcome> {
    let front = Front::start(lab.prometheus()?.url(), tenant::NAMESPACE).await?;
    let site = Site::prepare_asking(lab, front.url()).await?;
    let manager = site.manager_id(FIRST_MANAGER)?;
    let measured = async {
        let alone = used(manager, neighbours(lab, plan, 0)).await?;
        eprintln!("the neighbours have shipped alone");
        let tenant = Tenant::new(lab);
        let begun = used(manager, tenant.begin(plan.records)).await?.used;
        eprintln!("the attack has begun");
        let beside = tokio::select! {
            shipped = used(manager, neighbours(lab, plan, plan.runs)) => shipped?,
            ended = tenant.go_on(plan.records) => ended.and_then(|()| anyhow::bail!("the attack ended"))?,
        };
        let [asked, sent] = front.harm();
        anyhow::Ok(Outcome { plan: plan.clone(), alone, begun, beside, asked, sent })
    };
    measured.await.with_context(|| site.tail())
}

/// Does something, and reads what the manager used meanwhile.
async fn used<T>(manager: u32, work: impl Future<Output = Result<T>>) -> Result<With<T>> {
    let (before, started) = (Usage::of(manager)?, Instant::now());
    let results = work.await?;
    let usage = Usage::of(manager)?;
    let used = Used { took: started.elapsed(), cpu: usage.cpu.saturating_sub(before.cpu), usage };
    Ok(With { results, used })
}

/// Ships releases with errors one after the other, as their exposure is measured, and beside them the quiet ones at once.
async fn neighbours(lab: &Lab, plan: &AttackPlan, shipped: usize) -> Result<Vec<RoundResult>> {
    let numbers = shipped + 1..=shipped + plan.runs;
    let ship = async |kind, number| {
        let round = Round { kind, number, watch: plan.watch.clone() };
        let result = round.run(lab).await?;
        eprintln!("{} {number}: {} ({})", kind.word(), result.phase, result.summary);
        anyhow::Ok(result)
    };
    let failing = async {
        let mut results = Vec::new();
        for number in numbers.clone() {
            results.push(ship(Kind::Errors, number).await?);
        }
        Ok(results)
    };
    let quiet = try_join_all(numbers.clone().map(|number| ship(Kind::Quiet, number)));
    let (mut results, quiet) = try_join(failing, quiet).await?;
    results.extend(quiet);
    Ok(results)
}
