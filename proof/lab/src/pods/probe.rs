//! Readiness and liveness probes over the pod's real address.

use std::time::Duration;

use http::{Method, Request};
use http_body_util::Full;
use serde_json::Value;
use tokio::net::TcpStream;
use tokio::time::{Instant, sleep_until, timeout};

use crate::web::{self, Connections, HttpClient};

/// The shortest period of a probe, as the API has it.
const SHORTEST_PERIOD_SECONDS: u64 = 1;

/// One probe of a running container and its successes or failures in a row.
#[derive(Debug)]
pub(super) struct Probe {
    check: Check,
    client: HttpClient,
    next: Instant,
    period: Duration,
    limit: Duration,
    success_threshold: u64,
    failure_threshold: u64,
    in_a_row: u64,
    last: bool,
    /// What was last told; a probe starts as failed.
    passing: bool,
    announced_failure: bool,
}

#[derive(Debug, Clone, PartialEq, Eq)]
enum Check {
    Http(String),
    Tcp(String),
}

/// What changed with a probe's answer.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Turn {
    Passes,
    Fails,
}

impl Probe {
    /// Reads `readinessProbe` or `livenessProbe` of a container; `None` when there is none, or when it is of a kind that
    /// a local process cannot answer (`exec`, `grpc`), which counts as passing.
    pub(super) fn from_spec(container: &Value, field: &str, pod_ip: &str, now: Instant) -> Option<Self> {
        let probe = &container[field];
        let number = |name: &str, default: u64| probe[name].as_u64().unwrap_or(default);
        let seconds = |name, default| Duration::from_secs(number(name, default));
        Some(Self {
            check: check(container, probe, pod_ip)?,
            client: web::client(Connections::Fresh),
            next: now + seconds("initialDelaySeconds", 0),
            period: seconds("periodSeconds", 10).max(Duration::from_secs(SHORTEST_PERIOD_SECONDS)),
            limit: seconds("timeoutSeconds", 1),
            success_threshold: number("successThreshold", 1),
            failure_threshold: number("failureThreshold", 3),
            in_a_row: 0,
            last: false,
            passing: false,
            announced_failure: false,
        })
    }

    /// Waits until the probe is due, asks, and says when its verdict turned. Cancelling it loses one answer at most.
    pub(super) async fn turn(&mut self) -> Turn {
        loop {
            sleep_until(self.next).await;
            self.next = Instant::now() + self.period;
            let answer = self.ask().await;
            if let Some(turn) = self.count(answer) {
                return turn;
            }
        }
    }

    fn count(&mut self, answer: bool) -> Option<Turn> {
        self.in_a_row = if answer == self.last { self.in_a_row + 1 } else { 1 };
        self.last = answer;
        if answer && !self.passing && self.in_a_row >= self.success_threshold {
            self.passing = true;
            self.announced_failure = false;
            return Some(Turn::Passes);
        }
        let failed = !answer && self.in_a_row >= self.failure_threshold;
        if failed && !self.announced_failure {
            self.passing = false;
            self.announced_failure = true;
            return Some(Turn::Fails);
        }
        None
    }

    async fn ask(&self) -> bool {
        let asked = async {
            match &self.check {
                Check::Tcp(address) => TcpStream::connect(address).await.is_ok(),
                Check::Http(url) => {
                    let request = Request::builder().method(Method::GET).uri(url).body(Full::default());
                    let Ok(request) = request else { return false };
                    let response = self.client.request(request).await;
                    response.is_ok_and(|response| (200..400).contains(&response.status().as_u16()))
                }
            }
        };
        timeout(self.limit, asked).await.unwrap_or(false)
    }
}

fn check(container: &Value, probe: &Value, pod_ip: &str) -> Option<Check> {
    if probe["httpGet"].is_object() {
        let port = port(container, &probe["httpGet"]["port"])?;
        let path = probe["httpGet"]["path"].as_str().unwrap_or("/");
        let slash = if path.starts_with('/') { "" } else { "/" };
        return Some(Check::Http(format!("http://{pod_ip}:{port}{slash}{path}")));
    }
    Some(Check::Tcp(format!("{pod_ip}:{}", port(container, &probe["tcpSocket"]["port"])?)))
}

/// A port by number or by the name of one of the container's ports.
fn port(container: &Value, wanted: &Value) -> Option<u64> {
    let named = || {
        let ports = container["ports"].as_array().into_iter().flatten();
        ports.filter(|port| port["name"] == *wanted).find_map(|port| port["containerPort"].as_u64())
    };
    wanted.as_u64().or_else(|| wanted.is_string().then(named)?)
}

#[cfg(test)]
mod tests {
    use super::*;
    use serde_json::json;

    #[tokio::test]
    async fn checks_are_read_from_the_container() {
        let http = |url: &str| Some(Check::Http(url.to_owned()));
        for (probe, expect) in [
            (json!({"httpGet": {"path": "/healthz", "port": 80}}), http("http://10.64.1.1:80/healthz")),
            (json!({"httpGet": {"path": "up", "port": "web"}}), http("http://10.64.1.1:8080/up")),
            (json!({"httpGet": {"port": "absent"}}), None),
            (json!({"tcpSocket": {"port": 9}}), Some(Check::Tcp("10.64.1.1:9".to_owned()))),
            (json!({"exec": {"command": ["true"]}}), None),
            (json!(null), None),
        ] {
            let container =
                json!({"ports": [{"containerPort": 1}, {"name": "web", "containerPort": 8080}], "p": probe});
            let read = Probe::from_spec(&container, "p", "10.64.1.1", Instant::now());
            assert_eq!(read.map(|probe| probe.check), expect, "{probe}");
        }
    }

    #[tokio::test]
    async fn verdicts_turn_at_their_thresholds() {
        let container =
            json!({"p": {"tcpSocket": {"port": 9}, "successThreshold": 2, "failureThreshold": 3}});
        let mut probe = Probe::from_spec(&container, "p", "10.64.1.1", Instant::now()).unwrap();
        let answers = [false, true, true, true, false, false, true, false, false, false, false, true, true];
        let turns: Vec<Option<Turn>> = answers.map(|answer| probe.count(answer)).to_vec();
        let mut expect = vec![None; answers.len()];
        expect[2] = Some(Turn::Passes);
        expect[9] = Some(Turn::Fails);
        expect[12] = Some(Turn::Passes);
        assert_eq!(turns, expect);
    }
}
