//! A counter of bad events, compared with the old pods, or where there are none with the service's own past.

use trimtab_stats::events::history_rate;
use trimtab_stats::{MetricPlan, MetricTest, Verdict};
use trimtab_workload::Arm;

use crate::answered::Answered;
use crate::arms::Arms;
use crate::counter::Increment;
use crate::describe;
use crate::finding::{Counts, Finding, FindingState};
use crate::first::FirstCounter;
use crate::narrowed::{Narrowed, To};
use crate::pairing::{Against, Counts as CountsAs, Pairing, whole};
use crate::question::{Answer, INGEST_DELAY_MS, Part, Query};
use crate::reading::Reading;
use crate::rule::{ArmLabel, EventsRule};

const SECONDS_PER_HOUR: f64 = 3600.0;

/// Judges one events rule.
#[derive(Clone, Debug)]
pub(super) struct EventsJudge {
    rule: EventsRule,
    alpha: f64,
    start_ms: i64,
    counter: FirstCounter,
    pairing: Pairing,
    test: Option<MetricTest>,
    counts: Counts,
    answered: Answered,
    refused: Option<String>,
}

impl EventsJudge {
    pub(super) fn new(rule: &EventsRule, alpha: f64, start_ms: i64, reading: Reading) -> Self {
        Self {
            counter: FirstCounter::new(&rule.counters, start_ms, reading),
            rule: rule.clone(),
            alpha,
            start_ms,
            pairing: Pairing::new(start_ms),
            test: None,
            counts: Counts::default(),
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
        self.counter.needs(arms, label, narrowed, to_ms)
    }

    /// Whether its selectors can be narrowed is known once there are arms.
    pub(super) fn check(&mut self, narrowed: &Narrowed) {
        let first = self.rule.counters.first();
        self.refused = first.and_then(|counter| narrowed.refusal(counter, To::Both)).map(str::to_owned);
    }

    pub(super) fn absorb(
        &mut self,
        answers: Vec<(Part, Query, Answer)>,
        arms: &Arms,
        label: &ArmLabel,
        now_ms: i64,
    ) {
        let (increments, complete_to_ms) = match self.counter.absorb(answers, arms, label, now_ms) {
            Ok(gained) => gained,
            Err(why) if self.counter.should_sum(&why) => {
                // What was found until now comes again.
                *self = Self::new(&self.rule, self.alpha, self.start_ms, Reading::Sums);
                return self.answered.failed(now_ms - INGEST_DELAY_MS, why.passing());
            }
            Err(why) => return self.answered.failed(now_ms - INGEST_DELAY_MS, why),
        };
        self.answered.succeeded();
        let exposure =
            increments.iter().map(|increment| Increment { amount: increment.seconds, ..increment.clone() });
        self.pairing.add(CountsAs::Exposure, exposure.collect());
        for (events, seconds) in canary(&increments, self.start_ms) {
            self.counts.canary_bad = self.counts.canary_bad.saturating_add(events);
            self.counts.canary_total += seconds;
        }
        self.pairing.add(CountsAs::Bad, increments);
        self.judge(complete_to_ms);
    }

    pub(crate) fn late_ms(&self) -> i64 {
        self.counter.late_ms()
    }

    fn judge(&mut self, complete_to_ms: i64) {
        if self.counter.bound().is_none() {
            return;
        }
        let ticks = self.pairing.close(complete_to_ms);
        let test = self.test.get_or_insert_with(|| {
            let (past, past_seconds) = self.pairing.past();
            MetricTest::new(MetricPlan {
                alpha: self.alpha,
                margin: Some(self.rule.tolerate),
                history_rate: history_rate(past, past_seconds / SECONDS_PER_HOUR)
                    .map(|rate| rate * self.rule.tolerate),
                ..MetricPlan::default()
            })
        });
        for tick in ticks {
            // The past knows nothing of an incident that befalls old and new pods alike: it speaks when no old pod can.
            if tick.against == Against::Past {
                test.observe_events(tick.counts.canary_bad, tick.counts.canary_total / SECONDS_PER_HOUR);
            }
            test.observe(&tick.counts);
            self.counts.stable_bad = self.counts.stable_bad.saturating_add(tick.counts.stable_bad);
            self.counts.stable_total += tick.counts.stable_total;
        }
    }

    pub(super) fn finding(&self, name: &str, arms: &Arms, now_ms: i64) -> Finding {
        let state = self.state(arms, now_ms);
        let failed = self.test.as_ref().is_some_and(|test| test.verdict() == Verdict::Fail);
        let verdict = if failed { Verdict::Fail } else { Verdict::Undecided };
        let ratio = self.test.as_ref().and_then(describe::ratio);
        let summary = match &state {
            FindingState::Unbound(why) | FindingState::TelemetryLost(why) if !failed => why.clone(),
            _ => self.words(),
        };
        Finding {
            rule: name.to_owned(),
            verdict,
            state: if failed { FindingState::Judged } else { state },
            counts: self.counts,
            ratio,
            evidence: self.test.as_ref().and_then(describe::evidence),
            harmed: None,
            summary,
        }
    }

    fn words(&self) -> String {
        let (past, past_seconds) = self.pairing.past();
        format!(
            "{} on new pods in {} pod-minutes; usual: {past} in {} pod-hours",
            self.counts.canary_bad,
            tenth(self.counts.canary_total / 60.0),
            tenth(past_seconds / SECONDS_PER_HOUR),
        )
    }

    /// An event counter may be born with its first event, so the silence of new pods says nothing here.
    fn state(&self, arms: &Arms, now_ms: i64) -> FindingState {
        if let Some(why) = &self.refused {
            return FindingState::Unbound(why.clone());
        }
        let unbound = || {
            FindingState::Unbound(match self.counter.has_unclaimed() {
                true => arms.unclaimed(&self.counter.tried()),
                false => format!("no series of this service for {}", self.counter.tried()),
            })
        };
        let known = || self.counter.bound().map_or_else(unbound, |_| FindingState::Judged);
        self.answered.lost(now_ms).or_else(|| self.counter.lost()).unwrap_or_else(known)
    }
}

/// One decimal, none where it is zero.
pub(super) fn tenth(value: f64) -> String {
    let text = format!("{value:.1}");
    text.strip_suffix(".0").map(str::to_owned).unwrap_or(text)
}

/// Events and watched seconds of the new pods, scrape by scrape, since `start_ms`.
pub(super) fn canary(increments: &[Increment], start_ms: i64) -> Vec<(u64, f64)> {
    let canary = |i: &&Increment| i.arm == Arm::Canary && i.at_ms >= start_ms;
    increments
        .chunk_by(|a, b| a.at_ms == b.at_ms)
        .map(|scrape| scrape.iter().filter(canary))
        .filter(|scrape| scrape.clone().next().is_some())
        .map(|scrape| {
            scrape.fold((0.0, 0.0), |(events, seconds), i| (events + i.amount, seconds + i.seconds))
        })
        .map(|(events, seconds)| (whole(events), seconds))
        .collect()
}
