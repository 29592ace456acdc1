//! Rules: wire to domain, and merging by name.

use std::time::Duration;

use trimtab_judge::rule::{
    AlertRule, ArmLabel, CrashesRule, EventsRule, Origin, RatioRule, RatioSource, Rule, RuleKind,
    TOLERATE_DEFAULT, built_in,
};
use trimtab_units::{GoDuration, Percent};

use crate::problem::Problem;
use crate::rule::{ArmsSpec, RatioSpec, RuleSpec};

/// Rules in one list.
const RULES_MAX: usize = 50;
/// Regular expressions of one list, together, in [`trimtab_promql::pattern_states`]: each is compiled whenever rules are read.
const PATTERN_STATES_MAX: u64 = 150_000;
/// Sources or counters tried in order by one rule.
const ALTERNATIVES_MAX: usize = 16;
/// Longest `for` of an alert: a release is judged for minutes, not days.
const HOLD_MAX: Duration = Duration::from_secs(24 * 3600);

/// The built-in rules with each layer merged over them by name; `disabled` removes. Layers go from general to specific.
/// Rules that are wrong are left out and told in `problems`, so that one typo does not unbind the others.
#[must_use]
pub fn merge_rules(layers: &[(Origin, &[RuleSpec], &str)], problems: &mut Vec<Problem>) -> Vec<Rule> {
    let mut rules = built_in();
    for (origin, specs, path) in layers {
        if specs.len() > RULES_MAX {
            problems
                .push(Problem::new(*path, format!("{} rules; at most {RULES_MAX} are allowed", specs.len())));
        }
        let mut states_left = PATTERN_STATES_MAX;
        for (index, spec) in specs.iter().take(RULES_MAX).enumerate() {
            let path = format!("{path}[{index}]");
            if specs[..index].iter().any(|other| other.name == spec.name) {
                problems.push(Problem::new(
                    format!("{path}.name"),
                    format!("`{}` is used twice in one list", spec.name),
                ));
                continue;
            }
            if spec.disabled == Some(true) {
                rules.retain(|rule| rule.name != spec.name);
                continue;
            }
            let states =
                texts(spec).into_iter().map(trimtab_promql::pattern_states).fold(0, u64::saturating_add);
            let Some(left) = states_left.checked_sub(states) else {
                let cause = "its regular expressions, with those of the rules before it, are too large: repeat less, or shorter parts";
                problems.push(Problem::new(path, cause));
                continue;
            };
            states_left = left;
            let Some(rule) = rule(spec, origin, &path, problems) else { continue };
            match rules.iter_mut().find(|other| other.name == rule.name) {
                Some(other) => *other = rule,
                None => rules.push(rule),
            }
        }
    }
    rules
}

/// The PromQL of a rule.
fn texts(spec: &RuleSpec) -> Vec<&str> {
    let mut texts = Vec::new();
    if let Some(ratio) = &spec.ratio {
        texts.extend([ratio.bad.as_str(), &ratio.total]);
        texts.extend(ratio.or_else.iter().flat_map(|other| [other.bad.as_str(), &other.total]));
    }
    if let Some(events) = &spec.events {
        texts.push(&events.counter);
        texts.extend(events.or_else.iter().map(String::as_str));
    }
    texts.extend(spec.crashes.iter().flat_map(|crashes| &crashes.counters).map(String::as_str));
    texts.extend(spec.latency.iter().map(|latency| latency.histogram.as_str()));
    texts.extend(spec.alert.iter().map(|alert| alert.expr.as_str()));
    texts
}

/// One rule, or `None` and at least one problem. A `latency` rule is valid and not judged by this version: `None` too.
#[must_use]
pub fn rule(spec: &RuleSpec, origin: &Origin, path: &str, problems: &mut Vec<Problem>) -> Option<Rule> {
    let before = problems.len();
    if let Err(error) = trimtab_units::names::check_dns_label(&spec.name) {
        problems.push(Problem::new(format!("{path}.name"), error.to_string()));
    }
    let weight = spec.weight.unwrap_or(1.0);
    if !(weight > 0.0 && weight <= 1000.0) {
        problems.push(Problem::new(format!("{path}.weight"), "must be more than 0 and at most 1000"));
    }
    let arms = arms(spec.arms.as_ref(), path, problems);
    let kind = kind(spec, path, problems);
    if problems.len() > before {
        return None;
    }
    Some(Rule { name: spec.name.clone(), origin: origin.clone(), weight, arms, kind: kind? })
}

