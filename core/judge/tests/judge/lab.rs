//! A metrics server in memory, the pods of one release, and a judge that asks about them.
//!
//! Times are seconds after the release began; what lies before is its past.

use std::collections::BTreeMap;
use std::ops::Range;

use jiff::Timestamp;
use trimtab_judge::finding::Finding;
use trimtab_judge::rule::{ArmLabel, Origin, Rule, RuleKind};
use trimtab_judge::{Answer, ArmPod, Arms, Failure, Judge, Need, Query};
use trimtab_promql::{Labels, Matcher, Sample, Series};
use trimtab_promql_eval::{EvalOptions, EvalValue, MemorySource, SeriesSource, evaluate};
use trimtab_workload::Arm;

/// When the release begins, in milliseconds since the epoch.
pub(crate) const START_MS: i64 = 1_767_225_600_000;
/// How long pods that were there before have been running by then.
const OLD_AGE: f64 = 90_000.0;

pub(crate) fn instant(seconds: f64) -> Timestamp {
    Timestamp::from_millisecond(at_ms(seconds)).expect("tests stay within the calendar")
}

pub(crate) fn at_ms(seconds: f64) -> i64 {
    START_MS + (seconds * 1000.0).round() as i64
}

/// Rules, pods and samples.
#[derive(Clone, Debug)]
pub(crate) struct Lab {
    pub(crate) rules: Vec<Rule>,
    pub(crate) arms: Arms,
    pub(crate) source: MemorySource,
    /// When the metrics server does not answer.
    pub(crate) outage: Range<f64>,
    /// How many seconds late the samples of a pod are there, where they are.
    pub(crate) lags: BTreeMap<String, f64>,
    /// Series in one answer, as they are and summed up by pod.
    pub(crate) series_max: (usize, usize),
    /// Why no question will ever be answered.
    pub(crate) refuses: Option<&'static str>,
}

/// Three old pods `a`, `b`, `c` and one new pod `x`, judged by one rule.
pub(crate) fn lab(kind: RuleKind) -> Lab {
    let rule =
        Rule { name: "rule".into(), origin: Origin::Service, weight: 1.0, arms: ArmLabel::default(), kind };
    let arms = Arms {
        namespace: "shop".into(),
        canary_sets: vec!["pay-t2".into()],
        stable_sets: vec!["pay-t1".into()],
        pods: BTreeMap::new(),
        selector: BTreeMap::from([("app".into(), "pay".into())]),
    };
    let empty = Lab {
        rules: vec![rule],
        arms,
        source: MemorySource::new(),
        outage: 0.0..0.0,
        lags: BTreeMap::new(),
        series_max: (usize::MAX, usize::MAX),
        refuses: None,
    };
    empty.old_pod("a").old_pod("b").old_pod("c").new_pod("x", 0.0)
}

/// The full name of a pod of the lab: `a` to `f` are old, other single letters new.
pub(crate) fn name(pod: &str) -> String {
    if pod.len() > 1 {
        return pod.to_owned();
    }
    if pod < "g" { format!("pay-t1-{pod}") } else { format!("pay-t2-{pod}") }
}

impl Lab {
    pub(crate) fn old_pod(self, pod: &str) -> Self {
        self.pod(pod, Arm::Stable, -OLD_AGE)
    }

    pub(crate) fn new_pod(self, pod: &str, started: f64) -> Self {
        self.pod(pod, Arm::Canary, started)
    }

    pub(crate) fn pod(mut self, pod: &str, arm: Arm, started: f64) -> Self {
        let started_ms = Some(at_ms(started));
        let row = ArmPod {
            arm,
            started_ms,
            ready: true,
            gone_ms: None,
            crashes: BTreeMap::new(),
            last_crash: None,
        };
        self.arms.pods.insert(name(pod), row);
        self
    }

    pub(crate) fn with(mut self, change: impl FnOnce(&mut Self)) -> Self {
        change(&mut self);
        self
    }

    /// The pod is there no more.
    pub(crate) fn gone(self, pod: &str, at: f64) -> Self {
        self.with(|lab| {
            let pod = lab.arms.pods.get_mut(&name(pod)).expect("the pod exists");
            (pod.ready, pod.gone_ms) = (false, Some(at_ms(at)));
        })
    }

    /// Container `service` of `pod` crashed so many times.
    pub(crate) fn crashed(self, pod: &str, container: &str, times: u32) -> Self {
        self.with(|lab| {
            let pod = lab.arms.pods.get_mut(&name(pod)).expect("the pod exists");
            pod.crashes.insert(container.into(), times);
            pod.last_crash = Some("OOMKilled".into());
        })
    }

