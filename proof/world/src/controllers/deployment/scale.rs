//! A Deployment that changes size while more than one ReplicaSet has pods grows and shrinks all of them in proportion.

use super::sets::{ReplicaSets, Set};
use super::{Strategy, Wanted};

/// Brings the ReplicaSets to the Deployment's size without moving pods from one to another.
pub(super) fn scale(wanted: &Wanted<'_>, sets: &mut ReplicaSets<'_>) {
    if let Some(only) = active_or_latest(sets) {
        if sets.sets[only].replicas != wanted.replicas {
            sets.sets[only].resize(wanted.replicas, wanted);
        }
        return;
    }
    if sets.new_set().is_some_and(|new| is_saturated(new, wanted)) {
        let old: Vec<usize> = sets.old().filter(|index| sets.sets[*index].replicas > 0).collect();
        old.into_iter().for_each(|index| sets.sets[index].resize(0, wanted));
        return;
    }
    if wanted.strategy == Strategy::Rolling {
        scale_in_proportion(wanted, sets);
    }
}

/// The one with pods, or the newest where none has any; none where several have pods, or there are none at all.
fn active_or_latest(sets: &ReplicaSets<'_>) -> Option<usize> {
    match sets.active().as_slice() {
        [] => sets.new.or(sets.sets.len().checked_sub(1)),
        [only] => Some(*only),
        _ => None,
    }
}

fn is_saturated(new: &Set<'_>, wanted: &Wanted<'_>) -> bool {
    let size = u64::from(wanted.replicas);
    u64::from(new.replicas) == size && new.desired_then() == Some(size) && u64::from(new.available) == size
}

fn scale_in_proportion(wanted: &Wanted<'_>, sets: &mut ReplicaSets<'_>) {
    let mut order = sets.active();
    let total: i64 = order.iter().map(|index| i64::from(sets.sets[*index].replicas)).sum();
    let allowed = if wanted.replicas > 0 { i64::from(wanted.most()) } else { 0 };
    let to_add = allowed - total;
    // The largest first; among equals the newest when growing, the oldest when shrinking.
    order.sort_by_key(|index| {
        let set = &sets.sets[*index];
        let age = if to_add > 0 { -set.created.as_second() } else { set.created.as_second() };
        (std::cmp::Reverse(set.replicas), age)
    });
    let mut added = 0;
    let mut sizes: Vec<i64> = Vec::new();
    for index in &order {
        let set = &sets.sets[*index];
        let share = share(set, wanted, to_add - added);
        sizes.push(i64::from(set.replicas) + share);
        added += share;
    }
    for (position, (index, mut size)) in order.into_iter().zip(sizes).enumerate() {
        if position == 0 {
            size += to_add - added;
        }
        sets.sets[index].resize(u32::try_from(size.max(0)).unwrap_or(u32::MAX), wanted);
    }
}

/// How many of the `left` pods to add (or, negative, to take) fall to `set`: so many that its part of the whole stays.
fn share(set: &Set<'_>, wanted: &Wanted<'_>, left: i64) -> i64 {
    if set.replicas == 0 || left == 0 {
        return 0;
    }
    let replicas = i64::from(set.replicas);
    let fraction = if wanted.replicas == 0 {
        -replicas
    } else {
        let then = set.most_then().filter(|most| *most > 0).unwrap_or(u64::from(wanted.most()));
        let size = replicas as f64 * f64::from(wanted.most()) / then as f64;
        size.round() as i64 - replicas
    };
    if left > 0 { fraction.min(left) } else { fraction.max(left) }
}
