//! What people get wrong, and what they do not: `corpus/bad` and `corpus/good`.
//!
//! The first lines of a bad file say what is to be told of it, as the path of the field and a part of the cause, and
//! whether the API server refuses it on its own.

mod support;

use serde_json::Value;
use trimtab_api::problem::Problem;
use trimtab_api::resolve::{check_app, check_policy};

use support::{files, text, yaml};

fn problems(object: &Value) -> Vec<Problem> {
    match object["kind"].as_str() {
        Some("ManagedApp") => check_app(&serde_json::from_value(object.clone()).expect("readable")),
        Some("FleetPolicy") => check_policy(&serde_json::from_value(object.clone()).expect("readable")),
        other => panic!("kind {other:?} is not checked"),
    }
}

#[test]
fn bad_objects_are_told_with_field_and_cause() {
    let mut faults = Vec::new();
    for file in files("tests/corpus/bad") {
        let content = text(&file);
        let header = |key: &str| content.lines().find_map(|line| line.strip_prefix(key)).unwrap_or_default();
        let (path, cause) = header("# problem: ").split_once(':').expect("path: cause");
        assert!(["accepts", "rejects"].contains(&header("# server: ")), "{}", file.display());
        let found = problems(&yaml(&file));
        if !found.iter().any(|problem| problem.path == path && problem.cause.contains(cause.trim())) {
            faults.push(format!("{}: {found:?}", file.display()));
        }
    }
    assert_eq!(faults, Vec::<String>::new());
}

#[test]
fn good_objects_are_not_blamed() {
    for file in files("tests/corpus/good").into_iter().chain(files("tests/examples")) {
        let object = yaml(&file);
        if object["kind"] != "AppRelease" {
            assert_eq!(problems(&object), [], "{}", file.display());
        }
    }
}
