//! Objects of our own kinds in, rows out: what is left out of them is what no decision reads.
#![allow(clippy::unwrap_used, reason = "a test that cannot go on fails")]

use jiff::Timestamp;
use serde_json::{Value, json};
use trimtab_api::{AppRelease, ManagedApp};
use trimtab_delivery::seal::Trust;
use trimtab_delivery::snapshot::{Release, ReleasePhase, ReleaseStatus};
use trimtab_kube::intern::Interner;
use trimtab_kube::kinds::app_release::release;
use trimtab_kube::kinds::{Apps, Releases, Trusted};
use trimtab_kube::watch::Project;

const UID: &str = "9f3b2c1d-4e5f-4a6b-8c7d-0123456789ab";

#[test]
fn a_service_reads_as_it_was_written() {
    let check = |target_uid: &str| {
        let object = json!({
            "metadata": {"namespace": "shop", "name": "pay", "uid": UID, "resourceVersion": "42", "generation": 7, "labels": {"team": "money"}},
            "spec": {"tier": 1, "delivery": {"watch": "10m", "rules": [{"name": "errors"}]}},
            "status": {
                "observedGeneration": 6, "phase": "Held", "summary": "Healthy on v4 (v5 rejected)", "targetUid": target_uid,
                "current": 4, "inFlight": 6, "lastRelease": 6,
                "rejected": [{"number": 5, "templateHash": "any", "at": "2026-01-01T00:00:00.5Z"}],
                "conditions": [
                    {"type": "Valid", "status": "False", "reason": "Wrong", "message": "no", "lastTransitionTime": "2026-01-01T00:00:00.25Z", "observedGeneration": 6},
                    {"type": "Claimed", "status": "True", "reason": "Claimed", "message": ""},
                ],
            },
        });
        let wire: ManagedApp = serde_json::from_value(object.clone()).unwrap();
        let kept = Apps::new(Interner::new()).project(object.to_string().as_bytes()).unwrap().app();
        assert_eq!((&kept.spec, &kept.status), (&wire.spec, &wire.status));
        assert_eq!((&kept.metadata.labels, kept.metadata.generation), (&wire.metadata.labels, 7));
        assert_eq!(
            (&*kept.metadata.uid, &*kept.metadata.name, &*kept.metadata.namespace),
            (UID, "pay", "shop")
        );
    };
    check(UID);
    check("not a uid");
    check(&UID.to_uppercase());
}

fn record(phase: &str, notified: &str, changes: &[(&str, Value)]) -> (Release, Release) {
    let mut object = json!({
        "metadata": {"namespace": "shop", "name": "pay-v5", "uid": UID, "resourceVersion": "42", "annotations": {"trimtab.dev/seal": "5e"}, "creationTimestamp": "2026-01-01T00:00:00Z"},
        "spec": {"app": "pay", "number": 5, "actor": "ann", "image": "pay:v5", "template": {"spec": {}}, "templateHash": "bcdfg24567", "targetUid": UID, "decision": null},
        "status": {
            "phase": phase, "summary": "errors: worse", "verdict": "Fail", "restores": 2, "harmed": 3.5, "held": false,
            "startedAt": "2026-01-01T00:01:00.5Z", "readyAt": "2026-01-01T00:02:00.5Z", "decidedAt": "2026-01-01T00:03:00.5Z", "recoveredAt": "2026-01-01T00:04:00.5Z",
            "rules": [{"name": "errors", "verdict": "Fail", "summary": "worse"}],
            "notifications": [{"event": "Started", "destination": "slack", "state": notified, "at": "2026-01-01T00:01:00.5Z"}],
        },
    });
    for (path, value) in changes {
        *object.pointer_mut(path).unwrap() = value.clone();
    }
    let wire: AppRelease = serde_json::from_value(object.clone()).unwrap();
    let row = Releases::new(Interner::new(), Trusted::new(Trust::Form))
        .project(object.to_string().as_bytes())
        .unwrap();
    (release(&wire, &Trust::Form), row.release())
}

/// Whoever is over keeps its times so.
fn to_the_second(mut status: ReleaseStatus) -> ReleaseStatus {
    let cut = |at: &mut Option<Timestamp>| *at = at.map(|at| Timestamp::from_second(at.as_second()).unwrap());
    for at in [&mut status.started_at, &mut status.ready_at, &mut status.decided_at, &mut status.recovered_at]
    {
        cut(at);
    }
    status.outbox.iter_mut().for_each(|entry| cut(&mut entry.at));
    status
}

#[test]
fn a_release_is_whole_until_it_is_over_and_told() {
    let odd = |path| [(path, json!("written by hand"))];
    let check = |(wire, kept): (Release, Release)| assert_eq!(kept, wire);
    for phase in ["Pending", "Judging", "RollingBack"] {
        check(record(phase, "Sent", &[]));
    }
    for phase in ["Kept", "RolledBack", "Superseded"] {
        check(record(phase, "Sending", &[]));
        check(record(phase, "Sent", &odd("/spec/templateHash")));
        check(record(phase, "Sent", &odd("/spec/targetUid")));
    }
}

#[test]
fn a_release_that_was_rolled_back_keeps_what_its_status_is_written_from() {
    let decision = json!({"verdict": "Keep", "actor": "ann", "because": "works"});
    let (wire, kept) =
        record("RolledBack", "Failed: gone", &[("/spec/decision", decision), ("/status/held", json!(true))]);
    // No findings in a write leave those of the record as they are.
    assert_eq!(kept.status, ReleaseStatus { findings: Vec::new(), ..to_the_second(wire.status) });
    assert!(kept.status.held && kept.keep_decision().is_some());
    assert_eq!((kept.number, kept.version, &kept.image), (5, 42, &wire.image));
    assert_eq!((kept.template_hash, kept.target_uid), (wire.template_hash, wire.target_uid));
    assert_eq!((kept.created_at, kept.decision), (wire.created_at, wire.decision));
}

#[test]
fn a_release_that_ended_keeps_what_a_later_one_falls_back_to() {
    let check = |phase: &str, verdict: &str, unsure: bool| {
        let (wire, kept) = record(phase, "Sent", &[("/status/verdict", json!(verdict))]);
        assert_eq!(Some(kept.status.phase), ReleasePhase::parse(phase));
        assert_eq!((kept.number, &kept.template_hash), (5, &wire.template_hash));
        assert_eq!((kept.is_kept_unsure(), kept.status.decided_at.is_some()), (unsure, unsure));
        assert!(kept.is_foreign_to("another") && !kept.is_foreign_to(UID));
        assert_eq!(kept.status.summary, "");
        // It may be rolled back yet: a write of its outbox says again what was told, to the second.
        let told = to_the_second(wire.status).outbox;
        assert_eq!(kept.status.outbox, if unsure { told } else { Vec::new() });
    };
    check("Kept", "Pass", false);
    check("Kept", "Undecided", true);
    check("Superseded", "Undecided", false);
    let (wire, kept) = record(
        "Kept",
        "Sent",
        &[("/status", json!({"phase": "Kept", "needsHuman": true, "summary": "ask"}))],
    );
    assert_eq!(kept.status, to_the_second(wire.status), "a person is still asked");
}
