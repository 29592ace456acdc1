//! Arm labels on pods: `canary` on the new ones and `stable` on the old ones while a release is judged, and back.
//!
//! Where a rule tells the arms apart by this label, pods at rest carry `stable` as well: otherwise the first release of a
//! service, and every one after its pods were made anew, would have nothing to be compared with.

use trimtab_judge::rule::ArmLabel;
use trimtab_workload::{Arm, Pod};

use super::builder::PlanBuilder;
use crate::decision::Write;
use crate::snapshot::ReleasePhase;

/// Labels moved in one plan; the rest follows on the next event, so that a huge service cannot delay a rollback.
const LABELS_PER_PLAN_MAX: usize = 50;

/// Moves the labels that are out of date. A pod is labelled at most twice in a release: when it is first judged, and when
/// its release is kept; and at rest where a rule needs it.
pub(super) fn label(builder: &mut PlanBuilder<'_>) {
    let snapshot = builder.snapshot;
    let judged = snapshot.history().in_flight().filter(|_| snapshot.settings.strategy.judges());
    let settings = snapshot.settings;
    let is_asked_for = settings.rules.iter().any(|rule| matches!(rule.arms, ArmLabel::Arm(_)));
    let rests = snapshot.history().current().filter(|_| settings.strategy.judges() && is_asked_for);
    let wanted = |pod: &Pod| match (judged, builder.phase_in_flight()) {
        (Some(release), Some(ReleasePhase::Judging)) => Some(snapshot.arm(pod, release)),
        (Some(_), Some(_)) => None,
        _ if pod.arm == Some(Arm::Canary) => Some(Arm::Stable),
        // A pod of another template than the current release may belong to one that is not recorded yet.
        _ => {
            let current = rests.filter(|_| pod.arm.is_none());
            current.filter(|current| snapshot.arm(pod, current) == Arm::Canary).map(|_| Arm::Stable)
        }
    };
    let mut due: Vec<(&Pod, Arm)> = snapshot
        .pods
        .iter()
        .filter(|pod| !pod.deleting && !pod.ended)
        .filter_map(|pod| wanted(pod).filter(|arm| pod.arm != Some(*arm)).map(|arm| (pod, arm)))
        .collect();
    due.sort_by(|(a, _), (b, _)| a.name.cmp(&b.name));
    for (pod, arm) in due.into_iter().take(LABELS_PER_PLAN_MAX) {
        builder.write(Write::LabelPod { pod: pod.name.clone(), uid: pod.uid.clone(), arm });
    }
}
