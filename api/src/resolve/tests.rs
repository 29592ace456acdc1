//! What policies and a service's own spec come to, as text.

use serde_json::Value;

use super::{Policies, settings};
use crate::{FleetPolicy, ManagedApp};

fn read<T: serde::de::DeserializeOwned>(text: &str) -> T {
    let value: Value = serde_saphyr::from_str(text).expect("the test writes YAML");
    serde_json::from_value(value).expect("the test writes fields of the right types")
}

/// The service `shop/pay` with this spec.
fn service(spec: &str) -> ManagedApp {
    let head = "{metadata: {name: pay, namespace: shop, labels: {team: money, lang: go}}, spec: ";
    read(&format!("{head}{spec}}}"))
}

/// Policies by name and spec.
fn policies(specs: &[(&str, &str)]) -> Vec<FleetPolicy> {
    specs.iter().map(|(name, spec)| read(&format!("{{metadata: {{name: {name}}}, spec: {spec}}}"))).collect()
}

/// What is in force, in one line, and each rule with where it came from.
fn resolved(app: &ManagedApp, policies: &[FleetPolicy]) -> Vec<String> {
    let (settings, problems) = settings(app, &Policies::matching(policies, app));
    let mut lines = vec![format!(
        "{} {} watch {} alpha {} history {}",
        settings.target,
        settings.strategy.word(),
        trimtab_units::duration_words(settings.watch),
        settings.alpha,
        settings.history,
    )];
    lines.extend(settings.rules.iter().map(|rule| {
        format!("{} {} weight {} from {}", rule.name, rule.kind.word(), rule.weight, rule.origin)
    }));
    if !settings.notify.destinations.is_empty() {
        lines.push(format!("tells {} of {:?}", settings.notify.destinations.join(", "), settings.notify.on));
    }
    lines.extend(settings.not_acted_on.iter().map(|field| format!("does not act on {field}")));
    lines.extend(problems.iter().map(|problem| format!("problem {problem}")));
    lines
}

const BUILT_IN: [&str; 3] = [
    "rpc-errors ratio weight 1 from built in",
    "panics-and-crashes crashes weight 2 from built in",
    "database-errors events weight 1 from built in",
];

/// Resolves `spec` under `specs` in several orders, and compares; `..` stands for the built-in rules.
#[track_caller]
fn check(name: &str, spec: &str, specs: &[(&str, &str)], expected: &[&str]) {
    let app = service(spec);
    let expected: Vec<String> = expected
        .iter()
        .flat_map(|line| if *line == ".." { BUILT_IN.to_vec() } else { vec![*line] })
        .map(str::to_owned)
        .collect();
    let mut order = policies(specs);
    for _ in 0..=specs.len() {
        assert_eq!(resolved(&app, &order), expected, "{name}");
        order.reverse();
        assert_eq!(resolved(&app, &order), expected, "{name}, in another order");
        order.reverse();
        let middle = order.len().min(1);
        order.rotate_left(middle);
    }
}

const DEFAULTS: &str = "pay Guarded watch 5m alpha 0.005 history 10";

#[test]
fn defaults() {
    check("nothing is written", "{}", &[], &[DEFAULTS, ".."]);
    check(
        "another target",
        "{target: {name: pay-web}}",
        &[],
        &["pay-web Guarded watch 5m alpha 0.005 history 10", ".."],
    );
    check(
        "a policy for somebody else",
        "{}",
        &[("p", "{match: {namespaces: [other]}, alpha: 0.1}")],
        &[DEFAULTS, ".."],
    );
    check(
        "a tier that is not set matches no policy for tiers",
        "{}",
        &[("p", "{match: {tiers: [0]}, alpha: 0.1}")],
        &[DEFAULTS, ".."],
    );
    let sized = "{scaling: {mode: Vertical}, delivery: {strategy: Progressive, steps: [10]}}";
    check(
        "what this version does not act on",
        sized,
        &[],
        &[
            "pay Progressive watch 5m alpha 0.005 history 10",
            "..",
            "does not act on delivery.strategy Progressive (shipped as Guarded)",
            "does not act on delivery.steps",
            "does not act on scaling",
        ],
    );
}

