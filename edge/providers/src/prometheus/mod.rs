//! Prometheus' HTTP API: raw samples with the times they were scraped at, instant values, and what a metric
//! looks like.
//!
//! Counts are decided on raw samples only: an instant vector looks back five minutes past a scrape gap and
//! `rate()` makes up values at the window's borders. So the one range question is a range selector in an
//! *instant* query, which every server answers with the samples as they were stored.

mod ask;
mod config;
mod decode;
mod pieces;
mod sums;

use std::sync::Arc;
use std::time::Duration;

use trimtab_promql::{Labels, Series};

pub use ask::{check_address, check_scope};
pub use config::{Limits, PrometheusConfig};
pub use pieces::{ended_at_ms, scrape_interval_ms};

use crate::error::{Asked, ProviderError};
use crate::http::HttpTransport;
use ask::{Client, Room};
use decode::Found;
use pieces::{Gathered, cut};

/// Queries that one window may be cut into. At 15 s between scrapes this covers more than four months.
const QUERIES_PER_WINDOW: usize = 64;
/// Label that a presence query adds; chosen not to occur.
const PRESENCE_LABEL: &str = "trimtab_present";

/// A value with what the server said about its quality: "partial response" in a warning means that data is
/// missing.
#[derive(Debug, Clone, PartialEq)]
pub struct Answer<T> {
    /// The answer.
    pub value: T,
    /// The server's warnings, each once, redacted.
    pub warnings: Vec<String>,
    /// Bytes of JSON that it came as.
    pub json_bytes: usize,
}

/// How much of a metric carries a label.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum LabelPresence {
    /// No series at all: nothing is known about the label.
    NoSeries,
    /// No series has it.
    Nowhere,
    /// Some series have it, others do not.
    Partly,
    /// Every series has it.
    Everywhere,
}

/// A client for one Prometheus. Cheap to share behind an `Arc`; the concurrency limit is per client.
pub struct Prometheus {
    client: Client,
    piece_ms: i64,
}

impl Prometheus {
    /// Prepares a client. Sends nothing.
    ///
    /// # Errors
    /// [`ProviderError::Settings`] when the address is no http or https URL, the scope is not a list of matchers, or a limit
    /// is zero.
    pub fn new(transport: Arc<dyn HttpTransport>, config: PrometheusConfig) -> Result<Self, ProviderError> {
        let interval_ms = i64::try_from(config.scrape_interval.as_millis()).unwrap_or(i64::MAX).max(1);
        let piece_ms = interval_ms.saturating_mul(i64::from(config.limits.points_per_query)).max(1);
        Ok(Self { client: Client::new(transport, config)?, piece_ms })
    }

    /// What one question may cost.
    #[must_use]
    pub fn limits(&self) -> &Limits {
        self.client.limits()
    }

    /// The samples of every series that matches `selector` (a plain vector selector: matchers, no range, no
    /// function), with `from_ms <= time <= to_ms` in Unix milliseconds: the times are those of the scrapes,
    /// each sample comes once, series are in label order, and a series without samples in the window is
    /// absent. `NaN` and infinities are values.
    ///
    /// # Errors
    /// Any [`ProviderError`]; never a part of the samples.
    pub async fn raw_samples(
        &self,
        selector: &str,
        from_ms: i64,
        to_ms: i64,
    ) -> Result<Answer<Vec<Series>>, ProviderError> {
        let limits = self.client.limits();
        let too_large =
            |what: String| ProviderError::TooLarge { asked: Asked::new(self.client.name(), selector), what };
        let pieces = cut(from_ms, to_ms, self.piece_ms, QUERIES_PER_WINDOW)
            .ok_or_else(|| too_large(format!("the window needs more than {QUERIES_PER_WINDOW} queries")))?;
        let _turn = self.client.turn(selector).await?;
        let mut gathered = Gathered::default();
        let mut warnings = Vec::new();
        let mut budget_bytes = limits.response_bytes;
        for piece in pieces {
            let query = format!("{selector}[{}ms]", piece.window_ms());
            let room = Room { bytes: budget_bytes, series: limits.max_series };
            let reply = self.client.ask(&query, piece.to_ms, room).await?;
            budget_bytes = budget_bytes.saturating_sub(reply.length_bytes);
            let Found::Series(series) = reply.found else {
                return Err(self.client.unexpected(&query, "a range of samples was expected, a scalar came"));
            };
            gathered.add(piece, series);
            if gathered.series_count() > limits.max_series {
                return Err(too_large(format!("more than {} series match", limits.max_series)));
            }
            keep_new(&mut warnings, reply.warnings);
        }
        let json_bytes = limits.response_bytes - budget_bytes;
        Ok(Answer { value: gathered.finish(), warnings, json_bytes })
    }