fn arms(spec: Option<&ArmsSpec>, path: &str, problems: &mut Vec<Problem>) -> ArmLabel {
    let Some(spec) = spec else { return ArmLabel::default() };
    let label = |default: &str| spec.label.clone().unwrap_or_else(|| default.to_owned());
    let arms = match spec.by.as_str() {
        "Pod" | "" => ArmLabel::Pod(label("pod")),
        "Phase" => ArmLabel::Arm(label("trimtab_dev_phase")),
        other => {
            problems.push(Problem::new(
                format!("{path}.arms.by"),
                format!("`{other}` is neither `Pod` nor `Phase`"),
            ));
            ArmLabel::default()
        }
    };
    let (ArmLabel::Pod(name) | ArmLabel::Arm(name)) = &arms;
    let first = name.starts_with(|c: char| c.is_ascii_alphabetic() || c == '_');
    if !first || !name.chars().all(|c| c.is_ascii_alphanumeric() || c == '_') {
        problems.push(Problem::new(
            format!("{path}.arms.label"),
            format!("`{name}` is not a Prometheus label name"),
        ));
    }
    arms
}

fn kind(spec: &RuleSpec, path: &str, problems: &mut Vec<Problem>) -> Option<RuleKind> {
    let given = [
        spec.ratio.is_some(),
        spec.events.is_some(),
        spec.latency.is_some(),
        spec.crashes.is_some(),
        spec.alert.is_some(),
    ];
    if given.iter().filter(|present| **present).count() != 1 {
        problems.push(Problem::new(
            path,
            "needs exactly one of `ratio`, `events`, `latency`, `crashes`, `alert`",
        ));
        return None;
    }
    if let Some(ratio) = &spec.ratio {
        return Some(RuleKind::Ratio(ratio_rule(ratio, &format!("{path}.ratio"), problems)));
    }
    if let Some(events) = &spec.events {
        let path = format!("{path}.events");
        let mut counters = vec![events.counter.clone()];
        counters.extend(events.or_else.iter().cloned());
        check_counters(&path, "orElse", &alternatives(&counters, "counter", ""), problems);
        let tolerate = tolerate(events.tolerate, &path, problems);
        return Some(RuleKind::Events(EventsRule { counters, tolerate }));
    }
    if let Some(crashes) = &spec.crashes {
        let listed = crashes.counters.iter().enumerate();
        let listed: Vec<(String, &str)> =
            listed.map(|(index, counter)| (format!("counters[{index}]"), counter.as_str())).collect();
        check_counters(&format!("{path}.crashes"), "counters", &listed, problems);
        let ignore_containers = crashes.ignore_containers.clone();
        return Some(RuleKind::Crashes(CrashesRule {
            ignore_containers,
            counters: crashes.counters.clone(),
        }));
    }
    if let Some(latency) = &spec.latency {
        let path = format!("{path}.latency");
        check_counters(&path, "histogram", &[("histogram".to_owned(), latency.histogram.as_str())], problems);
        if latency.edges.iter().any(|edge| !(edge.is_finite() && *edge > 0.0)) {
            problems.push(Problem::new(format!("{path}.edges"), "every edge must be more than 0 seconds"));
        }
        tolerate(latency.tolerate, &path, problems);
        return None;
    }
    let alert = spec.alert.as_ref()?;
    let hold =
        duration(alert.hold.as_deref().unwrap_or("0s"), &format!("{path}.alert.for"), HOLD_MAX, problems);
    check_alert(&alert.expr, &format!("{path}.alert.expr"), problems);
    Some(RuleKind::Alert(AlertRule { expr: alert.expr.clone(), hold }))
}