    /// The metrics server does not answer in this time.
    pub(crate) fn outage(mut self, seconds: Range<f64>) -> Self {
        self.outage = seconds;
        self
    }

    /// The metrics server is behind with the samples of a pod.
    pub(crate) fn late(mut self, pod: &str, seconds: f64) -> Self {
        self.lags.insert(name(pod), seconds);
        self
    }

    /// No question will ever be answered.
    pub(crate) fn refuses(self, why: &'static str) -> Self {
        Self { refuses: Some(why), ..self }
    }

    /// Samples of one series of a pod: `series` is `metric` or `metric{label=value}`.
    pub(crate) fn samples(mut self, series: &str, pod: &str, samples: &[(f64, f64)]) -> Self {
        let labels = labels(series, &name(pod));
        for (seconds, value) in samples {
            self.source.push(&labels, Sample { at_ms: at_ms(*seconds), value: *value });
        }
        self
    }

    /// One sample at any time.
    pub(crate) fn sample(mut self, series: &str, pod: &str, sample: Sample) -> Self {
        self.source.push(&labels(series, &name(pod)), sample);
        self
    }

    /// A counter that grows by `rate` a second, scraped every 15 s at the times of `seconds`; it began at zero when the
    /// first of them lies after the release, and long ago otherwise.
    pub(crate) fn grows(self, series: &str, pod: &str, seconds: Range<f64>, rate: f64) -> Self {
        let born = if seconds.start < 0.0 { -OLD_AGE } else { 0.0 };
        let scrapes = (0..).map(|n| seconds.start + f64::from(n) * 15.0).take_while(|at| *at < seconds.end);
        let samples: Vec<(f64, f64)> = scrapes.map(|at| (at, ((at - born) * rate).floor())).collect();
        self.samples(series, pod, &samples)
    }

    /// Steady traffic on all pods, scraped every 15 s with an offset for each: requests a second and their bad share, by arm.
    pub(crate) fn traffic(mut self, until: f64, stable: (f64, f64), canary: (f64, f64)) -> Self {
        for (index, pod) in ["a", "b", "c", "x"].into_iter().enumerate() {
            let (from, (rate, bad)) =
                if pod == "x" { (2.0, canary) } else { (-600.0 + index as f64 * 4.0, stable) };
            self = self.grows("http_requests_total{code=200}", pod, from..until, rate * (1.0 - bad));
            if bad > 0.0 {
                self = self.grows("http_requests_total{code=500}", pod, from..until, rate * bad);
            }
        }
        self
    }

    pub(crate) fn judge(&self) -> Judge {
        Judge::new(instant(0.0), &self.rules, 0.005)
    }

    /// What a judge asks at `seconds`, and the answers.
    pub(crate) fn questions(&self, judge: &Judge, seconds: f64) -> (Vec<Need>, Vec<Answer>) {
        let needs = judge.needs(instant(seconds));
        let answers = needs.iter().map(|need| self.answer(&need.query, seconds)).collect();
        (needs, answers)
    }

    /// One look at `seconds`, with only the samples that exist by then.
    pub(crate) fn look(&self, judge: &mut Judge, seconds: f64) {
        let now = instant(seconds);
        judge.observe(self.arms.clone(), now);
        let (needs, answers) = self.questions(judge, seconds);
        judge.absorb(needs.into_iter().zip(answers).collect(), now);
    }

    /// The same, with answers and their series in another order, each series cut in two.
    pub(crate) fn look_turned(&self, judge: &mut Judge, seconds: f64, turn: usize) {
        let now = instant(seconds);
        judge.observe(self.arms.clone(), now);
        let (needs, answers) = self.questions(judge, seconds);
        let another = |answer| match answer {
            Answer::Samples(series) => Answer::Samples(turned(series, turn)),
            answer => answer,
        };
        let mut answers: Vec<(Need, Answer)> =
            needs.into_iter().zip(answers.into_iter().map(another)).collect();
        let middle = turn.min(answers.len());
        answers.rotate_left(middle);
        judge.absorb(answers, now);
    }

    /// Findings after looks at these times.
    pub(crate) fn findings(&self, looks: &[f64]) -> Vec<Finding> {
        let mut judge = self.judge();
        looks.iter().for_each(|at| self.look(&mut judge, *at));
        judge.findings(instant(looks.last().copied().unwrap_or_default()))
    }

