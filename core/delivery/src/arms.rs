//! Which pods of a service are which arm of a release.

use trimtab_judge::Arms;
use trimtab_workload::{Arm, ReplicaSet};

use crate::snapshot::{Release, Snapshot};

/// The arms of `release` in `snapshot`; pods of `before` that are gone are remembered.
#[must_use]
pub fn of(snapshot: &Snapshot<'_>, release: &Release, before: &Arms) -> Arms {
    let canary = release.template_hash.as_deref();
    // Pods of a release that was rejected or overtaken are no measure of what is normal.
    let stable = snapshot.before(release).and_then(|before| before.template_hash.as_deref());
    let pairs = |arm: Arm, hash: Option<&str>| {
        let sets = snapshot.replica_sets.iter().filter(move |set| Some(set.template_hash.as_str()) == hash);
        sets.map(|set| (arm, set)).collect::<Vec<(Arm, &ReplicaSet)>>()
    };
    let sets = [pairs(Arm::Canary, canary), pairs(Arm::Stable, stable)].concat();
    let arms = Arms::new(&snapshot.app.namespace, &sets, snapshot.pods, before, snapshot.now);
    match snapshot.target {
        Some(target) => arms.selected_by(&target.selector),
        None => arms,
    }
}
