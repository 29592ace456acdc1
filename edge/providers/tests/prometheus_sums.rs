//! Sums of counters over the series of a pod, evaluated as both versions of Prometheus do.
#![allow(clippy::unwrap_used, reason = "in a test, a panic is the report")]

mod support;

use std::collections::BTreeSet;
use std::sync::{Arc, Mutex};

use support::{config, form, json, scripted};
use trimtab_promql::Series;
use trimtab_promql::{Labels, Sample, parse};
use trimtab_promql_eval::{EvalOptions, MemorySource, RangeWindows, evaluate};
use trimtab_providers::ProviderError;
use trimtab_providers::http::HttpTransport;
use trimtab_providers::prometheus::{Answer, Limits, Prometheus};

/// A series of a pod, scraped every five seconds from `from_s` on: what it counted by then.
fn push(source: &mut MemorySource, pod: &str, code: &str, from_s: i64, values: &[f64]) {
    let labels: Labels = [("__name__", "requests_total"), ("pod", pod), ("code", code)].into_iter().collect();
    for (at_s, value) in (from_s..).step_by(5).zip(values) {
        source.push(&labels, Sample { at_ms: at_s * 1000 + 250, value: *value });
    }
}

fn stored() -> MemorySource {
    let mut source = MemorySource::new();
    push(&mut source, "a", "200", 1000, &[10.0, 20.0, 30.0, 40.0, 50.0, 60.0]);
    // Born later, and counted from nothing.
    push(&mut source, "a", "500", 1010, &[1.0, 2.0, 3.0, 4.0]);
    // Scraped at other instants, and restarted.
    push(&mut source, "b", "200", 1003, &[7.0, 8.0, 1.0, 2.0]);
    push(&mut source, "b", "500", 1003, &[5.0, 5.0, 0.0, 0.0]);
    source
}

fn server(source: MemorySource, windows: RangeWindows) -> Arc<dyn HttpTransport> {
    let source = Arc::new(source);
    scripted(move |request| {
        let fields = form(request.body());
        let at_ms: i64 = fields["time"].replace('.', "").parse().unwrap();
        let options = EvalOptions { range_windows: windows, ..EvalOptions::default() };
        let value = evaluate(&parse(&fields["query"]).unwrap(), &*source, at_ms, options).unwrap();
        let data = serde_json::to_string(&value).unwrap();
        std::future::ready(json(format!(r#"{{"status":"success","data":{data}}}"#)))
    })
}

async fn ask(
    windows: RangeWindows,
    limits: Limits,
    window: (i64, i64),
    step_ms: i64,
) -> Result<Answer<Vec<Series>>, ProviderError> {
    let mut config = config();
    config.limits = limits;
    let by = ["pod".to_owned(), "container".to_owned()];
    let provider = Prometheus::new(server(stored(), windows), config).unwrap();
    provider.sums("requests_total{code!=\"404\"}", &by, window, step_ms).await
}

/// `pod: second=sum ...`
fn told(answer: &[Series]) -> Vec<String> {
    let line = |series: &Series| {
        let samples: Vec<String> = series
            .samples
            .iter()
            .map(|sample| format!("{}={}", sample.at_ms as f64 / 1000.0, sample.value))
            .collect();
        format!("{}: {}", series.labels.get("pod"), samples.join(" "))
    };
    answer.iter().map(line).collect()
}

#[tokio::test(start_paused = true)]
async fn a_scrape_is_there_once_at_its_own_time() {
    for windows in [RangeWindows::Closed, RangeWindows::LeftOpen] {
        let by_second = ask(windows, Limits::default(), (1_000_000, 1_030_000), 1_000).await.unwrap();
        let expected = [
            "a: 1000.25=10 1005.25=20 1010.25=31 1015.25=42 1020.25=53 1025.25=64",
            "b: 1003.25=12 1008.25=13 1013.25=1 1018.25=2",
        ];
        assert_eq!(told(&by_second.value), expected, "{windows:?}, finer than the scrapes");
        let by_ten = ask(windows, Limits::default(), (1_000_000, 1_030_000), 10_000).await.unwrap();
        let expected = ["a: 1005.25=20 1015.25=42 1025.25=64", "b: 1008.25=13 1018.25=2"];
        assert_eq!(told(&by_ten.value), expected, "{windows:?}, coarser than the scrapes");
        let later = ask(windows, Limits::default(), (1_012_000, 1_017_000), 1_000).await.unwrap();
        let expected = ["a: 1015.25=42", "b: 1013.25=1"];
        assert_eq!(
            told(&later.value),
            expected,
            "{windows:?}, what was scraped before the window is not in it"
        );
    }
}

#[tokio::test(start_paused = true)]
async fn sums_have_limits_of_their_own() {
    let many = Limits { max_series: 1, ..Limits::default() };
    let answer = ask(RangeWindows::LeftOpen, many, (1_000_000, 1_030_000), 5_000).await;
    assert_eq!(answer.map(|answer| answer.value.len()), Ok(2), "the limit of series is not that of sums");
    for (limits, says) in [
        (Limits { max_sums: 1, ..Limits::default() }, "more than 1 series match"),
        (Limits { response_bytes: 300, ..Limits::default() }, "the answer exceeds"),
    ] {
        let error = ask(RangeWindows::LeftOpen, limits, (1_000_000, 1_030_000), 5_000).await.unwrap_err();
        assert!(matches!(error, ProviderError::TooLarge { .. }), "{error}");
        assert!(error.to_string().contains(says), "{error}");
    }
}

/// What came for the first query of a question is in memory until the second one is answered: whoever waits in between would
/// hold it for as long as others like.
#[tokio::test(start_paused = true)]
async fn no_more_questions_are_half_answered_than_are_asked_at_one_time() {
    let half: Arc<Mutex<(BTreeSet<usize>, usize)>> = Arc::default();
    let seen = Arc::clone(&half);
    let transport = scripted(move |request| {
        let query = form(request.body())["query"].clone();
        let number = (0..20).find(|number| query.contains(&format!("metric{number}x"))).unwrap();
        let (open, most) = &mut *seen.lock().unwrap();
        if query.contains("timestamp(") {
            open.remove(&number);
        } else {
            open.insert(number);
        }
        *most = open.len().max(*most);
        async {
            tokio::time::sleep(std::time::Duration::from_millis(100)).await;
            json(r#"{"status":"success","data":{"resultType":"matrix","result":[]}}"#.to_owned())
        }
    });
    let mut config = config();
    config.limits.concurrent_queries = 2;
    let provider = Prometheus::new(transport, config).unwrap();
    let by = ["pod".to_owned()];
    let selectors: Vec<String> = (0..20).map(|number| format!("metric{number}x")).collect();
    let all = selectors.iter().map(|selector| provider.sums(selector, &by, (0, 60_000), 5_000));
    for answer in futures::future::join_all(all).await {
        answer.unwrap();
    }
    assert_eq!(half.lock().unwrap().1, 2);
}
