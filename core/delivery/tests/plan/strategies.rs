//! A strategy that nobody wrote a line for elsewhere is planned with like those that ship.

use trimtab_delivery::arms;
use trimtab_delivery::snapshot::Release;
use trimtab_delivery::strategy::{ALL, Next, Stage, Strategy, Wait, named};
use trimtab_judge::Arms;
use trimtab_plan::Reason;
use trimtab_stats::Verdict;
use trimtab_workload::{Arm, ReplicaSet};

use crate::check;
use crate::service::{judging, out};

/// Keeps a release as soon as one of its pods is available, fails one that has none after ten minutes, and compares it with
/// nothing.
#[derive(Debug)]
struct FirstPod;

impl Strategy for FirstPod {
    fn word(&self) -> &'static str {
        "FirstPod"
    }

    fn judges(&self) -> bool {
        true
    }

    fn arms<'a>(
        &self,
        release: &Release,
        _: Option<&Release>,
        sets: &'a [ReplicaSet],
    ) -> Vec<(Arm, &'a ReplicaSet)> {
        let own = |set: &&ReplicaSet| Some(set.template_hash.as_str()) == release.template_hash.as_deref();
        sets.iter().filter(own).map(|set| (Arm::Canary, set)).collect()
    }

    fn next(&self, stage: &Stage<'_>) -> Next {
        let age = stage.release.status.started_at.map(|at| stage.now.duration_since(at).as_secs());
        if stage.available() > 0 {
            return Next::Keep { verdict: Some(Verdict::Pass), summary: "a pod is there".into() };
        }
        if age >= Some(600) {
            return Next::Fail { summary: "no pod in ten minutes".into() };
        }
        let wait = Wait {
            code: Reason::PodsUnavailable,
            saw: "no pod is available".into(),
            decided: "waits".into(),
            waits_for: "the first pod".into(),
        };
        Next::Wait { waits: vec![wait], until: None }
    }

    fn reconsider(&self, stage: &Stage<'_>) -> Next {
        self.next(stage)
    }
}

#[test]
fn a_third_strategy_is_carried_out() {
    let judging = judging().labelled().settings(|settings| settings.strategy = &FirstPod);
    check(
        "it waits in its own words",
        &judging,
        "
        = Releasing: Releasing v2, judged against v1
        why no pod is available -> waits; waits for the first pod
    ",
    );
    check(
        "it keeps by its own measure",
        &judging.clone().runs("t2", 1).labelled(),
        "
        event v2 Kept: v2 is kept: a pod is there
        v2 is Kept: a pod is there [Pass, started +0s, decided +0s]
        label pay-t2-0 stable
        = Healthy: Healthy on v2
        why v2 was out long enough -> keeps it: a pod is there
    ",
    );
    check(
        "and what it fails is restored as it is under any other",
        &judging.later(600),
        "
        v2 is RollingBack: no pod in ten minutes [Fail, started +0s, decided +10m]
        restore v1
        v2 is RollingBack: no pod in ten minutes [Fail, started +0s, decided +10m, restores 1]
        = RollingBack: Rolling back v2 to v1
        why the Deployment holds v2, which failed -> restores the template of v1
    ",
    );
    let out = out().settings(|settings| settings.strategy = &FirstPod);
    let release = out.releases.last().expect("a release is out");
    let arms = arms::of(&out.snapshot(), release, &Arms::default());
    assert_eq!((arms.canary_sets, arms.stable_sets), (vec!["pay-t2".to_owned()], Vec::new()));
}

#[test]
fn strategies_go_by_their_words() {
    for strategy in ALL {
        assert_eq!(named(strategy.word()).map(Strategy::word), Some(strategy.word()));
    }
    assert_eq!(named("Guarded").map(Strategy::judges), Some(true));
    assert_eq!(named("Rolling").map(Strategy::judges), Some(false));
    assert!(named("FirstPod").is_none(), "only what is listed can be asked for");
}
