//! Prometheus as the judge's witness.

use std::collections::BTreeMap;
use std::sync::{Arc, Mutex, PoisonError, Weak};

use futures::FutureExt;
use futures::future::{BoxFuture, join_all};
use tokio::sync::Semaphore;
use trimtab_judge::{Answer, Failure, Query};
use trimtab_providers::ProviderError;
use trimtab_providers::prometheus::Prometheus;

use crate::measurements::Measure;

/// Asks a Prometheus server.
pub struct PrometheusMeasure {
    prometheus: Arc<Prometheus>,
    /// Turns by namespace, while any question of it waits for one.
    turns: Mutex<BTreeMap<String, Weak<Semaphore>>>,
}

impl PrometheusMeasure {
    /// Asks `prometheus`.
    #[must_use]
    pub fn new(prometheus: Arc<Prometheus>) -> Self {
        Self { prometheus, turns: Mutex::default() }
    }

    /// The turns of a namespace: a quarter of all is never its own, so that one whose questions are slow leaves room for others.
    fn turns(&self, namespace: &str) -> Arc<Semaphore> {
        let mut turns = self.turns.lock().unwrap_or_else(PoisonError::into_inner);
        if let Some(known) = turns.get(namespace).and_then(Weak::upgrade) {
            return known;
        }
        turns.retain(|_, turns| turns.strong_count() > 0);
        let all = self.prometheus.limits().concurrent_queries;
        let own = Arc::new(Semaphore::new((all - all.div_ceil(4)).clamp(1, Semaphore::MAX_PERMITS)));
        turns.insert(namespace.to_owned(), Arc::downgrade(&own));
        own
    }
}

impl Measure for PrometheusMeasure {
    fn ask<'a>(&'a self, query: &'a Query) -> BoxFuture<'a, Answer> {
        async move {
            match query {
                Query::Samples { selector, from_ms, to_ms } => {
                    match self.prometheus.raw_samples(selector, *from_ms, *to_ms).await {
                        Ok(answer) => Answer::Samples(answer.value),
                        Err(error) => Answer::Failed(failure(&error)),
                    }
                }
                Query::Sums { selector, by, from_ms, to_ms, step_ms } => {
                    match self.prometheus.sums(selector, by, (*from_ms, *to_ms), *step_ms).await {
                        Ok(answer) => Answer::Samples(answer.value),
                        Err(error @ ProviderError::TooLarge { .. }) => Answer::Failed(Failure::TooLarge(format!(
                            "{error}, or raise --prometheus-max-sums and --prometheus-max-answer-bytes of the manager"
                        ))),
                        Err(error) => Answer::Failed(failure(&error)),
                    }
                }
                Query::Instant { expr, at_ms } => match self.prometheus.instant(expr, *at_ms).await {
                    Ok(answer) => Answer::Returned(answer.value.len()),
                    Err(error) => Answer::Failed(failure(&error)),
                },
            }
        }
        .boxed()
    }

    fn ask_all<'a>(&'a self, namespace: &'a str, queries: Vec<&'a Query>) -> BoxFuture<'a, Vec<Answer>> {
        let turns = self.turns(namespace);
        let in_turn = move |query| {
            let turns = Arc::clone(&turns);
            async move {
                let _turn = turns.acquire().await.expect("the semaphore is never closed");
                self.ask(query).await
            }
        };
        join_all(queries.into_iter().map(in_turn)).boxed()
    }

    fn sums_max(&self) -> usize {
        self.prometheus.limits().max_sums
    }
}

/// A question that the server calls wrong stays wrong; everything else somebody may put right meanwhile.
fn failure(error: &ProviderError) -> Failure {
    match error {
        ProviderError::Status { code: 400, .. } => Failure::Lasting(error.to_string()),
        ProviderError::TooLarge { .. } => Failure::TooLarge(error.to_string()),
        _ => Failure::Passing(error.to_string()),
    }
}

/// Stands in where no metrics server is configured: every question fails with what to do about it.
pub struct NoPrometheus;

impl Measure for NoPrometheus {
    fn ask<'a>(&'a self, _: &'a Query) -> BoxFuture<'a, Answer> {
        let why = "no Prometheus is configured: start the manager with --prometheus-url";
        async move { Answer::Failed(Failure::Lasting(why.to_owned())) }.boxed()
    }
}
