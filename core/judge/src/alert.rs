//! An alert expression, asked of both arms: it must fire on the new pods, and not on the old ones.

use std::collections::BTreeMap;

use trimtab_stats::Verdict;
use trimtab_workload::Arm;

use crate::answered::Answered;
use crate::arms::Arms;
use crate::exist::{all_exist, families};
use crate::finding::{Counts, Finding, FindingState};
use crate::narrowed::{Narrowed, To};
use crate::question::{Answer, Part, Query};
use crate::rule::{AlertRule, ArmLabel};

/// The expression is evaluated on this grid, counted from the start of the release, whenever the shell looks.
const GRID_MS: i64 = 5_000;
/// Instants asked for in one look; a successor that missed more starts its `for` from there.
const INSTANTS_PER_LOOK_MAX: i64 = 60;

/// Judges one alert rule.
#[derive(Clone, Debug)]
pub(super) struct AlertJudge {
    rule: AlertRule,
    /// The metrics that it reads.
    families: Vec<String>,
    start_ms: i64,
    /// Whether the expression returned anything, by arm (canary first) and instant.
    seen: BTreeMap<i64, [Option<bool>; 2]>,
    firing_since_ms: Option<i64>,
    next_ms: i64,
    shared: bool,
    failed: bool,
    /// How its series are told to be this service's, of the ways that there are; the first one that finds all of them.
    claim: Option<usize>,
    /// Its series are there, and in none of these ways.
    unclaimed: bool,
    answered: Answered,
    refused: Option<String>,
}

impl AlertJudge {
    pub(super) fn new(rule: &AlertRule, start_ms: i64) -> Self {
        Self {
            rule: rule.clone(),
            families: families(&rule.expr),
            start_ms,
            seen: BTreeMap::new(),
            firing_since_ms: None,
            next_ms: start_ms + GRID_MS,
            shared: false,
            failed: false,
            claim: None,
            unclaimed: false,
            answered: Answered::default(),
            refused: None,
        }
    }

    pub(super) fn needs(
        &self,
        arms: &Arms,
        label: &ArmLabel,
        narrowed: &Narrowed,
        to_ms: i64,
    ) -> Vec<(Part, Query)> {
        let last = self.start_ms + (to_ms - self.start_ms).div_euclid(GRID_MS) * GRID_MS;
        let first = self.next_ms.max(last - (INSTANTS_PER_LOOK_MAX - 1) * GRID_MS);
        let mut asked = Vec::new();
        if !arms.names_any(label, Arm::Canary) {
            return asked;
        }
        let claim = match (label, self.claim) {
            (ArmLabel::Pod(_), _) => 0,
            (ArmLabel::Arm(_), Some(claim)) => claim,
            (ArmLabel::Arm(_), None) => return self.whose(arms, label, to_ms),
        };
        for arm in [Arm::Canary, Arm::Stable].into_iter().filter(|arm| arms.names_any(label, *arm)) {
            let Some(expr) = narrowed.get(&self.rule.expr, To::One(arm, claim)) else { continue };
            let mut at_ms = first;
            while at_ms <= last {
                asked.push((Part::Alert(arm, at_ms), Query::Instant { expr: expr.to_owned(), at_ms }));
                at_ms += GRID_MS;
            }
        }
        asked
    }

    /// The server evaluates the expression, so whose series it reads must be known before.
    fn whose(&self, arms: &Arms, label: &ArmLabel, at_ms: i64) -> Vec<(Part, Query)> {
        let claims = arms.claims(label, None).unwrap_or_default();
        let claims = claims.into_iter().enumerate().map(|(index, matchers)| (Some(index), matchers));
        let anybody = arms.phase(label).map(|matchers| (None, matchers));
        claims
            .chain(anybody)
            .filter_map(|(claim, matchers)| {
                let expr = all_exist(&self.families, &matchers)?;
                Some((Part::Whose(claim), Query::Instant { expr, at_ms }))
            })
            .collect()
    }