    /// What [`Self::raw_samples`] would give, with the series that agree in the labels `by` summed up by the server at every
    /// multiple of `step_ms` in the window. A sample has the time of the last scrape in its sum, so a scrape is there once,
    /// whatever the step.
    ///
    /// # Errors
    /// Any [`ProviderError`]; never a part of the sums.
    pub async fn sums(
        &self,
        selector: &str,
        by: &[String],
        (from_ms, to_ms): (i64, i64),
        step_ms: i64,
    ) -> Result<Answer<Vec<Series>>, ProviderError> {
        let limits = self.client.limits();
        let _turn = self.client.turn(selector).await?;
        let mut room = Room { bytes: limits.response_bytes, series: limits.max_sums };
        let mut warnings = Vec::new();
        let mut found = Vec::new();
        for query in sums::queries(selector, by, (from_ms, to_ms), step_ms) {
            let reply = self.client.ask(&query, to_ms, room).await?;
            room.bytes = room.bytes.saturating_sub(reply.length_bytes);
            let Found::Series(series) = reply.found else {
                return Err(self.client.unexpected(&query, "sums over time were expected, a scalar came"));
            };
            found.push(series);
            keep_new(&mut warnings, reply.warnings);
        }
        let json_bytes = limits.response_bytes - room.bytes;
        Ok(Answer { value: sums::joined(found, (from_ms, to_ms)), warnings, json_bytes })
    }

    /// The value of `expression` at `at_ms` (Unix milliseconds), one row per series; a scalar is one row
    /// without labels. An empty answer is `Ok`: what it means depends on the question. Not for counts, see
    /// the module's text.
    ///
    /// # Errors
    /// Any [`ProviderError`]; [`ProviderError::Decode`] when the expression yields a range.
    pub async fn instant(
        &self,
        expression: &str,
        at_ms: i64,
    ) -> Result<Answer<Vec<(Labels, f64)>>, ProviderError> {
        let limits = self.client.limits();
        let _turn = self.client.turn(expression).await?;
        let room = Room { bytes: limits.response_bytes, series: limits.max_series };
        let reply = self.client.ask(expression, at_ms, room).await?;
        let value = match reply.found {
            Found::Scalar(sample) => vec![(Labels::default(), sample.value)],
            Found::Series(series) => series
                .into_iter()
                .map(|series| match series.samples.as_slice() {
                    [sample] => Ok((series.labels, sample.value)),
                    _ => Err(self
                        .client
                        .unexpected(expression, "one value per series was expected, a range came")),
                })
                .collect::<Result<_, _>>()?,
        };
        Ok(Answer { value, warnings: reply.warnings, json_bytes: reply.length_bytes })
    }

    /// Whether any series matched `selector` with a sample in the `window` before `at_ms` (Unix
    /// milliseconds).
    ///
    /// # Errors
    /// Any [`ProviderError`].
    pub async fn exists(
        &self,
        selector: &str,
        window: Duration,
        at_ms: i64,
    ) -> Result<Answer<bool>, ProviderError> {
        let query = format!("count(last_over_time({selector}[{}ms]))", window.as_millis().max(1));
        let counts = self.instant(&query, at_ms).await?;
        let value = counts.value.iter().any(|(_, count)| *count > 0.0);
        Ok(Answer { value, warnings: counts.warnings, json_bytes: counts.json_bytes })
    }

    /// How many of the series that matched `selector` in the `window` before `at_ms` carry `label` (a legal
    /// label name) with a value. Tells whether arms can be told apart by it.
    ///
    /// # Errors
    /// Any [`ProviderError`].
    pub async fn label_presence(
        &self,
        selector: &str,
        label: &str,
        window: Duration,
        at_ms: i64,
    ) -> Result<Answer<LabelPresence>, ProviderError> {
        let range = format!("last_over_time({selector}[{}ms])", window.as_millis().max(1));
        let marked = format!("label_replace({range}, \"{PRESENCE_LABEL}\", \"yes\", \"{label}\", \".+\")");
        let counts = self.instant(&format!("count by ({PRESENCE_LABEL}) ({marked})"), at_ms).await?;
        let is_marked = |labels: &Labels| labels.get(PRESENCE_LABEL) == "yes";
        let with = counts.value.iter().any(|(labels, count)| is_marked(labels) && *count > 0.0);
        let without = counts.value.iter().any(|(labels, count)| !is_marked(labels) && *count > 0.0);
        let value = match (with, without) {
            (true, true) => LabelPresence::Partly,
            (true, false) => LabelPresence::Everywhere,
            (false, true) => LabelPresence::Nowhere,
            (false, false) => LabelPresence::NoSeries,
        };
        Ok(Answer { value, warnings: counts.warnings, json_bytes: counts.json_bytes })
    }
}

fn keep_new(kept: &mut Vec<String>, new: Vec<String>) {
    for warning in new {
        if !kept.contains(&warning) {
            kept.push(warning);
        }
    }
}
