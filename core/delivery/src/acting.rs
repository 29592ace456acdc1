//! Who acts on a workload now, as far as delivery knows.

use trimtab_workload::{Actor, Claim};

use crate::deadline::after;
use crate::snapshot::{ReleasePhase, Snapshot};

/// Who acts on the workload of `snapshot`: a release under way, from its announcement until it ends; else whoever paused the
/// Deployment; else nobody. A pause by admission is no person's: it holds a template back and no pod is touched. Once all
/// pods of a release are out, the end of its watch is when it is due to end.
#[must_use]
pub fn acting(snapshot: &Snapshot<'_>) -> Claim {
    let Some(target) = snapshot.target else { return Claim::default() };
    if let Some(release) = snapshot.history().in_flight() {
        let by = Actor::Release(release.number);
        let watched = release.status.phase == ReleasePhase::Judging && release.status.needs_human.is_none();
        let out_at = release.status.ready_at.filter(|_| watched && !target.paused);
        let until = out_at.map(|at| after(at, snapshot.settings.watch));
        return Claim { by, since: release.status.started_at, until };
    }
    match &target.paused_by {
        Some(_) if target.paused => Claim { by: Actor::Person, ..Claim::default() },
        _ => Claim::default(),
    }
}
