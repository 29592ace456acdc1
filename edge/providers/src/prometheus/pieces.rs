//! Pure arithmetic on sample times: cutting a window into queries, putting the answers together, reading off
//! the interval.

use std::collections::BTreeMap;

use trimtab_promql::{Labels, Sample, Series};

/// Missed scrapes after which a series counts as ended.
const MISSED_SCRAPES_AT_END: i64 = 2;

/// A closed range of sample times, in Unix milliseconds.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) struct Piece {
    pub(super) from_ms: i64,
    pub(super) to_ms: i64,
}

impl Piece {
    /// Length of the range selector that, evaluated at `to_ms`, covers this piece. One millisecond more than
    /// the distance: Prometheus 3 leaves the left border out; where 2.x includes it, the millisecond before
    /// is cut again.
    pub(super) fn window_ms(self) -> i64 {
        self.to_ms - self.from_ms + 1
    }

    fn contains(self, at_ms: i64) -> bool {
        (self.from_ms..=self.to_ms).contains(&at_ms)
    }
}

/// Cuts `[from_ms, to_ms]` into adjacent pieces of at most `piece_ms` milliseconds. `None` when more than
/// `pieces_at_most` were needed or the window's length overflows; empty when the window is.
pub(super) fn cut(from_ms: i64, to_ms: i64, piece_ms: i64, pieces_at_most: usize) -> Option<Vec<Piece>> {
    if from_ms > to_ms {
        return Some(Vec::new());
    }
    let piece_ms = piece_ms.max(1);
    let length_ms = to_ms.checked_sub(from_ms)?.checked_add(1)?;
    let count = usize::try_from((length_ms - 1) / piece_ms + 1).ok()?;
    if count > pieces_at_most {
        return None;
    }
    let starts = (0..count).map(|index| from_ms + piece_ms * i64::try_from(index).unwrap_or(i64::MAX));
    Some(
        starts
            .map(|start| Piece { from_ms: start, to_ms: start + (piece_ms - 1).min(to_ms - start) })
            .collect(),
    )
}

/// Collects the answers to adjacent pieces. Holds every sample once, by its timestamp, whatever the borders
/// delivered.
#[derive(Debug, Default)]
pub(super) struct Gathered {
    by_labels: BTreeMap<Labels, Vec<Sample>>,
}

impl Gathered {
    pub(super) fn add(&mut self, piece: Piece, answer: Vec<Series>) {
        for mut series in answer {
            series.samples.retain(|sample| piece.contains(sample.at_ms));
            if !series.samples.is_empty() {
                self.by_labels.entry(series.labels).or_default().append(&mut series.samples);
            }
        }
    }

    pub(super) fn series_count(&self) -> usize {
        self.by_labels.len()
    }

    /// Series in label order, samples in time order; of several samples with one timestamp, the first that
    /// came.
    pub(super) fn finish(self) -> Vec<Series> {
        let once = |(labels, mut samples): (Labels, Vec<Sample>)| {
            samples.sort_by_key(|sample| sample.at_ms);
            samples.dedup_by_key(|sample| sample.at_ms);
            Series { labels, samples }
        };
        self.by_labels.into_iter().map(once).collect()
    }
}

/// The scrape interval of one series, in milliseconds: the median gap between its samples, which missed
/// scrapes and a restart in between do not move. `None` for fewer than two samples. Expects samples in time
/// order.
#[must_use]
pub fn scrape_interval_ms(samples: &[Sample]) -> Option<i64> {
    let mut gaps: Vec<i64> =
        samples.windows(2).map(|pair| pair[1].at_ms.saturating_sub(pair[0].at_ms)).collect();
    gaps.sort_unstable();
    gaps.get(gaps.len().saturating_sub(1) / 2).copied()
}

/// When a series ended, in Unix milliseconds: its last sample, if two further scrapes were due by `to_ms` and
/// none came. `None` while it lives. The HTTP API strips the server's staleness markers, so the missing
/// samples are the only sign.
#[must_use]
pub fn ended_at_ms(samples: &[Sample], interval_ms: i64, to_ms: i64) -> Option<i64> {
    let last_ms = samples.last()?.at_ms;
    let silence_ms = to_ms.saturating_sub(last_ms);
    (silence_ms > interval_ms.saturating_mul(MISSED_SCRAPES_AT_END)).then_some(last_ms)
}
