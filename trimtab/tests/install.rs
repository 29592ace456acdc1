//! `trimtab install --instance`: a second manager beside the first.

use serde_json::Value;
use trimtab::cli::install::{Choices, is_own, objects};

fn installed(instance: Option<&str>) -> Vec<Value> {
    let choices = Choices {
        namespace: "ops".to_owned(),
        image: "registry.example/trimtab:1".to_owned(),
        instance: instance.map(str::to_owned),
        ..Choices::default()
    };
    objects(&choices).expect("the files are readable")
}

/// Two installations share what their one account needs, and each has its own of the rest.
#[test]
fn instances_collide_in_nothing() {
    let key = |object: &Value| format!("{} {}", object["kind"], object["metadata"]["name"]);
    let (plain, own) = (installed(None), installed(Some("team-a")));
    for object in &own {
        match plain.iter().find(|other| key(other) == key(object)) {
            Some(other) => assert_eq!(other, object, "one applied after the other changes nothing"),
            None => assert!(is_own(object), "{}", key(object)),
        }
    }
    let selectors = |objects: &[Value]| -> Vec<Value> {
        let of = |object: &Value| object.pointer("/spec/selector/matchLabels").cloned();
        objects.iter().filter_map(of).collect()
    };
    assert_eq!(selectors(&own).len(), 2);
    assert!(selectors(&own).iter().all(|selector| !selectors(&plain).contains(selector)));
}
