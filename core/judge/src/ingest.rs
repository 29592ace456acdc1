//! How far a metrics server has taken in what was scraped.
//!
//! A tick compares what both arms counted up to one instant, so it may close only once their samples up to that instant are
//! there. Two signs tell that some are not: a ready pod whose next scrape was due and is missing, and a sample that an
//! earlier look should have found. What was late once is expected to be late again, for pods too that were never seen.

use std::collections::{BTreeMap, BTreeSet};

use trimtab_promql::Series;

use crate::arms::{ArmPod, Arms, Place};
use crate::counter::PODS_MAX;
use crate::finding::FindingState;
use crate::question::INGEST_DELAY_MS;
use crate::rule::ArmLabel;

/// How long a sample is waited for. What comes later counts when it comes.
pub(crate) const LATE_MAX_MS: i64 = 60_000;
/// What is not read for longer than this is missed.
const BEHIND_MS: i64 = LATE_MAX_MS + 10_000;
/// How long it is expected that samples come late after one did.
const REMEMBERED_MS: i64 = 120_000;
/// How far back samples are asked for that are later still.
const ASKED_AGAIN_MS: i64 = 180_000;
/// Windows of consecutive questions overlap by this much; the overlap is recognised by timestamp.
const OVERLAP_MS: i64 = 30_000;

/// What is known about the arrival of one source's samples.
#[derive(Clone, Debug, Default)]
pub(crate) struct Ingest {
    pods: BTreeMap<String, Scrapes>,
    looked_ms: Option<i64>,
    /// The sets that the last look asked about.
    sets: Vec<String>,
    /// How late samples come: the most that was seen of one that an earlier look should have found.
    late_ms: i64,
    /// When one was seen last.
    late_at_ms: i64,
    complete_ms: i64,
}

/// The last scrapes of one pod.
#[derive(Clone, Copy, Debug)]
struct Scrapes {
    last_ms: i64,
    before_ms: Option<i64>,
}

