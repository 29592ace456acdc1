//! Whether every rule finds series of the pods that run, asked while nothing is judged: that a rule has nothing to judge by
//! should be known before the release that needs it.

use std::time::Duration;

use jiff::Timestamp;
use trimtab_workload::Pod;

use crate::arms::Arms;
use crate::exist::{exists, families};
use crate::question::{Answer, Failure, Query};
use crate::rule::{Rule, RuleKind};

/// Pods that run this long were scraped, if anybody scrapes them.
const SCRAPED_WITHIN: Duration = Duration::from_secs(90);

/// Whether one selector of one rule has series.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Question {
    rule: usize,
    alternative: usize,
    /// The question.
    pub query: Query,
}

/// When `pods` can be asked about: `None` where none of them runs.
#[must_use]
pub fn askable_at<'a>(pods: impl IntoIterator<Item = &'a Pod>) -> Option<Timestamp> {
    let ready = pods.into_iter().filter(|pod| pod.ready && !pod.deleting);
    let oldest = ready.filter_map(|pod| pod.started_at).min()?;
    // A deadline beyond the calendar is as good as never.
    Some(oldest.checked_add(SCRAPED_WITHIN).unwrap_or(Timestamp::MAX))
}

/// What to ask about `arms` at `now`, so that it is known whether `rules` find their series.
#[must_use]
pub fn questions(rules: &[Rule], arms: &Arms, now: Timestamp) -> Vec<Question> {
    let at_ms = now.as_millisecond();
    let mut asked = Vec::new();
    for (index, rule) in rules.iter().enumerate() {
        for (alternative, needed) in alternatives(rule).into_iter().enumerate() {
            for selector in needed {
                // A selector that cannot be narrowed is the resolver's to complain about.
                let Some(expr) = exists(&selector, arms, &rule.arms) else { continue };
                let query = Query::Instant { expr, at_ms };
                asked.push(Question { rule: index, alternative, query });
            }
        }
    }
    asked
}

/// Names of the rules that find no series, or why nobody can tell.
///
/// # Errors
/// When a question was not answered.
pub fn unbound(rules: &[Rule], answers: &[(Question, Answer)]) -> Result<Vec<String>, String> {
    let failed = answers.iter().find_map(|(_, answer)| match answer {
        Answer::Failed(Failure::Passing(why)) => Some(why.clone()),
        _ => None,
    });
    if let Some(why) = failed {
        return Err(why);
    }
    let is_bound = |index: usize, rule: &Rule| {
        let wanted = alternatives(rule);
        let found = |alternative: usize, needed: &Vec<String>| {
            let of = |(question, _): &&(Question, Answer)| {
                question.rule == index && question.alternative == alternative
            };
            let there =
                answers.iter().filter(of).filter(|(_, answer)| matches!(answer, Answer::Returned(1..)));
            there.count() == needed.len()
        };
        wanted.is_empty() || wanted.iter().enumerate().any(|(alternative, needed)| found(alternative, needed))
    };
    let unbound = rules.iter().enumerate().filter(|(index, rule)| !is_bound(*index, rule));
    Ok(unbound.map(|(_, rule)| rule.name.clone()).collect())
}

/// The selectors that must have series, as alternatives of which one is enough; none where no series is needed.
fn alternatives(rule: &Rule) -> Vec<Vec<String>> {
    match &rule.kind {
        RuleKind::Ratio(ratio) => {
            // Bad requests may not have happened yet; that they would be counted shows in the metric.
            let needed = |total: &str, bad: &str| {
                let mut families = vec![total.to_owned()];
                families.extend(family(bad).filter(|bad| family(total).as_ref() != Some(bad)));
                families
            };
            ratio.sources.iter().map(|source| needed(&source.total, &source.bad)).collect()
        }
        RuleKind::Events(events) => events.counters.iter().map(|counter| vec![counter.clone()]).collect(),
        RuleKind::Crashes(_) => Vec::new(),
        RuleKind::Alert(alert) => vec![families(&alert.expr)],
    }
}

/// The metric of a selector.
fn family(selector: &str) -> Option<String> {
    families(selector).pop()
}
