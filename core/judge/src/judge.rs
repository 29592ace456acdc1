//! The rules of a release, each with what it found so far.

use jiff::Timestamp;

use crate::alert::AlertJudge;
use crate::arms::Arms;
use crate::crashes::CrashesJudge;
use crate::events::EventsJudge;
use crate::finding::Finding;
use crate::narrowed::Narrowed;
use crate::question::{Answer, INGEST_DELAY_MS, Need, Part, Query};
use crate::ratio::RatioJudge;
use crate::reading::Reading;
use crate::rule::{Rule, RuleKind};

/// The evidence about one release.
#[derive(Clone, Debug)]
pub struct Judge {
    start_ms: i64,
    rules: Vec<Judged>,
    arms: Arms,
}

/// One rule, and what it found so far.
#[derive(Clone, Debug)]
struct Judged {
    rule: Rule,
    /// Its share of the chance that a good release is failed.
    share: f64,
    /// Its expressions about the pods as they were shown last.
    narrowed: Narrowed,
    judge: RuleJudge,
}

impl Judged {
    fn new(rule: &Rule, share: f64, start_ms: i64) -> Self {
        let judge = match &rule.kind {
            RuleKind::Ratio(ratio) => {
                RuleJudge::Ratio(Box::new(RatioJudge::new(ratio, share, start_ms, Reading::Raw)))
            }
            RuleKind::Events(events) => {
                RuleJudge::Events(Box::new(EventsJudge::new(events, share, start_ms, Reading::Raw)))
            }
            RuleKind::Crashes(crashes) => {
                RuleJudge::Crashes(Box::new(CrashesJudge::new(crashes, share, start_ms)))
            }
            RuleKind::Alert(alert) => RuleJudge::Alert(Box::new(AlertJudge::new(alert, start_ms))),
        };
        Self { rule: rule.clone(), share, narrowed: Narrowed::default(), judge }
    }

    fn is_of(&self, rule: &Rule, share: f64) -> bool {
        self.rule == *rule && self.share.to_bits() == share.to_bits()
    }
}

/// What each rule gets of `alpha`. An alert spends no share: it is the owner's own threshold, not a test.
fn shares(rules: &[Rule], alpha: f64) -> Vec<f64> {
    let weight = |rule: &Rule| if matches!(rule.kind, RuleKind::Alert(_)) { 0.0 } else { rule.weight };
    let weights: Vec<f64> = rules.iter().map(weight).collect();
    trimtab_stats::alpha::split(alpha, &weights)
}

#[derive(Clone, Debug)]
enum RuleJudge {
    Ratio(Box<RatioJudge>),
    Events(Box<EventsJudge>),
    Crashes(Box<CrashesJudge>),
    Alert(Box<AlertJudge>),
}

impl Judge {
    /// Starts with no evidence about a release that began at `started_at`. `alpha` is the chance that a good release is
    /// failed by any of `rules`.
    #[must_use]
    pub fn new(started_at: Timestamp, rules: &[Rule], alpha: f64) -> Self {
        let start_ms = started_at.as_millisecond();
        let judge = |(rule, share): (&Rule, f64)| Judged::new(rule, share, start_ms);
        let rules = rules.iter().zip(shares(rules, alpha)).map(judge).collect();
        Self { start_ms, rules, arms: Arms::default() }
    }

    /// Whether this judges by exactly `rules` and `alpha`.
    #[must_use]
    pub fn judges_by(&self, rules: &[Rule], alpha: f64) -> bool {
        let same = |(own, (rule, share)): (&Judged, (&Rule, f64))| own.is_of(rule, share);
        self.rules.len() == rules.len()
            && self.rules.iter().zip(rules.iter().zip(shares(rules, alpha))).all(same)
    }

    /// Judges by the rules that are in force now. What they were when the release began is written nowhere, so a manager that
    /// takes over would judge by these as well. The evidence of a rule that changed, or whose share of `alpha` did, begins
    /// anew at the release's start; that of the others goes on.
    #[must_use]
    pub fn with_rules(mut self, rules: &[Rule], alpha: f64) -> Self {
        let judge = |(rule, share): (&Rule, f64)| {
            let known = self.rules.iter().position(|own| own.is_of(rule, share));
            known.map_or_else(
                || Judged::new(rule, share, self.start_ms),
                |index| self.rules.swap_remove(index),
            )
        };
        let judged = rules.iter().zip(shares(rules, alpha)).map(judge).collect();
        Self { rules: judged, ..self }
    }

