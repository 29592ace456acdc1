//! One scrape target: what its pod exposed when, and the samples that scraping it gave.

use std::sync::Arc;

use trimtab_promql::{Labels, METRIC_NAME, Matcher, STALE_MARKER_BITS, Sample, Series, matches};

use crate::traffic::meter::{BUCKET_EDGES, BUCKETS, Counters};

/// Changes of counters remembered per target: about two days of a busy pod scraped every 5 s. Then the oldest half goes.
const MOST_CHANGES: usize = 40_000;

/// What a scrape finds, from some instant on.
#[derive(Debug, Clone, PartialEq)]
enum Found {
    Counters(Arc<Counters>),
    Nothing,
}

/// When Prometheus scrapes.
#[derive(Debug, Clone)]
pub(super) struct Grid<'g> {
    pub(super) interval_ms: i64,
    /// Times without any scrape; the last may not have ended.
    pub(super) outages: &'g [(i64, i64)],
}

impl Grid<'_> {
    fn is_scraping(&self, at_ms: i64) -> bool {
        // Outages are in order of time.
        let after = self.outages.partition_point(|(from, _)| *from <= at_ms);
        after == 0 || self.outages[after - 1].1 <= at_ms
    }
}

/// One target, live or gone.
#[derive(Debug, Clone)]
pub(super) struct Target {
    labels: Labels,
    /// Scrapes happen at multiples of the interval plus this.
    offset_ms: i64,
    first_ms: i64,
    pub(super) gone_ms: Option<i64>,
    changes: Vec<(i64, Found)>,
    /// Samples from before, at times of their own.
    past: Vec<(i64, Arc<Counters>)>,
}

impl Target {
    pub(super) fn new(labels: Labels, offset_ms: i64, first_ms: i64) -> Self {
        Target {
            labels,
            offset_ms,
            first_ms,
            gone_ms: None,
            changes: vec![(first_ms, Found::Nothing)],
            past: Vec::new(),
        }
    }

    pub(super) fn labels(&self) -> &Labels {
        &self.labels
    }

    /// How many changes it remembers.
    pub(super) fn size(&self) -> usize {
        self.changes.len() + self.past.len()
    }

    /// The first scrape at or after `from_ms`.
    fn scrape_at_or_after(&self, from_ms: i64, interval_ms: i64) -> i64 {
        let from = from_ms.max(self.first_ms);
        from + (self.offset_ms - from).rem_euclid(interval_ms)
    }

    /// The scrape after `from_ms` and not after `to_ms`, if there is one.
    pub(super) fn scrape_within(&self, from_ms: i64, to_ms: i64, interval_ms: i64) -> Option<i64> {
        let at = self.scrape_at_or_after(from_ms + 1, interval_ms);
        (at <= to_ms).then_some(at)
    }

    /// From `at_ms` on, a scrape finds these counters; `None`: nobody answers.
    pub(super) fn becomes(&mut self, at_ms: i64, counters: Option<&Counters>) {
        let same = match (self.changes.last(), counters) {
            (Some((_, Found::Counters(old))), Some(new)) => **old == *new,
            (Some((_, Found::Nothing)), None) => true,
            _ => false,
        };
        if same {
            return;
        }
        if self.changes.len() >= MOST_CHANGES {
            self.changes.drain(..MOST_CHANGES / 2);
            self.first_ms = self.first_ms.max(self.changes[0].0);
        }
        let found = counters.map_or(Found::Nothing, |counters| Found::Counters(Arc::new(counters.clone())));
        self.changes.push((at_ms, found));
    }

    /// The same, at a scrape: a container that does not run is left as it is.
    pub(super) fn becomes_if_answering(&mut self, at_ms: i64, counters: &Counters) {
        if matches!(self.changes.last(), Some((_, Found::Counters(_)))) {
            self.becomes(at_ms, Some(counters));
        }
    }

    /// Replaces what was scraped until `now_ms` by a past, in rising order of time, that ends with these counters.
    pub(super) fn set_past(&mut self, past: Vec<(i64, Arc<Counters>)>, now_ms: i64, counters: &Counters) {
        self.past = past;
        self.first_ms = now_ms;
        self.changes = vec![(now_ms, Found::Counters(Arc::new(counters.clone())))];
    }

    /// The series that pass the matchers, with their samples in the window.
    pub(super) fn select(
        &self,
        matchers: &[Matcher],
        from_ms: i64,
        to_ms: i64,
        grid: &Grid<'_>,
        into: &mut Vec<Series>,
    ) {
        let own = ["__name__", "code", "le"];
        let about_target = matchers.iter().filter(|matcher| !own.contains(&matcher.name()));
        if !about_target.into_iter().all(|matcher| matcher.is_match(self.labels.get(matcher.name()))) {
            return;
        }
        let name = matchers.iter().find(|matcher| matcher.name() == METRIC_NAME);
        let named =
            families().into_iter().filter(|family| name.is_none_or(|name| name.is_match(family.name)));
        let wanted: Vec<(Labels, Read)> = named
            .map(|family| (family.labels(&self.labels), family.read))
            .filter(|(labels, _)| matches(matchers, labels))
            .collect();
        if wanted.is_empty() {
            return;
        }
        let scrapes = self.scrapes(from_ms, to_ms, grid);
        for (labels, read) in wanted {
            let samples: Vec<Sample> = scrapes
                .iter()
                .filter_map(|(at_ms, scrape)| Some(Sample { at_ms: *at_ms, value: read.value(scrape)? }))
                .collect();
            if !samples.is_empty() {
                into.push(Series { labels, samples });
            }
        }
    }

