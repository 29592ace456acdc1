//! A plan that writes what its concern must not is found, whatever its form.

use std::collections::BTreeMap;

use jiff::Timestamp;
use proptest::prelude::*;
use serde_json::{Value, json};
use trimtab_plan::concern::{ALL, DELIVERY, POLICY, UNCLAIM, shared_fields};
use trimtab_plan::{
    Concern, Event, IfAbsent, IfThere, Kind, Object, Part, Patch, Plan, Precondition, Reason, Right,
    Severity, WRITES_MAX, Write, check,
};

fn patch(kind: Kind, part: Part, patch: Patch, when: Precondition) -> Write {
    let object = Object::new(kind, "shop", "pay");
    Write::Patch { object, part, patch, copy: None, when, if_absent: IfAbsent::Fail }
}

fn plan(write: Write) -> Plan {
    Plan { writes: vec![write], wake_at: None }
}

fn breach(write: Write, concern: &'static Concern) -> Option<String> {
    check(&plan(write), concern).err().map(|breach| breach.to_string())
}

#[test]
fn each_concern_writes_its_own_fields_and_no_others() {
    let version = || Precondition::version(7);
    let table: [(&'static Concern, Kind, Part, Patch, Precondition, bool); 17] = {
        let (deployments, pods, apps) = (Kind::DEPLOYMENT, Kind::POD, Kind::MANAGED_APP);
        let policies = Kind::FLEET_POLICY;
        use Part::{Main, Status};
        let merge = |value: Value| Patch::Merge(value);
        let op = |path: &str| Patch::Json(vec![json!({"op": "add", "path": path, "value": 1})]);
        [
            (&DELIVERY, deployments, Main, op("/spec/template"), version(), true),
            (&DELIVERY, deployments, Main, op("/spec/replicas"), version(), false),
            (&DELIVERY, deployments, Main, op("/spec"), version(), false),
            (&DELIVERY, deployments, Main, op(""), version(), false),
            (&DELIVERY, deployments, Main, merge(json!({"spec": {"replicas": 3}})), version(), false),
            (&DELIVERY, deployments, Main, op("/spec/templates"), version(), false),
            (&DELIVERY, deployments, Main, op("/spec/paused"), Precondition::none(), false),
            (
                &DELIVERY,
                pods,
                Main,
                merge(json!({"metadata": {"labels": {"trimtab.dev/phase": "canary"}}})),
                Precondition::uid("u"),
                true,
            ),
            (
                &DELIVERY,
                pods,
                Main,
                merge(json!({"metadata": {"labels": {"app": "x"}}})),
                Precondition::uid("u"),
                false,
            ),
            (&DELIVERY, apps, Status, merge(json!({"status": {"phase": "Healthy"}})), version(), true),
            (
                &DELIVERY,
                apps,
                Status,
                merge(json!({"status": {"phase": "Healthy"}})),
                Precondition::none(),
                false,
            ),
            (&UNCLAIM, apps, Status, merge(json!({"status": {"phase": "Healthy"}})), version(), false),
            (
                &POLICY,
                policies,
                Status,
                Patch::Apply(json!({"status": {"conditions": [{"type": "Valid"}]}})),
                version(),
                true,
            ),
            (
                &POLICY,
                policies,
                Status,
                Patch::Apply(json!({"status": {"conditions": [{"type": "Claimed"}]}})),
                version(),
                false,
            ),
            (&DELIVERY, apps, Status, merge(json!({"status": {"sizing": {}}})), version(), false),
            (
                &DELIVERY,
                apps,
                Status,
                merge(json!({"status": {"conditions": [{"type": "Claimed"}]}})),
                version(),
                false,
            ),
            (&DELIVERY, apps, Status, op("/status/conditions/0"), version(), false),
        ]
    };
    for (concern, kind, part, change, when, expect) in table {
        let found = breach(patch(kind, part, change.clone(), when), concern);
        assert_eq!(found.is_none(), expect, "{} {kind:?} {change:?}: {found:?}", concern.name);
    }
}

#[test]
fn creating_deleting_and_telling_are_rights_too() {
    let object = || Object::new(Kind::APP_RELEASE, "shop", "pay-v2");
    let body = |kind: &str, namespace: &str| {
        json!({
            "apiVersion": "trimtab.dev/v1alpha1", "kind": kind, "metadata": {"name": "pay-v2", "namespace": namespace},
        })
    };
    let create_with = |body| Write::Create { object: object(), body, copy: None, if_there: IfThere::Fail };
    let create = || create_with(body("AppRelease", "shop"));
    let delete = |when| Write::Delete { object: object(), when };
    let notify = || Write::Notify { key: "k".into(), destination: "slack".into() };
    assert_eq!(breach(create(), &DELIVERY), None);
    assert!(breach(create(), &POLICY).is_some());
    for other in [body("ManagedApp", "shop"), body("AppRelease", "kube-system"), json!({})] {
        assert!(breach(create_with(other), &DELIVERY).is_some(), "the body is that of another object");
    }
    assert_eq!(breach(delete(Precondition::uid("u")), &DELIVERY), None);
    assert!(breach(delete(Precondition::none()), &DELIVERY).is_some(), "a delete without a precondition");
    assert_eq!(breach(notify(), &DELIVERY), None);
    assert!(breach(notify(), &UNCLAIM).is_some());
}

/// What a controller that sizes workloads might be allowed.
const SIZING: Concern = Concern {
    name: "sizing",
    manager: "trimtab-sizing",
    rights: &[Right::Evict, Right::Resize, Right::Scale(Kind::DEPLOYMENT), Right::Create(Kind::EVENT)],
    conditions: &[],
};

#[test]
fn moving_and_sizing_pods_are_rights_too() {
    let object = |kind: Kind| Object::new(kind, "shop", "pay");
    let evict = |when| Write::Evict { object: object(Kind::POD), when };
    let resources = || BTreeMap::from([("app".to_owned(), json!({"requests": {"cpu": "1"}}))]);
    let resize = |when| Write::Resize { object: object(Kind::POD), resources: resources(), when };
    let scale = |kind, when| Write::Scale { object: object(kind), replicas: 3, when };
    let uid = || Precondition::uid("u");
    for write in [evict(uid()), resize(uid()), scale(Kind::DEPLOYMENT, uid())] {
        assert_eq!(breach(write.clone(), &SIZING), None, "{write:?}");
        for other in ALL {
            assert!(breach(write.clone(), other).is_some(), "{} {write:?}", other.name);
        }
    }
    for write in [
        evict(Precondition::none()),
        resize(Precondition::none()),
        scale(Kind::DEPLOYMENT, Precondition::none()),
        scale(Kind::REPLICA_SET, uid()),
    ] {
        assert!(breach(write.clone(), &SIZING).is_some(), "{write:?}");
    }
    assert_eq!(
        shared_fields(&[&SIZING, &Concern { manager: "other", ..SIZING }]).len(),
        2,
        "resize and scale"
    );
}

#[test]
fn an_event_has_one_reporter_and_one_object() {
    let event = |uid: &str, by| Write::Event {
        event: Event {
            object: Object::new(Kind::EVENT, "shop", "pay-v2.kept"),
            regarding: Object::new(Kind::MANAGED_APP, "shop", "pay"),
            uid: uid.to_owned(),
            reason: Reason::Kept,
            severity: Severity::Normal,
            note: "v2 is kept".to_owned(),
            at: Timestamp::UNIX_EPOCH,
        },
        by,
    };
    assert_eq!(breach(event("u", &DELIVERY), &DELIVERY), None);
    assert!(breach(event("u", &DELIVERY), &SIZING).is_some(), "in the name of another");
    assert!(breach(event("u", &UNCLAIM), &UNCLAIM).is_some(), "no right to record events");
    assert!(breach(event("", &DELIVERY), &DELIVERY).is_some(), "about whatever has that name");
    let mut other = event("u", &DELIVERY);
    if let Write::Event { event, .. } = &mut other {
        event.object.kind = Kind::APP_RELEASE;
    }
    assert!(breach(other, &DELIVERY).is_some(), "an Event is no other kind of object");
}

#[test]
fn a_precondition_that_nobody_compares_is_none() {
    let generation = || Precondition { generation: Some(3), ..Precondition::uid("u") };
    let paused = || json!({"spec": {"paused": true}});
    let op = json!({"op": "add", "path": "/spec/paused", "value": true});
    let on = |change| patch(Kind::DEPLOYMENT, Part::Main, change, generation());
    assert_eq!(breach(on(Patch::Json(vec![op])), &DELIVERY), None);
    assert!(breach(on(Patch::Merge(paused())), &DELIVERY).is_some());
    let object = Object::new(Kind::APP_RELEASE, "shop", "pay-v2");
    assert!(breach(Write::Delete { object, when: generation() }, &DELIVERY).is_some());
}

/// What the manager says about a policy is a plan like any other.
#[test]
fn a_policy_gets_its_status() {
    let status = |body: Value, when| Write::Patch {
        object: Object::cluster_wide(Kind::FLEET_POLICY, "default"),
        part: Part::Status,
        patch: Patch::Apply(body),
        copy: None,
        when,
        if_absent: IfAbsent::Done,
    };
    let valid = || {
        json!({
            "apiVersion": Kind::FLEET_POLICY.api_version(), "kind": "FleetPolicy", "metadata": {"name": "default"},
            "status": {"conditions": [{"type": "Valid", "status": "True", "reason": Reason::Valid.code()}]},
        })
    };
    assert_eq!(breach(status(valid(), Precondition::version(7)), &POLICY), None);
    assert!(breach(status(valid(), Precondition::none()), &POLICY).is_some());
    assert!(breach(status(valid(), Precondition::version(7)), &DELIVERY).is_some());
}

#[test]
fn a_plan_is_bounded() {
    let write = Write::Notify { key: "k".into(), destination: "slack".into() };
    let plan = |count| Plan { writes: vec![write.clone(); count], wake_at: None };
    assert!(check(&plan(WRITES_MAX), &DELIVERY).is_ok());
    assert!(check(&plan(WRITES_MAX + 1), &DELIVERY).is_err());
}

#[test]
fn two_writers_never_own_one_field_or_condition() {
    assert_eq!(shared_fields(&ALL), Vec::<String>::new());
    const THIEF: Concern = Concern {
        name: "thief",
        manager: "thief",
        rights: &[Right::Field(Kind::DEPLOYMENT, Part::Main, "/spec/template/spec")],
        conditions: &[(Kind::FLEET_POLICY, "Valid")],
    };
    assert_eq!(shared_fields(&[&DELIVERY, &POLICY, &THIEF]).len(), 2);
}

#[test]
fn what_a_move_takes_away_is_touched_too() {
    let moved = json!({"op": "move", "from": "/spec/replicas", "path": "/spec/paused"});
    let write = patch(Kind::DEPLOYMENT, Part::Main, Patch::Json(vec![moved]), Precondition::version(1));
    assert!(breach(write, &DELIVERY).is_some());
}

/// A controller that sizes a service says so in the same status.
#[test]
fn two_concerns_share_a_status() {
    const SIZED: Concern = Concern {
        name: "sizing",
        manager: "trimtab-sizing",
        rights: &[Right::Field(Kind::MANAGED_APP, Part::Status, "/status/sizing")],
        conditions: &[(Kind::MANAGED_APP, "Sized")],
    };
    const GREEDY: Concern =
        Concern { rights: &[Right::Field(Kind::MANAGED_APP, Part::Status, "/status")], ..SIZED };
    let status = |condition: &str| {
        let body = json!({"status": {"sizing": {"mode": "Vertical"}, "conditions": [{"type": condition}]}});
        patch(Kind::MANAGED_APP, Part::Status, Patch::Apply(body), Precondition::version(7))
    };
    assert_eq!(shared_fields(&[&DELIVERY, &SIZED]), Vec::<String>::new());
    assert_eq!(breach(status("Sized"), &SIZED), None);
    assert!(breach(status("Claimed"), &SIZED).is_some(), "a condition of delivery");
    assert!(breach(status("Sized"), &DELIVERY).is_some(), "a field and a condition of sizing");
    let own = DELIVERY.conditions.len();
    let fields = DELIVERY.rights.iter().filter(|right| matches!(right, Right::Field(Kind::MANAGED_APP, ..)));
    assert_eq!(
        shared_fields(&[&DELIVERY, &GREEDY]).len(),
        own + fields.count(),
        "the whole status is everybody's"
    );
}

fn json_value() -> impl Strategy<Value = Value> {
    let leaf = prop_oneof![
        Just(Value::Null),
        any::<i64>().prop_map(Value::from),
        "[a-z/~]{0,4}".prop_map(Value::from)
    ];
    leaf.prop_recursive(4, 24, 4, |inner| {
        proptest::collection::btree_map("[a-z/~]{1,8}|spec|replicas|template|metadata|status", inner, 0..4)
            .prop_map(|members| Value::Object(members.into_iter().collect()))
    })
}

proptest! {
    #![proptest_config(ProptestConfig { cases: 512, failure_persistence: None, ..ProptestConfig::default() })]

    /// However a merge patch is nested, replicas cannot be reached through it.
    #[test]
    fn no_merge_patch_of_delivery_scales(mut value in json_value(), replicas in any::<i32>()) {
        if !value.is_object() {
            value = json!({});
        }
        let spec = value.as_object_mut().expect("made an object above").entry("spec").or_insert_with(|| json!({}));
        if !spec.is_object() {
            *spec = json!({});
        }
        spec["replicas"] = json!(replicas);
        let write = patch(Kind::DEPLOYMENT, Part::Main, Patch::Merge(value), Precondition::version(1));
        prop_assert!(breach(write, &DELIVERY).is_some());
    }
}
