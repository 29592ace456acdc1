//! Judging one release: measurements in, one finding per rule out.
//!
//! The shell asks [`Judge::needs`] what to measure, hands the answers to [`Judge::absorb`], shows it the pods with
//! [`Judge::observe`], and reads [`Judge::findings`]. All evidence is a function of sample timestamps, never of when the
//! shell happened to look, so a successor that asks Prometheus for the same window comes to the same findings.

mod alert;
mod arms;
pub mod binding;
mod counter;
mod crashes;
mod describe;
mod events;
mod pairing;
mod ratio;

use std::time::Duration;

use jiff::Timestamp;
use trimtab_promql::Series;

pub use arms::{ArmPod, Arms};

use crate::finding::{Finding, FindingState};
use crate::names::Phase;
use crate::rule::{Rule, RuleKind};

/// How far back a service's own past is read to learn its usual rates and the spread between its pods.
pub const HISTORY: Duration = Duration::from_secs(3600);
/// Samples younger than this are left for the next look: a scrape is not visible the instant it happens.
const INGEST_DELAY: Duration = Duration::from_millis(500);
/// Windows of consecutive questions overlap by this much; the overlap is recognised by timestamp.
const OVERLAP_MS: i64 = 30_000;
/// New pods that are ready this long without a single sample have lost their telemetry.
const TELEMETRY_PATIENCE_MS: i64 = 45_000;
/// Confidence intervals shown to people miss the truth this rarely.
const INTERVAL_MISS: f64 = 0.05;

/// Something to measure.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Need {
    /// Index of the rule that asks.
    rule: usize,
    /// Which of the rule's questions this is.
    part: Part,
    /// The question.
    pub query: Query,
}

/// Which of a rule's questions a [`Need`] is.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Part {
    Total(usize),
    Bad(usize),
    Counter(usize),
    Alert(Phase, i64),
}

/// A question to a metrics server.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Query {
    /// Raw samples of a vector selector in a closed window, in milliseconds since the epoch.
    Samples {
        /// PromQL vector selector.
        selector: String,
        /// Start, inclusive.
        from_ms: i64,
        /// End, inclusive.
        to_ms: i64,
    },
    /// The value of an expression at one instant.
    Instant {
        /// PromQL expression.
        expr: String,
        /// The instant.
        at_ms: i64,
    },
}

/// An answer to a [`Query`].
#[derive(Clone, Debug, PartialEq)]
pub enum Answer {
    /// Raw samples.
    Samples(Vec<Series>),
    /// How many series the expression returned.
    Returned(usize),
    /// No answer.
    Failed(Failure),
}

/// Why there is no answer.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Failure {
    /// The same question may be answered later.
    Passing(String),
    /// The same question will never be answered: nobody is there to ask, or the server does not accept it.
    Lasting(String),
}

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
    judge: RuleJudge,
}