    /// Shows the pods as they are now; evidence from the Kubernetes API is taken here.
    pub fn observe(&mut self, arms: Arms, now: Timestamp) {
        self.arms = arms;
        for Judged { rule, narrowed, judge, .. } in &mut self.rules {
            narrowed.narrow(rule, &self.arms);
            match judge {
                RuleJudge::Crashes(crashes) => crashes.observe(&self.arms, now),
                RuleJudge::Alert(alert) => alert.check(narrowed),
                RuleJudge::Ratio(ratio) => ratio.check(narrowed),
                RuleJudge::Events(events) => events.check(narrowed),
            }
        }
    }

    /// What to measure at `now`. Nothing until the whole past before the release can be read at once: what is learnt from
    /// it must not depend on when the first look happened.
    #[must_use]
    pub fn needs(&self, now: Timestamp) -> Vec<Need> {
        let to_ms = now.as_millisecond();
        if self.arms.is_empty() || to_ms - INGEST_DELAY_MS < self.start_ms {
            return Vec::new();
        }
        // The server evaluates an expression on the samples that it has: those of every pod must be there.
        let alerts_to_ms = to_ms - self.late_ms().max(INGEST_DELAY_MS);
        let mut needs = Vec::new();
        for (index, Judged { rule, narrowed, judge, .. }) in self.rules.iter().enumerate() {
            let asked: Vec<(Part, Query)> = match judge {
                RuleJudge::Ratio(ratio) => ratio.needs(&self.arms, &rule.arms, narrowed, to_ms),
                RuleJudge::Events(events) => events.needs(&self.arms, &rule.arms, narrowed, to_ms),
                RuleJudge::Crashes(crashes) => crashes.needs(&self.arms, &rule.arms, narrowed, to_ms),
                RuleJudge::Alert(alert) => alert.needs(&self.arms, &rule.arms, narrowed, alerts_to_ms),
            };
            needs.extend(asked.into_iter().map(|(part, query)| Need { rule: index, part, query }));
        }
        needs
    }

    /// Takes in the answers to all of [`Self::needs`] at `now`, in any order.
    pub fn absorb(&mut self, answers: Vec<(Need, Answer)>, now: Timestamp) {
        let now_ms = now.as_millisecond();
        if now_ms - INGEST_DELAY_MS < self.start_ms {
            return;
        }
        let mut by_rule: Vec<Vec<(Part, Query, Answer)>> = vec![Vec::new(); self.rules.len()];
        for (need, answer) in answers {
            if let Some(bucket) = by_rule.get_mut(need.rule) {
                bucket.push((need.part, need.query, answer));
            }
        }
        for (Judged { rule, judge, .. }, answers) in self.rules.iter_mut().zip(by_rule) {
            match judge {
                RuleJudge::Ratio(ratio) => ratio.absorb(answers, &self.arms, &rule.arms, now_ms),
                RuleJudge::Events(events) => events.absorb(answers, &self.arms, &rule.arms, now_ms),
                RuleJudge::Crashes(crashes) => crashes.absorb(answers, &self.arms, &rule.arms, now_ms),
                RuleJudge::Alert(alert) => alert.absorb(&answers),
            }
        }
    }

    /// What is known at `now`, one finding per rule, in the order of the rules.
    #[must_use]
    pub fn findings(&self, now: Timestamp) -> Vec<Finding> {
        let now_ms = now.as_millisecond();
        self.rules
            .iter()
            .map(|Judged { rule, judge, .. }| match judge {
                RuleJudge::Ratio(ratio) => ratio.finding(&rule.name, &self.arms, now_ms),
                RuleJudge::Events(events) => events.finding(&rule.name, &self.arms, now_ms),
                RuleJudge::Crashes(crashes) => crashes.finding(&rule.name),
                RuleJudge::Alert(alert) => alert.finding(&rule.name, &self.arms, now_ms),
            })
            .collect()
    }

    /// How late samples come, where any rule knows.
    fn late_ms(&self) -> i64 {
        let late = |judged: &Judged| match &judged.judge {
            RuleJudge::Ratio(ratio) => ratio.late_ms(),
            RuleJudge::Events(events) => events.late_ms(),
            RuleJudge::Crashes(crashes) => crashes.late_ms(),
            RuleJudge::Alert(_) => 0,
        };
        self.rules.iter().map(late).max().unwrap_or_default()
    }
}
