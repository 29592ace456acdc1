//! One service, built in a few words: the owned values behind a [`Snapshot`].

use std::ops::RangeInclusive;
use std::time::Duration;

use jiff::Timestamp;
use trimtab_delivery::snapshot::{
    App, Binding, Decision, Keep, Notify, Release, ReleasePhase, ReleaseStatus, Settings, Snapshot,
};
use trimtab_delivery::strategy::Guarded;
use trimtab_judge::binding::Bound;
use trimtab_judge::finding::{Counts, Finding, FindingState};
use trimtab_judge::rule::built_in;
use trimtab_stats::Verdict;
use trimtab_workload::{AdmissionHold, Arm, Pod, ReplicaSet, Target};

/// When every story begins; readable text tells times as the distance from here.
pub(crate) const START: Timestamp = Timestamp::constant(1_767_225_600, 0);

/// One service, and all that a plan may look at.
#[derive(Clone, Debug, PartialEq)]
pub(crate) struct Service {
    pub(crate) now: Timestamp,
    pub(crate) app: App,
    pub(crate) settings: Settings,
    pub(crate) target: Option<Target>,
    pub(crate) sets: Vec<ReplicaSet>,
    pub(crate) pods: Vec<Pod>,
    pub(crate) releases: Vec<Release>,
    pub(crate) refused: Vec<String>,
    pub(crate) taken: Vec<RangeInclusive<u64>>,
    pub(crate) findings: Vec<Finding>,
    pub(crate) measuring_since: Option<Timestamp>,
    pub(crate) binding: Binding,
}

/// A Deployment `pay` of three ready pods of template `t1` that nobody claimed yet.
pub(crate) fn unclaimed() -> Service {
    let settings = Settings {
        target: "pay".into(),
        strategy: &Guarded,
        watch: Duration::from_secs(300),
        rules: built_in(),
        alpha: 0.005,
        history: 10,
        not_acted_on: Vec::new(),
        notify: Notify::default(),
    };
    let target = Target {
        name: "pay".into(),
        uid: "uid-pay".into(),
        generation: 1,
        observed_generation: 1,
        template_hash: "t1".into(),
        image: "pay:t1".into(),
        template_manager: "ci".into(),
        replicas: 3,
        revision: Some(1),
        ..Target::default()
    };
    let app = App {
        namespace: "shop".into(),
        name: "pay".into(),
        generation: 1,
        uid: "uid-app".into(),
        ..App::default()
    };
    let empty = Service {
        now: START,
        app,
        settings,
        target: Some(target),
        sets: Vec::new(),
        pods: Vec::new(),
        releases: Vec::new(),
        refused: Vec::new(),
        taken: Vec::new(),
        findings: Vec::new(),
        measuring_since: None,
        binding: Binding::NotAsked,
    };
    empty.runs("t1", 3)
}

/// The same, claimed, running `v1`.
pub(crate) fn settled() -> Service {
    unclaimed().release(1, "t1", ReleasePhase::Kept).claim(AdmissionHold::Open)
}

/// `v2` (template `t2`) was written and recorded a moment ago; none of its pods exist yet.
pub(crate) fn judging() -> Service {
    settled().applies("t2").release(2, "t2", ReleasePhase::Judging).started()
}

/// All three pods run `v2`; it is out since now.
pub(crate) fn out() -> Service {
    judging().runs("t1", 0).runs("t2", 3).labelled().last(|release| release.status.ready_at = Some(START))
}

/// `v2` was rolled back; the service runs `v1` again and the next change is held.
pub(crate) fn rejected() -> Service {
    settled().release(2, "t2", ReleasePhase::RolledBack).claim(AdmissionHold::HoldChanges).last(|release| {
        release.status.started_at = Some(START);
        release.status.decided_at = Some(START);
        release.status.recovered_at = Some(START);
        release.status.verdict = Some(Verdict::Fail);
        release.status.summary = "rpc-errors: 30 %".into();
        release.status.restores = 1;
    })
}

/// Somebody applied the rejected `v2` again, and the admission policy paused it as it was written.
pub(crate) fn held() -> Service {
    rejected()
        .applies("t2")
        .paused(None)
        .claim(AdmissionHold::Held)
        .last(|release| release.status.held = true)
}

