//! Who acts on a workload now, as far as delivery knows.

use trimtab_workload::{Actor, Claim};

use crate::snapshot::Snapshot;

/// Who acts on the workload of `snapshot`: a release under way, from its announcement until it ends; else whoever paused the
/// Deployment; else nobody. A pause by admission is no person's: it holds a template back and no pod is touched.
#[must_use]
pub fn acting(snapshot: &Snapshot<'_>) -> Claim {
    let Some(target) = snapshot.target else { return Claim::default() };
    if let Some(release) = snapshot.history().in_flight() {
        let by = Actor::Release(release.number);
        return Claim { by, since: release.status.started_at, until: None };
    }
    match &target.paused_by {
        Some(_) if target.paused => Claim { by: Actor::Person, ..Claim::default() },
        _ => Claim::default(),
    }
}
