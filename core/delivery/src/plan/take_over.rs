//! A service that somebody gave to another instance.

use trimtab_plan::Reason;
use trimtab_workload::Target;

use super::builder::PlanBuilder;
use crate::decision::Write;
use crate::snapshot::Snapshot;

/// Whether the claim is there and names another instance than the one that looks after the service.
pub(super) fn is_of_another(snapshot: &Snapshot<'_>, target: &Target) -> bool {
    target.hold.is_some() && target.instance != snapshot.app.instance
}

/// Somebody gave the service to another instance. Nothing else is written before the claim says so: until then the one that
/// had it may not know, and from then on it writes nothing.
pub(super) fn take_over(builder: &mut PlanBuilder<'_>, target: &Target) {
    let name = |instance: &Option<String>| {
        instance
            .as_ref()
            .map_or_else(|| "the manager without an instance".to_owned(), |id| format!("instance {id}"))
    };
    let saw = format!("the claim is that of {}", name(&target.instance));
    let decided = format!("takes it over: {} looks after the service", name(&builder.snapshot.app.instance));
    builder.decided(Reason::Claimed, builder.deployment(), saw, decided);
    builder.write(Write::TakeOver);
}
