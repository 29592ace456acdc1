//! Arm labels on pods: `canary` on the new ones and `stable` on the old ones while a release is judged, and back.

use trimtab_workload::{Arm, Pod};

use super::builder::PlanBuilder;
use crate::decision::Write;
use crate::snapshot::ReleasePhase;

/// Labels moved in one plan; the rest follows on the next event, so that a huge service cannot delay a rollback.
const LABELS_PER_PLAN_MAX: usize = 50;

/// Moves the labels that are out of date. A pod is labelled at most twice in a release: when it is first judged, and when
/// its release is kept.
pub(super) fn label(builder: &mut PlanBuilder<'_>) {
    let snapshot = builder.snapshot;
    let judged = snapshot.in_flight().filter(|_| snapshot.settings.strategy.judges());
    let wanted = |pod: &Pod| match (judged, builder.phase_in_flight()) {
        (Some(release), Some(ReleasePhase::Judging)) => Some(snapshot.arm(pod, release)),
        (Some(_), Some(_)) => None,
        _ => pod.arm.filter(|arm| *arm == Arm::Canary).map(|_| Arm::Stable),
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
