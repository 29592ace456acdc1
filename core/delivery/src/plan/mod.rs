//! `plan(snapshot) -> (Plan, Report)`: every write that is due for one service, and why.

mod begin;
mod builder;
mod claim;
mod conditions;
mod hold;
mod judging;
mod keep;
mod labels;
mod limits;
mod paused;
mod restore;
mod retention;
mod rolling_back;
mod roster;
mod settled;
mod situation;
mod status;
mod take_over;
mod unjudged;

use trimtab_plan::Report;

pub use crate::app::{AppPhase, AppStatus, Rejected};
pub use crate::decision::{NewRelease, Pause, Plan, Write};
pub use crate::strategy::NO_PROGRESS_MAX;
pub use limits::{PENDING_MAX, RECOVERY_MAX, RESTORES_MAX, TEMPLATE_BYTES_MAX};

use crate::snapshot::Snapshot;
use builder::PlanBuilder;
use situation::{Situation, situation};

/// What is due for the service in `snapshot`, and why. Total and deterministic.
pub fn plan(snapshot: &Snapshot<'_>) -> (Plan, Report) {
    let mut builder = PlanBuilder::new(snapshot);
    match claim::claimable(snapshot) {
        Err(refusal) => {
            retention::close_all(&mut builder, &refusal);
            builder.refuse(refusal);
        }
        Ok(target) if take_over::is_of_another(snapshot, target) => {
            take_over::take_over(&mut builder, target);
        }
        Ok(target) if target.template_bytes > TEMPLATE_BYTES_MAX => {
            retention::close_foreign(&mut builder, target);
            unjudged::pass(&mut builder, target);
        }
        Ok(target) => {
            retention::close_foreign(&mut builder, target);
            match situation(snapshot, target) {
                Situation::Unknown => begin::adopt_baseline(&mut builder, target),
                Situation::Settled(current) => settled::settle(&mut builder, target, current),
                Situation::Fresh => begin::begin(&mut builder, target),
                Situation::Judging(release) => judging::judge(&mut builder, target, release),
                Situation::Reverted(release) => rolling_back::reverted(&mut builder, target, release),
                Situation::RollingBack(release) => rolling_back::restore(&mut builder, target, release),
                Situation::Recovering(release) => rolling_back::recover(&mut builder, target, release),
                Situation::Rejected(release) => settled::hold(&mut builder, target, release),
                Situation::Promised(promise) => restore::keep_promise(&mut builder, promise, RESTORES_MAX),
            }
            // Others may refuse any of these for long: what harms least when it has to wait comes last.
            if target.owns_template {
                builder.write(Write::ReturnFields);
            }
            labels::label(&mut builder);
            retention::forget(&mut builder, target);
        }
    }
    builder.finish()
}
