//! Between wire types and the core's values. No decision is taken here.

use trimtab_api::AppRelease;
use trimtab_api::condition::Condition;
use trimtab_api::managed_app::ManagedAppStatus;
use trimtab_delivery::plan::{AppPhase, AppStatus, Rejected};
use trimtab_delivery::seal::Trust;
use trimtab_delivery::snapshot::Release;
use trimtab_kube::kinds::app_release;
use trimtab_plan::concern::DELIVERY;
use trimtab_plan::{Kind, Transition};

/// A release as a command sees it, which has no key.
#[must_use]
pub fn release(wire: &AppRelease) -> Release {
    app_release::release(wire, &Trust::Form)
}

/// The status of a service as the core knows it.
#[must_use]
pub fn app_status(wire: &ManagedAppStatus) -> AppStatus {
    AppStatus {
        observed_generation: wire.observed_generation.unwrap_or_default(),
        phase: AppPhase::parse(&wire.phase),
        summary: wire.summary.clone(),
        target_uid: wire.target_uid.clone(),
        current: wire.current,
        in_flight: wire.in_flight,
        last_release: wire.last_release,
        rejected: wire
            .rejected
            .iter()
            .map(|rejected| Rejected {
                number: rejected.number,
                template_hash: rejected.template_hash.clone(),
                at: rejected.at,
            })
            .collect(),
        // Other concerns have conditions of their own here: what they say changes nothing that this one writes.
        conditions: wire
            .conditions
            .iter()
            .filter(|condition| is_delivery(&condition.kind))
            .filter_map(condition)
            .collect(),
    }
}

/// A condition as its concern sets it; `None` where the status is one that no concern of ours writes.
#[must_use]
pub fn condition(wire: &Condition) -> Option<trimtab_plan::Condition> {
    let (kind, reason, message) = (wire.kind.clone(), wire.reason.clone(), wire.message.clone());
    Some(trimtab_plan::Condition { kind, holds: holds(wire)?, reason, message })
}

/// Since when each condition says what it says.
#[must_use]
pub fn transitions(conditions: &[Condition]) -> Vec<Transition> {
    let transition = |condition: &Condition| {
        let (kind, at) = (condition.kind.clone(), condition.last_transition_time);
        Some(Transition { kind, holds: holds(condition)?, at })
    };
    conditions.iter().filter_map(transition).collect()
}

fn holds(condition: &Condition) -> Option<bool> {
    match condition.status.as_str() {
        "True" => Some(true),
        "False" => Some(false),
        _ => None,
    }
}

fn is_delivery(condition: &str) -> bool {
    DELIVERY.conditions.iter().any(|(kind, name)| *kind == Kind::MANAGED_APP && *name == condition)
}
