//! `plan(snapshot) -> (Plan, Report)`: every write that is due for one service, and why.

mod begin;
mod claim;
mod draft;
mod history;
mod hold;
mod judging;
mod keep;
mod labels;
mod limits;
mod restore;
mod rolling_back;
mod settled;
mod situation;
mod status;

use trimtab_plan::Report;

pub use crate::app::{AppPhase, AppStatus, Condition, Rejected};
pub use crate::decision::{NewRelease, Pause, Plan, Write};
pub use crate::strategy::NO_PROGRESS_MAX;
pub use limits::{PENDING_MAX, RECOVERY_MAX, RESTORES_MAX, TEMPLATE_BYTES_MAX};

use crate::snapshot::Snapshot;
use draft::Draft;
use situation::{Situation, situation};

/// What is due for the service in `snapshot`, and why. Total and deterministic.
pub fn plan(snapshot: &Snapshot<'_>) -> (Plan, Report) {
    let mut draft = Draft::new(snapshot);
    match claim::claimable(snapshot) {
        Err(refusal) => draft.refuse(refusal),
        Ok(target) if target.template_bytes > TEMPLATE_BYTES_MAX => hold::pass_unjudged(&mut draft, target),
        Ok(target) => {
            history::close_foreign(&mut draft, target);
            match situation(snapshot, target) {
                Situation::Unknown => begin::adopt_baseline(&mut draft, target),
                Situation::Settled(current) => settled::settle(&mut draft, target, current),
                Situation::Fresh => begin::begin(&mut draft, target),
                Situation::Judging(release) => judging::judge(&mut draft, target, release),
                Situation::Reverted(release) => rolling_back::reverted(&mut draft, target, release),
                Situation::RollingBack(release) => rolling_back::restore(&mut draft, target, release),
                Situation::Recovering(release) => rolling_back::recover(&mut draft, target, release),
                Situation::Rejected(release) => settled::hold(&mut draft, target, release),
                Situation::Promised(promise) => restore::keep_promise(&mut draft, promise, RESTORES_MAX),
            }
            labels::label(&mut draft);
            if target.owns_template {
                draft.write(Write::ReturnFields);
            }
            history::forget(&mut draft, target);
        }
    }
    draft.finish()
}
