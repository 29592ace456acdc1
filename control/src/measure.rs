//! Prometheus as the judge's witness.

use std::sync::Arc;

use futures::FutureExt;
use futures::future::BoxFuture;
use trimtab_judge::{Answer, Failure, Query};
use trimtab_providers::ProviderError;
use trimtab_providers::prometheus::Prometheus;

use crate::measurements::Measure;

/// Asks a Prometheus server.
pub struct PrometheusMeasure(pub Arc<Prometheus>);

impl Measure for PrometheusMeasure {
    fn ask<'a>(&'a self, query: &'a Query) -> BoxFuture<'a, Answer> {
        async move {
            match query {
                Query::Samples { selector, from_ms, to_ms } => {
                    match self.0.raw_samples(selector, *from_ms, *to_ms).await {
                        Ok(answer) => Answer::Samples(answer.value),
                        Err(error) => Answer::Failed(failure(&error)),
                    }
                }
                Query::Sums { selector, by, from_ms, to_ms, step_ms } => {
                    match self.0.sums(selector, by, (*from_ms, *to_ms), *step_ms).await {
                        Ok(answer) => Answer::Samples(answer.value),
                        Err(error @ ProviderError::TooLarge { .. }) => Answer::Failed(Failure::TooLarge(format!(
                            "{error}, or raise --prometheus-max-sums and --prometheus-max-answer-bytes of the manager"
                        ))),
                        Err(error) => Answer::Failed(failure(&error)),
                    }
                }
                Query::Instant { expr, at_ms } => match self.0.instant(expr, *at_ms).await {
                    Ok(answer) => Answer::Returned(answer.value.len()),
                    Err(error) => Answer::Failed(failure(&error)),
                },
            }
        }
        .boxed()
    }

    fn sums_max(&self) -> usize {
        self.0.limits().max_sums
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