#[test]
fn the_most_specific_wins_field_by_field() {
    let all = ("a-all", "{alpha: 0.01, defaults: {delivery: {watch: 1m, history: 20, strategy: Rolling}}}");
    let shop = ("shop", "{match: {namespaces: [shop]}, defaults: {delivery: {watch: 2m}}}");
    let money = ("money", "{match: {namespaces: [shop], labels: {team: money}}, alpha: 0.02}");
    let three = [all, shop, money];
    check(
        "each field from the most specific that writes it",
        "{}",
        &three,
        &["pay Rolling watch 2m alpha 0.02 history 20", ".."],
    );
    check(
        "the service's own field wins",
        "{delivery: {watch: 9m}}",
        &three,
        &["pay Rolling watch 9m alpha 0.02 history 20", ".."],
    );
    let twins =
        [("one", "{defaults: {delivery: {watch: 1m}}}"), ("two", "{defaults: {delivery: {watch: 2m}}}")];
    check(
        "among equals the later name wins",
        "{}",
        &twins,
        &["pay Guarded watch 2m alpha 0.005 history 10", ".."],
    );
    let tier = ("tier", "{match: {tiers: [0, 1]}, defaults: {delivery: {watch: 30m}}}");
    check(
        "a tier is a match too",
        "{tier: 1}",
        &[all, tier],
        &["pay Rolling watch 30m alpha 0.01 history 20", ".."],
    );
    let labels = ("labels", "{match: {labels: {team: money, lang: rust}}, alpha: 0.1}");
    check("all labels must hold", "{}", &[labels], &[DEFAULTS, ".."]);
}

#[test]
fn wrong_fields_of_a_policy_count_as_not_written() {
    let general = "{alpha: 0.01, defaults: {delivery: {strategy: Rolling, watch: 2m, history: 20}}}";
    let in_force = "pay Rolling watch 2m alpha 0.01 history 20";
    for wrong in [
        "{match: {namespaces: [shop]}, alpha: 7}",
        "{match: {namespaces: [shop]}, defaults: {delivery: {strategy: Fast}}}",
        "{match: {namespaces: [shop]}, defaults: {delivery: {watch: soon}}}",
        "{match: {namespaces: [shop]}, defaults: {delivery: {watch: 400h}}}",
        "{match: {namespaces: [shop]}, defaults: {delivery: {watch: -5m}}}",
        "{match: {namespaces: [shop]}, defaults: {delivery: {history: 1}}}",
        "{match: {namespaces: [shop]}, rules: [{name: rpc-errors, ratio: {bad: '((', total: x}}]}",
        "{match: {namespaces: [shop]}, rules: [{name: latency, latency: {histogram: h, tolerate: 0}}]}",
    ] {
        let latency =
            wrong.contains("latency").then_some("does not act on rules with latency of FleetPolicy wrong");
        let expected: Vec<&str> = [in_force, ".."].into_iter().chain(latency).collect();
        check(wrong, "{}", &[("general", general), ("wrong", wrong)], &expected);
    }
    let notify = "{notify: {webhook: {url: 'https://x'}, events: [Kept]}}";
    let wrong = "{match: {namespaces: [shop]}, notify: {events: [Someday]}}";
    check(
        "events that do not exist",
        "{}",
        &[("general", notify), ("wrong", wrong)],
        &[DEFAULTS, "..", "tells webhook of [\"Kept\"]"],
    );
}

