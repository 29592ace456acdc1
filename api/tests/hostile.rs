//! No JSON makes the types or the checks panic.

mod support;

use proptest::prelude::*;
use proptest::test_runner::RngSeed;
use serde_json::{Value, json};
use trimtab_api::resolve::{Policies, check_app, check_policy, settings};
use trimtab_api::{AppRelease, FleetPolicy, ManagedApp};

use support::{path, yaml};

fn any_json() -> impl Strategy<Value = Value> {
    let leaf = prop_oneof![
        Just(Value::Null),
        any::<bool>().prop_map(Value::from),
        any::<i64>().prop_map(Value::from),
        any::<f64>().prop_map(Value::from),
        ".{0,12}".prop_map(Value::from),
        prop::sample::select(vec!["5m", "-1s", "120%", "1e400", "{", "up{", "9223372036854775808h", "∞"])
            .prop_map(Value::from),
    ];
    leaf.prop_recursive(3, 24, 4, |inner| {
        prop_oneof![
            prop::collection::vec(inner.clone(), 0..4).prop_map(Value::from),
            prop::collection::btree_map("[a-z]{1,6}", inner, 0..4).prop_map(|fields| json!(fields)),
        ]
    })
}

/// The paths of everything in a value.
fn pointers(value: &Value, path: &str, found: &mut Vec<String>) {
    found.push(path.to_owned());
    match value {
        Value::Object(fields) => {
            for (name, inner) in fields {
                pointers(inner, &format!("{path}/{}", name.replace('/', "~1")), found);
            }
        }
        Value::Array(items) => {
            for (index, inner) in items.iter().enumerate() {
                pointers(inner, &format!("{path}/{index}"), found);
            }
        }
        _ => {}
    }
}

/// An example with one of its parts replaced by anything.
fn spoilt() -> impl Strategy<Value = Value> {
    let examples = ["managedapp", "fleetpolicy", "apprelease"]
        .map(|name| yaml(&path(&format!("tests/examples/{name}.yaml"))));
    (prop::sample::select(examples.to_vec()), any::<prop::sample::Index>(), any_json()).prop_map(
        |(mut example, index, anything)| {
            let mut paths = Vec::new();
            pointers(&example, "", &mut paths);
            let path: &String = index.get(&paths);
            *example.pointer_mut(path).expect("the path was found in it") = anything;
            example
        },
    )
}

proptest! {
    #![proptest_config(ProptestConfig { cases: 2000, rng_seed: RngSeed::Fixed(1), failure_persistence: None, ..ProptestConfig::default() })]
    #[test]
    fn nothing_panics(object in prop_oneof![1 => any_json(), 9 => spoilt()]) {
        let policy = serde_json::from_value::<FleetPolicy>(object.clone()).ok();
        let app = serde_json::from_value::<ManagedApp>(object.clone()).ok();
        if let Some(policy) = &policy {
            let _ = check_policy(policy);
        }
        if let Some(app) = &app {
            let _ = check_app(app);
            let (settings, _) = settings(app, &Policies::matching(&policy, app));
            prop_assert!(settings.alpha > 0.0 && settings.history >= 2 && !settings.target.is_empty() || app.metadata.name.is_empty());
        }
        if let Ok(release) = serde_json::from_value::<AppRelease>(object) {
            let written = serde_json::to_value(&release).expect("what was read can be written");
            prop_assert_eq!(serde_json::from_value::<AppRelease>(written).expect("what was written can be read"), release);
        }
    }
}