impl Service {
    pub(crate) fn snapshot(&self) -> Snapshot<'_> {
        Snapshot {
            now: self.now,
            app: &self.app,
            settings: &self.settings,
            target: self.target.as_ref(),
            replica_sets: &self.sets,
            pods: &self.pods,
            releases: &self.releases,
            refused: &self.refused,
            taken: &self.taken,
            findings: &self.findings,
            measuring_since: self.measuring_since,
            binding: &self.binding,
        }
    }

    /// Changes the Deployment.
    pub(crate) fn target(mut self, change: impl FnOnce(&mut Target)) -> Self {
        change(self.target.as_mut().expect("the story has a Deployment"));
        self
    }

    /// Changes what policy says.
    pub(crate) fn settings(mut self, change: impl FnOnce(&mut Settings)) -> Self {
        change(&mut self.settings);
        self
    }

    /// Somebody writes a template; the Deployment controller has seen it.
    pub(crate) fn applies(self, template: &str) -> Self {
        self.target(|target| {
            target.template_hash = template.into();
            target.image = format!("pay:{template}");
            target.generation += 1;
            target.observed_generation = target.generation;
        })
    }

    pub(crate) fn claim(self, claim: AdmissionHold) -> Self {
        let remembered = |release: &&Release| {
            matches!(release.status.phase, ReleasePhase::RolledBack | ReleasePhase::RollingBack)
        };
        let images = self.releases.iter().rev().filter(remembered).map(|release| release.image.clone());
        let images = if claim == AdmissionHold::Open { Vec::new() } else { images.collect() };
        self.target(|target| (target.hold, target.held_images) = (Some(claim), images))
    }

    /// Paused by a field manager, or by admission (`None`).
    pub(crate) fn paused(self, by: Option<&str>) -> Self {
        self.target(|target| {
            target.paused = true;
            target.paused_by = by.map(str::to_owned);
        })
    }

    /// So many ready pods of `template`, whatever there was of it before.
    pub(crate) fn runs(mut self, template: &str, pods: i32) -> Self {
        let uid = format!("uid-{template}");
        let name = format!("pay-{template}");
        self.pods.retain(|pod| pod.replica_set != uid);
        self.sets.retain(|set| set.uid != uid);
        for index in 0..pods {
            self.pods.push(Pod {
                name: format!("{name}-{index}"),
                uid: format!("{uid}-{index}"),
                replica_set: uid.clone(),
                ready: true,
                started_at: Some(START),
                ..Pod::default()
            });
        }
        let (replicas, available) = (pods, pods);
        self.sets.push(ReplicaSet { name, uid, template_hash: template.into(), replicas, available });
        self
    }

    /// A pod of `template` that is not ready, and why.
    pub(crate) fn waits(mut self, template: &str, why: &str) -> Self {
        self = self.runs(template, 1);
        self.sets.last_mut().expect("just pushed").available = 0;
        let pod = self.pods.last_mut().expect("just pushed");
        (pod.ready, pod.waiting) = (false, Some(why.into()));
        self
    }

    pub(crate) fn release(mut self, number: u64, template: &str, phase: ReleasePhase) -> Self {
        let mut release = Release {
            number,
            template_hash: Some(template.into()),
            image: format!("pay:{template}"),
            actor: "ci".into(),
            created_at: Some(START),
            ..Release::default()
        };
        release.status.phase = phase;
        self.releases.push(release);
        self.releases.sort_by_key(|release| release.number);
        self
    }

    /// Changes the newest release.
    pub(crate) fn last(mut self, change: impl FnOnce(&mut Release)) -> Self {
        change(self.releases.last_mut().expect("the story has a release"));
        self
    }

    /// The newest release was announced, and lets its template through.
    /// The record of a release is gone.
    pub(crate) fn without(mut self, number: u64) -> Self {
        self.releases.retain(|release| release.number != number);
        self
    }

    /// Changes what the record of a release says.
    pub(crate) fn release_status(mut self, number: u64, change: impl FnOnce(&mut ReleaseStatus)) -> Self {
        let found = self.releases.iter_mut().find(|release| release.number == number);
        change(&mut found.expect("it is recorded").status);
        self
    }

    pub(crate) fn started(self) -> Self {
        self.last(|release| release.status.started_at = Some(START))
    }

    /// All pods carry the label of their arm.
    pub(crate) fn labelled(mut self) -> Self {
        let newest = self.releases.last().cloned().expect("the story has a release");
        let arms: Vec<Arm> = self.pods.iter().map(|pod| self.snapshot().arm(pod, &newest)).collect();
        for (pod, arm) in self.pods.iter_mut().zip(arms) {
            pod.arm = Some(arm);
        }
        self
    }

    /// The newest release failed a moment ago, and is being rolled back.
    pub(crate) fn failed(self, summary: &str) -> Self {
        self.last(|release| {
            release.status.phase = ReleasePhase::RollingBack;
            release.status.summary = summary.into();
            release.status.verdict = Some(Verdict::Fail);
            release.status.decided_at = Some(START);
        })
    }

    pub(crate) fn decides(self, keep: Keep) -> Self {
        let decision = Decision { keep, actor: "ana".into(), because: "I say so".into() };
        self.last(|release| release.decision = Some(decision))
    }

    /// Somebody asked which rules find no series.
    pub(crate) fn finds_no_series(mut self, rules: &[&str]) -> Self {
        let unbound = rules.iter().map(|rule| (*rule).to_owned()).collect();
        self.binding = Binding::Found(Bound { unbound, ..Bound::default() });
        self
    }

    /// Somebody asked which rules find too many.
    pub(crate) fn finds_too_many(mut self, rules: &[&str]) -> Self {
        let too_many = rules.iter().map(|rule| (*rule).to_owned()).collect();
        self.binding = Binding::Found(Bound { too_many, ..Bound::default() });
        self
    }

    pub(crate) fn later(mut self, seconds: i64) -> Self {
        self.now = self.now.checked_add(jiff::SignedDuration::from_secs(seconds)).expect("a story is short");
        self
    }

    pub(crate) fn finds(mut self, rule: &str, verdict: Verdict, summary: &str) -> Self {
        self.findings.push(finding(rule, verdict, FindingState::Judged, summary));
        self
    }

    pub(crate) fn cannot_judge(mut self, rule: &str, state: FindingState) -> Self {
        let summary = match &state {
            FindingState::Unbound(why) | FindingState::TelemetryLost(why) => why.clone(),
            FindingState::NoTraffic | FindingState::Judged => "no requests".to_owned(),
        };
        self.findings.push(finding(rule, Verdict::Undecided, state, &summary));
        self
    }
}

pub(crate) fn finding(rule: &str, verdict: Verdict, state: FindingState, summary: &str) -> Finding {
    Finding {
        rule: rule.into(),
        verdict,
        state,
        counts: Counts::default(),
        ratio: None,
        evidence: None,
        harmed: (verdict == Verdict::Fail).then_some(7.0),
        summary: summary.into(),
    }
}
