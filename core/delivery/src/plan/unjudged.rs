//! A template that cannot be recorded ships without being judged.

use trimtab_plan::Reason;
use trimtab_workload::Target;

use super::begin::supersede;
use super::builder::PlanBuilder;
use super::claim::Refusal;
use super::hold::{Rejections, let_pass};
use super::limits::TEMPLATE_BYTES_MAX;
use super::paused::fails_meanwhile;
use crate::snapshot::ReleaseStatus;

/// The template is too large to be recorded, so it cannot be judged or put back. It cannot be a rejected one either, for
/// those were recorded: it passes, and a condition says what is missing.
pub(super) fn pass(builder: &mut PlanBuilder<'_>, target: &Target) {
    if let Some(manager) = target.paused_by_others() {
        fails_meanwhile(builder, target, manager);
    } else {
        answer(builder);
        if let Some(old) = builder.snapshot.history().in_flight() {
            supersede(builder, target, old, "a template that is too large to be recorded");
        } else if target.hold.is_some() {
            let_pass(builder, target, Rejections::Known);
        }
    }
    let ships = match target.paused_by_others() {
        Some(manager) => format!("{manager} paused it, and once that is over it ships"),
        None => "it is shipped".to_owned(),
    };
    builder.refuse(Refusal {
        reason: Reason::TemplateTooLarge,
        message: format!(
            "the pod template of Deployment {}/{} is {} KiB as JSON, and at most {} KiB can be recorded: {ships} \
             without being judged, and cannot be rolled back",
            builder.snapshot.app.namespace,
            target.name,
            target.template_bytes.div_ceil(1024),
            TEMPLATE_BYTES_MAX / 1024
        ),
        next: "a smaller template; a ConfigMap holds what is large".to_owned(),
    });
}

/// Another template runs now, so nobody is asked any more about what ran before.
fn answer(builder: &mut PlanBuilder<'_>) {
    let Some(current) = builder.snapshot.history().current() else { return };
    let status = ReleaseStatus { needs_human: None, ..current.status.clone() };
    if status != current.status {
        builder.release_status(current, status);
    }
}
