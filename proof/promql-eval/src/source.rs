//! Where an evaluation gets its samples.

use std::collections::BTreeMap;

use trimtab_promql::{Labels, Matcher, Sample, Series, matches};

/// Where an evaluation reads samples.
pub trait SeriesSource {
    /// Every series that passes all matchers (the metric's name is one of them), with its samples from `from_ms` to
    /// `to_ms`, both included, in rising order of time. Series without samples in between may be left out.
    fn select(&self, matchers: &[Matcher], from_ms: i64, to_ms: i64) -> Vec<Series>;
}

/// Series held in memory.
#[derive(Clone, Debug, Default)]
pub struct MemorySource {
    series: BTreeMap<Labels, Vec<Sample>>,
}

impl MemorySource {
    /// No series.
    pub fn new() -> Self {
        MemorySource::default()
    }

    /// Adds a sample, in its place in time; a second sample at the same time replaces the first.
    pub fn push(&mut self, labels: &Labels, sample: Sample) {
        // Looks up before inserting: appending to a known series must not clone its labels.
        let samples = match self.series.get_mut(labels) {
            Some(samples) => samples,
            None => self.series.entry(labels.clone()).or_default(),
        };
        let place = samples.partition_point(|known| known.at_ms < sample.at_ms);
        match samples.get_mut(place) {
            Some(known) if known.at_ms == sample.at_ms => *known = sample,
            _ => samples.insert(place, sample),
        }
    }

    /// Forgets every sample before `at_ms`, and every series that has none left.
    pub fn drop_before(&mut self, at_ms: i64) {
        self.series.retain(|_, samples| {
            samples.drain(..samples.partition_point(|sample| sample.at_ms < at_ms));
            !samples.is_empty()
        });
    }
}

impl Extend<Series> for MemorySource {
    fn extend<I: IntoIterator<Item = Series>>(&mut self, all: I) {
        for series in all {
            for sample in series.samples {
                self.push(&series.labels, sample);
            }
        }
    }
}

impl FromIterator<Series> for MemorySource {
    fn from_iter<I: IntoIterator<Item = Series>>(all: I) -> Self {
        let mut source = MemorySource::new();
        source.extend(all);
        source
    }
}

impl SeriesSource for MemorySource {
    fn select(&self, matchers: &[Matcher], from_ms: i64, to_ms: i64) -> Vec<Series> {
        let chosen = self.series.iter().filter(|(labels, _)| matches(matchers, labels));
        chosen
            .filter_map(|(labels, samples)| {
                let start = samples.partition_point(|sample| sample.at_ms < from_ms);
                let end = samples.partition_point(|sample| sample.at_ms <= to_ms);
                let samples = samples.get(start..end)?.to_vec();
                (!samples.is_empty()).then(|| Series { labels: labels.clone(), samples })
            })
            .collect()
    }
}
