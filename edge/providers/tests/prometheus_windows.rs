//! Raw samples against a model of both servers: 2.x includes the left border of a range, 3.x leaves it out.
#![allow(clippy::unwrap_used, reason = "in a test, a panic is the report")]

mod support;

use std::collections::BTreeMap;
use std::sync::{Arc, Mutex};
use std::time::Duration;

use proptest::prelude::*;
use support::{config, form, json, scripted};
use trimtab_promql::Series;
use trimtab_providers::http::HttpTransport;
use trimtab_providers::prometheus::{Prometheus, ended_at_ms, scrape_interval_ms};

#[derive(Debug, Clone, Copy, PartialEq)]
enum Border {
    Closed,
    LeftOpen,
}

/// Samples by pod, in time order.
type Stored = BTreeMap<String, Vec<(i64, f64)>>;

fn seconds(at_ms: i64) -> String {
    format!("{}.{:03}", at_ms / 1000, at_ms % 1000)
}

/// Answers `up[<n>ms]` at a time as the documentation of either version says.
fn server(stored: Stored, border: Border, queries: Arc<Mutex<usize>>) -> Arc<dyn HttpTransport> {
    scripted(move |request| {
        *queries.lock().unwrap() += 1;
        let fields = form(request.body());
        let window_ms: i64 =
            fields["query"].strip_prefix("up[").unwrap().strip_suffix("ms]").unwrap().parse().unwrap();
        let to_ms: i64 = fields["time"].replace('.', "").parse().unwrap();
        let is_inside = |at_ms: i64| {
            at_ms <= to_ms
                && match border {
                    Border::Closed => at_ms >= to_ms - window_ms,
                    Border::LeftOpen => at_ms > to_ms - window_ms,
                }
        };
        let mut series = Vec::new();
        for (pod, samples) in &stored {
            let values: Vec<String> = samples
                .iter()
                .filter(|(at_ms, _)| is_inside(*at_ms))
                .map(|(at_ms, value)| format!("[{},\"{value}\"]", seconds(*at_ms)))
                .collect();
            if !values.is_empty() {
                series.push(format!(r#"{{"metric":{{"pod":"{pod}"}},"values":[{}]}}"#, values.join(",")));
            }
        }
        let result = series.join(",");
        let body = format!(r#"{{"status":"success","data":{{"resultType":"matrix","result":[{result}]}}}}"#);
        std::future::ready(json(body))
    })
}

struct Asked {
    from_ms: i64,
    to_ms: i64,
    interval_ms: u64,
    points_per_query: u32,
}

/// The answer as pod -> samples, and the number of queries it took.
fn ask(stored: &Stored, border: Border, asked: &Asked) -> (Result<Stored, String>, usize) {
    let queries = Arc::new(Mutex::new(0));
    let mut config = config();
    config.scrape_interval = Duration::from_millis(asked.interval_ms);
    config.limits.points_per_query = asked.points_per_query;
    let provider = Prometheus::new(server(stored.clone(), border, Arc::clone(&queries)), config).unwrap();
    let runtime =
        tokio::runtime::Builder::new_current_thread().enable_time().start_paused(true).build().unwrap();
    let answer = runtime.block_on(provider.raw_samples("up", asked.from_ms, asked.to_ms));
    let by_pod = |series: &Series| {
        let samples = series.samples.iter().map(|sample| (sample.at_ms, sample.value)).collect();
        (series.labels.get("pod").to_owned(), samples)
    };
    let answer = answer.map(|answer| answer.value.iter().map(by_pod).collect());
    let count = *queries.lock().unwrap();
    (answer.map_err(|error| error.to_string()), count)
}

fn expected(stored: &Stored, asked: &Asked) -> Stored {
    let window = asked.from_ms..=asked.to_ms;
    let cut = |samples: &[(i64, f64)]| -> Vec<(i64, f64)> {
        samples.iter().filter(|(at_ms, _)| window.contains(at_ms)).copied().collect()
    };
    stored
        .iter()
        .map(|(pod, samples)| (pod.clone(), cut(samples)))
        .filter(|(_, samples)| !samples.is_empty())
        .collect()
}

#[test]
fn every_sample_on_a_border_comes_once() {
    // A sample each millisecond, so that every border of every piece holds one.
    let samples: Vec<(i64, f64)> = (1_000..1_100).zip(0..).map(|(at_ms, n)| (at_ms, f64::from(n))).collect();
    let stored = Stored::from([("a".to_owned(), samples)]);
    for border in [Border::Closed, Border::LeftOpen] {
        for (from_ms, to_ms, points_per_query, expect_queries) in [
            (1_000, 1_099, 10, 10),
            (1_000, 1_099, 100, 1),
            (1_000, 1_100, 100, 2),
            (1_017, 1_017, 5, 1),
            (1_020, 1_010, 5, 0),
            (1_003, 1_041, 1, 39),
        ] {
            let asked = Asked { from_ms, to_ms, interval_ms: 1, points_per_query };
            let (answer, queries) = ask(&stored, border, &asked);
            assert_eq!(answer.unwrap(), expected(&stored, &asked), "{border:?} {from_ms}..={to_ms}");
            assert_eq!(queries, expect_queries, "{border:?} {from_ms}..={to_ms} by {points_per_query}");
        }
    }
}

#[test]
fn a_window_of_too_many_queries_is_refused_before_the_first() {
    for (from_ms, to_ms) in [(0, 65 * 15_000), (i64::MIN, i64::MAX), (0, i64::MAX)] {
        let asked = Asked { from_ms, to_ms, interval_ms: 15_000, points_per_query: 1 };
        let (answer, queries) = ask(&Stored::new(), Border::Closed, &asked);
        assert!(answer.unwrap_err().contains("needs more than 64 queries"));
        assert_eq!(queries, 0);
    }
}

#[test]
fn duplicates_and_disorder_of_a_server_are_put_right() {
    let samples = vec![(30, 3.0), (10, 1.0), (10, 9.0), (20, 2.0)];
    let stored = Stored::from([("a".to_owned(), samples)]);
    let asked = Asked { from_ms: 0, to_ms: 100, interval_ms: 1, points_per_query: 1_000 };
    let (answer, _) = ask(&stored, Border::Closed, &asked);
    assert_eq!(answer.unwrap()["a"], [(10, 1.0), (20, 2.0), (30, 3.0)]);
}

fn samples(times_ms: &[i64]) -> Vec<trimtab_promql::Sample> {
    times_ms.iter().map(|&at_ms| trimtab_promql::Sample { at_ms, value: 0.0 }).collect()
}

#[test]
fn the_interval_is_the_median_gap() {
    let table: &[(&[i64], Option<i64>)] = &[
        (&[], None),
        (&[5], None),
        (&[0, 15], Some(15)),
        (&[0, 15, 30, 45], Some(15)),
        (&[0, 15, 31, 45, 60], Some(15)),
        (&[0, 15, 30, 600, 615], Some(15)),
        (&[i64::MIN, i64::MAX], Some(i64::MAX)),
    ];
    for (times_ms, expect) in table {
        assert_eq!(scrape_interval_ms(&samples(times_ms)), *expect, "{times_ms:?}");
    }
}

#[test]
fn a_series_ends_after_two_missed_scrapes() {
    let table: &[(&[i64], i64, Option<i64>)] = &[
        (&[], 100, None),
        (&[0, 15], 30, None),
        (&[0, 15], 45, None),
        (&[0, 15], 46, Some(15)),
        (&[50], 10, None),
    ];
    for (times_ms, to_ms, expect) in table {
        assert_eq!(ended_at_ms(&samples(times_ms), 15, *to_ms), *expect, "{times_ms:?} at {to_ms}");
    }
}

proptest! {
    #![proptest_config(ProptestConfig { failure_persistence: None, ..ProptestConfig::with_cases(300) })]

    #[test]
    fn exactly_the_stored_samples_of_the_window_come_once(
        pods in proptest::collection::vec(proptest::collection::btree_map(1_000_i64..3_000, -5_i32..5, 0..60), 0..4),
        is_left_open in any::<bool>(),
        from_ms in 900_i64..3_100,
        length_ms in 0_i64..900,
        interval_ms in 1_u64..20,
        points_per_query in 3_u32..40,
    ) {
        let stored: Stored = pods
            .into_iter()
            .enumerate()
            .map(|(index, samples)| (index.to_string(), samples.into_iter().map(|(at, value)| (at, f64::from(value))).collect()))
            .collect();
        let border = if is_left_open { Border::LeftOpen } else { Border::Closed };
        let asked = Asked { from_ms, to_ms: from_ms + length_ms, interval_ms, points_per_query };
        match ask(&stored, border, &asked).0 {
            Ok(answer) => prop_assert_eq!(answer, expected(&stored, &asked)),
            Err(refusal) => {
                prop_assert!(refusal.contains("needs more than 64 queries"));
                prop_assert!(length_ms / (i64::try_from(interval_ms).unwrap() * i64::from(points_per_query)) >= 63);
            }
        }
    }
}