    pub(super) fn absorb(&mut self, answers: &[(Part, Query, Answer)]) {
        let mut found = Vec::new();
        for (part, query, answer) in answers {
            let (arm, at_ms) = match (part, query, answer) {
                (Part::Alert(arm, at_ms), ..) => (arm, at_ms),
                (Part::Whose(_), Query::Instant { at_ms, .. }, Answer::Failed(why)) => {
                    return self.answered.failed(*at_ms, why.clone());
                }
                (Part::Whose(claim), _, Answer::Returned(1..)) => {
                    found.push(*claim);
                    continue;
                }
                _ => continue,
            };
            match answer {
                Answer::Failed(why) => {
                    // Half an answer is none: all of it is asked again.
                    self.seen.clear();
                    return self.answered.failed(*at_ms, why.clone());
                }
                Answer::Returned(series) => {
                    let slot = usize::from(*arm == Arm::Stable);
                    self.seen.entry(*at_ms).or_default()[slot] = Some(*series > 0);
                }
                Answer::Samples(_) => {}
            }
        }
        self.answered.succeeded();
        self.claim = self.claim.or_else(|| found.iter().filter_map(|claim| *claim).min());
        self.unclaimed = self.claim.is_none() && (self.unclaimed || found.contains(&None));
        self.advance();
    }

    fn advance(&mut self) {
        let hold_ms = i64::try_from(self.rule.hold.as_millis()).unwrap_or(i64::MAX);
        while let Some((at_ms, [canary, stable])) = self.seen.pop_first() {
            // Nobody looked in between, so nobody can say that it held.
            if at_ms > self.next_ms {
                self.firing_since_ms = None;
            }
            self.next_ms = at_ms + GRID_MS;
            // What fires on the old pods as well is not the release's doing.
            self.shared = canary == Some(true) && stable == Some(true);
            self.firing_since_ms = match (canary, stable) {
                (Some(true), Some(false) | None) => self.firing_since_ms.or(Some(at_ms)),
                _ => None,
            };
            if self.firing_since_ms.is_some_and(|since| at_ms - since >= hold_ms) {
                self.failed = true;
            }
        }
    }

    pub(super) fn finding(&self, name: &str, arms: &Arms, now_ms: i64) -> Finding {
        let hold = trimtab_units::duration_words(self.rule.hold);
        let unclaimed = || self.unclaimed.then(|| arms.unclaimed(&self.families.join(", ")));
        let refused = self.refused.clone().or_else(unclaimed).map(FindingState::Unbound);
        let state = refused.or_else(|| self.answered.lost(now_ms)).unwrap_or(FindingState::Judged);
        let summary = match (&state, self.failed, self.firing_since_ms) {
            (_, true, _) => {
                format!("`{}` held for {hold} on the new pods and not on the old ones", self.rule.expr)
            }
            (FindingState::Unbound(why) | FindingState::TelemetryLost(why), ..) => why.clone(),
            (_, _, Some(since)) => {
                format!("fires on the new pods for {} s of {hold}", (now_ms - since).max(0) / 1000)
            }
            _ if self.shared => "fires on new and old pods alike: not the release's doing".to_owned(),
            _ => "does not fire on the new pods".to_owned(),
        };
        Finding {
            rule: name.to_owned(),
            verdict: if self.failed { Verdict::Fail } else { Verdict::Undecided },
            state: if self.failed { FindingState::Judged } else { state },
            counts: Counts::default(),
            ratio: None,
            evidence: None,
            harmed: None,
            summary,
        }
    }

    /// Whether the expression can be split by arm is known once there are arms.
    pub(super) fn check(&mut self, narrowed: &Narrowed) {
        self.refused = narrowed.refusal(&self.rule.expr, To::One(Arm::Canary, 0)).map(str::to_owned);
    }
}
