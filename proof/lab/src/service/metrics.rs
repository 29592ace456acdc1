//! What the demo service tells Prometheus.

use std::collections::BTreeMap;
use std::fmt;
use std::time::Duration;

use jiff::Timestamp;

/// Upper edges of the latency histogram, in seconds; the last bucket is everything.
const EDGES: [f64; 11] = [0.005, 0.01, 0.025, 0.05, 0.1, 0.25, 0.5, 1.0, 2.5, 5.0, 10.0];

/// Counters since the process started; `Display` writes them in the text exposition format.
#[derive(Debug)]
pub(crate) struct Metrics {
    started: Timestamp,
    requests: BTreeMap<u16, u64>,
    /// Requests per bucket, not cumulated; one more than there are edges.
    buckets: [u64; EDGES.len() + 1],
    seconds: f64,
    panics: u64,
    database_errors: f64,
}

impl Metrics {
    pub(crate) fn new(started: Timestamp) -> Self {
        // Both codes exist from the start: a counter that appears with its first error has no increase to be seen.
        let requests = BTreeMap::from([(200, 0), (500, 0)]);
        Self {
            started,
            requests,
            buckets: [0; EDGES.len() + 1],
            seconds: 0.0,
            panics: 0,
            database_errors: 0.0,
        }
    }

    pub(crate) fn request(&mut self, code: u16, took: Duration) {
        *self.requests.entry(code).or_default() += 1;
        let seconds = took.as_secs_f64();
        let bucket = EDGES.iter().position(|edge| seconds <= *edge).unwrap_or(EDGES.len());
        self.buckets[bucket] += 1;
        self.seconds += seconds;
    }

    pub(crate) fn panicked(&mut self) {
        self.panics += 1;
    }

    /// Adds a whole number of errors.
    pub(crate) fn database_errors(&mut self, errors: f64) {
        self.database_errors += errors;
    }
}

impl fmt::Display for Metrics {
    fn fmt(&self, out: &mut fmt::Formatter<'_>) -> fmt::Result {
        writeln!(out, "# TYPE http_requests_total counter")?;
        for (code, count) in &self.requests {
            writeln!(out, "http_requests_total{{code=\"{code}\"}} {count}")?;
        }
        writeln!(out, "# TYPE http_request_duration_seconds histogram")?;
        let mut cumulated = 0;
        for (index, count) in self.buckets.iter().enumerate() {
            cumulated += count;
            let edge = EDGES.get(index).map_or("+Inf".to_owned(), f64::to_string);
            writeln!(out, "http_request_duration_seconds_bucket{{le=\"{edge}\"}} {cumulated}")?;
        }
        writeln!(out, "http_request_duration_seconds_sum {}", self.seconds)?;
        writeln!(out, "http_request_duration_seconds_count {cumulated}")?;
        writeln!(out, "# TYPE panics_total counter\npanics_total {}", self.panics)?;
        writeln!(out, "# TYPE db_errors_total counter\ndb_errors_total {}", self.database_errors)?;
        let started = self.started.as_millisecond() as f64 / 1000.0;
        writeln!(out, "# TYPE process_start_time_seconds gauge\nprocess_start_time_seconds {started}")
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn exposition_is_cumulative_and_complete() {
        let mut metrics = Metrics::new("2026-01-01T00:00:00.5Z".parse().unwrap());
        metrics.request(200, Duration::from_millis(5));
        metrics.request(200, Duration::from_millis(30));
        metrics.request(500, Duration::from_secs(60));
        metrics.database_errors(3.0);
        metrics.panicked();
        let text = metrics.to_string();
        for line in [
            "http_requests_total{code=\"200\"} 2",
            "http_requests_total{code=\"500\"} 1",
            "http_request_duration_seconds_bucket{le=\"0.005\"} 1",
            "http_request_duration_seconds_bucket{le=\"0.025\"} 1",
            "http_request_duration_seconds_bucket{le=\"0.05\"} 2",
            "http_request_duration_seconds_bucket{le=\"1\"} 2",
            "http_request_duration_seconds_bucket{le=\"+Inf\"} 3",
            "http_request_duration_seconds_sum 60.035",
            "http_request_duration_seconds_count 3",
            "panics_total 1",
            "db_errors_total 3",
            "process_start_time_seconds 1767225600.5",
        ] {
            assert!(text.lines().any(|written| written == line), "{line:?} is not in\n{text}");
        }
    }
}
