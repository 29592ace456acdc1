//! From increments of single pods to ticks that compare both arms.
//!
//! A tick closes as soon as both arms were exposed in it. That depends on timestamps and exposure alone, never on what
//! went wrong in the tick, so closing early does not favour either verdict.

use std::collections::{BTreeMap, BTreeSet};

use trimtab_stats::TickCounts;
use trimtab_stats::spread::PodCounts;
use trimtab_workload::Arm;

use crate::counter::Increment;
use crate::ingest::LATE_MAX_MS;

/// Shortest tick.
const TICK_MIN_MS: i64 = 1_000;
/// A new pod scraped this often since a tick opened, without a word from an old one: a whole scrape interval has passed,
/// so there is no old one left, and the service's own past takes its place.
const SCRAPES_ALONE: u32 = 2;
/// The past is cut into slices of this length; each is used once.
const SLICE_MS: i64 = 5_000;
/// Slices kept: an hour.
const SLICES_MAX: usize = 720;

/// What an increment counts as.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Counts {
    /// Bad events.
    Bad,
    /// Exposure.
    Exposure,
}

/// What the new pods are compared with in a tick.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Against {
    /// Old pods that ran at the same time: what befell both cancels.
    OldPods,
    /// A slice of the service's own past.
    Past,
}

/// A closed tick.
#[derive(Clone, Debug, PartialEq)]
pub(super) struct Tick {
    /// Where the stable counts come from.
    pub(super) against: Against,
    /// What both arms counted.
    pub(super) counts: TickCounts,
    /// New pods in it.
    pub(super) canary_pods: u32,
    /// Old pods in it.
    pub(super) stable_pods: u32,
}

/// Pairs increments into ticks.
#[derive(Clone, Debug, Default)]
pub(super) struct Pairing {
    start_ms: i64,
    waiting: BTreeMap<i64, Vec<(Counts, Increment)>>,
    open: Open,
    /// The last tick found no old pod.
    alone: bool,
    slices: BTreeMap<i64, (f64, f64)>,
    past_pods: BTreeMap<String, PodCounts>,
}

#[derive(Clone, Debug, Default)]
struct Open {
    since_ms: Option<i64>,
    canary: (f64, f64),
    stable: (f64, f64),
    /// New pods, and how often each was scraped.
    canary_pods: BTreeMap<String, u32>,
    stable_pods: BTreeSet<String>,
}

impl Pairing {
    pub(super) fn new(start_ms: i64) -> Self {
        Self { start_ms, ..Self::default() }
    }

    /// Adds increments, in any order.
    pub(super) fn add(&mut self, counts: Counts, increments: Vec<Increment>) {
        for increment in increments {
            if increment.at_ms >= self.start_ms {
                self.waiting.entry(increment.at_ms).or_default().push((counts, increment));
            } else if increment.arm == Arm::Stable {
                self.remember(counts, increment);
            }
        }
    }

    fn remember(&mut self, counts: Counts, increment: Increment) {
        let slice = self.slices.entry(increment.at_ms / SLICE_MS).or_default();
        let pod = self.past_pods.entry(increment.pod).or_default();
        match counts {
            Counts::Bad => {
                slice.0 += increment.amount;
                pod.bad = pod.bad.saturating_add(whole(increment.amount));
            }
            Counts::Exposure => {
                slice.1 += increment.amount;
                pod.total += increment.amount;
            }
        }
        while self.slices.len() > SLICES_MAX {
            self.slices.pop_first();
        }
    }

    /// What each old pod counted before the release.
    pub(super) fn past_pods(&self) -> Vec<PodCounts> {
        self.past_pods.values().copied().collect()
    }

    /// Bad events and exposure of all old pods before the release.
    pub(super) fn past(&self) -> (u64, f64) {
        self.past_pods
            .values()
            .fold((0, 0.0), |(bad, total): (u64, f64), pod| (bad.saturating_add(pod.bad), total + pod.total))
    }

    /// Exposure of old pods that is not in a tick yet.
    pub(super) fn stable_waiting(&self) -> f64 {
        let counted = |(counts, increment): &&(Counts, Increment)| {
            *counts == Counts::Exposure && increment.arm == Arm::Stable
        };
        let waiting = self.waiting.values().flatten().filter(counted).map(|(_, increment)| increment.amount);
        self.open.stable.1 + waiting.sum::<f64>()
    }

