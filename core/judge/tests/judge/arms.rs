//! Which pods are which arm: the caller's pairs say it, whoever owns the sets.

use std::collections::BTreeMap;

use trimtab_judge::Arms;
use trimtab_workload::{Arm, Pod, ReplicaSet};

use crate::lab::{at_ms, instant};

fn set(name: &str) -> ReplicaSet {
    ReplicaSet { name: name.into(), uid: format!("uid-{name}"), ..ReplicaSet::default() }
}

fn pod(set: &str, name: &str) -> Pod {
    Pod {
        name: format!("{set}-{name}"),
        replica_set: format!("uid-{set}"),
        ready: true,
        started_at: Some(instant(0.0)),
        ..Pod::default()
    }
}

/// The arm of each pod by name.
fn told(arms: &Arms) -> BTreeMap<&str, Arm> {
    arms.pods.iter().map(|(name, pod)| (name.as_str(), pod.arm)).collect()
}

#[test]
fn sets_of_any_owner_are_an_arm() {
    let (companion, old, older) = (set("pay-canary"), set("pay-t1"), set("pay-t0"));
    let pairs = [(Arm::Stable, &older), (Arm::Canary, &companion), (Arm::Stable, &old)];
    let pods = [pod("pay-canary", "x"), pod("pay-t1", "a"), pod("pay-t0", "b"), pod("other", "c")];
    let arms = Arms::new("shop", &pairs, &pods, &Arms::default(), instant(60.0));
    let expected = [("pay-canary-x", Arm::Canary), ("pay-t0-b", Arm::Stable), ("pay-t1-a", Arm::Stable)];
    assert_eq!(told(&arms), BTreeMap::from(expected), "a pod of a set that no pair names is in no arm");
    assert_eq!(arms.canary_sets, ["pay-canary"]);
    assert_eq!(arms.stable_sets, ["pay-t0", "pay-t1"], "sorted, so that equal arms ask equal questions");
}

#[test]
fn a_set_in_both_arms_is_in_the_first() {
    let same = set("pay-t1");
    let pairs = [(Arm::Canary, &same), (Arm::Stable, &same)];
    let arms = Arms::new("shop", &pairs, &[pod("pay-t1", "a")], &Arms::default(), instant(60.0));
    assert_eq!(told(&arms), BTreeMap::from([("pay-t1-a", Arm::Canary)]));
}

#[test]
fn pods_that_are_gone_are_remembered_with_the_first_instant_that_missed_them() {
    let old = set("pay-t1");
    let pairs = [(Arm::Stable, &old)];
    let look = |pods: &[Pod], before: &Arms, at: f64| Arms::new("shop", &pairs, pods, before, instant(at));
    let first = look(&[pod("pay-t1", "a")], &Arms::default(), 60.0);
    let second = look(&[], &first, 120.0);
    let third = look(&[], &second, 180.0);
    for (name, arms) in [("found gone", &second), ("still gone", &third)] {
        let gone = &arms.pods["pay-t1-a"];
        assert_eq!((gone.ready, gone.gone_ms), (false, Some(at_ms(120.0))), "{name}");
    }
}