impl Judged {
    fn new(rule: &Rule, share: f64, start_ms: i64) -> Self {
        let judge = match &rule.kind {
            RuleKind::Ratio(ratio) => {
                RuleJudge::Ratio(Box::new(ratio::RatioJudge::new(ratio, share, start_ms)))
            }
            RuleKind::Events(events) => {
                RuleJudge::Events(Box::new(events::EventsJudge::new(events, share, start_ms)))
            }
            RuleKind::Crashes(crashes) => {
                RuleJudge::Crashes(Box::new(crashes::CrashesJudge::new(crashes, share, start_ms)))
            }
            RuleKind::Alert(alert) => RuleJudge::Alert(alert::AlertJudge::new(alert, start_ms)),
        };
        Self { rule: rule.clone(), share, judge }
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
    Ratio(Box<ratio::RatioJudge>),
    Events(Box<events::EventsJudge>),
    Crashes(Box<crashes::CrashesJudge>),
    Alert(alert::AlertJudge),
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
            known.map_or_else(|| Judged::new(rule, share, self.start_ms), |index| self.rules.swap_remove(index))
        };
        let judged = rules.iter().zip(shares(rules, alpha)).map(judge).collect();
        Self { rules: judged, ..self }
    }

    /// Shows the pods as they are now; evidence from the Kubernetes API is taken here.
    pub fn observe(&mut self, arms: Arms, now: Timestamp) {
        self.arms = arms;
        for Judged { rule, judge, .. } in &mut self.rules {
            match judge {
                RuleJudge::Crashes(crashes) => crashes.observe(&self.arms, now),
                RuleJudge::Alert(alert) => alert.check(&self.arms, &rule.arms),
                RuleJudge::Ratio(_) | RuleJudge::Events(_) => {}
            }
        }
    }

    /// What to measure at `now`. Nothing until the whole past before the release can be read at once: what is learnt from
    /// it must not depend on when the first look happened.
    #[must_use]
    pub fn needs(&self, now: Timestamp) -> Vec<Need> {
        if self.arms.is_empty() || self.watermark(now) < self.start_ms {
            return Vec::new();
        }
        let to_ms = now.as_millisecond();
        let mut needs = Vec::new();
        for (index, Judged { rule, judge, .. }) in self.rules.iter().enumerate() {
            let asked: Vec<(Part, Query)> = match judge {
                RuleJudge::Ratio(ratio) => ratio.needs(&self.arms, &rule.arms, to_ms),
                RuleJudge::Events(events) => events.needs(&self.arms, &rule.arms, to_ms),
                RuleJudge::Crashes(crashes) => crashes.needs(&self.arms, &rule.arms, to_ms),
                RuleJudge::Alert(alert) => alert.needs(&self.arms, &rule.arms, self.watermark(now)),
            };
            needs.extend(asked.into_iter().map(|(part, query)| Need { rule: index, part, query }));
        }
        needs
    }

    /// Takes in the answers to all of [`Self::needs`] at `now`, in any order.
    pub fn absorb(&mut self, answers: Vec<(Need, Answer)>, now: Timestamp) {
        let watermark_ms = self.watermark(now);
        if watermark_ms < self.start_ms {
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
                RuleJudge::Ratio(ratio) => ratio.absorb(answers, &self.arms, &rule.arms, watermark_ms),
                RuleJudge::Events(events) => events.absorb(answers, &self.arms, &rule.arms, watermark_ms),
                RuleJudge::Crashes(crashes) => crashes.absorb(answers, &self.arms, &rule.arms, watermark_ms),
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
                RuleJudge::Events(events) => events.finding(&rule.name, now_ms),
                RuleJudge::Crashes(crashes) => crashes.finding(&rule.name),
                RuleJudge::Alert(alert) => alert.finding(&rule.name, now_ms),
            })
            .collect()
    }

    fn watermark(&self, now: Timestamp) -> i64 {
        now.as_millisecond() - i64::try_from(INGEST_DELAY.as_millis()).unwrap_or(i64::MAX)
    }
}

/// Whether a rule's questions are answered.
#[derive(Clone, Debug, Default)]
struct Answered {
    ever: bool,
    failing: Option<(i64, Failure)>,
}

impl Answered {
    fn succeeded(&mut self) {
        *self = Self { ever: true, failing: None };
    }

    fn failed(&mut self, at_ms: i64, why: Failure) {
        let since_ms = self.failing.as_ref().map_or(at_ms, |(since_ms, _)| *since_ms);
        self.failing = Some((since_ms, why));
    }

    /// Telemetry is lost when there was no answer for a while, or none at all: a manager that has just started must not
    /// conclude before it has looked. Where there never will be an answer the rule is bound to nothing.
    fn lost(&self, now_ms: i64) -> Option<FindingState> {
        let (since_ms, why) = self.failing.as_ref()?;
        let patient = self.ever && now_ms - since_ms <= TELEMETRY_PATIENCE_MS;
        let lasting = matches!(why, Failure::Lasting(_));
        (lasting || !patient).then(|| unanswered(*since_ms, why, now_ms))
    }

    /// Telemetry is lost, too, when new pods are ready and were not scraped for a while, for rules whose series exist.
    fn unscraped(&self, arms: &Arms, last_canary_ms: Option<i64>, now_ms: i64) -> Option<FindingState> {
        let ready_ms = arms.canary_ready_since_ms()?;
        let silent_ms = now_ms - last_canary_ms.map_or(ready_ms, |last| last.max(ready_ms));
        let silent = || format!("the new pods are ready and were not scraped for {} s", silent_ms / 1000);
        (silent_ms > TELEMETRY_PATIENCE_MS).then(|| match &self.failing {
            Some((since_ms, why)) => unanswered(*since_ms, why, now_ms),
            None => FindingState::TelemetryLost(silent()),
        })
    }
}

fn unanswered(since_ms: i64, why: &Failure, now_ms: i64) -> FindingState {
    match why {
        Failure::Passing(why) => {
            FindingState::TelemetryLost(format!("no answer for {} s: {why}", (now_ms - since_ms) / 1000))
        }
        Failure::Lasting(why) => FindingState::Unbound(why.clone()),
    }
}
