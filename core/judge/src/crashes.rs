//! "Any panic or crash": restarts and kills told by the Kubernetes API, and panics that the process survived.
//!
//! That one event fails a quiet service and does not fail one that crashes every hour is not written anywhere: it follows
//! from the service's own history, to which a service without a single crash adds a week of silence.

use jiff::Timestamp;
use trimtab_stats::events::history_rate;
use trimtab_stats::{EventGrid, EventsTest, Verdict};
use trimtab_workload::Arm;

use crate::arms::{ArmPod, Arms};
use crate::events::{canary, tenth};
use crate::finding::{Counts, Evidence, Finding, FindingState};
use crate::first::FirstCounter;
use crate::narrowed::Narrowed;
use crate::question::{Answer, Part, Query};
use crate::reading::Reading;
use crate::rule::{ArmLabel, CrashesRule};

const SECONDS_PER_HOUR: f64 = 3600.0;

/// Judges one crashes rule.
#[derive(Clone, Debug)]
pub(super) struct CrashesJudge {
    rule: CrashesRule,
    alpha: f64,
    start_ms: i64,
    counter: FirstCounter,
    counted_panics: u64,
    told: Counts,
    last: Option<String>,
    evidence: Option<Evidence>,
    failed: bool,
}

impl CrashesJudge {
    pub(super) fn new(rule: &CrashesRule, alpha: f64, start_ms: i64) -> Self {
        Self {
            counter: FirstCounter::new(&rule.counters, start_ms, Reading::Raw),
            rule: rule.clone(),
            alpha,
            start_ms,
            counted_panics: 0,
            told: Counts::default(),
            last: None,
            evidence: None,
            failed: false,
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

    /// Counts crashes of the pods as they are now.
    pub(super) fn observe(&mut self, arms: &Arms, now: Timestamp) {
        let now_ms = now.as_millisecond();
        let mut told = Counts::default();
        for pod in arms.pods.values() {
            let crashes = self.crashes(pod);
            let until_ms = pod.gone_ms.unwrap_or(now_ms);
            let seconds = pod.started_ms.map_or(0.0, |started| (until_ms - started).max(0) as f64 / 1000.0);
            match pod.arm {
                Arm::Canary => {
                    told.canary_bad += crashes;
                    told.canary_total += seconds;
                    if crashes > 0 {
                        self.last = pod.last_crash.clone().or(self.last.take());
                    }
                }
                Arm::Stable => {
                    told.stable_bad += crashes;
                    told.stable_total += seconds;
                }
            }
        }
        self.told = told;
        self.judge();
    }

    fn crashes(&self, pod: &ArmPod) -> u64 {
        let counts = |container: &String| !self.rule.ignore_containers.contains(container);
        pod.crashes
            .iter()
            .filter(|(container, _)| counts(container))
            .map(|(_, count)| u64::from(*count))
            .sum()
    }

    pub(super) fn absorb(
        &mut self,
        answers: Vec<(Part, Query, Answer)>,
        arms: &Arms,
        label: &ArmLabel,
        now_ms: i64,
    ) {
        // Without Prometheus the Kubernetes API still tells of crashes: a missing answer only delays the counted panics.
        match self.counter.absorb(answers, arms, label, now_ms) {
            Ok((increments, _)) => {
                for (panics, _) in canary(&increments, self.start_ms) {
                    self.counted_panics = self.counted_panics.saturating_add(panics);
                }
                self.judge();
            }
            Err(why) if self.counter.should_sum(&why) => {
                self.counter = FirstCounter::new(&self.rule.counters, self.start_ms, Reading::Sums);
                self.counted_panics = 0;
            }
            Err(_) => {}
        }
    }

    pub(crate) fn late_ms(&self) -> i64 {
        self.counter.late_ms()
    }

    fn judge(&mut self) {
        let events = self.events();
        // A pod that crashed before its start was told still was exposed for a moment.
        let hours = self.told.canary_total.max(1.0) / SECONDS_PER_HOUR;
        let Some(rate) = history_rate(self.told.stable_bad, self.told.stable_total / SECONDS_PER_HOUR) else {
            return;
        };
        let mut test = EventsTest::new(rate, self.alpha, EventGrid::default());
        test.observe(events, hours);
        self.failed = self.failed || (events > 0 && test.has_crossed());
        self.evidence = Some(Evidence {
            log10: test.log_evidence() / std::f64::consts::LN_10,
            threshold_log10: test.log_threshold() / std::f64::consts::LN_10,
        });
    }

    /// A panic that ends its container is told by Kubernetes too: the larger count covers both.
    fn events(&self) -> u64 {
        self.told.canary_bad.max(self.counted_panics)
    }

    pub(super) fn finding(&self, name: &str) -> Finding {
        let events = self.events();
        let what = match (&self.last, events) {
            (_, 0) => String::new(),
            (Some(last), _) => format!(" (last: {last})"),
            (None, _) => " (counted panics)".to_owned(),
        };
        Finding {
            rule: name.to_owned(),
            verdict: if self.failed { Verdict::Fail } else { Verdict::Undecided },
            state: FindingState::Judged,
            counts: Counts { canary_bad: events, ..self.told },
            ratio: None,
            evidence: self.evidence,
            harmed: None,
            summary: format!(
                "{events} on new pods{what} in {} pod-minutes; old pods: {} in {} pod-hours",
                tenth(self.told.canary_total / 60.0),
                self.told.stable_bad,
                tenth(self.told.stable_total / SECONDS_PER_HOUR),
            ),
        }
    }
}
