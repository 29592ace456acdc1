//! Asking whether series exist at all.

use trimtab_promql::{Matcher, selectors};

use crate::arms::{Arms, inject};
use crate::question::HISTORY;
use crate::rule::ArmLabel;

/// The metrics that `promql` reads.
pub(crate) fn families(promql: &str) -> Vec<String> {
    let parsed = trimtab_promql::parse(promql);
    let mut families: Vec<String> =
        parsed.iter().flat_map(selectors).filter_map(|selector| selector.metric).collect();
    families.sort();
    families.dedup();
    families
}

/// An expression that returns something where every one of `families` has series that pass `matchers`.
pub(crate) fn all_exist(families: &[String], matchers: &[Matcher]) -> Option<String> {
    let counts: Option<Vec<String>> = families.iter().map(|family| count(family, matchers)).collect();
    counts.filter(|counts| !counts.is_empty()).map(|counts| counts.join(" and "))
}

/// An expression that returns something where `selector` has series of this service.
pub(crate) fn exists(selector: &str, arms: &Arms, label: &ArmLabel) -> Option<String> {
    let claims = arms.claims(label, None).ok()?;
    let counts: Option<Vec<String>> = claims.iter().map(|claim| count(selector, claim)).collect();
    counts.map(|counts| counts.join(" or "))
}

/// An expression that returns something where more than `most` sums are left of `selector`.
pub(crate) fn exceeds(selector: &str, arms: &Arms, label: &ArmLabel, most: usize) -> Option<String> {
    let narrowed = arms.narrow(selector, label, None).ok()?;
    let by = arms.kept_labels(label).join(", ");
    Some(format!("count(count by ({by}) (last_over_time({narrowed}[{}s]))) > {most}", HISTORY.as_secs()))
}

fn count(selector: &str, matchers: &[Matcher]) -> Option<String> {
    let parsed = trimtab_promql::parse(selector).ok()?;
    let narrowed = inject(&parsed, matchers).ok()?;
    Some(format!("count(last_over_time({narrowed}[{}s]))", HISTORY.as_secs()))
}