    /// Closes every tick that ends at or before `complete_to_ms`.
    pub(super) fn close(&mut self, complete_to_ms: i64) -> Vec<Tick> {
        let mut ticks = Vec::new();
        let exposed_ms = self.last_canary_ms(complete_to_ms);
        while let Some(entry) = self.waiting.first_entry().filter(|entry| *entry.key() <= complete_to_ms) {
            // What old pods counted waits for new ones, whose samples may be later.
            let is_old = *entry.key() <= complete_to_ms - LATE_MAX_MS;
            if self.open.canary.1 <= 0.0 && exposed_ms.is_none_or(|last_ms| *entry.key() > last_ms) && !is_old
            {
                break;
            }
            let (at_ms, group) = entry.remove_entry();
            let mut scraped = BTreeSet::new();
            for (counts, increment) in group {
                self.open.take(counts, increment, &mut scraped);
            }
            let since_ms = *self.open.since_ms.get_or_insert(at_ms - TICK_MIN_MS);
            let exposed = (self.open.canary.1 > 0.0, self.open.stable.1 > 0.0);
            match exposed {
                (true, true) if at_ms - since_ms >= TICK_MIN_MS => {
                    self.alone = false;
                    ticks.push(self.finish(at_ms, Against::OldPods));
                }
                (true, false) if self.is_alone(at_ms - since_ms) => {
                    self.alone = true;
                    self.open.stable = self.slices.pop_last().map_or((0.0, 0.0), |(_, slice)| slice);
                    ticks.push(self.finish(at_ms, Against::Past));
                }
                _ => {}
            }
        }
        ticks
    }

    /// The last instant until `complete_to_ms` at which new pods were exposed to something.
    fn last_canary_ms(&self, complete_to_ms: i64) -> Option<i64> {
        let exposed = |(counts, increment): &(Counts, Increment)| {
            *counts == Counts::Exposure && increment.arm == Arm::Canary && increment.amount > 0.0
        };
        let mut waiting = self.waiting.range(..=complete_to_ms).rev();
        waiting.find(|(_, group)| group.iter().any(exposed)).map(|(at_ms, _)| *at_ms)
    }

    /// Whether the new pods have nobody to be compared with; once that is known, a slice's length is enough.
    fn is_alone(&self, open_ms: i64) -> bool {
        let scrapes = self.open.canary_pods.values().max().copied().unwrap_or(0);
        scrapes >= SCRAPES_ALONE || (self.alone && open_ms >= SLICE_MS)
    }

    fn finish(&mut self, at_ms: i64, against: Against) -> Tick {
        let open = std::mem::replace(&mut self.open, Open { since_ms: Some(at_ms), ..Open::default() });
        let count = |pods: usize| u32::try_from(pods).unwrap_or(u32::MAX);
        let past_pods = count(self.past_pods.len());
        Tick {
            against,
            counts: TickCounts {
                canary_bad: whole(open.canary.0),
                canary_total: open.canary.1,
                stable_bad: whole(open.stable.0),
                stable_total: open.stable.1,
            },
            canary_pods: count(open.canary_pods.len()),
            stable_pods: if open.stable_pods.is_empty() { past_pods } else { count(open.stable_pods.len()) },
        }
    }
}

impl Open {
    fn take(&mut self, counts: Counts, increment: Increment, scraped: &mut BTreeSet<String>) {
        let is_canary = increment.arm == Arm::Canary;
        let arm = if is_canary { &mut self.canary } else { &mut self.stable };
        match counts {
            Counts::Bad => arm.0 += increment.amount,
            Counts::Exposure => {
                arm.1 += increment.amount;
                if increment.amount > 0.0 && is_canary {
                    // One scrape brings many series.
                    if scraped.insert(increment.pod.clone()) {
                        *self.canary_pods.entry(increment.pod).or_default() += 1;
                    }
                } else if increment.amount > 0.0 {
                    self.stable_pods.insert(increment.pod);
                }
            }
        }
    }
}

/// Counters count whole events; a server that stores something else is rounded.
pub(super) fn whole(amount: f64) -> u64 {
    // `as` saturates: a counter beyond 2^64 is as good as that.
    amount.round() as u64
}
