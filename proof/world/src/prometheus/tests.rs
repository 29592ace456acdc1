//! A few pods under load, scraped and asked about, without any API server.

use std::time::Duration;

use serde_json::{Value, json};
use tokio::sync::Notify;
use trimtab_kube::Key;

use super::*;
use crate::traffic::Traffic;
use crate::traffic::driver::{Shared, tick};
use crate::traffic::load::Rate;

struct Bench {
    prometheus: Prometheus,
    pods: Vec<PodSeen>,
}

fn pod(name: &str, image: &str, labels: Value) -> PodSeen {
    PodSeen {
        key: Key::new("shop", name),
        version: 1,
        uid: name.into(),
        ip: "10.0.0.1".into(),
        port: 8080,
        labels: crate::object::labels(&labels, ""),
        image: image.into(),
        running: true,
        restarts: 0,
        panics: 0,
    }
}

impl Bench {
    fn new(config: PrometheusConfig, load: ServiceLoad, pods: Vec<PodSeen>) -> Self {
        let mut traffic = Traffic::new(3);
        let service = Key::new("shop", "pay");
        traffic.set_load(&service, load);
        traffic.observe_slice(service, "slice".into(), pods.iter().map(|pod| pod.uid.clone()).collect());
        let shared = Shared {
            traffic: Mutex::new(traffic),
            scraped: Mutex::new(Scraped::new(config)),
            load_set: Notify::new(),
        };
        let clock = Clock::following_tokio("2026-01-01T00:00:00Z".parse().unwrap());
        let mut bench = Bench { prometheus: Prometheus::new(Arc::new(shared), clock, 3), pods: Vec::new() };
        for pod in pods {
            bench.see(pod);
        }
        bench
    }

    fn shared(&self) -> &Shared {
        &self.prometheus.shared
    }

    fn see(&mut self, pod: PodSeen) {
        let mut traffic = locked(&self.shared().traffic);
        traffic.observe_pod(&pod);
        let counters = traffic.pod(&pod.uid).unwrap().counters.clone();
        drop(traffic);
        locked(&self.shared().scraped).observe(&pod, &counters, self.prometheus.now_ms());
        self.pods.retain(|known| known.uid != pod.uid);
        self.pods.push(pod);
    }

    async fn run(&self, seconds: u64) {
        for _ in 0..seconds {
            tokio::time::sleep(Duration::from_secs(1)).await;
            tick(self.prometheus.now_ms() / 1000, self.shared());
        }
    }

    async fn get(&self, path: &str, query: &[(&str, &str)]) -> Value {
        let encode = |text: &str| text.bytes().map(|byte| format!("%{byte:02X}")).collect::<String>();
        let query: Vec<String> =
            query.iter().map(|(name, value)| format!("{name}={}", encode(value))).collect();
        let request = http::Request::get(format!("http://prometheus:9090{path}?{}", query.join("&")));
        let response = self.prometheus.handle(request.body(Default::default()).unwrap()).await.unwrap();
        serde_json::from_slice(response.body())
            .unwrap_or_else(|_| json!(String::from_utf8_lossy(response.body())))
    }

    /// Values of a vector by one label.
    async fn vector(&self, query: &str, label: &str) -> Vec<(String, f64)> {
        let answer = self.get("/api/v1/query", &[("query", query)]).await;
        let items = answer.pointer("/data/result").unwrap_or_else(|| panic!("{answer}")).as_array().unwrap();
        let value = |item: &Value| item.pointer("/value/1").unwrap().as_str().unwrap().parse().unwrap();
        items
            .iter()
            .map(|item| (item["metric"][label].as_str().unwrap_or("").to_owned(), value(item)))
            .collect()
    }
}

fn busy() -> ServiceLoad {
    ServiceLoad { error_percent: 1.0, ..ServiceLoad::constant(100.0) }
}

fn near(found: f64, expect: f64, tolerance: f64) {
    assert!((found - expect).abs() <= tolerance * expect.abs(), "{found} is not near {expect}");
}

