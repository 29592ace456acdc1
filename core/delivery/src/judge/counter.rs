//! From raw counter samples to increments: resets, births, gaps and duplicates.

use std::collections::BTreeMap;

use trimtab_promql::{Labels, Series};

use super::OVERLAP_MS;
use super::arms::Arms;
use crate::names::Phase;
use crate::rule::ArmLabel;

/// Series followed per rule and question; beyond it the selector is too wide to mean one service.
const SERIES_MAX: usize = 20_000;

/// What a counter gained between two scrapes of one pod.
#[derive(Clone, Debug, PartialEq)]
pub(super) struct Increment {
    /// When the later scrape happened, in milliseconds since the epoch.
    pub(super) at_ms: i64,
    /// The pod's arm.
    pub(super) arm: Phase,
    /// The pod.
    pub(super) pod: String,
    /// Events gained, >= 0.
    pub(super) amount: f64,
    /// Seconds that the pod was watched for, counted once per pod and scrape.
    pub(super) seconds: f64,
}

/// Follows the series of one selector.
#[derive(Clone, Debug, Default)]
pub(super) struct Counter {
    last: BTreeMap<Labels, (i64, f64)>,
    /// First and last scrape of each pod, on any series of this counter.
    scrapes: BTreeMap<String, (i64, i64)>,
    fetched_to_ms: Option<i64>,
}

impl Counter {
    /// The window to ask for next.
    pub(super) fn window(&self, from_ms: i64, to_ms: i64) -> (i64, i64) {
        (self.fetched_to_ms.map_or(from_ms, |fetched| (fetched - OVERLAP_MS).max(from_ms)), to_ms)
    }

    /// Whether any series was ever seen.
    pub(super) fn exists(&self) -> bool {
        !self.last.is_empty()
    }

    /// First scrape of a pod on any series of this counter.
    pub(super) fn first_scrape_ms(&self, pod: &str) -> Option<i64> {
        self.scrapes.get(pod).map(|(first, _)| *first)
    }

    /// Last scrape of any of the pods that `wanted` names.
    pub(super) fn last_scrape_ms(&self, wanted: impl Fn(&str) -> bool) -> Option<i64> {
        self.scrapes.iter().filter(|(pod, _)| wanted(pod)).map(|(_, (_, last))| *last).max()
    }

    /// Takes in samples up to `watermark_ms`; younger ones come again with the next window. `absent_since` tells since
    /// when a pod is known to be scraped (by a sibling counter), so that a series born later started from zero.
    pub(super) fn absorb(
        &mut self,
        series: Vec<Series>,
        arms: &Arms,
        label: &ArmLabel,
        watermark_ms: i64,
        absent_since: impl Fn(&str) -> Option<i64>,
    ) -> Vec<Increment> {
        let mut by_pod: BTreeMap<String, Vec<(Phase, Series)>> = BTreeMap::new();
        for series in series {
            if let Some((arm, pod)) = arms.locate(&series.labels, label) {
                let pod = pod.to_owned();
                by_pod.entry(pod).or_default().push((arm, series));
            }
        }
        let mut increments = Vec::new();
        for (pod, group) in by_pod {
            let batch_first =
                group.iter().filter_map(|(_, series)| series.samples.first()).map(|s| s.at_ms).min();
            let known_since =
                [self.scrapes.get(&pod).map(|(first, _)| *first), absent_since(&pod), batch_first];
            let born = Born {
                started_ms: arms.started_ms(&pod),
                scraped_since_ms: known_since.into_iter().flatten().min(),
            };
            for (arm, series) in group {
                self.follow(&pod, arm, series, &born, watermark_ms, &mut increments);
            }
            self.watched_seconds(&pod, &born, &mut increments);
        }
        self.fetched_to_ms = Some(watermark_ms);
        increments.sort_by(|a, b| (a.at_ms, &a.pod).cmp(&(b.at_ms, &b.pod)));
        increments
    }

    fn follow(
        &mut self,
        pod: &str,
        arm: Phase,
        series: Series,
        born: &Born,
        watermark_ms: i64,
        out: &mut Vec<Increment>,
    ) {
        if self.last.len() >= SERIES_MAX && !self.last.contains_key(&series.labels) {
            return;
        }
        let mut last = self.last.get(&series.labels).copied();
        for sample in &series.samples {
            let usable = sample.at_ms <= watermark_ms && sample.value.is_finite() && sample.value >= 0.0;
            if !usable || last.is_some_and(|(at_ms, _)| sample.at_ms <= at_ms) {
                continue;
            }
            let before = last.map(|(_, value)| value).or_else(|| born.value_before(sample.at_ms));
            if let Some(before) = before {
                // A counter that went down was reset to zero in between.
                let amount = if sample.value >= before { sample.value - before } else { sample.value };
                out.push(Increment { at_ms: sample.at_ms, arm, pod: pod.to_owned(), amount, seconds: 0.0 });
            }
            last = Some((sample.at_ms, sample.value));
        }
        if let Some(last) = last {
            self.last.insert(series.labels, last);
        }
    }

    /// Gives each scrape of `pod` the seconds since the one before, on one of its increments.
    fn watched_seconds(&mut self, pod: &str, born: &Born, increments: &mut [Increment]) {
        let mut times: Vec<(i64, usize)> = increments
            .iter()
            .enumerate()
            .filter(|(_, increment)| increment.pod == pod)
            .map(|(index, increment)| (increment.at_ms, index))
            .collect();
        times.sort_unstable();
        times.dedup_by_key(|(at_ms, _)| *at_ms);
        for (at_ms, index) in times {
            let scraped = self.scrapes.get(pod).copied();
            let since = scraped
                .map(|(_, last)| last)
                .or(born.started_ms.filter(|started| *started < at_ms))
                .or(born.scraped_since_ms);
            let since = since.unwrap_or(at_ms);
            if at_ms > since {
                increments[index].seconds = (at_ms - since) as f64 / 1000.0;
            }
            let first = scraped.map_or(born.scraped_since_ms.unwrap_or(at_ms), |(first, _)| first);
            self.scrapes.insert(pod.to_owned(), (first, at_ms.max(since)));
        }
    }
}

/// What is known of a pod's beginnings.
struct Born {
    started_ms: Option<i64>,
    scraped_since_ms: Option<i64>,
}

impl Born {
    /// The value before a series' first sample: zero when the pod started since, or was scraped without the series;
    /// otherwise unknown, and the first sample is only a starting point.
    fn value_before(&self, first_ms: i64) -> Option<f64> {
        let scraped_without = self.scraped_since_ms.is_some_and(|since| since < first_ms);
        // A pod whose start lies within one history window is young enough that its whole count lies in it too.
        let young =
            self.started_ms.is_some_and(|started| first_ms - started < YOUNG_MS && started <= first_ms);
        (young || scraped_without).then_some(0.0)
    }
}

/// A first sample this soon after the pod's start counts from zero.
const YOUNG_MS: i64 = 120_000;
