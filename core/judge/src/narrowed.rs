//! The expressions of a rule narrowed to arms. Narrowing compiles every regular expression in them, and the arms seldom change:
//! it is done when they do, not at every look.

use std::collections::BTreeMap;

use trimtab_promql::Matcher;
use trimtab_workload::Arm;

use crate::arms::{Arms, inject};
use crate::rule::{Rule, RuleKind};

/// What the series of a question are narrowed to.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub(crate) enum To {
    /// To the pods of both arms.
    Both,
    /// To one arm, in one of the ways of [`Arms::claims`].
    One(Arm, usize),
}

/// The expressions of one rule.
#[derive(Clone, Debug, Default)]
pub(crate) struct Narrowed {
    /// The matchers that they were narrowed with.
    with: Vec<(To, String)>,
    /// Each, or why it cannot be narrowed.
    texts: BTreeMap<(String, To), Result<String, String>>,
}

impl Narrowed {
    /// Narrows the expressions of `rule` to `arms`, where that changes anything.
    pub(crate) fn narrow(&mut self, rule: &Rule, arms: &Arms) {
        let to = wanted(rule, arms);
        let with: Vec<(To, String)> = to.iter().map(|(to, matchers)| (*to, printed(matchers))).collect();
        if with == self.with {
            return;
        }
        self.with = with;
        self.texts.clear();
        for text in texts(rule) {
            let parsed = trimtab_promql::parse(text).map_err(|error| error.to_string());
            for (to, matchers) in &to {
                let both = parsed.as_ref().and_then(|parsed| Ok((parsed, matchers.as_ref()?)));
                let narrowed =
                    both.map_err(Clone::clone).and_then(|(parsed, matchers)| inject(parsed, matchers));
                self.texts.insert((text.to_owned(), *to), narrowed);
            }
        }
    }

    /// `text` narrowed, where it can be.
    pub(crate) fn get(&self, text: &str, to: To) -> Option<&str> {
        self.texts.get(&(text.to_owned(), to))?.as_deref().ok()
    }

    /// Why `text` cannot be narrowed.
    pub(crate) fn refusal(&self, text: &str, to: To) -> Option<&str> {
        self.texts.get(&(text.to_owned(), to))?.as_ref().err().map(String::as_str)
    }
}

fn printed(matchers: &Result<Vec<Matcher>, String>) -> String {
    match matchers {
        Ok(matchers) => matchers.iter().map(ToString::to_string).collect::<Vec<_>>().join(","),
        Err(why) => why.clone(),
    }
}

/// What the expressions of `rule` are narrowed to.
fn wanted(rule: &Rule, arms: &Arms) -> Vec<(To, Result<Vec<Matcher>, String>)> {
    let RuleKind::Alert(_) = rule.kind else { return vec![(To::Both, arms.matchers(&rule.arms, None))] };
    let of = |arm: Arm| match arms.claims(&rule.arms, Some(arm)) {
        Ok(claims) => claims.into_iter().enumerate().map(|(n, claim)| (To::One(arm, n), Ok(claim))).collect(),
        Err(why) => vec![(To::One(arm, 0), Err(why))],
    };
    [Arm::Canary, Arm::Stable].into_iter().flat_map(of).collect()
}

fn texts(rule: &Rule) -> Vec<&str> {
    match &rule.kind {
        RuleKind::Ratio(ratio) => {
            ratio.sources.iter().flat_map(|source| [source.total.as_str(), source.bad.as_str()]).collect()
        }
        RuleKind::Events(events) => events.counters.iter().map(String::as_str).collect(),
        RuleKind::Crashes(crashes) => crashes.counters.iter().map(String::as_str).collect(),
        RuleKind::Alert(alert) => vec![&alert.expr],
    }
}
