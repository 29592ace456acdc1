//! From raw counter samples to increments: resets, births, gaps and duplicates.

use std::collections::BTreeMap;
use std::hash::{DefaultHasher, Hash as _, Hasher as _};

use trimtab_promql::{Labels, Sample, Series};
use trimtab_workload::Arm;

use crate::arms::{Arms, Place};
use crate::reading::Reading;
use crate::rule::ArmLabel;

/// Series followed per rule and question; beyond it the selector is too wide to mean one service.
const SERIES_MAX: usize = 20_000;

/// Pods followed per rule and question.
pub(crate) const PODS_MAX: usize = 20_000;
/// What a counter can count up to: from here on a double has no place for one more. What is larger is no count.
const COUNT_MAX: f64 = 9_007_199_254_740_992.0;

/// What a counter gained between two scrapes of one pod.
#[derive(Clone, Debug, PartialEq)]
pub(crate) struct Increment {
    /// When the later scrape happened, in milliseconds since the epoch.
    pub(crate) at_ms: i64,
    /// The pod's arm.
    pub(crate) arm: Arm,
    /// The pod.
    pub(crate) pod: String,
    /// Events gained, >= 0.
    pub(crate) amount: f64,
    /// Seconds that the pod was watched for, counted once per pod and scrape.
    pub(crate) seconds: f64,
}

/// Follows the series of one selector.
///
/// What it tells of a scrape depends on the samples up to that scrape alone, never on how many of them came in one answer.
#[derive(Clone, Debug, Default)]
pub(crate) struct Counter {
    /// The last sample of each series, by a hash of its labels, which may be long.
    last: BTreeMap<u64, Last>,
    /// First and last scrape of each pod, on any series of this counter.
    scrapes: BTreeMap<String, (i64, i64)>,
    taken_to_ms: Option<i64>,
    /// Series of some service's arms were left out, and whose they are is not said.
    has_unclaimed: bool,
    reading: Reading,
}

impl Counter {
    /// One that is read in this way.
    pub(crate) fn read_as(reading: Reading) -> Self {
        Self { reading, ..Self::default() }
    }

    /// Until when samples were taken in, if any were.
    pub(crate) fn taken_to_ms(&self) -> Option<i64> {
        self.taken_to_ms
    }

    /// Whether any series was ever seen.
    pub(crate) fn exists(&self) -> bool {
        !self.last.is_empty()
    }

    /// Whether series were left out because nothing told whose they are.
    pub(crate) fn has_unclaimed(&self) -> bool {
        self.has_unclaimed
    }

    /// First scrape of any pod.
    fn since_ms(&self) -> Option<i64> {
        self.scrapes.values().map(|(first, _)| *first).min()
    }

    /// First scrape of a pod on any series of this counter.
    pub(crate) fn first_scrape_ms(&self, pod: &str) -> Option<i64> {
        self.scrapes.get(pod).map(|(first, _)| *first)
    }

    /// Last scrape of any of the pods that `wanted` names.
    pub(crate) fn last_scrape_ms(&self, wanted: impl Fn(&str) -> bool) -> Option<i64> {
        self.scrapes.iter().filter(|(pod, _)| wanted(pod)).map(|(_, (_, last))| *last).max()
    }

    /// Takes in samples up to `complete_to_ms`; younger ones come again with the next window. `absent_since` tells since
    /// when a pod is known to be scraped (by a sibling counter), so that a series born later started from zero.
    pub(crate) fn absorb(
        &mut self,
        series: Vec<Series>,
        arms: &Arms,
        label: &ArmLabel,
        complete_to_ms: i64,
        absent_since: impl Fn(&str) -> Option<i64>,
    ) -> Vec<Increment> {
        let mut by_pod: BTreeMap<String, BTreeMap<Labels, (Arm, Vec<Sample>)>> = BTreeMap::new();
        for Series { labels, mut samples } in series {
            match arms.place(&labels, label) {
                Place::Of(_, pod) if !self.scrapes.contains_key(pod) && self.scrapes.len() >= PODS_MAX => {}
                Place::Of(arm, pod) => {
                    samples.retain(|s| s.at_ms <= complete_to_ms && (0.0..=COUNT_MAX).contains(&s.value));
                    let group = by_pod.entry(pod.to_owned()).or_default();
                    group.entry(labels).or_insert((arm, Vec::new())).1.extend(samples);
                }
                Place::Unclaimed => self.has_unclaimed = true,
                Place::Elsewhere => {}
            }
        }
        let mut increments = Vec::new();
        for (pod, group) in by_pod {
            let beginnings = Beginnings { started_ms: arms.started_ms(&pod), sibling_ms: absent_since(&pod) };
            self.follow(&pod, group, &beginnings, &mut increments);
        }
        self.taken_to_ms = Some(complete_to_ms);
        increments.sort_by(|a, b| (a.at_ms, &a.pod).cmp(&(b.at_ms, &b.pod)));
        increments
    }

