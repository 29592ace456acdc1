//! A namespace whose questions take as long as they may keeps no other one waiting.
#![allow(clippy::unwrap_used, reason = "in a test, a panic is the report")]

use std::sync::Arc;
use std::time::Duration;

use bytes::Bytes;
use futures::FutureExt;
use futures::future::{BoxFuture, join_all};
use trimtab_control::measure::PrometheusMeasure;
use trimtab_control::measurements::Measure;
use trimtab_judge::{Answer, Query};
use trimtab_providers::http::{BodyStream, HttpTransport, TransportError, body_of};
use trimtab_providers::prometheus::{Prometheus, PrometheusConfig};

/// Answers at once, but for expressions that begin with `slow`.
struct Server;

impl HttpTransport for Server {
    fn send(
        &self,
        request: http::Request<Bytes>,
    ) -> BoxFuture<'_, Result<http::Response<BodyStream>, TransportError>> {
        async move {
            if request.body().starts_with(b"query=slow") {
                std::future::pending::<()>().await;
            }
            let answer = r#"{"status":"success","data":{"resultType":"vector","result":[]}}"#;
            Ok(http::Response::new(body_of([Bytes::from_static(answer.as_bytes())])))
        }
        .boxed()
    }
}

#[tokio::test(start_paused = true)]
async fn slow_questions_of_one_namespace_hold_up_no_other() {
    let prometheus =
        Prometheus::new(Arc::new(Server), PrometheusConfig::new("main", "http://prometheus:9090"));
    let measure = PrometheusMeasure::new(Arc::new(prometheus.unwrap()));
    let instant = |expr: &str| Query::Instant { expr: expr.to_owned(), at_ms: 0 };
    // Thirty services of one namespace ask fifty questions each, and none is answered within the timeout.
    let slow: Vec<Query> = (0..50).map(|number| instant(&format!("slow_{number}"))).collect();
    let hostile = join_all((0..30).map(|_| measure.ask_all("evil", slow.iter().collect())));
    let neighbour = async {
        tokio::time::sleep(Duration::from_secs(5)).await;
        let quick: Vec<Query> = (0..50).map(|number| instant(&format!("quick_{number}"))).collect();
        let start = tokio::time::Instant::now();
        let answers = measure.ask_all("shop", quick.iter().collect()).await;
        assert_eq!(answers, vec![Answer::Returned(0); 50]);
        start.elapsed()
    };
    tokio::select! {
        _ = hostile => panic!("they take longer than this"),
        took = neighbour => assert!(took < Duration::from_secs(1), "fifty quick questions took {took:?}"),
    }
}
