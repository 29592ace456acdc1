//! A release from its template to its verdict.

use trimtab_delivery::snapshot::{Notify, ReleasePhase};
use trimtab_delivery::strategy::Rolling;
use trimtab_judge::finding::FindingState;
use trimtab_stats::Verdict;

use crate::check;
use crate::service::{judging, out, rejected, settled};

#[test]
fn begins() {
    let fresh = settled().applies("t2").target(|target| target.template_manager = "argocd".into());
    check(
        "a fresh template is recorded",
        &fresh,
        "
        create v2 t2 by argocd after v1
        = Healthy: Healthy on v1
        why the Deployment holds a new template -> records it as v2
    ",
    );
    let recorded = settled().applies("t2").release(2, "t2", ReleasePhase::Judging);
    check(
        "a record begins, and the old pods are labelled",
        &recorded,
        "
        event v2 Started: v2 by ci begins: pay:t2
        v2 is Judging: judged against v1 [started +0s]
        label pay-t1-0 stable
        label pay-t1-1 stable
        label pay-t1-2 stable
        = Releasing: Releasing v2, judged against v1
        why v2 is out -> judges it against v1
    ",
    );
    let told = recorded.settings(|settings| {
        settings.notify = Notify { destinations: vec!["slack".into(), "webhook".into()], on: Vec::new() };
    });
    check(
        "people are owed the news once per destination",
        &told,
        "
        event v2 Started: v2 by ci begins: pay:t2
        v2 is Judging: judged against v1 [started +0s, owes Started to slack, owes Started to webhook]
        label pay-t1-0 stable
        label pay-t1-1 stable
        label pay-t1-2 stable
        = Releasing: Releasing v2, judged against v1
        why v2 is out -> judges it against v1
    ",
    );
    let picky = told.settings(|settings| settings.notify.on = vec!["RolledBack".into()]);
    check(
        "only of what they asked for",
        &picky,
        "
        event v2 Started: v2 by ci begins: pay:t2
        v2 is Judging: judged against v1 [started +0s]
        label pay-t1-0 stable
        label pay-t1-1 stable
        label pay-t1-2 stable
        = Releasing: Releasing v2, judged against v1
        why v2 is out -> judges it against v1
    ",
    );
    let paused = settled().applies("t2").paused(Some("kubectl-rollout"));
    check("a template that a person paused is not out yet", &paused, "
        = Healthy: Healthy on v1
        ! Progressing PausedByOther: kubectl-rollout paused the Deployment; Trimtab does not lift a pause that is not its own
        why the Deployment holds a new template and is paused -> waits: kubectl-rollout paused it; waits for `kubectl rollout resume deployment/pay -n shop`
    ");
}

#[test]
fn numbered_by_a_person() {
    let numbered =
        settled().release(2, "t2", ReleasePhase::Pending).last(|release| release.template_hash = None);
    check(
        "the number waits for its template",
        &numbered.clone().later(60),
        "
        = Healthy: Healthy on v1
        why the Deployment runs v1, which was kept -> does nothing; waits for a change of its pod template
        wake +2m
    ",
    );
    check(
        "and not for ever",
        &numbered.clone().later(120),
        "
        v2 is Superseded: its template never reached the Deployment []
        = Healthy: Healthy on v1
        why the Deployment runs v1, which was kept -> does nothing; waits for a change of its pod template
    ",
    );
    let arrived = numbered.applies("t2").target(|target| target.release_annotation = Some(2));
    check(
        "the template arrives",
        &arrived,
        "
        adopt v2 t2 after v1
        = Healthy: Healthy on v1
        why the Deployment holds a new template -> records it as v2
    ",
    );
    let paused = arrived.clone().paused(Some("trimtab-cli")).later(3600);
    check("a person paused it first: the number waits as long as that", &paused, "
        = Healthy: Healthy on v1
        ! Progressing PausedByOther: trimtab-cli paused the Deployment; Trimtab does not lift a pause that is not its own
        why the Deployment holds a new template and is paused -> waits: trimtab-cli paused it; waits for `kubectl rollout resume deployment/pay -n shop`
    ");
    let overtaken = arrived.clone().release(3, "t3", ReleasePhase::Superseded);
    check(
        "another release took its turn",
        &overtaken,
        "
        create v4 t2 by ci after v1
        = Healthy: Healthy on v1
        why the Deployment holds a new template -> records it as v4
    ",
    );
    let overwritten = arrived.clone().applies("t3");
    check(
        "another template was written over the one that was numbered",
        &overwritten,
        "
        create v3 t3 by ci after v1
        = Healthy: Healthy on v1
        why the Deployment holds a new template -> records it as v3
        wake +2m
    ",
    );
    let judged = overwritten.release(3, "t3", ReleasePhase::Judging).started().labelled().later(120);
    check(
        "and its number ends, whatever the annotation says",
        &judged,
        "
        v2 is Superseded: its template never reached the Deployment []
        = Releasing: Releasing v3, judged against v1
        why 0 of 3 pods of v3 are available -> judges what there is; waits for the other pods
        wake +1h
    ",
    );
    let other = arrived.target(|target| target.release_annotation = Some(7));
    check(
        "an annotation that names no record is only a word",
        &other,
        "
        create v3 t2 by ci after v1
        = Healthy: Healthy on v1
        why the Deployment holds a new template -> records it as v3
        wake +2m
    ",
    );
}

#[test]
fn comes_out() {
    check(
        "nothing is out yet",
        &judging().labelled(),
        "
        = Releasing: Releasing v2, judged against v1
        why 0 of 3 pods of v2 are available -> judges what there is; waits for the other pods
        wake +1h
    ",
    );
    let one = judging().runs("t1", 2).runs("t2", 1);
    check(
        "pods are labelled by arm",
        &one,
        "
        label pay-t1-0 stable
        label pay-t1-1 stable
        label pay-t2-0 canary
        = Releasing: Releasing v2, judged against v1
        why 1 of 3 pods of v2 are available -> judges what there is; waits for the other pods
        wake +1h
    ",
    );
    check(
        "some pods are out",
        &one.labelled(),
        "
        = Releasing: Releasing v2, judged against v1
        why 1 of 3 pods of v2 are available -> judges what there is; waits for the other pods
        wake +1h
    ",
    );
    let unseen = out().last(|r| r.status.ready_at = None).target(|target| target.observed_generation -= 1);
    check(
        "the Deployment controller has not seen the template",
        &unseen,
        "
        = Releasing: Releasing v2, judged against v1
        why 3 of 3 pods of v2 are available -> judges what there is; waits for the other pods
        wake +1h
    ",
    );
    check(
        "all pods are out",
        &out().last(|r| r.status.ready_at = None).later(40),
        "
        v2 is Judging:  [started +0s, ready +40s]
        = Releasing: Releasing v2, judged against v1
        why all pods are ready -> judges on; waits for 5m after the last pod became ready
        wake +5m40s
    ",
    );
    let scaled = out().target(|target| target.replicas = 5).later(400);
    check(
        "scaled up in the middle: judged by the pods that there are",
        &scaled,
        "
        event v2 Kept: v2 is kept: low evidence: no rule measures this service's requests
        v2 is Kept: low evidence: no rule measures this service's requests [Undecided, low evidence, started +0s, ready +0s, decided +6m40s]
        label pay-t2-0 stable
        label pay-t2-1 stable
        label pay-t2-2 stable
        = Healthy: Healthy on v2
        why v2 was out long enough -> keeps it: low evidence: no rule measures this service's requests
    ",
    );
    let paused = judging().runs("t1", 2).runs("t2", 1).labelled().paused(Some("kubectl-rollout"));
    check("paused by a person half-way", &paused, "
        = Releasing: Releasing v2, judged against v1
        ! Progressing PausedByOther: kubectl-rollout paused the Deployment; Trimtab does not lift a pause that is not its own
        why 1 of 3 pods of v2 are available -> waits: kubectl-rollout paused the Deployment; waits for `kubectl rollout resume deployment/pay -n shop`
    ");
    let unclaimed = judging().labelled().target(|target| target.hold = None);
    check(
        "the claim is written again",
        &unclaimed,
        "
        claim open
        = Releasing: Releasing v2, judged against v1
        why 0 of 3 pods of v2 are available -> judges what there is; waits for the other pods
        wake +1h
    ",
    );
    let idle = judging().runs("t1", 0).target(|target| target.replicas = 0);
    check(
        "zero replicas are out at once",
        &idle,
        "
        v2 is Judging:  [started +0s, ready +0s]
        = Releasing: Releasing v2, judged against v1
        why all pods are ready -> judges on; waits for 5m after the last pod became ready
        wake +5m
    ",
    );
    let idle = idle.last(|release| release.status.ready_at = Some(crate::service::START));
    check("and kept at once, for what that is worth", &idle, "
        event v2 Kept: v2 is kept: low evidence: the Deployment has zero replicas
        v2 is Kept: low evidence: the Deployment has zero replicas [Undecided, low evidence, started +0s, ready +0s, decided +0s]
        = Healthy: Healthy on v2
        why v2 was out long enough -> keeps it: low evidence: the Deployment has zero replicas
    ");
}

#[test]
fn is_kept() {
    let passed = out().finds("rpc-errors", Verdict::Pass, "0/900 against 0/1800");
    check("judged until the deadline, even when the evidence is good", &passed.clone().later(299), "
        = Releasing: Releasing v2, judged against v1
        why rpc-errors PASS: 0/900 against 0/1800 -> goes on judging; waits for 5m after the last pod became ready
        wake +5m
    ");
    check(
        "at the deadline the evidence says PASS",
        &passed.later(300),
        "
        event v2 Kept: v2 is kept: rpc-errors: 0/900 against 0/1800
        v2 is Kept: rpc-errors: 0/900 against 0/1800 [Pass, started +0s, ready +0s, decided +5m]
        label pay-t2-0 stable
        label pay-t2-1 stable
        label pay-t2-2 stable
        = Healthy: Healthy on v2
        why v2 was out long enough -> keeps it: rpc-errors: 0/900 against 0/1800
    ",
    );
    let unsure = out().finds("rpc-errors", Verdict::Undecided, "0/4 against 0/9");
    check("at the deadline the evidence cannot tell", &unsure.clone().later(300), "
        event v2 Kept: v2 is kept: low evidence: rpc-errors: 0/4 against 0/9
        v2 is Kept: low evidence: rpc-errors: 0/4 against 0/9 [Undecided, low evidence, started +0s, ready +0s, decided +5m]
        label pay-t2-0 stable
        label pay-t2-1 stable
        label pay-t2-2 stable
        = Healthy: Healthy on v2
        why v2 was out long enough -> keeps it: low evidence: rpc-errors: 0/4 against 0/9
    ");
    let unbound = out().cannot_judge("rpc-errors", FindingState::Unbound("no series".into()));
    check("no rule found its series", &unbound.later(300), "
        event v2 Kept: v2 is kept: low evidence: rpc-errors: no series
        v2 is Kept: low evidence: rpc-errors: no series [Undecided, low evidence, started +0s, ready +0s, decided +5m]
        label pay-t2-0 stable
        label pay-t2-1 stable
        label pay-t2-2 stable
        = Healthy: Healthy on v2
        why v2 was out long enough -> keeps it: low evidence: rpc-errors: no series
    ");
    let lost = out().cannot_judge("rpc-errors", FindingState::TelemetryLost("not scraped for 60 s".into()));
    check("telemetry is lost: watched for twice as long", &lost.clone().later(300), "
        = Releasing: Releasing v2, judged against v1
        why rpc-errors TelemetryLost: not scraped for 60 s -> goes on judging; waits for 5m after the last pod became ready
        wake +10m
    ");
    check("and never PASS", &lost.finds("other", Verdict::Pass, "fine").later(600), "
        event v2 Kept: v2 is kept: low evidence: not scraped for 60 s
        v2 is Kept: low evidence: not scraped for 60 s [Undecided, low evidence, started +0s, ready +0s, decided +10m]
        label pay-t2-0 stable
        label pay-t2-1 stable
        label pay-t2-2 stable
        = Healthy: Healthy on v2
        why v2 was out long enough -> keeps it: low evidence: not scraped for 60 s
    ");
    let rolling = out().settings(|settings| settings.strategy = &Rolling);
    check(
        "strategy Rolling keeps what is out",
        &rolling,
        "
        event v2 Kept: v2 is kept: rolled out; strategy Rolling does not judge
        v2 is Kept: rolled out; strategy Rolling does not judge [started +0s, ready +0s, decided +0s]
        label pay-t2-0 stable
        label pay-t2-1 stable
        label pay-t2-2 stable
        = Healthy: Healthy on v2
        why v2 was out long enough -> keeps it: rolled out; strategy Rolling does not judge
    ",
    );
    let beside = rejected().release(3, "t3", ReleasePhase::Judging).started().applies("t3");
    let beside = beside
        .runs("t1", 0)
        .runs("t3", 3)
        .labelled()
        .last(|r| r.status.ready_at = Some(crate::service::START));
    check("a kept release forgives nothing that was rejected before it", &beside.later(300), "
        event v3 Kept: v3 is kept: low evidence: no rule measures this service's requests
        v3 is Kept: low evidence: no rule measures this service's requests [Undecided, low evidence, started +0s, ready +0s, decided +5m]
        label pay-t3-0 stable
        label pay-t3-1 stable
        label pay-t3-2 stable
        = Healthy: Healthy on v3
        why v3 was out long enough -> keeps it: low evidence: no rule measures this service's requests
        wake +720h
    ");
    let done = out().last(|release| release.status.phase = ReleasePhase::Kept);
    check(
        "kept: the canary labels go",
        &done,
        "
        label pay-t2-0 stable
        label pay-t2-1 stable
        label pay-t2-2 stable
        = Healthy: Healthy on v2
        why the Deployment runs v2, which was kept -> does nothing; waits for a change of its pod template
    ",
    );
    let stranded = done.settings(|settings| settings.strategy = &Rolling);
    check(
        "and they go under strategy Rolling too",
        &stranded,
        "
        label pay-t2-0 stable
        label pay-t2-1 stable
        label pay-t2-2 stable
        = Healthy: Healthy on v2
        why the Deployment runs v2, which was kept -> does nothing; waits for a change of its pod template
    ",
    );
}
