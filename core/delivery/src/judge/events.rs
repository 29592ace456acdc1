//! A counter of bad events, compared with the old pods and with the service's own past.

use trimtab_stats::events::history_rate;
use trimtab_stats::{MetricPlan, MetricTest, Verdict};

use super::arms::Arms;
use super::counter::{Counter, Increment};
use super::pairing::{Counts as CountsAs, Pairing, whole};
use super::ratio::history_from;
use super::{Answer, Part, Query, describe, telemetry};
use crate::finding::{Counts, Finding, FindingState};
use crate::names::Phase;
use crate::rule::{ArmLabel, EventsRule};

const SECONDS_PER_HOUR: f64 = 3600.0;

/// The first of several counters that exists for a service.
#[derive(Clone, Debug)]
pub(super) struct FirstCounter {
    selectors: Vec<String>,
    counters: Vec<Counter>,
    bound: Option<usize>,
    start_ms: i64,
}

impl FirstCounter {
    pub(super) fn new(selectors: &[String], start_ms: i64) -> Self {
        Self {
            selectors: selectors.to_vec(),
            counters: vec![Counter::default(); selectors.len()],
            bound: None,
            start_ms,
        }
    }

    pub(super) fn needs(&self, arms: &Arms, label: &ArmLabel, to_ms: i64) -> Vec<(Part, Query)> {
        let candidates = self.selectors.iter().zip(&self.counters).enumerate();
        candidates
            .filter(|(index, _)| self.bound.is_none_or(|bound| bound == *index))
            .filter_map(|(index, (selector, counter))| {
                let selector = arms.narrow(selector, label, None).ok()?;
                let (from_ms, to_ms) = counter.window(history_from(self.start_ms), to_ms);
                Some((Part::Counter(index), Query::Samples { selector, from_ms, to_ms }))
            })
            .collect()
    }

    /// Increments of the bound counter, or why there was no answer.
    pub(super) fn absorb(
        &mut self,
        answers: Vec<(Part, Query, Answer)>,
        arms: &Arms,
        label: &ArmLabel,
        watermark_ms: i64,
    ) -> Result<Vec<Increment>, String> {
        let mut increments = Vec::new();
        for (part, _, answer) in answers {
            match (part, answer) {
                (_, Answer::Failed(why)) => return Err(why),
                (Part::Counter(index), Answer::Samples(series)) => {
                    let Some(counter) = self.counters.get_mut(index) else { continue };
                    let gained = counter.absorb(series, arms, label, watermark_ms, |_| None);
                    if counter.exists() && self.bound.is_none_or(|bound| bound == index) {
                        self.bound = Some(index);
                        increments = gained;
                    }
                }
                _ => {}
            }
        }
        Ok(increments)
    }

    pub(super) fn bound(&self) -> Option<&Counter> {
        self.bound.and_then(|bound| self.counters.get(bound))
    }

    fn tried(&self) -> String {
        self.selectors.join(", ")
    }
}

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
    failing: Option<(i64, String)>,
    refused: Option<String>,
}

impl EventsJudge {
    pub(super) fn new(rule: &EventsRule, alpha: f64, start_ms: i64) -> Self {
        Self {
            counter: FirstCounter::new(&rule.counters, start_ms),
            rule: rule.clone(),
            alpha,
            start_ms,
            pairing: Pairing::new(start_ms),
            test: None,
            counts: Counts::default(),
            failing: None,
            refused: None,
        }
    }

    pub(super) fn needs(&self, arms: &Arms, label: &ArmLabel, to_ms: i64) -> Vec<(Part, Query)> {
        self.counter.needs(arms, label, to_ms)
    }

    pub(super) fn absorb(
        &mut self,
        answers: Vec<(Part, Query, Answer)>,
        arms: &Arms,
        label: &ArmLabel,
        watermark_ms: i64,
    ) {
        self.refused = self.rule.counters.first().and_then(|counter| arms.narrow(counter, label, None).err());
        let increments = match self.counter.absorb(answers, arms, label, watermark_ms) {
            Ok(increments) => increments,
            Err(why) => {
                self.failing.get_or_insert((watermark_ms, why));
                return;
            }
        };
        self.failing = None;
        let exposure =
            increments.iter().map(|increment| Increment { amount: increment.seconds, ..increment.clone() });
        self.pairing.add(CountsAs::Exposure, exposure.collect());
        let (events, seconds) = canary(&increments, self.start_ms);
        self.pairing.add(CountsAs::Bad, increments);
        self.judge(events, seconds, watermark_ms);
    }

    fn judge(&mut self, events: u64, seconds: f64, watermark_ms: i64) {
        if self.counter.bound().is_none() {
            return;
        }
        let ticks = self.pairing.close(watermark_ms);
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
        // History needs no partner tick: one event is judged the moment it is seen.
        test.observe_events(events, seconds / SECONDS_PER_HOUR);
        self.counts.canary_bad += events;
        self.counts.canary_total += seconds;
        for tick in ticks {
            test.observe(&tick.counts);
            self.counts.stable_bad += tick.counts.stable_bad;
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

    fn state(&self, arms: &Arms, now_ms: i64) -> FindingState {
        if let Some(why) = &self.refused {
            return FindingState::Unbound(why.clone());
        }
        let Some(counter) = self.counter.bound() else {
            if self.failing.is_some() {
                return telemetry(arms, None, self.failing.as_ref(), now_ms);
            }
            return FindingState::Unbound(format!("no series of this service for {}", self.counter.tried()));
        };
        let canary = |pod: &str| arms.pods.get(pod).is_some_and(|pod| pod.arm == Phase::Canary);
        // An event counter may be born with the first event, so silence of the new pods alone says nothing here.
        let last = counter.last_scrape_ms(canary).or(Some(now_ms));
        telemetry(arms, last.map(|_| now_ms), self.failing.as_ref(), now_ms)
    }
}

/// One decimal, none where it is zero.
pub(super) fn tenth(value: f64) -> String {
    let text = format!("{value:.1}");
    text.strip_suffix(".0").map(str::to_owned).unwrap_or(text)
}

/// Events and watched seconds of the new pods since `start_ms`.
pub(super) fn canary(increments: &[Increment], start_ms: i64) -> (u64, f64) {
    let canary = increments.iter().filter(|i| i.arm == Phase::Canary && i.at_ms >= start_ms);
    let (events, seconds) =
        canary.fold((0.0, 0.0), |(events, seconds), i| (events + i.amount, seconds + i.seconds));
    (whole(events), seconds)
}