    /// What the metrics server has by then.
    fn by(&self, seconds: f64) -> Known<'_> {
        Known { lab: self, seconds }
    }

    pub(crate) fn answer(&self, query: &Query, seconds: f64) -> Answer {
        if let Some(why) = self.refuses {
            return Answer::Failed(Failure::Lasting(why.into()));
        }
        if self.outage.contains(&seconds) {
            return Answer::Failed(Failure::Passing("connection refused".into()));
        }
        let fits = |series: Vec<Series>, most: usize| match series.len() > most {
            true => Answer::Failed(Failure::TooLarge(format!("more than {most} series match"))),
            false => Answer::Samples(series),
        };
        let matchers = |selector: &str| {
            let selector = trimtab_promql::parse_counter_selector(selector);
            selector.expect("a judge asks valid PromQL").all_matchers()
        };
        match query {
            Query::Samples { selector, from_ms, to_ms } => {
                let found = self.by(seconds).select(&matchers(selector), *from_ms, *to_ms);
                fits(found, self.series_max.0)
            }
            Query::Sums { selector, by, from_ms, to_ms, step_ms } => {
                let found = self.by(seconds).select(&matchers(selector), *from_ms - LOOK_BACK_MS, *to_ms);
                let steps = (from_ms + step_ms - 1).div_euclid(*step_ms)..=to_ms.div_euclid(*step_ms);
                let steps: Vec<i64> = steps.map(|step| step * step_ms).collect();
                fits(summed(found, by, &steps, *from_ms), self.series_max.1)
            }
            Query::Instant { expr, at_ms } => {
                let expr = trimtab_promql::parse(expr).expect("a judge asks valid PromQL");
                match evaluate(&expr, &self.by(seconds), *at_ms, EvalOptions::default()) {
                    Ok(EvalValue::Vector(series)) => Answer::Returned(series.len()),
                    other => panic!("an alert is a vector, not {other:?}"),
                }
            }
        }
    }
}

/// How far back a server looks for the last sample of a series.
const LOOK_BACK_MS: i64 = 300_000;

/// The sums over series that agree in `by` at each step, with the times of the last scrapes in them.
fn summed(series: Vec<Series>, by: &[String], steps: &[i64], from_ms: i64) -> Vec<Series> {
    let mut sums: BTreeMap<Labels, BTreeMap<i64, (i64, f64)>> = BTreeMap::new();
    for Series { labels, samples } in series {
        let group = sums.entry(labels.filtered(|name| by.iter().any(|by| by == name))).or_default();
        for step in steps {
            let seen = samples.partition_point(|sample| sample.at_ms <= *step);
            let last = samples[..seen].last().filter(|last| last.at_ms > step - LOOK_BACK_MS);
            // A series that ended is not looked back to.
            let last = last.filter(|last| !last.value.is_nan());
            if let Some(Sample { at_ms, value }) = last {
                let (last_ms, sum) = group.entry(*step).or_insert((i64::MIN, 0.0));
                (*last_ms, *sum) = (at_ms.max(last_ms).to_owned(), *sum + value);
            }
        }
    }
    let told = |(labels, steps): (Labels, BTreeMap<i64, (i64, f64)>)| {
        let mut samples: Vec<Sample> =
            steps.into_values().map(|(at_ms, value)| Sample { at_ms, value }).collect();
        samples.retain(|sample| sample.at_ms >= from_ms);
        samples.dedup_by_key(|sample| sample.at_ms);
        (!samples.is_empty()).then_some(Series { labels, samples })
    };
    sums.into_iter().filter_map(told).collect()
}

/// The samples that exist by some time.
struct Known<'l> {
    lab: &'l Lab,
    seconds: f64,
}

impl SeriesSource for Known<'_> {
    fn select(&self, matchers: &[Matcher], from_ms: i64, to_ms: i64) -> Vec<Series> {
        let mut found = self.lab.source.select(matchers, from_ms, to_ms);
        for series in &mut found {
            let pod = series.labels.get("pod");
            let until_ms = at_ms(self.seconds - self.lab.lags.get(pod).copied().unwrap_or_default());
            series.samples.retain(|sample| sample.at_ms <= until_ms);
        }
        found.retain(|series| !series.samples.is_empty());
        found
    }
}

fn turned(series: Vec<Series>, turn: usize) -> Vec<Series> {
    let cut = |series: Series| {
        let (first, second) = series.samples.split_at(series.samples.len().min(turn));
        let part = |samples: &[Sample]| Series { labels: series.labels.clone(), samples: samples.to_vec() };
        [part(second), part(first)]
    };
    let mut pieces: Vec<Series> = series.into_iter().flat_map(cut).collect();
    let middle = turn.min(pieces.len());
    pieces.rotate_left(middle);
    pieces
}

fn labels(series: &str, pod: &str) -> Labels {
    let (metric, rest) = series.split_once('{').unwrap_or((series, ""));
    let own = rest.trim_end_matches('}').split(',').filter_map(|label| label.split_once('='));
    [("__name__", metric), ("namespace", "shop"), ("pod", pod)].into_iter().chain(own).collect()
}
