//! Tables and properties of percentages, counts, names, canonical JSON and template hashes.

use proptest::prelude::*;
use proptest::test_runner::RngSeed;
use serde_json::{Value, json};
use trimtab_units::{Fenceposts, IntOrPercent, Percent, TemplateHash, canonical, names, template_hash};

#[test]
fn surge_rounds_up_and_unavailable_rounds_down() {
    for (text, desired, surge, unavailable) in [
        ("25%", 10, 3, 2),
        ("25%", 1, 1, 0),
        ("25%", 4, 1, 1),
        ("0%", 7, 0, 0),
        ("100%", 7, 7, 7),
        ("150%", 2, 3, 3),
        ("3", 10, 3, 3),
        ("3", 0, 3, 3),
        ("2147483647%", u32::MAX, u32::MAX, u32::MAX),
    ] {
        let limit: IntOrPercent = text.parse().unwrap();
        assert_eq!(
            (limit.resolve_surge(desired), limit.resolve_unavailable(desired)),
            (surge, unavailable),
            "{text}"
        );
        assert_eq!(limit.to_string(), text);
    }
}

#[test]
fn two_zero_limits_still_progress() {
    let resolve = |surge: &str, unavailable: &str, desired| {
        let posts = Fenceposts::resolve(surge.parse().unwrap(), unavailable.parse().unwrap(), desired);
        (posts.surge, posts.unavailable)
    };
    assert_eq!(resolve("0", "0", 5), (0, 1));
    assert_eq!(resolve("0%", "25%", 3), (0, 1));
    assert_eq!(resolve("25%", "25%", 10), (3, 2));
    assert_eq!(resolve("1", "0", 5), (1, 0));
}

#[test]
fn int_or_percent_on_the_wire() {
    for (json, printed) in [("3", "3"), ("\"25%\"", "\"25%\""), ("\"3\"", "3")] {
        let read: IntOrPercent = serde_json::from_str(json).unwrap();
        assert_eq!(serde_json::to_string(&read).unwrap(), printed);
    }
    for json in ["-1", "1.5", "\"-5%\"", "\"+5%\"", "\"5 %\"", "\"%\"", "\"\"", "4294967296", "null"] {
        assert!(serde_json::from_str::<IntOrPercent>(json).is_err(), "{json}");
    }
}

#[test]
fn shares_read_both_notations() {
    for (text, ratio, printed) in [
        ("20%", 0.2, "20%"),
        ("0.2", 0.2, "20%"),
        ("0.29", 0.29, "29%"),
        ("29%", 0.29, "29%"),
        ("0.5 %", 0.005, "0.5%"),
        ("150%", 1.5, "150%"),
        ("1", 1.0, "100%"),
        (".1", 0.1, "10%"),
        ("0", 0.0, "0%"),
    ] {
        let share: Percent = text.parse().unwrap();
        assert_eq!((share.ratio(), share.to_string().as_str()), (ratio, printed), "{text}");
    }
    for text in ["20", "-1%", "inf", "nan%", "", "%", "1.1", "+0.2", "twenty", "1e999%"] {
        assert!(text.parse::<Percent>().is_err(), "{text}");
    }
    assert_eq!(serde_json::from_str::<Percent>("0.2").unwrap(), serde_json::from_str("\"20%\"").unwrap());
}

#[test]
fn names_follow_kubernetes() {
    let long = "a".repeat(64);
    for (text, label, subdomain, value) in [
        ("payments", true, true, true),
        ("a", true, true, true),
        ("0", true, true, true),
        ("payments-v2", true, true, true),
        ("payments.v2", false, true, true),
        ("Payments", false, false, true),
        ("-a", false, false, false),
        ("a-", false, false, false),
        ("-", false, false, false),
        ("_", false, false, false),
        ("a..b", false, false, true),
        ("a_b", false, false, true),
        ("", false, false, true),
        ("pay ments", false, false, false),
        ("p\u{e4}y", false, false, false),
        (long.as_str(), false, true, false),
    ] {
        assert_eq!(names::check_dns_label(text).is_ok(), label, "label {text}");
        assert_eq!(names::check_dns_subdomain(text).is_ok(), subdomain, "subdomain {text}");
        assert_eq!(names::check_label_value(text).is_ok(), value, "value {text}");
    }
    assert!(names::check_dns_subdomain(&"a.".repeat(127)).is_err());
}

