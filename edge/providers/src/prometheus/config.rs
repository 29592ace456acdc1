//! What a Prometheus is, and what one question to it may cost.

use std::time::Duration;

use crate::secret::SecretText;

/// Samples of one series in one query, at the configured scrape interval. The number that Prometheus itself
/// allows per series of a range query; an answer of a few hundred series then stays far below its default of
/// 50 million samples.
const POINTS_PER_QUERY: u32 = 11_000;

/// What one question may cost.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Limits {
    /// From sending one HTTP query to the last byte of its answer.
    pub timeout: Duration,
    /// Bytes of JSON for one question, over all the queries it is cut into. Also bounds memory: about twice
    /// this much, and five times where an answer is made to need more.
    pub response_bytes: usize,
    /// Samples per series in one query.
    pub points_per_query: u32,
    /// Questions asked at one time; the HTTP queries of one are sent one after the other.
    pub concurrent_queries: usize,
    /// Series in one answer.
    pub max_series: usize,
    /// Series in an answer that the server has summed up.
    pub max_sums: usize,
}

impl Default for Limits {
    fn default() -> Self {
        Self {
            timeout: Duration::from_secs(10),
            response_bytes: 16 * 1024 * 1024,
            points_per_query: POINTS_PER_QUERY,
            concurrent_queries: 4,
            max_series: 2_000,
            max_sums: 10_000,
        }
    }
}

/// One Prometheus server or something that speaks its API.
#[derive(Debug, Clone)]
pub struct PrometheusConfig {
    /// What messages call it.
    pub name: String,
    /// Everything before `/api/v1`, such as `http://prometheus.monitoring:9090`. No user name, no query.
    pub base_url: String,
    /// Headers of every request, such as a tenant. Values are secrets.
    pub headers: Vec<(http::HeaderName, SecretText)>,
    /// PromQL matchers that every question is narrowed by, such as `cluster="eu-1"` where several clusters share a server:
    /// pods and namespaces of the same name exist in all of them. Empty where the server knows one cluster.
    pub scope: String,
    /// Shortest expected time between two scrapes; decides how long a window one query covers.
    pub scrape_interval: Duration,
    /// Limits of one question.
    pub limits: Limits,
}

impl PrometheusConfig {
    /// Default limits, no headers, 15 s between scrapes.
    #[must_use]
    pub fn new(name: &str, base_url: &str) -> Self {
        Self {
            name: name.to_owned(),
            base_url: base_url.to_owned(),
            headers: Vec::new(),
            scope: String::new(),
            scrape_interval: Duration::from_secs(15),
            limits: Limits::default(),
        }
    }
}
