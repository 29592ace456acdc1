//! A person paused the Deployment with another template while a release is out that fails: its pods run on.

use trimtab_delivery::plan::TEMPLATE_BYTES_MAX;
use trimtab_delivery::snapshot::{Keep, ReleasePhase};
use trimtab_judge::finding::FindingState;
use trimtab_plan::Reason;
use trimtab_stats::Verdict;
use trimtab_workload::AdmissionHold;

use crate::check;
use crate::service::{Service, finding, judging, settled};

/// `v2` is out on two of three pods.
fn half_out() -> Service {
    judging().runs("t1", 1).runs("t2", 2).labelled()
}

#[test]
fn a_release_that_fails_while_a_person_holds_another_template() {
    let paused =
        half_out().finds("rpc-errors", Verdict::Fail, "30 % of 120").applies("t3").paused(Some("kubectl"));
    check(
        "runs on, and that is said",
        &paused,
        "
        event v2 NeedsHuman: v2 fails, and kubectl paused the Deployment with another template, so its pods run on: rpc-errors: 30 % of 120
        v2 is Judging: rpc-errors: 30 % of 120 [Fail, started +0s, needs a person]
        = Degraded: Needs a person: v2 fails, and somebody paused the Deployment with another template
        ! Progressing NeedsHuman: v2 fails, and somebody paused the Deployment with another template; `trimtab explain pay -n shop` says what was seen and what it waits for; kubectl paused the Deployment; Trimtab does not lift a pause that is not its own
        why the Deployment holds a new template and is paused -> waits: kubectl paused it; waits for the end of the pause, and that template ships then (`kubectl rollout resume deployment/pay -n shop`)
    ",
    );
    let asked = paused.clone().last(|release| {
        release.status.needs_human = Some(Reason::PausedByOther);
        release.status.verdict = Some(Verdict::Fail);
        release.status.summary = "rpc-errors: 30 % of 120".into();
    });
    check(
        "once",
        &asked,
        "
        = Degraded: Needs a person: v2 fails, and somebody paused the Deployment with another template
        ! Progressing NeedsHuman: v2 fails, and somebody paused the Deployment with another template; `trimtab explain pay -n shop` says what was seen and what it waits for; kubectl paused the Deployment; Trimtab does not lift a pause that is not its own
        why the Deployment holds a new template and is paused -> waits: kubectl paused it; waits for the end of the pause, and that template ships then (`kubectl rollout resume deployment/pay -n shop`)
    ",
    );
    check(
        "and its template stays rejected where the other one ships",
        &asked.clone().paused(None).target(|target| target.paused = false),
        "
        claim hold-changes pay:t2
        event v2 RolledBack: rpc-errors: 30 % of 120; replaced by v3
        v2 is RolledBack: rpc-errors: 30 % of 120; replaced by v3 [Fail, started +0s, decided +0s]
        create v3 t3 by ci after v1
        label pay-t2-0 stable
        label pay-t2-1 stable
        = Healthy: Healthy on v1 (v2 rejected)
        why the Deployment holds a new template -> records it as v3
    ",
    );
    check(
        "or is rejected where the person goes back to what was before it",
        &asked.clone().applies("t1").target(|target| target.paused = false),
        "
        v2 is RollingBack: rpc-errors: 30 % of 120 [Fail, started +0s, decided +0s, harmed 7]
        = RollingBack: Rolling back v2 to v1
        why the previous template is back -> ends v2: rpc-errors: 30 % of 120
        ",
    );
    check(
        "nobody is asked who decided before",
        &paused.clone().decides(Keep::Keep),
        "
        = Releasing: Releasing v2, judged against v1
        ! Progressing PausedByOther: kubectl paused the Deployment; Trimtab does not lift a pause that is not its own
        why the Deployment holds a new template and is paused -> waits: kubectl paused it; waits for the end of the pause, and that template ships then (`kubectl rollout resume deployment/pay -n shop`)
        ",
    );
    check("or who answered", &asked.clone().decides(Keep::Keep), "
        v2 is Judging: rpc-errors: 30 % of 120 [Fail, started +0s]
        = Releasing: Releasing v2, judged against v1
        ! Progressing PausedByOther: kubectl paused the Deployment; Trimtab does not lift a pause that is not its own
        why the Deployment holds a new template and is paused -> waits: kubectl paused it; waits for the end of the pause, and that template ships then (`kubectl rollout resume deployment/pay -n shop`)
    ");
    check(
        "or is judged as it is then, where the person goes back to it",
        &asked.applies("t2").target(|target| target.paused = false),
        "
        v2 is Judging: judged against v1 [started +0s]
        = Releasing: Releasing v2, judged against v1
        why the Deployment holds v2 again -> judges v2 as it is now
    ",
    );
}

#[test]
fn what_failed_under_a_pause_is_taken_back_by_what_passes_alone() {
    let asked = half_out().applies("t3").paused(Some("kubectl")).last(|release| {
        release.status.needs_human = Some(Reason::PausedByOther);
        release.status.verdict = Some(Verdict::Fail);
        release.status.summary = "rpc-errors: 30 % of 120".into();
        release.status.findings =
            vec![finding("rpc-errors", Verdict::Fail, FindingState::Judged, "30 % of 120")];
    });
    check(
        "nobody has measured since a restart",
        &asked.clone().finds("rpc-errors", Verdict::Undecided, "0 of 3"),
        "
        = Degraded: Needs a person: v2 fails, and somebody paused the Deployment with another template
        ! Progressing NeedsHuman: v2 fails, and somebody paused the Deployment with another template; `trimtab explain pay -n shop` says what was seen and what it waits for; kubectl paused the Deployment; Trimtab does not lift a pause that is not its own
        why the Deployment holds a new template and is paused -> waits: kubectl paused it; waits for the end of the pause, and that template ships then (`kubectl rollout resume deployment/pay -n shop`)
    ",
    );
    check("it passes", &asked.clone().finds("rpc-errors", Verdict::Pass, "0 % of 4000"), "
        v2 is Judging: judged against v1 [started +0s]
        = Releasing: Releasing v2, judged against v1
        ! Progressing PausedByOther: kubectl paused the Deployment; Trimtab does not lift a pause that is not its own
        why the Deployment holds a new template and is paused -> waits: kubectl paused it; waits for the end of the pause, and that template ships then (`kubectl rollout resume deployment/pay -n shop`)
    ");
    let edited = asked.settings(|settings| settings.rules.retain(|rule| rule.name != "rpc-errors"));
    check("its rule is gone", &edited.finds("panics", Verdict::Undecided, "none"), "
        v2 is Judging: judged against v1 [started +0s]
        = Releasing: Releasing v2, judged against v1
        ! Progressing PausedByOther: kubectl paused the Deployment; Trimtab does not lift a pause that is not its own
        why the Deployment holds a new template and is paused -> waits: kubectl paused it; waits for the end of the pause, and that template ships then (`kubectl rollout resume deployment/pay -n shop`)
    ");
}

#[test]
fn a_release_that_is_taken_back_while_a_person_holds_another_template() {
    let paused = half_out().failed("rpc-errors: 30 % of 120").applies("t3").paused(Some("kubectl"));
    check("its pods run on, and that is said", &paused, "
        event v2 NeedsHuman: v2 fails, and kubectl paused the Deployment with another template, so its pods run on: rpc-errors: 30 % of 120
        v2 is RollingBack: rpc-errors: 30 % of 120 [Fail, started +0s, decided +0s, needs a person]
        = Degraded: Needs a person: v2 fails, and somebody paused the Deployment with another template
        ! Progressing NeedsHuman: v2 fails, and somebody paused the Deployment with another template; `trimtab explain pay -n shop` says what was seen and what it waits for; kubectl paused the Deployment; Trimtab does not lift a pause that is not its own
        why the Deployment holds a new template and is paused -> waits: kubectl paused it; waits for the end of the pause, and that template ships then (`kubectl rollout resume deployment/pay -n shop`)
    ");
    let asked = paused.clone().last(|release| release.status.needs_human = Some(Reason::PausedByOther));
    check("once", &asked, "
        = Degraded: Needs a person: v2 fails, and somebody paused the Deployment with another template
        ! Progressing NeedsHuman: v2 fails, and somebody paused the Deployment with another template; `trimtab explain pay -n shop` says what was seen and what it waits for; kubectl paused the Deployment; Trimtab does not lift a pause that is not its own
        why the Deployment holds a new template and is paused -> waits: kubectl paused it; waits for the end of the pause, and that template ships then (`kubectl rollout resume deployment/pay -n shop`)
    ");
    let slow = paused.last(|release| release.status.needs_human = Some(Reason::Recovering));
    check("also to one who was asked about something else", &slow, "
        event v2 NeedsHuman: v2 fails, and kubectl paused the Deployment with another template, so its pods run on: rpc-errors: 30 % of 120
        v2 is RollingBack: rpc-errors: 30 % of 120 [Fail, started +0s, decided +0s, needs a person]
        = Degraded: Needs a person: v2 fails, and somebody paused the Deployment with another template
        ! Progressing NeedsHuman: v2 fails, and somebody paused the Deployment with another template; `trimtab explain pay -n shop` says what was seen and what it waits for; kubectl paused the Deployment; Trimtab does not lift a pause that is not its own
        why the Deployment holds a new template and is paused -> waits: kubectl paused it; waits for the end of the pause, and that template ships then (`kubectl rollout resume deployment/pay -n shop`)
    ");
    check("also whoever had it taken back", &asked.clone().decides(Keep::RollBack), "
        = Degraded: Needs a person: v2 fails, and somebody paused the Deployment with another template
        ! Progressing NeedsHuman: v2 fails, and somebody paused the Deployment with another template; `trimtab explain pay -n shop` says what was seen and what it waits for; kubectl paused the Deployment; Trimtab does not lift a pause that is not its own
        why the Deployment holds a new template and is paused -> waits: kubectl paused it; waits for the end of the pause, and that template ships then (`kubectl rollout resume deployment/pay -n shop`)
    ");
    check("nobody who wants it kept", &asked.clone().decides(Keep::Keep), "
        v2 is RollingBack: rpc-errors: 30 % of 120 [Fail, started +0s, decided +0s]
        = RollingBack: Rolling back v2 to v1
        ! Progressing PausedByOther: kubectl paused the Deployment; Trimtab does not lift a pause that is not its own
        why the Deployment holds a new template and is paused -> waits: kubectl paused it; waits for the end of the pause, and that template ships then (`kubectl rollout resume deployment/pay -n shop`)
    ");
    let back = asked.clone().applies("t1").target(|target| target.paused = false);
    check(
        "and no longer, where the person goes back to what was before it",
        &back.clone(),
        "
        v2 is RollingBack: rpc-errors: 30 % of 120 [Fail, started +0s, decided +0s]
        = RollingBack: Rolling back v2 to v1
        why v1 is back on 1 of 3 pods, 2 pods of v2 are left -> waits; waits for the pods of v1
        wake +10m
    ",
    );
    check(
        "with all of its time to come back",
        &back.later(900),
        "
        v2 is RollingBack: rpc-errors: 30 % of 120 [Fail, started +0s, decided +15m]
        = RollingBack: Rolling back v2 to v1
        why v1 is back on 1 of 3 pods, 2 pods of v2 are left -> waits; waits for the pods of v1
        wake +25m
    ",
    );
    let again = asked.applies("t2").target(|target| target.paused = false);
    check(
        "or to what failed",
        &again,
        "
        v2 is RollingBack: rpc-errors: 30 % of 120 [Fail, started +0s, decided +0s]
        restore v1
        v2 is RollingBack: rpc-errors: 30 % of 120 [Fail, started +0s, decided +0s, restores 1]
        = RollingBack: Rolling back v2 to v1
        why the Deployment holds v2, which failed -> restores the template of v1
    ",
    );
}

#[test]
fn what_a_person_decided_cannot_be_carried_out_while_another_template_is_held() {
    let paused = half_out().applies("t3").paused(Some("kubectl")).decides(Keep::RollBack);
    check("its pods run on, and that is said", &paused, "
        event v2 NeedsHuman: v2 is to be rolled back, and kubectl paused the Deployment with another template, so its pods run on: ana decided to roll it back: I say so
        v2 is Judging: ana decided to roll it back: I say so [started +0s, needs a person]
        = Degraded: Needs a person: v2 is to be rolled back, and somebody paused the Deployment with another template
        ! Progressing NeedsHuman: v2 is to be rolled back, and somebody paused the Deployment with another template; `trimtab explain pay -n shop` says what was seen and what it waits for; kubectl paused the Deployment; Trimtab does not lift a pause that is not its own
        why the Deployment holds a new template and is paused -> waits: kubectl paused it; waits for the end of the pause, and that template ships then (`kubectl rollout resume deployment/pay -n shop`)
    ");
    let asked = paused.last(|release| {
        release.status.needs_human = Some(Reason::PausedByOther);
        release.status.summary = "ana decided to roll it back: I say so".into();
    });
    check("once", &asked, "
        = Degraded: Needs a person: v2 is to be rolled back, and somebody paused the Deployment with another template
        ! Progressing NeedsHuman: v2 is to be rolled back, and somebody paused the Deployment with another template; `trimtab explain pay -n shop` says what was seen and what it waits for; kubectl paused the Deployment; Trimtab does not lift a pause that is not its own
        why the Deployment holds a new template and is paused -> waits: kubectl paused it; waits for the end of the pause, and that template ships then (`kubectl rollout resume deployment/pay -n shop`)
    ");
    let failed = asked.clone().last(|release| release.status.verdict = Some(Verdict::Fail));
    check("also after a person was asked because it fails", &failed, "
        = Degraded: Needs a person: v2 fails, and somebody paused the Deployment with another template
        ! Progressing NeedsHuman: v2 fails, and somebody paused the Deployment with another template; `trimtab explain pay -n shop` says what was seen and what it waits for; kubectl paused the Deployment; Trimtab does not lift a pause that is not its own
        why the Deployment holds a new template and is paused -> waits: kubectl paused it; waits for the end of the pause, and that template ships then (`kubectl rollout resume deployment/pay -n shop`)
    ");
    check(
        "and it is carried out afterwards",
        &asked.applies("t2").target(|target| target.paused = false),
        "
        v2 is RollingBack: rolled back by ana: I say so [Fail, started +0s, decided +0s]
        restore v1
        v2 is RollingBack: rolled back by ana: I say so [Fail, started +0s, decided +0s, restores 1]
        = RollingBack: Rolling back v2 to v1
        why the Deployment holds v2, which failed -> restores the template of v1
    ",
    );
}

#[test]
fn a_release_that_is_gone_while_a_person_holds_another_template() {
    let gone = judging()
        .failed("rpc-errors: 30 % of 120")
        .applies("t3")
        .paused(Some("kubectl"))
        .runs("t2", 0)
        .labelled();
    check("what was before it does not come back", &gone.clone().runs("t1", 1), "
        event v2 NeedsHuman: v2 fails, and kubectl paused the Deployment with another template, so v1 does not come back: rpc-errors: 30 % of 120
        v2 is RollingBack: rpc-errors: 30 % of 120 [Fail, started +0s, decided +0s, needs a person]
        = Degraded: Needs a person: v2 fails, and somebody paused the Deployment with another template
        ! Progressing NeedsHuman: v2 fails, and somebody paused the Deployment with another template; `trimtab explain pay -n shop` says what was seen and what it waits for; kubectl paused the Deployment; Trimtab does not lift a pause that is not its own
        why the Deployment holds a new template and is paused -> waits: kubectl paused it; waits for the end of the pause, and that template ships then (`kubectl rollout resume deployment/pay -n shop`)
    ");
    let mut wanted = gone.clone().runs("t1", 3);
    wanted.sets.iter_mut().find(|set| set.template_hash == "t2").expect("t2 was out").replicas = 1;
    check("another pod is to come", &wanted, "
        event v2 NeedsHuman: v2 fails, and kubectl paused the Deployment with another template, so its pods run on: rpc-errors: 30 % of 120
        v2 is RollingBack: rpc-errors: 30 % of 120 [Fail, started +0s, decided +0s, needs a person]
        = Degraded: Needs a person: v2 fails, and somebody paused the Deployment with another template
        ! Progressing NeedsHuman: v2 fails, and somebody paused the Deployment with another template; `trimtab explain pay -n shop` says what was seen and what it waits for; kubectl paused the Deployment; Trimtab does not lift a pause that is not its own
        why the Deployment holds a new template and is paused -> waits: kubectl paused it; waits for the end of the pause, and that template ships then (`kubectl rollout resume deployment/pay -n shop`)
    ");
    check("it is back", &gone.runs("t1", 3), "
        claim hold-changes pay:t2
        event v2 RolledBack: rpc-errors: 30 % of 120
        v2 is RolledBack: rpc-errors: 30 % of 120 [Fail, started +0s, decided +0s, recovered +0s]
        = Healthy: Healthy on v1 (v2 rejected)
        ! Progressing PausedByOther: kubectl paused the Deployment; Trimtab does not lift a pause that is not its own
        why all 3 pods run v1 again -> closes v2 as rolled back
        why the Deployment holds a new template and is paused -> waits: kubectl paused it; waits for `kubectl rollout resume deployment/pay -n shop`
    ");
}

#[test]
fn a_template_that_is_too_large_hides_no_question() {
    let large = half_out()
        .finds("rpc-errors", Verdict::Fail, "30 % of 120")
        .applies("t3")
        .paused(Some("kubectl"))
        .target(|target| target.template_bytes = TEMPLATE_BYTES_MAX + 1);
    check("it is held by a person", &large, "
        event v2 NeedsHuman: v2 fails, and kubectl paused the Deployment with another template, so its pods run on: rpc-errors: 30 % of 120
        v2 is Judging: rpc-errors: 30 % of 120 [Fail, started +0s, needs a person]
        = Degraded: Needs a person: v2 fails, and somebody paused the Deployment with another template
        ! Claimed TemplateTooLarge: the pod template of Deployment shop/pay is 1025 KiB as JSON, and at most 1024 KiB can be recorded: kubectl paused it, and once that is over it ships without being judged, and cannot be rolled back; waits for a smaller template; a ConfigMap holds what is large
        ! Progressing NeedsHuman: v2 fails, and somebody paused the Deployment with another template; `trimtab explain pay -n shop` says what was seen and what it waits for; kubectl paused the Deployment; Trimtab does not lift a pause that is not its own
        why the pod template of Deployment shop/pay is 1025 KiB as JSON, and at most 1024 KiB can be recorded: kubectl paused it, and once that is over it ships without being judged, and cannot be rolled back -> leaves the Deployment alone; waits for a smaller template; a ConfigMap holds what is large
    ");
}

#[test]
fn a_template_that_is_too_large_answers_what_was_asked_about_the_one_before() {
    let failed = settled()
        .applies("t2")
        .runs("t1", 0)
        .runs("t2", 3)
        .release(2, "t2", ReleasePhase::Kept)
        .last(|release| release.status.needs_human = Some(Reason::RollbackFailed));
    let large = failed
        .applies("t3")
        .claim(AdmissionHold::Open)
        .target(|target| target.template_bytes = TEMPLATE_BYTES_MAX + 1);
    check("it runs now", &large, "
        v2 is Kept:  []
        = Unclaimed: the pod template of Deployment shop/pay is 1025 KiB as JSON, and at most 1024 KiB can be recorded: it is shipped without being judged, and cannot be rolled back
        ! Claimed TemplateTooLarge: the pod template of Deployment shop/pay is 1025 KiB as JSON, and at most 1024 KiB can be recorded: it is shipped without being judged, and cannot be rolled back; waits for a smaller template; a ConfigMap holds what is large
        why the pod template of Deployment shop/pay is 1025 KiB as JSON, and at most 1024 KiB can be recorded: it is shipped without being judged, and cannot be rolled back -> leaves the Deployment alone; waits for a smaller template; a ConfigMap holds what is large
    ");
}
