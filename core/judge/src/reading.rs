//! How the samples of a counter are asked for: as they were scraped, or, where that is too much, summed up by the server.
//!
//! A sum over the series of a container is a counter as long as they are: a restart resets them all in one scrape. One that
//! ends by itself, or misses a scrape, makes the sum fall too, and nothing tells these apart: a sum that falls gained nothing,
//! and one that is back where it was in one step gained what it is beyond.

use crate::question::{Query, history_from};

/// The past is read in this resolution where it is summed up: it tells what is usual, and no moment of it.
const PAST_STEP_MS: i64 = 120_000;
/// What came since, in this one: the shortest usual scrape interval.
const STEP_MS: i64 = 5_000;
/// Of what came since, so much is read in one look: sums of thousands of pods are large as well.
const READ_AT_ONCE_MS: i64 = 60_000;

/// How the samples of a source are asked for.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub(crate) enum Reading {
    /// As they were scraped.
    #[default]
    Raw,
    /// Summed up by pod and container.
    Sums,
}

/// What a source is asked next.
pub(crate) struct Window {
    /// When the release began.
    pub(crate) start_ms: i64,
    /// Where everything until then was taken in before: from when on to ask again, and until when.
    pub(crate) after: Option<(i64, i64)>,
    /// Until when to ask.
    pub(crate) to_ms: i64,
}

impl Reading {
    /// The questions for the samples of `selector`, summed up by the labels `by` where they are.
    pub(crate) fn queries(self, selector: &str, by: &[String], window: &Window) -> Vec<Query> {
        let Window { start_ms, after, to_ms } = *window;
        let selector = selector.to_owned();
        let history_ms = history_from(start_ms);
        let sums = |from_ms, to_ms, step_ms| Query::Sums {
            selector: selector.clone(),
            by: by.to_vec(),
            from_ms,
            to_ms,
            step_ms,
        };
        match (self, after) {
            (Self::Raw, after) => {
                let from_ms = after.map_or(history_ms, |(from_ms, _)| from_ms);
                vec![Query::Samples { selector, from_ms, to_ms }]
            }
            (Self::Sums, None) => vec![
                sums(history_ms, start_ms, PAST_STEP_MS),
                // What was counted just before must not look like the release's.
                sums(start_ms - READ_AT_ONCE_MS, to_ms.min(start_ms + READ_AT_ONCE_MS), STEP_MS),
            ],
            (Self::Sums, Some((from_ms, taken_to_ms))) => {
                vec![sums(from_ms, to_ms.min(taken_to_ms + READ_AT_ONCE_MS), STEP_MS)]
            }
        }
    }

    /// What a counter gained that stood at `before`, never above `most`, and stands at `value`.
    pub(crate) fn gained(self, before: f64, most: f64, value: f64) -> f64 {
        match self {
            // What was missing in the sum came back.
            Self::Sums if before < most && value >= most => value - most,
            _ if value >= before => value - before,
            // A counter that went down was reset to zero in between.
            Self::Raw => value,
            Self::Sums => 0.0,
        }
    }
}