    /// What was scraped in the window, in rising order of time.
    fn scrapes(&self, from_ms: i64, to_ms: i64, grid: &Grid<'_>) -> Vec<(i64, Scrape<'_>)> {
        let start = self.past.partition_point(|(at, _)| *at < from_ms);
        let past = self.past[start..].iter().take_while(|(at, _)| *at <= to_ms);
        let mut scrapes: Vec<(i64, Scrape<'_>)> =
            past.map(|(at, counters)| (*at, Scrape::Answered(counters))).collect();
        // One scrape before the window decides whether the first failed one in it ends a series.
        let mut at = self.scrape_at_or_after(from_ms - grid.interval_ms, grid.interval_ms);
        let end = self.gone_ms.unwrap_or(i64::MAX);
        let mut change = self.changes.partition_point(|(since, _)| *since <= at);
        let mut answered = false;
        while at <= to_ms {
            while self.changes.get(change).is_some_and(|(since, _)| *since <= at) {
                change += 1;
            }
            let found = &self.changes[change.saturating_sub(1)].1;
            let scrape = match found {
                _ if !grid.is_scraping(at) => None,
                _ if at >= end => answered.then_some(Scrape::TargetGone),
                Found::Counters(counters) => Some(Scrape::Answered(counters)),
                Found::Nothing if answered => Some(Scrape::BeganToFail),
                Found::Nothing => Some(Scrape::Failed),
            };
            if let Some(scrape) = scrape {
                answered = matches!(scrape, Scrape::Answered(_));
                if at >= from_ms {
                    scrapes.push((at, scrape));
                }
            }
            if at >= end {
                break;
            }
            at += grid.interval_ms;
        }
        scrapes
    }
}

/// What one scrape gave.
#[derive(Debug, Clone, Copy)]
enum Scrape<'t> {
    Answered(&'t Counters),
    /// The first failure after an answer: every series of the target ends.
    BeganToFail,
    Failed,
    /// The target was taken off the list: every series ends, `up` too.
    TargetGone,
}

/// How a sample is read from a scrape.
#[derive(Clone, Copy)]
enum Read {
    Up,
    Counter(fn(&Counters, usize) -> f64, usize),
}

impl Read {
    fn value(self, scrape: &Scrape<'_>) -> Option<f64> {
        let ended = f64::from_bits(STALE_MARKER_BITS);
        match (self, scrape) {
            (Read::Up, Scrape::Answered(_)) => Some(1.0),
            (Read::Up, Scrape::Failed | Scrape::BeganToFail) => Some(0.0),
            (Read::Up, Scrape::TargetGone) => Some(ended),
            (Read::Counter(read, index), Scrape::Answered(counters)) => Some(read(counters, index)),
            (Read::Counter(..), Scrape::BeganToFail | Scrape::TargetGone) => Some(ended),
            (Read::Counter(..), Scrape::Failed) => None,
        }
    }
}

/// One series that every target has.
struct Family {
    name: &'static str,
    label: Option<(&'static str, String)>,
    read: Read,
}

impl Family {
    fn labels(&self, target: &Labels) -> Labels {
        let mut labels = target.clone();
        labels.set(METRIC_NAME, self.name);
        if let Some((name, value)) = &self.label {
            labels.set(name, value);
        }
        labels
    }
}

fn families() -> Vec<Family> {
    let plain = |name, read| Family { name, label: None, read: Read::Counter(read, 0) };
    let code = |code: &str, read| Family {
        name: "http_requests_total",
        label: Some(("code", code.to_owned())),
        read: Read::Counter(read, 0),
    };
    let mut families = vec![
        Family { name: "up", label: None, read: Read::Up },
        code("200", |counters, _| counters.succeeded as f64),
        code("500", |counters, _| counters.failed as f64),
        plain("db_errors_total", |counters, _| counters.database_errors as f64),
        plain("panics_total", |counters, _| counters.panics as f64),
        plain("process_cpu_seconds_total", |counters, _| counters.cpu_microseconds as f64 / 1e6),
        plain("http_request_duration_seconds_sum", |counters, _| counters.duration_microseconds as f64 / 1e6),
        plain("http_request_duration_seconds_count", |counters, _| {
            counters.durations.iter().sum::<u64>() as f64
        }),
    ];
    families.extend((0..BUCKETS).map(|bucket| Family {
        name: "http_request_duration_seconds_bucket",
        label: Some(("le", BUCKET_EDGES.get(bucket).map_or("+Inf".to_owned(), f64::to_string))),
        read: Read::Counter(
            |counters, bucket| counters.durations[..=bucket].iter().sum::<u64>() as f64,
            bucket,
        ),
    }));
    families
}

/// The labels that every series of a pod carries.
pub(super) fn target_labels(pairs: &[(&str, &str)]) -> Labels {
    pairs.iter().copied().collect()
}