#[test]
fn canonical_json_sorts_and_packs() {
    let value = json!({"b": [1, {"d": null, "c": "x\"y"}], "a": {"z": 1.5, "y": true}});
    assert_eq!(canonical::to_string(&value), r#"{"a":{"y":true,"z":1.5},"b":[1,{"c":"x\"y","d":null}]}"#);
}

/// The template of payments:127 with whole top-level fields replaced.
fn template(extra: &Value) -> Value {
    let mut template = json!({
        "metadata": {"labels": {"app": "payments"}},
        "spec": {"containers": [{"name": "service", "image": "payments:127"}]},
    });
    for (key, value) in extra.as_object().into_iter().flatten() {
        template[key] = value.clone();
    }
    template
}

#[test]
fn template_hash_ignores_what_a_round_trip_changes() {
    let plain = template_hash(&template(&json!({})));
    assert_eq!(plain.as_str(), "vs8g9qzrwn", "the hash is stored in clusters, so it must never change");
    let same = [
        json!({"metadata": {"labels": {"app": "payments", "pod-template-hash": "abc"}, "creationTimestamp": null}}),
        json!({"metadata": {"annotations": {}, "labels": {"app": "payments"}}}),
        json!({"spec": {"securityContext": {}, "containers": [{"image": "payments:127", "resources": {"limits": {}}, "name": "service"}]}}),
    ];
    for extra in same {
        assert_eq!(template_hash(&template(&extra)), plain, "{extra}");
    }
    let different = [
        json!({"metadata": {"labels": {"app": "payments", "v": "2"}}}),
        json!({"spec": {"containers": [{"name": "service", "image": "payments:128"}]}}),
        json!({"spec": {"containers": [{"name": "service", "image": "payments:127"}], "podAntiAffinity": {"namespaceSelector": {}}}}),
    ];
    for extra in different {
        assert_ne!(template_hash(&template(&extra)), plain, "{extra}");
    }
    let unlabelled = template_hash(&json!({"spec": {"a": 1}}));
    assert_eq!(
        template_hash(&json!({"metadata": {"labels": {"pod-template-hash": "x"}}, "spec": {"a": 1}})),
        unlabelled
    );
}

fn any_json() -> impl Strategy<Value = Value> {
    let leaf = prop_oneof![
        Just(Value::Null),
        any::<bool>().prop_map(Value::from),
        any::<i64>().prop_map(Value::from),
        any::<i32>().prop_map(|number| Value::from(f64::from(number) / 8.0)),
        ".{0,6}".prop_map(Value::from),
    ];
    leaf.prop_recursive(4, 32, 5, |inner| {
        prop_oneof![
            prop::collection::vec(inner.clone(), 0..5).prop_map(Value::from),
            prop::collection::btree_map(".{0,4}", inner, 0..5)
                .prop_map(|fields| Value::Object(fields.into_iter().collect())),
        ]
    })
}

proptest! {
    #![proptest_config(ProptestConfig { rng_seed: RngSeed::Fixed(20_261_121), ..ProptestConfig::default() })]

    #[test]
    fn any_text_is_handled(text in ".{0,40}") {
        let _ = text.parse::<Percent>();
        let _ = text.parse::<IntOrPercent>();
        let _ = text.parse::<TemplateHash>();
        prop_assert!(names::check_dns_label(&text).is_err() || names::check_dns_subdomain(&text).is_ok());
        prop_assert!(names::check_dns_label(&text).is_err() || names::check_label_value(&text).is_ok());
    }

    #[test]
    fn shares_round_trip(hundredths in 0.0..1e6_f64) {
        let share: Percent = format!("{hundredths}%").parse().unwrap();
        prop_assert_eq!(share.to_string().parse(), Ok(share));
    }

    #[test]
    fn int_or_percent_round_trips(number in 0..=i32::MAX as u32, percent: bool) {
        let limit = if percent { IntOrPercent::Percent(number) } else { IntOrPercent::Int(number) };
        prop_assert_eq!(limit.to_string().parse(), Ok(limit));
        let wire = serde_json::to_string(&limit).unwrap();
        prop_assert_eq!(serde_json::from_str::<IntOrPercent>(&wire).unwrap(), limit);
    }

    #[test]
    fn canonical_json_reads_back(value in any_json()) {
        let text = canonical::to_string(&value);
        let again: Value = serde_json::from_str(&text).unwrap();
        prop_assert_eq!(canonical::to_string(&again), text);
    }

    #[test]
    fn any_template_gets_a_label_safe_hash(value in any_json()) {
        let hash = template_hash(&value);
        prop_assert!(names::check_dns_label(hash.as_str()).is_ok());
        prop_assert_eq!(hash.to_string().parse(), Ok(hash));
    }
}
