//! Answers of Prometheus, and of whatever answers in its place.

use std::sync::Arc;
use std::time::Duration;

use bytes::Bytes;
use futures::FutureExt;
use futures::future::BoxFuture;
use http::{Request, Response};
use trimtab_promql::Series;
use trimtab_providers::http::{BodyStream, HttpTransport, TransportError, body_of};
use trimtab_providers::prometheus::{Prometheus, PrometheusConfig, ended_at_ms, scrape_interval_ms};

const NOW_MS: i64 = 1_767_225_600_000;
const WINDOW_MS: i64 = 600_000;
const SERIES_MAX: usize = 64;

/// Any body, as a success and as an error, becomes an answer within its limits or an error in one line. Samples are those of
/// the window, each time once, in order.
pub fn prometheus(data: &[u8]) {
    crate::block_on(async {
        for code in [200, 400, 503] {
            let client = client(code, data);
            match client.raw_samples("up", NOW_MS - WINDOW_MS, NOW_MS).await {
                Ok(answer) => check_samples(&answer.value),
                Err(error) => assert!(!error.to_string().contains(char::is_control), "{error}"),
            }
            if let Ok(answer) = client.instant("up", NOW_MS).await {
                assert!(answer.value.len() <= SERIES_MAX, "{} rows", answer.value.len());
            }
            let _ = client.label_presence("up", "pod", Duration::from_secs(600), NOW_MS).await;
        }
    });
}

fn check_samples(all: &[Series]) {
    assert!(all.len() <= SERIES_MAX, "{} series", all.len());
    assert!(all.windows(2).all(|pair| pair[0].labels < pair[1].labels), "series are in order, each once");
    for series in all {
        assert!(!series.samples.is_empty());
        let mut last = NOW_MS - WINDOW_MS - 1;
        for sample in &series.samples {
            assert!(sample.at_ms > last && sample.at_ms <= NOW_MS, "{series:?}");
            last = sample.at_ms;
        }
        let interval_ms = scrape_interval_ms(&series.samples).unwrap_or_default();
        assert!(interval_ms >= 0, "{series:?}");
        let _ = ended_at_ms(&series.samples, interval_ms, NOW_MS);
    }
}

struct Says(u16, Bytes);

impl HttpTransport for Says {
    fn send(&self, _: Request<Bytes>) -> BoxFuture<'_, Result<Response<BodyStream>, TransportError>> {
        let mut response = Response::new(body_of([self.1.clone()]));
        *response.status_mut() = http::StatusCode::from_u16(self.0).unwrap_or_default();
        async move { Ok(response) }.boxed()
    }
}

fn client(code: u16, body: &[u8]) -> Prometheus {
    let mut config = PrometheusConfig::new("main", "http://prometheus.example:9090");
    config.limits.max_series = SERIES_MAX;
    Prometheus::new(Arc::new(Says(code, Bytes::copy_from_slice(body))), config)
        .expect("a constant address is valid")
}
