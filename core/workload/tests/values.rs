//! What a workload's values say of themselves.

use serde_json::{Value, json};
use trimtab_workload::{AdmissionHold, Arm, Pod, ReplicaSet, images, service_image};

#[test]
fn words_read_back() {
    for arm in [Arm::Canary, Arm::Stable] {
        assert_eq!(Arm::parse(arm.as_str()), Some(arm));
    }
    assert_eq!(Arm::parse("Canary"), None, "labels are compared as they are written");
    for hold in [AdmissionHold::Open, AdmissionHold::HoldChanges, AdmissionHold::Held] {
        assert_eq!(AdmissionHold::parse(hold.as_str()), hold);
    }
    assert_eq!(AdmissionHold::parse("freeze"), AdmissionHold::Open, "an unknown word holds nothing");
}

#[test]
fn the_service_container_is_the_named_one_or_the_first() {
    let two = json!({"spec": {"containers": [
        {"name": "proxy", "image": "proxy:7"}, {"name": "app", "image": "pay:1"}, {"name": "bare"}
    ]}});
    for (template, container, expected) in [
        (&two, None, Some("proxy:7")),
        (&two, Some("app"), Some("pay:1")),
        (&two, Some("missing"), None),
        (&two, Some("bare"), None),
        (&json!({"spec": {"containers": []}}), None, None),
        (&json!({"spec": {"containers": "app"}}), None, None),
        (&Value::Null, None, None),
    ] {
        assert_eq!(service_image(template, container).as_deref(), expected, "{container:?} of {template}");
    }
    assert_eq!(images(&two), ["proxy:7", "pay:1"], "a container without an image has none");
    assert!(images(&Value::Null).is_empty());
}

#[test]
fn a_pod_has_the_template_of_its_own_set() {
    let set = |uid: &str, hash: &str| ReplicaSet {
        uid: uid.into(),
        template_hash: hash.into(),
        ..ReplicaSet::default()
    };
    let sets = [set("one", "t1"), set("two", "t2")];
    let of = |uid: &str| Pod { replica_set: uid.into(), ..Pod::default() };
    assert_eq!(of("two").template_hash(&sets), Some("t2"));
    assert_eq!(of("gone").template_hash(&sets), None, "its set is not known");
}