fn ratio_rule(spec: &RatioSpec, path: &str, problems: &mut Vec<Problem>) -> RatioRule {
    let mut sources = vec![RatioSource { bad: spec.bad.clone(), total: spec.total.clone() }];
    sources.extend(
        spec.or_else.iter().map(|other| RatioSource { bad: other.bad.clone(), total: other.total.clone() }),
    );
    for (field, pick) in [
        ("bad", (|s: &RatioSource| s.bad.clone()) as fn(&RatioSource) -> String),
        ("total", |s| s.total.clone()),
    ] {
        let selectors: Vec<String> = sources.iter().map(pick).collect();
        check_counters(path, "orElse", &alternatives(&selectors, field, &format!(".{field}")), problems);
    }
    let limit = spec.limit.as_ref().and_then(|limit| {
        let parsed = match limit.as_f64() {
            Some(number) => Percent::from_ratio(number).map_err(|error| error.to_string()),
            None => limit.as_str().unwrap_or_default().parse::<Percent>().map_err(|error| error.to_string()),
        };
        match parsed {
            Ok(percent) if percent.ratio() > 0.0 && percent.ratio() <= 1.0 => Some(percent.ratio()),
            Ok(_) => {
                problems
                    .push(Problem::new(format!("{path}.limit"), "must be more than 0 % and at most 100 %"));
                None
            }
            Err(error) => {
                problems.push(Problem::new(format!("{path}.limit"), error));
                None
            }
        }
    });
    RatioRule { sources, limit, tolerate: tolerate(spec.tolerate, path, problems) }
}

/// Each of `selectors` with its field: the first is `field`, the others stand under `orElse`.
fn alternatives<'a>(selectors: &'a [String], field: &str, inner: &str) -> Vec<(String, &'a str)> {
    let path = |index: usize| match index {
        0 => field.to_owned(),
        _ => format!("orElse[{}]{inner}", index - 1),
    };
    selectors.iter().enumerate().map(|(index, selector)| (path(index), selector.as_str())).collect()
}

/// Every selector must be a plain counter, and there must not be too many in `list`; fields are named under `path`.
fn check_counters(path: &str, list: &str, selectors: &[(String, &str)], problems: &mut Vec<Problem>) {
    if selectors.len() > ALTERNATIVES_MAX {
        let cause = format!("{} alternatives; at most {ALTERNATIVES_MAX} are allowed", selectors.len());
        problems.push(Problem::new(format!("{path}.{list}"), cause));
    }
    for (field, selector) in selectors {
        if let Err(error) = trimtab_promql::parse_counter_selector(selector) {
            problems.push(Problem::new(format!("{path}.{field}"), error.to_string()));
        }
    }
}

/// An alert must parse, and must be divisible by arm; which arm does not matter for that.
fn check_alert(expr: &str, path: &str, problems: &mut Vec<Problem>) {
    let arm =
        [trimtab_promql::Matcher::equal("namespace", "any"), trimtab_promql::Matcher::equal("pod", "any")];
    let checked = trimtab_promql::parse(expr)
        .map_err(|error| error.to_string())
        .and_then(|parsed| trimtab_promql::inject(&parsed, &arm).map_err(|error| error.to_string()));
    if let Err(cause) = checked {
        problems.push(Problem::new(path, cause));
    }
}

fn tolerate(given: Option<f64>, path: &str, problems: &mut Vec<Problem>) -> f64 {
    let tolerate = given.unwrap_or(TOLERATE_DEFAULT);
    if !(1.0..=1000.0).contains(&tolerate) {
        problems.push(Problem::new(
            format!("{path}.tolerate"),
            "must be at least 1 (no worse than before) and at most 1000",
        ));
    }
    tolerate
}

/// A duration between zero and `max`.
pub(super) fn duration(text: &str, path: &str, max: Duration, problems: &mut Vec<Problem>) -> Duration {
    let parsed =
        text.parse::<GoDuration>().or_else(|error| GoDuration::parse_prometheus(text).map_err(|_| error));
    match parsed.map(Duration::try_from) {
        Ok(Ok(duration)) if duration <= max => duration,
        Ok(Ok(_)) => {
            let cause = format!("`{text}` is longer than {}", trimtab_units::duration_words(max));
            problems.push(Problem::new(path, cause));
            Duration::ZERO
        }
        Ok(Err(_)) => {
            problems.push(Problem::new(path, format!("`{text}` is negative")));
            Duration::ZERO
        }
        Err(error) => {
            problems.push(Problem::new(path, error.to_string()));
            Duration::ZERO
        }
    }
}
