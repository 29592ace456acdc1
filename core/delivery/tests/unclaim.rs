//! What a Deployment is left with when it is let go of.

use trimtab_delivery::unclaim::{Leaving, OldSet, Step, is_judged, next_step};
use trimtab_workload::{Arm, Pod};

fn set(template: &str, revision: u64, replicas: u32) -> OldSet {
    let images = vec![format!("pay:{template}")];
    OldSet { template_hash: template.into(), revision, replicas, images, judged: false }
}

/// Holds the rejected `t3`; ran `t1` and `t2` before, of which `t2` was rejected first.
fn held() -> Leaving {
    Leaving {
        held: true,
        template_hash: "t3".into(),
        held_images: vec!["pay:t3".into(), "pay:t2".into()],
        sets: vec![set("t1", 5, 3), set("t2", 6, 1), set("t3", 4, 0)],
        ..Leaving::default()
    }
}

fn restore(template: &str) -> Step {
    Step::Restore { template_hash: template.into() }
}

#[test]
fn a_rejected_template_never_ships() {
    let names = |names: &[&str]| names.iter().map(|name| (*name).to_owned()).collect::<Vec<_>>();
    // `t2` was judged when `t3` was held.
    let judging = || {
        let judged = OldSet { judged: true, ..set("t2", 6, 1) };
        let sets = vec![set("t1", 5, 3), judged, set("t3", 4, 0)];
        Leaving { sets, held_images: names(&["pay:t3"]), ..held() }
    };
    let cases: [(&str, Leaving, Step); 12] = [
        ("the spec holds what was kept last", Leaving { kept: vec!["t3".into()], ..held() }, restore("t3")),
        ("records are gone: the claim tells what was rejected", held(), restore("t1")),
        (
            "what was kept last, although a newer one has pods",
            Leaving {
                kept: names(&["t0", "t1"]),
                recorded: names(&["t0", "t1", "t2", "t3"]),
                held_images: Vec::new(),
                ..held()
            },
            restore("t1"),
        ),
        (
            "what runs and is newer, whose record is gone before that of what was kept earlier",
            Leaving {
                kept: names(&["t0", "t1"]),
                recorded: names(&["t0", "t1", "t3"]),
                held_images: names(&["pay:t3"]),
                ..held()
            },
            restore("t2"),
        ),
        (
            "what runs and is newer is still judged",
            Leaving { kept: names(&["t0", "t1"]), recorded: names(&["t0", "t1", "t3"]), ..judging() },
            restore("t1"),
        ),
        ("records are gone: what is not judged", judging(), restore("t1")),
        (
            "kept once, and rejected since",
            Leaving { kept: vec!["t1".into(), "t2".into()], rejected: vec!["t2".into()], ..held() },
            restore("t1"),
        ),
        (
            "nothing that was not rejected has pods",
            Leaving { sets: vec![set("t1", 5, 0), set("t2", 6, 3), set("t3", 4, 0)], ..held() },
            Step::ReleasePaused,
        ),
        (
            "kept, and scaled to nothing",
            Leaving { sets: vec![set("t1", 5, 0), set("t3", 4, 0)], kept: vec!["t1".into()], ..held() },
            restore("t1"),
        ),
        ("no ReplicaSet at all", Leaving { sets: Vec::new(), ..held() }, Step::ReleasePaused),
        (
            "restored: the fields go back to their owner",
            Leaving { held: false, owns_template: true, ..held() },
            Step::ReturnFields,
        ),
        ("nothing is held", Leaving { held: false, ..held() }, Step::Release),
    ];
    for (name, leaving, expected) in cases {
        assert_eq!(next_step(&leaving), expected, "{name}");
    }
}

#[test]
fn labels_tell_which_set_is_judged() {
    let pod = |arm| Pod { arm, ..Pod::default() };
    let (canary, stable, bare) = (pod(Some(Arm::Canary)), pod(Some(Arm::Stable)), pod(None));
    let evicted = |pod: &Pod| Pod { ended: true, ..pod.clone() };
    let leaving = |pod: &Pod| Pod { deleting: true, ..pod.clone() };
    for (name, pods, expected) in [
        ("no pod", vec![], false),
        ("pods without a label", vec![bare.clone()], false),
        ("judged, and some are not labelled yet", vec![canary.clone(), bare], true),
        ("kept, and not all are labelled anew", vec![canary.clone(), stable.clone()], false),
        ("kept, and one was evicted while it was judged", vec![evicted(&canary), stable.clone()], false),
        ("kept, and one is going", vec![leaving(&canary), stable], false),
        ("judged, and all were evicted or are going", vec![evicted(&canary), leaving(&canary)], true),
    ] {
        assert_eq!(is_judged(&pods), expected, "{name}");
    }
}