impl Ingest {
    /// Takes note of what came at `now_ms`, with what was asked for until `until_ms`, and tells until when everything is there, as far as anybody can tell.
    pub(crate) fn note<'a>(
        &mut self,
        series: impl IntoIterator<Item = &'a Series>,
        arms: &Arms,
        label: &ArmLabel,
        until_ms: i64,
        now_ms: i64,
    ) -> i64 {
        let mut seen: BTreeMap<&str, BTreeSet<i64>> = BTreeMap::new();
        for series in series {
            if let Place::Of(_, pod) = arms.place(&series.labels, label) {
                let told = series.samples.iter().map(|sample| sample.at_ms).filter(|at_ms| *at_ms <= now_ms);
                seen.entry(pod).or_default().extend(told);
            }
        }
        let sets: Vec<String> = arms.canary_sets.iter().chain(&arms.stable_sets).cloned().collect();
        let same_sets = sets == self.sets;
        for (pod, times) in seen {
            if self.pods.len() >= PODS_MAX && !self.pods.contains_key(pod) {
                continue;
            }
            let known = self.pods.get(pod).map(|scrapes| scrapes.last_ms);
            // Pods of a set that was not asked about before bring their past along.
            let fresh = match known {
                Some(last_ms) => times.range(last_ms.saturating_add(1)..).next(),
                None => times.first().filter(|_| same_sets),
            };
            let overdue =
                |at_ms: &&i64| self.looked_ms.is_some_and(|looked_ms| **at_ms <= looked_ms - INGEST_DELAY_MS);
            if let Some(at_ms) = fresh.filter(overdue) {
                (self.late_ms, self.late_at_ms) = (self.late_ms.max(now_ms - at_ms), now_ms);
            }
            for at_ms in times {
                match self.pods.get_mut(pod) {
                    Some(scrapes) => scrapes.learn(at_ms),
                    None => {
                        self.pods.insert(pod.to_owned(), Scrapes { last_ms: at_ms, before_ms: None });
                    }
                }
            }
        }
        if now_ms - self.late_at_ms > REMEMBERED_MS {
            self.late_ms = 0;
        }
        self.sets = sets;
        self.looked_ms = Some(now_ms);
        self.complete_ms = self.complete_to(arms, now_ms).min(until_ms);
        self.complete_ms
    }

    /// What [`Self::note`] told last.
    pub(crate) fn complete_ms(&self) -> i64 {
        self.complete_ms
    }

    fn complete_to(&self, arms: &Arms, now_ms: i64) -> i64 {
        let due_ms = now_ms - self.late_ms.clamp(INGEST_DELAY_MS, LATE_MAX_MS);
        let missing = |(pod, scrapes): (&String, &Scrapes)| {
            let next_ms = scrapes.next_ms()?;
            let ready = arms.pods.get(pod).is_some_and(|pod| pod.ready);
            let waited_for = next_ms <= now_ms - INGEST_DELAY_MS && now_ms - next_ms <= LATE_MAX_MS;
            (ready && waited_for).then_some(next_ms - 1)
        };
        self.pods.iter().filter_map(missing).fold(due_ms, i64::min)
    }

    /// How late samples come, as far as they are waited for; zero where they are in time.
    pub(crate) fn late_ms(&self) -> i64 {
        self.late_ms.min(LATE_MAX_MS)
    }

    /// What is wrong with samples that come so late that nobody waits for them, or that are not there yet.
    pub(crate) fn lost(&self, start_ms: i64) -> Option<FindingState> {
        let most = LATE_MAX_MS / 1000;
        let words = match self.late_ms > LATE_MAX_MS {
            true => format!("samples come {} s late; they are waited for {most} s", self.late_ms / 1000),
            false if !self.pods.is_empty() && self.complete_ms < start_ms => {
                "samples come late: not all of those from before the release are there".to_owned()
            }
            false if self.unread_ms() > BEHIND_MS => {
                format!(
                    "its samples are read, and those of the last {} s are not yet",
                    self.unread_ms() / 1000
                )
            }
            false => return None,
        };
        Some(FindingState::TelemetryLost(words))
    }

    /// How much is there and not taken in yet.
    fn unread_ms(&self) -> i64 {
        self.looked_ms.map_or(0, |looked_ms| looked_ms - self.complete_ms)
    }

    /// From when on to ask, and `taken_to_ms`, where everything until then was taken in before: samples of some pods may be
    /// later than they were waited for.
    pub(crate) fn after(&self, arms: &Arms, taken_to_ms: Option<i64>, history_ms: i64) -> Option<(i64, i64)> {
        let taken_to_ms = taken_to_ms?;
        let late = |(pod, scrapes): (&String, &Scrapes)| {
            let ready = arms.pods.get(pod).is_some_and(|pod| pod.ready);
            (ready && scrapes.last_ms >= taken_to_ms - ASKED_AGAIN_MS).then_some(scrapes.last_ms)
        };
        // A young pod that was never seen may have been scraped since it started.
        let unseen = |(pod, row): (&String, &ArmPod)| {
            let started_ms =
                row.started_ms.filter(|_| row.gone_ms.is_none() && !self.pods.contains_key(pod))?;
            (started_ms >= taken_to_ms - ASKED_AGAIN_MS).then_some(started_ms)
        };
        let known = self.pods.iter().filter_map(late).chain(arms.pods.iter().filter_map(unseen));
        Some(((known.fold(taken_to_ms, i64::min) - OVERLAP_MS).max(history_ms), taken_to_ms))
    }
}

impl Scrapes {
    fn learn(&mut self, at_ms: i64) {
        if at_ms > self.last_ms {
            *self = Self { last_ms: at_ms, before_ms: Some(self.last_ms) };
        }
    }

    /// When the next one is due, once there were two.
    fn next_ms(&self) -> Option<i64> {
        Some(self.last_ms.saturating_add(self.last_ms.saturating_sub(self.before_ms?)))
    }
}