    /// Follows the series of one pod, scrape by scrape.
    fn follow(
        &mut self,
        pod: &str,
        group: BTreeMap<Labels, (Arm, Vec<Sample>)>,
        beginnings: &Beginnings,
        out: &mut Vec<Increment>,
    ) {
        let (labels, samples): (Vec<Labels>, Vec<(Arm, Vec<Sample>)>) = group.into_iter().unzip();
        let keys: Vec<u64> = labels.iter().map(key).collect();
        let mut last: Vec<Option<Last>> = keys.iter().map(|key| self.last.get(key).copied()).collect();
        let in_order = |(index, (arm, samples)): (usize, (Arm, Vec<Sample>))| {
            samples.into_iter().map(move |sample| (index, arm, sample))
        };
        let mut fresh: Vec<(usize, Arm, Sample)> =
            samples.into_iter().enumerate().flat_map(in_order).collect();
        fresh.sort_by_key(|(index, _, sample)| (sample.at_ms, *index));
        for scrape in fresh.chunk_by(|(.., a), (.., b)| a.at_ms == b.at_ms) {
            let mut seconds = None;
            for &(index, arm, Sample { at_ms, value }) in scrape {
                if last[index].is_some_and(|last| at_ms <= last.at_ms) {
                    continue;
                }
                let seconds = seconds.get_or_insert_with(|| self.watched(pod, at_ms, beginnings));
                let born = beginnings.value_before(self.first_scrape_ms(pod), at_ms);
                let before =
                    last[index].map(|last| (last.value, last.most)).or(born.map(|zero| (zero, zero)));
                if let Some((before, most)) = before {
                    let amount = self.reading.gained(before, most, value);
                    let seconds = std::mem::take(seconds);
                    out.push(Increment { at_ms, arm, pod: pod.to_owned(), amount, seconds });
                }
                let most = last[index].map_or(value, |last| value.max(last.most));
                last[index] = Some(Last { at_ms, value, most });
            }
        }
        for (key, last) in keys.into_iter().zip(last) {
            if let Some(last) = last.filter(|_| self.last.len() < SERIES_MAX || self.last.contains_key(&key))
            {
                self.last.insert(key, last);
            }
        }
    }

    /// Notes a scrape of `pod`, and tells for how many seconds the pod was watched since the one before.
    fn watched(&mut self, pod: &str, at_ms: i64, beginnings: &Beginnings) -> f64 {
        let since_ms = match self.scrapes.get_mut(pod) {
            Some((_, last)) => std::mem::replace(last, at_ms.max(*last)),
            None => {
                self.scrapes.insert(pod.to_owned(), (at_ms, at_ms));
                beginnings.young_ms(at_ms).unwrap_or(at_ms)
            }
        };
        at_ms.saturating_sub(since_ms).max(0) as f64 / 1000.0
    }
}

/// The last sample of a series.
#[derive(Clone, Copy, Debug)]
struct Last {
    at_ms: i64,
    value: f64,
    /// The most that it ever stood at.
    most: f64,
}

fn key(labels: &Labels) -> u64 {
    let mut hasher = DefaultHasher::new();
    labels.hash(&mut hasher);
    hasher.finish()
}

/// The counter, of several alternatives, that a release is judged by: the first one that existed when it began, or else
/// the one that appeared first. Later arrivals change nothing, so a rule is bound once.
pub(crate) fn bound<'a>(counters: impl Iterator<Item = &'a Counter>, start_ms: i64) -> Option<usize> {
    let since = |(index, counter): (usize, &Counter)| Some((counter.since_ms()?.max(start_ms), index));
    counters.enumerate().filter_map(since).min().map(|(_, index)| index)
}

/// What is known of a pod's beginnings.
struct Beginnings {
    started_ms: Option<i64>,
    /// Since when a sibling counter is known to be scraped.
    sibling_ms: Option<i64>,
}

impl Beginnings {
    /// The value before a series' first sample: zero when the pod started since, or was scraped without the series;
    /// otherwise unknown, and the first sample is only a starting point.
    fn value_before(&self, first_scrape_ms: Option<i64>, at_ms: i64) -> Option<f64> {
        let scraped_without = first_scrape_ms.into_iter().chain(self.sibling_ms).any(|since| since < at_ms);
        (scraped_without || self.young_ms(at_ms).is_some()).then_some(0.0)
    }

    /// When the pod started, if that was so shortly before `at_ms` that all it counted happened since.
    fn young_ms(&self, at_ms: i64) -> Option<i64> {
        let age = |started: i64| at_ms.saturating_sub(started);
        self.started_ms.filter(|started| (0..YOUNG_MS).contains(&age(*started)))
    }
}

/// A first sample this soon after the pod's start counts from zero.
const YOUNG_MS: i64 = 120_000;
