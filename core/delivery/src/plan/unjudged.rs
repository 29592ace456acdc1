//! A template that cannot be recorded ships without being judged.

use trimtab_plan::Reason;
use trimtab_workload::Target;

use super::begin::{fails_meanwhile, supersede};
use super::builder::PlanBuilder;
use super::claim::Refusal;
use super::hold::{Rejections, let_pass};
use super::limits::TEMPLATE_BYTES_MAX;

/// The template is too large to be recorded, so it cannot be judged or put back. It cannot be a rejected one either, for
/// those were recorded: it passes, and a condition says what is missing.
pub(super) fn pass(builder: &mut PlanBuilder<'_>, target: &Target) {
    if let Some(manager) = target.paused_by_others() {
        fails_meanwhile(builder, target, manager);
    } else if let Some(old) = builder.snapshot.history().in_flight() {
        supersede(builder, target, old, "a template that is too large to be recorded");
    } else if target.hold.is_some() {
        let_pass(builder, target, Rejections::Known);
    }
    builder.refuse(Refusal {
        reason: Reason::TemplateTooLarge,
        message: format!(
            "the pod template of Deployment {}/{} is {} KiB as JSON, and at most {} KiB can be recorded: it is shipped \
             without being judged, and cannot be rolled back",
            builder.snapshot.app.namespace,
            target.name,
            target.template_bytes.div_ceil(1024),
            TEMPLATE_BYTES_MAX / 1024
        ),
        next: "a smaller template; a ConfigMap holds what is large".to_owned(),
    });
}