#[tokio::test(start_paused = true)]
async fn a_bad_release_shows_in_its_own_pods_and_its_harm_is_known() {
    let app = || json!({"app": "pay"});
    let bench = Bench::new(
        PrometheusConfig::default(),
        busy(),
        vec![pod("old", "pay:v1", app()), pod("new", "pay:v2-errors30-latency400ms-dberrors60", app())],
    );
    bench.run(600).await;
    let failing = r#"sum by (pod) (rate(http_requests_total{job="pay",code="500"}[5m]))
        / sum by (pod) (rate(http_requests_total{job="pay"}[5m]))"#;
    let rates = bench.vector(failing, "pod").await;
    assert_eq!(rates.iter().map(|(pod, _)| pod.as_str()).collect::<Vec<_>>(), ["new", "old"]);
    near(rates[0].1, 0.30, 0.05);
    near(rates[1].1, 0.01, 0.3);
    let slow =
        r#"histogram_quantile(0.5, sum by (pod, le) (rate(http_request_duration_seconds_bucket[5m])))"#;
    let slow = bench.vector(slow, "pod").await;
    near(slow[0].1, 0.43, 0.2);
    near(slow[1].1, 0.03, 0.2);
    let database = bench.vector(r#"rate(db_errors_total{pod="new"}[5m])"#, "pod").await;
    near(database[0].1, 1.0, 0.2);
    let truth = locked(&bench.shared().traffic).truth(&Key::new("shop", "pay"));
    near(truth.requests as f64, 60_000.0, 0.05);
    near(truth.harmed as f64, 0.29 * 30_000.0, 0.05);
    let by_pod = locked(&bench.shared().traffic).truth_by_pod();
    assert!(by_pod.iter().any(|(key, truth)| &*key.name == "old" && truth.harmed == 0));
}

#[tokio::test(start_paused = true)]
async fn scrapes_come_at_the_interval_and_see_only_what_was() {
    let config = PrometheusConfig { ingest_delay: Duration::from_secs(7), ..PrometheusConfig::default() };
    let bench = Bench::new(config, busy(), vec![pod("p", "pay:v1", json!({"app": "pay"}))]);
    bench.run(60).await;
    let answer = bench.get("/api/v1/query", &[("query", "http_requests_total{code=\"200\"}[1h]")]).await;
    let values = answer.pointer("/data/result/0/values").unwrap().as_array().unwrap();
    let times: Vec<f64> = values.iter().map(|pair| pair[0].as_f64().unwrap()).collect();
    assert!(times.windows(2).all(|pair| (pair[1] - pair[0] - 5.0).abs() < 1e-6), "{times:?}");
    let now = bench.prometheus.now_ms() as f64 / 1000.0;
    let age = now - times.last().unwrap();
    assert!((7.0..12.1).contains(&age), "the last sample is {age} s old");
    let counts: Vec<f64> = values.iter().map(|pair| pair[1].as_str().unwrap().parse().unwrap()).collect();
    assert!(counts.windows(2).all(|pair| pair[0] <= pair[1]) && counts.last() > counts.first());
}

#[tokio::test(start_paused = true)]
async fn a_crash_ends_series_and_a_restart_resets_counters() {
    let mut bench =
        Bench::new(PrometheusConfig::default(), busy(), vec![pod("p", "pay:v1", json!({"app": "pay"}))]);
    bench.run(60).await;
    let running = bench.pods[0].clone();
    bench.see(PodSeen { running: false, panics: 1, ..running.clone() });
    bench.run(20).await;
    assert_eq!(bench.vector("up", "pod").await, [("p".to_owned(), 0.0)]);
    assert_eq!(bench.vector("http_requests_total", "pod").await, []);
    let lost = locked(&bench.shared().traffic).truth(&Key::new("shop", "pay"));
    near(lost.harmed as f64, 2_000.0, 0.1);
    bench.see(PodSeen { restarts: 1, panics: 1, ..running });
    bench.run(20).await;
    assert_eq!(bench.vector("up", "pod").await, [("p".to_owned(), 1.0)]);
    assert_eq!(
        bench.vector("resets(http_requests_total{code=\"200\"}[5m])", "pod").await,
        [("p".to_owned(), 1.0)]
    );
    assert_eq!(bench.vector("increase(panics_total[2m]) > bool 0", "pod").await, [("p".to_owned(), 1.0)]);
}

#[tokio::test(start_paused = true)]
async fn a_pod_that_is_gone_leaves_no_present_series() {
    let bench =
        Bench::new(PrometheusConfig::default(), busy(), vec![pod("p", "pay:v1", json!({"app": "pay"}))]);
    bench.run(30).await;
    locked(&bench.shared().scraped).lose("p", bench.prometheus.now_ms());
    tokio::time::sleep(Duration::from_secs(6)).await;
    assert_eq!(bench.vector("up", "pod").await, []);
    let past = bench.get("/api/v1/series", &[("match[]", "up")]).await;
    assert_eq!(past["data"].as_array().unwrap().len(), 1, "{past}");
}

#[tokio::test(start_paused = true)]
async fn an_outage_refuses_or_hangs_and_leaves_a_gap() {
    let bench =
        Bench::new(PrometheusConfig::default(), busy(), vec![pod("p", "pay:v1", json!({"app": "pay"}))]);
    bench.run(30).await;
    let ask = || http::Request::get("http://p/-/ready").body(Default::default()).unwrap();
    bench.prometheus.set_service(Service::Refusing);
    assert_eq!(bench.prometheus.handle(ask()).await.unwrap_err(), Refused);
    bench.prometheus.set_service(Service::Silent);
    let silence = tokio::time::timeout(Duration::from_secs(3600), bench.prometheus.handle(ask())).await;
    assert!(silence.is_err());
    bench.prometheus.set_service(Service::Up);
    assert_eq!(bench.prometheus.handle(ask()).await.unwrap().status(), 200);
    bench.run(30).await;
    let scrapes = bench.vector("count_over_time(up[2h])", "pod").await;
    assert!((11.0..=13.0).contains(&scrapes[0].1), "{scrapes:?}");
}

#[tokio::test(start_paused = true)]
async fn a_pod_that_changes_its_phase_begins_new_series() {
    let config = PrometheusConfig { phase_label: PhaseLabel::FromPodLabel, ..PrometheusConfig::default() };
    let canary = pod("p", "pay:v1", json!({"app": "pay", "trimtab.dev/phase": "canary"}));
    let mut bench = Bench::new(config, busy(), vec![canary.clone()]);
    bench.run(30).await;
    assert_eq!(bench.vector("up", "phase").await, [("canary".to_owned(), 1.0)]);
    let labels = crate::object::labels(&json!({"app": "pay", "trimtab.dev/phase": "stable"}), "");
    bench.see(PodSeen { labels, ..canary });
    bench.run(30).await;
    assert_eq!(bench.vector("up", "phase").await, [("stable".to_owned(), 1.0)]);
}

#[tokio::test(start_paused = true)]
async fn a_past_can_be_lived_at_once() {
    let bench =
        Bench::new(PrometheusConfig::default(), busy(), vec![pod("p", "pay:v1", json!({"app": "pay"}))]);
    bench.run(20).await;
    bench.prometheus.backfill("shop", "pay", &busy(), 24 * 7);
    bench.run(60).await;
    for window in ["1m", "10m", "6d"] {
        let rate = bench.vector(&format!("sum(rate(http_requests_total[{window}]))"), "").await;
        near(rate[0].1, 100.0, 0.1);
    }
    assert_eq!(
        bench.vector("resets(http_requests_total{code=\"200\"}[7d])", "pod").await,
        [("p".to_owned(), 0.0)]
    );
}

#[tokio::test(start_paused = true)]
async fn a_day_has_its_peak_at_the_peak() {
    let rate = Rate::Daily { mean: 100.0, swing: 0.5, peak_hour: 15.0 };
    near(rate.at(15 * 3600), 150.0, 1e-9);
    near(rate.at(3 * 3600), 50.0, 1e-9);
    assert!(!rate.is_never() && Rate::Constant(0.0).is_never() && Rate::Constant(f64::NAN).is_never());
}

#[tokio::test(start_paused = true)]
async fn the_api_says_what_is_wrong() {
    let bench =
        Bench::new(PrometheusConfig::default(), busy(), vec![pod("p", "pay:v1", json!({"app": "pay"}))]);
    bench.run(30).await;
    let range = [("query", "sum(up)"), ("start", "1767225610"), ("end", "1767225630"), ("step", "10")];
    let answer = bench.get("/api/v1/query_range", &range).await;
    assert_eq!(answer.pointer("/data/result/0/values").unwrap().as_array().unwrap().len(), 3, "{answer}");
    let check = async |path: &str, query: &[(&str, &str)], kind: &str| {
        let answer = bench.get(path, query).await;
        assert_eq!(
            (answer["status"].as_str(), answer["errorType"].as_str()),
            (Some("error"), Some(kind)),
            "{answer}"
        );
    };
    check("/api/v1/query", &[("query", "sum(")], "bad_data").await;
    check("/api/v1/query", &[("query", "up"), ("time", "noon")], "bad_data").await;
    check("/api/v1/query_range", &[("query", "up"), ("start", "0"), ("end", "1"), ("step", "0")], "bad_data")
        .await;
    check(
        "/api/v1/query_range",
        &[("query", "up"), ("start", "0"), ("end", "1e6"), ("step", "1")],
        "bad_data",
    )
    .await;
    check(
        "/api/v1/query_range",
        &[("query", "up[1m]"), ("start", "0"), ("end", "1"), ("step", "1")],
        "bad_data",
    )
    .await;
    check("/api/v1/series", &[], "bad_data").await;
    assert_eq!(bench.get("/api/v1/query", &[("query", "1+1")]).await["data"]["resultType"], json!("scalar"));
    assert_eq!(bench.get("/nowhere", &[]).await, json!("404 page not found\n"));
}
