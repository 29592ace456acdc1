//! Whether every rule finds series of the pods that run, asked while nothing is judged: that a rule has nothing to judge by
//! should be known before the release that needs it.

use std::time::Duration;

use jiff::Timestamp;
use trimtab_workload::Pod;

use crate::arms::Arms;
use crate::exist::{exceeds, exists, families};
use crate::question::{Answer, Failure, Query};
use crate::rule::{Rule, RuleKind};

/// A release has the pods of both arms, and each may be all that there are now.
const ARMS: usize = 2;
/// Pods that run this long were scraped, if anybody scrapes them.
const SCRAPED_WITHIN: Duration = Duration::from_secs(90);

/// Whether one selector of one rule has series, or has too many.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Question {
    rule: usize,
    asks: Asks,
    /// The question.
    pub query: Query,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Asks {
    /// Whether this alternative has series.
    Exists(usize),
    /// Whether more series are left than can be read when the server has summed them up.
    TooMany,
}

/// What came of the questions, by the names of rules.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Bound {
    /// These find no series.
    pub unbound: Vec<String>,
    /// These find more than can be read in a release.
    pub too_many: Vec<String>,
}

/// When `pods` can be asked about: `None` where none of them runs.
#[must_use]
pub fn askable_at<'a>(pods: impl IntoIterator<Item = &'a Pod>) -> Option<Timestamp> {
    let ready = pods.into_iter().filter(|pod| pod.ready && !pod.deleting);
    let oldest = ready.filter_map(|pod| pod.started_at).min()?;
    // A deadline beyond the calendar is as good as never.
    Some(oldest.checked_add(SCRAPED_WITHIN).unwrap_or(Timestamp::MAX))
}

/// What to ask about `arms` at `now`, so that it is known whether `rules` find their series, and no more than `sums_max` of
/// them once they are summed up by pod.
#[must_use]
pub fn questions(rules: &[Rule], arms: &Arms, sums_max: usize, now: Timestamp) -> Vec<Question> {
    let at_ms = now.as_millisecond();
    let mut asked = Vec::new();
    for (index, rule) in rules.iter().enumerate() {
        for (alternative, needed) in alternatives(rule).into_iter().enumerate() {
            for selector in needed {
                // A selector that cannot be narrowed is the resolver's to complain about.
                let Some(expr) = exists(&selector, arms, &rule.arms) else { continue };
                let query = Query::Instant { expr, at_ms };
                asked.push(Question { rule: index, asks: Asks::Exists(alternative), query });
            }
        }
        for selector in counted(rule) {
            let Some(expr) = exceeds(&selector, arms, &rule.arms, sums_max / ARMS) else { continue };
            let query = Query::Instant { expr, at_ms };
            asked.push(Question { rule: index, asks: Asks::TooMany, query });
        }
    }
    asked
}

/// Which rules find no series, and which ones too many, or why nobody can tell.
///
/// # Errors
/// When a question was not answered.
pub fn bound(rules: &[Rule], answers: &[(Question, Answer)]) -> Result<Bound, String> {
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
                question.rule == index && question.asks == Asks::Exists(alternative)
            };
            let there =
                answers.iter().filter(of).filter(|(_, answer)| matches!(answer, Answer::Returned(1..)));
            there.count() == needed.len()
        };
        wanted.is_empty() || wanted.iter().enumerate().any(|(alternative, needed)| found(alternative, needed))
    };
    let too_many = |index: usize| {
        let of = |question: &Question| question.rule == index && question.asks == Asks::TooMany;
        answers.iter().any(|(question, answer)| of(question) && matches!(answer, Answer::Returned(1..)))
    };
    let named = |wanted: &dyn Fn(usize, &Rule) -> bool| {
        let found = rules.iter().enumerate().filter(|(index, rule)| wanted(*index, rule));
        found.map(|(_, rule)| rule.name.clone()).collect()
    };
    Ok(Bound {
        unbound: named(&|index, rule| !is_bound(index, rule)),
        too_many: named(&|index, _| too_many(index)),
    })
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

/// The selectors whose samples are read in a release.
fn counted(rule: &Rule) -> Vec<String> {
    match &rule.kind {
        RuleKind::Ratio(ratio) => ratio.sources.iter().map(|source| source.total.clone()).collect(),
        RuleKind::Events(events) => events.counters.clone(),
        RuleKind::Crashes(crashes) => crashes.counters.clone(),
        RuleKind::Alert(_) => Vec::new(),
    }
}

/// The metric of a selector.
fn family(selector: &str) -> Option<String> {
    families(selector).pop()
}
