//! Which pods of a service are which arm of a release.

use trimtab_judge::Arms;

use crate::snapshot::{Release, Snapshot};

/// The arms of `release` in `snapshot`, as the strategy has them; pods of `before` that are gone are remembered.
#[must_use]
pub fn of(snapshot: &Snapshot<'_>, release: &Release, before: &Arms) -> Arms {
    let previous = snapshot.history().before(release);
    let sets = snapshot.settings.strategy.arms(release, previous, snapshot.replica_sets);
    let arms = Arms::new(&snapshot.app.namespace, &sets, snapshot.pods, before, snapshot.now);
    match snapshot.target {
        Some(target) => arms.selected_by(&target.selector),
        None => arms,
    }
}
