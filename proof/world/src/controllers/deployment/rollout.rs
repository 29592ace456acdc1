//! From the old template to the new: rolling within the fenceposts, or all at once.

use super::Wanted;
use super::sets::ReplicaSets;
use crate::controllers::cluster::Cluster;

/// One step of a rolling update: the new grows first; only when it cannot, the old shrink.
pub(super) fn rolling(wanted: &Wanted<'_>, sets: &mut ReplicaSets<'_>) {
    let Some(new) = sets.new else {
        let replicas = new_size(wanted, sets, 0);
        sets.create(replicas);
        return;
    };
    let size = sets.sets[new].replicas;
    let target = if size > wanted.replicas { wanted.replicas } else { new_size(wanted, sets, size) };
    if target != size {
        sets.sets[new].resize(target, wanted);
        return;
    }
    shrink_old(wanted, sets, new);
}

/// How large the new ReplicaSet, now of `size`, may be without exceeding the surge.
fn new_size(wanted: &Wanted<'_>, sets: &ReplicaSets<'_>, size: u32) -> u32 {
    let room = wanted.most().saturating_sub(sets.total());
    size + room.min(wanted.replicas.saturating_sub(size))
}

fn shrink_old(wanted: &Wanted<'_>, sets: &mut ReplicaSets<'_>, new: usize) {
    let old: Vec<usize> = sets.old().filter(|index| sets.sets[*index].replicas > 0).collect();
    let unavailable_new = sets.sets[new].replicas.saturating_sub(sets.sets[new].available);
    let keep = wanted.fewest_available() + unavailable_new;
    let spare = sets.total().saturating_sub(keep);
    // Pods of the old that do not work go first: losing them costs nothing.
    let mut left = spare;
    for index in &old {
        let set = &mut sets.sets[*index];
        let broken = set.replicas.saturating_sub(set.available).min(left);
        if broken > 0 {
            left -= broken;
            set.resize(set.replicas - broken, wanted);
        }
    }
    let available: u32 = sets.sets.iter().map(|set| set.available).sum();
    let mut surplus = if spare == 0 { 0 } else { available.saturating_sub(wanted.fewest_available()) };
    for index in &old {
        let set = &mut sets.sets[*index];
        let gone = set.replicas.min(surplus);
        if gone > 0 {
            surplus -= gone;
            set.resize(set.replicas - gone, wanted);
        }
    }
}

/// The old go entirely, and only when their last pod is gone the new comes.
pub(super) fn recreate(cluster: &Cluster, wanted: &Wanted<'_>, sets: &mut ReplicaSets<'_>) {
    let old: Vec<usize> = sets.old().filter(|index| sets.sets[*index].replicas > 0).collect();
    if !old.is_empty() {
        old.into_iter().for_each(|index| sets.sets[index].resize(0, wanted));
        return;
    }
    let pods_left =
        sets.old().any(|index| cluster.pods_of(&sets.sets[index].uid).iter().any(|pod| !pod.is_over()));
    if pods_left {
        return;
    }
    match sets.new {
        None => sets.create(wanted.replicas),
        Some(new) if sets.sets[new].replicas != wanted.replicas => {
            sets.sets[new].resize(wanted.replicas, wanted);
        }
        Some(_) => {}
    }
}
