//! What a run of the load generator recorded.

use std::collections::BTreeMap;
use std::net::SocketAddr;
use std::time::Duration;

use jiff::Timestamp;

/// A pod that got at least one request, or could have.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Target {
    /// Pod name.
    pub pod: String,
    /// Address and port.
    pub address: SocketAddr,
    /// `pod-template-hash` of the pod; empty when it has none.
    pub template_hash: String,
}

/// What came of one request.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
pub enum Outcome {
    /// An answer with this status code.
    Answered(u16),
    /// The connection was refused or broke.
    Broken,
    /// No answer within two seconds.
    TimedOut,
    /// The Service had no ready endpoint.
    NoEndpoint,
    /// Too many requests were waiting for answers already.
    NotSent,
}

impl Outcome {
    /// Whether a caller would call it failed: everything but an answer below 500.
    pub fn is_failure(self) -> bool {
        !matches!(self, Self::Answered(code) if code < 500)
    }
}

/// One request.
#[derive(Debug, Clone, Copy, PartialEq)]
pub struct RequestRecord {
    /// When it was sent, since the start of the run.
    pub at: Duration,
    /// How long it took.
    pub took: Duration,
    /// Index into [`LoadReport::targets`]; `None` when there was no endpoint.
    pub target: Option<usize>,
    /// What came of it.
    pub outcome: Outcome,
}

/// Traffic of all pods of one pod template.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct TemplateTraffic {
    /// When its first request was sent, since the start of the run.
    pub first: Duration,
    /// When its last request was sent, since the start of the run.
    pub last: Duration,
    /// Requests sent.
    pub requests: u64,
    /// Requests that failed.
    pub failed: u64,
}

/// Everything that a run recorded.
#[derive(Debug, Clone)]
pub struct LoadReport {
    /// When the run started.
    pub started: Timestamp,
    /// Every pod that was ever a ready endpoint.
    pub targets: Vec<Target>,
    /// Every request, in the order in which they ended.
    pub requests: Vec<RequestRecord>,
}

impl LoadReport {
    /// Number of requests that failed, whatever the reason.
    pub fn failed(&self) -> u64 {
        self.requests.iter().map(|request| u64::from(request.outcome.is_failure())).sum()
    }

    /// Number of requests per outcome.
    pub fn outcomes(&self) -> BTreeMap<Outcome, u64> {
        let mut outcomes = BTreeMap::new();
        for request in &self.requests {
            *outcomes.entry(request.outcome).or_default() += 1;
        }
        outcomes
    }

    /// Traffic per pod template hash. Requests without an endpoint belong to none.
    pub fn by_template(&self) -> BTreeMap<&str, TemplateTraffic> {
        let mut traffic: BTreeMap<&str, TemplateTraffic> = BTreeMap::new();
        for request in &self.requests {
            let Some(target) = request.target else { continue };
            let (first, last) = (request.at, request.at);
            let entry = traffic.entry(&self.targets[target].template_hash).or_insert(TemplateTraffic {
                first,
                last,
                requests: 0,
                failed: 0,
            });
            entry.first = entry.first.min(request.at);
            entry.last = entry.last.max(request.at);
            entry.requests += 1;
            entry.failed += u64::from(request.outcome.is_failure());
        }
        traffic
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn traffic_is_told_apart_by_template() {
        let target = |pod: &str, hash: &str| Target {
            pod: pod.to_owned(),
            address: "10.64.1.1:8080".parse().unwrap(),
            template_hash: hash.to_owned(),
        };
        let record = |at, target, outcome| RequestRecord {
            at: Duration::from_secs(at),
            took: Duration::ZERO,
            target,
            outcome,
        };
        let report = LoadReport {
            started: Timestamp::UNIX_EPOCH,
            targets: vec![target("a", "old"), target("b", "new"), target("c", "new")],
            requests: vec![
                record(4, Some(2), Outcome::Answered(500)),
                record(1, Some(0), Outcome::Answered(404)),
                record(2, Some(1), Outcome::Broken),
                record(3, None, Outcome::NoEndpoint),
            ],
        };
        let seconds = Duration::from_secs;
        let expect = [
            ("new", TemplateTraffic { first: seconds(2), last: seconds(4), requests: 2, failed: 2 }),
            ("old", TemplateTraffic { first: seconds(1), last: seconds(1), requests: 1, failed: 0 }),
        ];
        assert_eq!(report.by_template(), BTreeMap::from(expect));
        assert_eq!(report.failed(), 3);
    }
}
