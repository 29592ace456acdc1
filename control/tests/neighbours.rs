//! A namespace whose questions take as long as they may, or whose answers are as large as they may be, keeps no other one
//! waiting and fills no memory.
#![allow(clippy::unwrap_used, reason = "in a test, a panic is the report")]

use std::sync::Arc;
use std::time::Duration;

use bytes::Bytes;
use futures::FutureExt;
use futures::future::{BoxFuture, join_all};
use trimtab_control::measure::PrometheusMeasure;
use trimtab_control::measurements::{Answers, Measure};
use trimtab_judge::{Answer, Failure, Query};
use trimtab_providers::http::{BodyStream, HttpTransport, TransportError, body_of};
use trimtab_providers::prometheus::{Prometheus, PrometheusConfig};

/// Bytes of JSON that one answer may have.
const ANSWER_BYTES: usize = 64 * 1024;

/// Answers at once, but for expressions that begin with `slow`; to those that begin with `large`, as much as may be said.
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
            let answer = if request.body().starts_with(b"query=large") {
                large()
            } else {
                r#"{"status":"success","data":{"resultType":"vector","result":[]}}"#.to_owned()
            };
            Ok(http::Response::new(body_of([Bytes::from(answer)])))
        }
        .boxed()
    }
}

/// As many samples as an answer may have.
fn large() -> String {
    let head = r#"{"status":"success","data":{"resultType":"matrix","result":[{"metric":{"pod":"a"},"values":[[1,"1"]"#;
    let tail = "]}]}}";
    let sample = r#",[1,"1"]"#;
    let samples = (ANSWER_BYTES - head.len() - tail.len()) / sample.len();
    format!("{head}{}{tail}", sample.repeat(samples))
}

/// What waits to be judged is held: of a service with fifty rules, of thirty such services, and for as long as they like.
#[tokio::test(start_paused = true)]
async fn answers_that_wait_to_be_judged_have_a_bound_for_the_process() {
    let mut config = PrometheusConfig::new("main", "http://prometheus:9090");
    config.limits.response_bytes = ANSWER_BYTES;
    let measure = PrometheusMeasure::new(Arc::new(Prometheus::new(Arc::new(Server), config).unwrap()));
    let samples =
        |selector: &str| Query::Samples { selector: selector.to_owned(), from_ms: 0, to_ms: 60_000 };
    let large: Vec<Query> = (0..50).map(|number| samples(&format!("large_{number}"))).collect();
    let kept =
        |held: &Answers| held.answers.iter().filter(|answer| matches!(answer, Answer::Samples(_))).count();

    let services: Vec<String> = (0..30).map(|number| format!("evil{number}")).collect();
    let held =
        join_all(services.iter().map(|namespace| measure.ask_all(namespace, large.iter().collect()))).await;
    assert_eq!(held.iter().map(kept).sum::<usize>(), 2, "of 1500, as many as two of the largest are held");
    let dropped =
        held.iter().flat_map(|held| &held.answers).find(|answer| matches!(answer, Answer::Failed(_)));
    let Some(Answer::Failed(Failure::Passing(why))) = dropped else { panic!("{dropped:?}") };
    assert!(why.starts_with("its answer of 64 KiB was dropped"), "{why}");
    drop(held);

    let held = measure.ask_all("evil", large.iter().collect()).await;
    assert_eq!(kept(&held), 1, "a namespace takes three quarters at most");
    let other = measure.ask_all("shop", vec![&large[0]]).await;
    assert_eq!(kept(&other), 1, "there is room for an answer of another one");
    drop((held, other));
    assert_eq!(
        kept(&measure.ask_all("evil", large.iter().collect()).await),
        1,
        "what was judged is held no more"
    );
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
        assert_eq!(answers.answers, vec![Answer::Returned(0); 50]);
        start.elapsed()
    };
    tokio::select! {
        _ = hostile => panic!("they take longer than this"),
        took = neighbour => assert!(took < Duration::from_secs(1), "fifty quick questions took {took:?}"),
    }
}
