//! Which Deployments are looked after, and how a service is taken over.

use serde_json::json;
use trimtab_delivery::plan::TEMPLATE_BYTES_MAX;
use trimtab_delivery::snapshot::{Binding, ReleasePhase};
use trimtab_delivery::strategy::Rolling;
use trimtab_delivery::{Write, lower};
use trimtab_plan::{IfAbsent, Patch, Write as Lowered};
use trimtab_workload::AdmissionHold;

use crate::Service;
use crate::check;
use crate::planned;
use crate::service::{held, judging, out, settled, unclaimed};

#[test]
fn left_alone() {
    let mut invalid = unclaimed();
    invalid.app.problems = vec!["spec.tier: must be from 0 to 4".into(), "spec.delivery: wrong".into()];
    check("an invalid spec", &invalid, "
        = Unclaimed: ManagedApp shop/pay is invalid: spec.tier: must be from 0 to 4
        ! Claimed Invalid: ManagedApp shop/pay is invalid: spec.tier: must be from 0 to 4; waits for a valid spec: `kubectl edit managedapp pay -n shop`, and `trimtab lint FILE` checks a file of it
        ! Valid Invalid: spec.tier: must be from 0 to 4; spec.delivery: wrong
        why ManagedApp shop/pay is invalid: spec.tier: must be from 0 to 4 -> leaves the Deployment alone; waits for a valid spec: `kubectl edit managedapp pay -n shop`, and `trimtab lint FILE` checks a file of it
    ");
    let mut contested = settled();
    contested.app.claimed_by = Some("pay-old".into());
    check("a Deployment that another ManagedApp claims", &contested, "
        = Unclaimed: ManagedApp shop/pay is invalid: spec.target: Deployment pay is claimed by ManagedApp pay-old
        ! Claimed Invalid: ManagedApp shop/pay is invalid: spec.target: Deployment pay is claimed by ManagedApp pay-old; waits for `spec.target` to name another Deployment: `kubectl edit managedapp pay -n shop`
        ! Valid Invalid: spec.target: Deployment pay is claimed by ManagedApp pay-old
        why ManagedApp shop/pay is invalid: spec.target: Deployment pay is claimed by ManagedApp pay-old -> leaves the Deployment alone; waits for `spec.target` to name another Deployment: `kubectl edit managedapp pay -n shop`
    ");
    let mut missing = settled();
    missing.target = None;
    check("a missing Deployment", &missing, "
        = Unclaimed: Deployment shop/pay does not exist
        ! Claimed TargetNotFound: Deployment shop/pay does not exist; waits for the Deployment to be created, or `spec.target.name` to name another
        why Deployment shop/pay does not exist -> leaves the Deployment alone; waits for the Deployment to be created, or `spec.target.name` to name another
    ");
    let owned = unclaimed().target(|target| target.owner = Some("Rollout pay".into()));
    check("a Deployment that another controller manages", &owned, "
        = Unclaimed: Deployment shop/pay is managed by Rollout pay, which would undo a restored template
        ! Claimed TargetOwned: Deployment shop/pay is managed by Rollout pay, which would undo a restored template; waits for `spec.target` to name a Deployment without an owner, or Rollout pay to let go of it
        why Deployment shop/pay is managed by Rollout pay, which would undo a restored template -> leaves the Deployment alone; waits for `spec.target` to name a Deployment without an owner, or Rollout pay to let go of it
    ");
}

#[test]
fn looked_after_with_a_remark() {
    let recreate = settled().target(|target| target.recreate = true);
    check("strategy Recreate", &recreate, "
        = Healthy: Healthy on v1
        ! Comparable Recreate: strategy Recreate replaces all pods at once: releases are judged against history alone
        why the Deployment runs v1, which was kept -> does nothing; waits for a change of its pod template
    ");
    let scaled = settled().target(|target| target.autoscaler = Some("pay".into()));
    check(
        "an autoscaler writes replicas, and Trimtab never does",
        &scaled,
        "
        = Healthy: Healthy on v1
        why the Deployment runs v1, which was kept -> does nothing; waits for a change of its pod template
    ",
    );
    check("paused by a person", &settled().paused(Some("kubectl-rollout")), "
        = Healthy: Healthy on v1
        ! Progressing PausedByOther: kubectl-rollout paused the Deployment; Trimtab does not lift a pause that is not its own
        why the Deployment runs v1 and is paused by kubectl-rollout -> leaves the pause alone; waits for a change, and `kubectl rollout resume deployment/pay -n shop`
    ");
    let idle = settled().runs("t1", 0).target(|target| target.replicas = 0);
    check(
        "zero replicas",
        &idle,
        "
        = Healthy: Healthy on v1
        why the Deployment runs v1, which was kept -> does nothing; waits for a change of its pod template
    ",
    );
    let unsupported = settled().settings(|settings| settings.not_acted_on = vec!["delivery.steps".into()]);
    check(
        "a field that this version does not act on",
        &unsupported,
        "
        = Healthy: Healthy on v1
        ! ActedOn NotInThisVersion: valid, and not acted on by this version: delivery.steps
        why the Deployment runs v1, which was kept -> does nothing; waits for a change of its pod template
    ",
    );
}

#[test]
fn the_first_release_is_what_runs() {
    check(
        "a fresh claim records what runs",
        &unclaimed(),
        "
        create v1 t1 by ci: was running when the service was claimed
        = Unclaimed: Claiming
        why no release is recorded -> records what runs as v1
    ",
    );
    let rolled_before = unclaimed().target(|target| target.revision = Some(41));
    check(
        "numbered like the Deployment's own revision",
        &rolled_before,
        "
        create v41 t1 by ci: was running when the service was claimed
        = Unclaimed: Claiming
        why no release is recorded -> records what runs as v41
    ",
    );
    let recorded = unclaimed().release(1, "t1", ReleasePhase::Judging);
    check(
        "recorded, and kept without a judgement",
        &recorded,
        "
        v1 is Kept: was running when the service was claimed [low evidence, started +0s]
        = Healthy: Healthy on v1
        why what runs was not judged -> keeps it as v1
    ",
    );
    let kept = unclaimed().release(1, "t1", ReleasePhase::Kept);
    check(
        "kept, and claimed",
        &kept,
        "
        claim open
        = Healthy: Healthy on v1
        why the Deployment runs v1, which was kept -> does nothing; waits for a change of its pod template
    ",
    );
    let rolling = unclaimed().applies("t2").runs("t2", 1);
    check(
        "claimed in the middle of a rollout: its template is the first release",
        &rolling,
        "
        create v1 t2 by ci: was running when the service was claimed
        = Unclaimed: Claiming
        why no release is recorded -> records what runs as v1
    ",
    );
    let moved = unclaimed().release(1, "t1", ReleasePhase::Judging).applies("t2");
    check(
        "the template changed between the record and its status",
        &moved,
        "
        v1 is Kept: was running when the service was claimed [low evidence, started +0s]
        = Healthy: Healthy on v1
        why what runs was not judged -> keeps it as v1
    ",
    );
    let forgotten = judging();
    let forgotten = crate::Service { releases: forgotten.releases[1..].to_vec(), ..forgotten };
    check(
        "a person deleted the record of what was kept: the release under way is still judged",
        &forgotten,
        "
        label pay-t1-0 stable
        label pay-t1-1 stable
        label pay-t1-2 stable
        = Releasing: Releasing v2, judged against nothing yet
        why 0 of 3 pods of v2 are available -> judges what there is; waits for the other pods
        wake +1h
    ",
    );
}

#[test]
fn settled_services_cost_nothing() {
    check(
        "nothing is due",
        &settled(),
        "
        = Healthy: Healthy on v1
        why the Deployment runs v1, which was kept -> does nothing; waits for a change of its pod template
    ",
    );
    check(
        "a lost claim is written again",
        &settled().target(|target| target.hold = None),
        "
        claim open
        = Healthy: Healthy on v1
        why the Deployment runs v1, which was kept -> does nothing; waits for a change of its pod template
    ",
    );
    check(
        "a stale claim is corrected",
        &settled().claim(AdmissionHold::Held),
        "
        claim open
        = Healthy: Healthy on v1
        why the Deployment runs v1, which was kept -> does nothing; waits for a change of its pod template
    ",
    );
    let rolling = settled().settings(|settings| settings.strategy = &Rolling);
    check(
        "strategy Rolling",
        &rolling,
        "
        = Healthy: Healthy on v1
        why the Deployment runs v1, which was kept -> does nothing; waits for a change of its pod template
    ",
    );
}

#[test]
fn rules_that_find_no_series() {
    check(
        "what ships with Trimtab looks for what a service may not have",
        &settled().finds_no_series(&["database-errors"]),
        "
        = Healthy: Healthy on v1
        why the Deployment runs v1, which was kept -> does nothing; waits for a change of its pod template
    ",
    );
    check(
        "nothing measures requests",
        &settled().finds_no_series(&["rpc-errors", "database-errors"]),
        "
        = Healthy: Healthy on v1
        ! RulesBound RuleUnbound: no series for rpc-errors; `trimtab rules pay -n shop` tells what is looked for
        why the Deployment runs v1, which was kept -> does nothing; waits for a change of its pod template
    ",
    );
    let changed = Service { binding: Binding::Changed, ..settled().finds_no_series(&["rpc-errors"]) };
    check(
        "rules that have changed since",
        &changed,
        "
        = Healthy: Healthy on v1
        ! RulesBound MeasurementPending: the rules have changed, and whether each of them finds its series is not known yet
        why the Deployment runs v1, which was kept -> does nothing; waits for a change of its pod template
    ",
    );
    check(
        "more pods than sums are read",
        &settled().finds_too_many(&["rpc-errors"]),
        "
        = Healthy: Healthy on v1
        ! RulesBound TooManySeries: too many series for rpc-errors, even summed up by pod: no release is judged by it; narrow the selectors, or raise --prometheus-max-sums and --prometheus-max-answer-bytes of the manager
        why the Deployment runs v1, which was kept -> does nothing; waits for a change of its pod template
    ",
    );
}

#[test]
fn a_spec_that_becomes_wrong() {
    let mut settled = settled();
    settled.app.problems = vec!["spec.delivery.rules[0].alert.expr: wrong".into()];
    check("a claimed service stays guarded with what is valid", &settled, "
        = Healthy: Healthy on v1
        ! Valid Invalid: spec.delivery.rules[0].alert.expr: wrong; this is left out, and the rest of the spec, its policies and the defaults are in force
        why the Deployment runs v1, which was kept -> does nothing; waits for a change of its pod template
    ");
    let mut held = held().applies("t3");
    held.app.problems = vec!["spec.delivery.rules[0].alert.expr: wrong".into()];
    check("and nothing good waits behind what is held", &held, "
        create v3 t3 by ci after v1
        = Held: Healthy on v1 (v2 rejected)
        ! Valid Invalid: spec.delivery.rules[0].alert.expr: wrong; this is left out, and the rest of the spec, its policies and the defaults are in force
        why the Deployment holds a new template -> records it as v3
        wake +720h
    ");
}

#[test]
fn a_template_too_large_to_record() {
    let large = settled().applies("t2").target(|target| target.template_bytes = TEMPLATE_BYTES_MAX + 1);
    check("is shipped unjudged, and said", &large, "
        = Unclaimed: the pod template of Deployment shop/pay is 1025 KiB as JSON, and at most 1024 KiB can be recorded: it is shipped without being judged, and cannot be rolled back
        ! Claimed TemplateTooLarge: the pod template of Deployment shop/pay is 1025 KiB as JSON, and at most 1024 KiB can be recorded: it is shipped without being judged, and cannot be rolled back; waits for a smaller template; a ConfigMap holds what is large
        why the pod template of Deployment shop/pay is 1025 KiB as JSON, and at most 1024 KiB can be recorded: it is shipped without being judged, and cannot be rolled back -> leaves the Deployment alone; waits for a smaller template; a ConfigMap holds what is large
    ");
    let held = held().applies("t3").target(|target| target.template_bytes = TEMPLATE_BYTES_MAX + 1);
    check("and does not wait behind a hold", &held, "
        claim hold-changes pay:t2, unpause
        = Unclaimed: the pod template of Deployment shop/pay is 1025 KiB as JSON, and at most 1024 KiB can be recorded: it is shipped without being judged, and cannot be rolled back
        ! Claimed TemplateTooLarge: the pod template of Deployment shop/pay is 1025 KiB as JSON, and at most 1024 KiB can be recorded: it is shipped without being judged, and cannot be rolled back; waits for a smaller template; a ConfigMap holds what is large
        why the pod template of Deployment shop/pay is 1025 KiB as JSON, and at most 1024 KiB can be recorded: it is shipped without being judged, and cannot be rolled back -> leaves the Deployment alone; waits for a smaller template; a ConfigMap holds what is large
        wake +720h
    ");
}

/// Whatever else is due, the claim comes first, and alone: under way, held or settled.
#[test]
fn a_claim_of_another_instance_is_taken_over_first() {
    for (name, mut service) in [("settled", settled()), ("under way", out()), ("held", held())] {
        service.app.instance = Some("team-b".into());
        service = service.target(|target| {
            (target.instance, target.has_annotations) = (Some("team-a".into()), true);
        });
        let snapshot = service.snapshot();
        let (decided, report) = planned(&snapshot);
        assert_eq!(decided.writes, [Write::TakeOver], "{name}");
        assert_eq!(report.steps[0].saw, "the claim is that of instance team-a", "{name}");
        let lowered = lower(&snapshot, &decided, Vec::new()).writes;
        let Some(Lowered::Patch { when, if_absent: IfAbsent::Fail, .. }) = lowered.first() else {
            panic!("{name}: {lowered:?}")
        };
        assert_eq!(lowered[0].object().map(|object| object.kind.word), Some("ManagedApp"), "{name}");
        assert_eq!(when.version, Some(service.app.version), "{name}: whoever sees an old label loses here");
        let Some(Lowered::Patch { patch: Patch::Json(operations), .. }) = lowered.get(1) else {
            panic!("{name}: {lowered:?}")
        };
        let owner =
            json!({"op": "add", "path": "/metadata/annotations/trimtab.dev~1instance", "value": "team-b"});
        assert!(operations.contains(&owner), "{name}: {operations:?}");
        let mut own = service.clone().target(|target| target.instance = Some("team-b".into()));
        assert!(!planned(&own.snapshot()).0.writes.contains(&Write::TakeOver), "{name}: it is its own now");
        own.app.instance = None;
        let taken = lower(&own.snapshot(), &planned(&own.snapshot()).0, Vec::new()).writes;
        let Some(Lowered::Patch { patch: Patch::Json(operations), .. }) = taken.get(1) else {
            panic!("{name}: {taken:?}")
        };
        let nobody = json!({"op": "remove", "path": "/metadata/annotations/trimtab.dev~1instance"});
        assert!(operations.contains(&nobody), "{name}: {operations:?}");
    }
}