#[test]
fn rules_merge_by_name() {
    let mine = "{delivery: {rules: [{name: rpc-errors, weight: 3, events: {counter: errors_total}}]}}";
    let policy = "{rules: [{name: rpc-errors, weight: 2, events: {counter: errors_total}}, {name: queue, alert: {expr: 'q > 1'}}]}";
    check(
        "a policy's rule replaces the built-in one in its place",
        "{}",
        &[("p", policy)],
        &[
            DEFAULTS,
            "rpc-errors events weight 2 from FleetPolicy p",
            BUILT_IN[1],
            BUILT_IN[2],
            "queue alert weight 1 from FleetPolicy p",
        ],
    );
    check(
        "the service's rule replaces the policy's",
        mine,
        &[("p", policy)],
        &[
            DEFAULTS,
            "rpc-errors events weight 3 from ManagedApp",
            BUILT_IN[1],
            BUILT_IN[2],
            "queue alert weight 1 from FleetPolicy p",
        ],
    );
    let off = "{delivery: {rules: [{name: queue, disabled: true}, {name: rpc-errors, disabled: true}]}}";
    check(
        "disabled removes whatever was bound so far",
        off,
        &[("p", policy)],
        &[DEFAULTS, BUILT_IN[1], BUILT_IN[2]],
    );
    let off = ("quiet", "{rules: [{name: database-errors, disabled: true}]}");
    let on = "{delivery: {rules: [{name: database-errors, events: {counter: errors_total}}]}}";
    check(
        "and a more specific layer binds it again",
        on,
        &[off],
        &[DEFAULTS, BUILT_IN[0], BUILT_IN[1], "database-errors events weight 1 from ManagedApp"],
    );
    let of_defaults = "{rules: [{name: a, crashes: {}}], defaults: {delivery: {rules: [{name: a, weight: 5, crashes: {}}]}}}";
    check(
        "defaults of a policy go over its rules",
        "{}",
        &[("p", of_defaults)],
        &[DEFAULTS, "..", "a crashes weight 5 from FleetPolicy p"],
    );
}

#[test]
fn people_are_told_by_the_most_specific() {
    let general = (
        "general",
        "{notify: {slackUrlFrom: {name: s, key: k}, webhook: {url: 'https://all'}, events: [RolledBack]}}",
    );
    check(
        "destinations of a policy",
        "{}",
        &[general],
        &[DEFAULTS, "..", "tells slack, webhook of [\"RolledBack\"]"],
    );
    let own = "{notify: {events: [Kept, Held]}}";
    check(
        "the service says which events",
        own,
        &[general],
        &[DEFAULTS, "..", "tells slack, webhook of [\"Kept\", \"Held\"]"],
    );
}

/// The corpus of whole objects shows the other problems.
#[test]
fn a_list_of_rules_is_bounded() {
    let many: Vec<String> = (0..51).map(|n| format!("{{name: r{n}, crashes: {{}}}}")).collect();
    let app = service(&format!("{{delivery: {{rules: [{}]}}}}", many.join(", ")));
    let found: Vec<String> = super::check_app(&app).iter().map(ToString::to_string).collect();
    assert_eq!(found, ["spec.delivery.rules: 51 rules; at most 50 are allowed"]);
    let (settings, _) = settings(&app, &Policies::matching(&[], &app));
    assert_eq!(settings.rules.len(), 53, "the first 50, and the built-in ones");
}

#[test]
fn the_regular_expressions_of_a_list_are_bounded() {
    let alert = |n: usize| {
        format!(r#"{{name: r{n}, alert: {{expr: 'sum(rate(x_total{{a=~"\\pL{{20}}"}}[1m])) > {n}'}}}}"#)
    };
    let many: Vec<String> = (1..=4).map(alert).collect();
    let app = service(&format!("{{delivery: {{rules: [{}]}}}}", many.join(", ")));
    let found: Vec<String> = super::check_app(&app).iter().map(ToString::to_string).collect();
    let large = "its regular expressions, with those of the rules before it, are too large: repeat less, or shorter parts";
    assert_eq!(found, [2, 3].map(|n| format!("spec.delivery.rules[{n}]: {large}")));
    let (settings, _) = settings(&app, &Policies::matching(&[], &app));
    assert_eq!(settings.rules.len(), 5, "those that fit, and the built-in ones");
}
