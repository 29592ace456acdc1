//! Prometheus as the judge's witness.

use std::sync::Arc;

use futures::FutureExt;
use futures::future::BoxFuture;
use trimtab_delivery::judge::{Answer, Query};
use trimtab_providers::prometheus::Prometheus;

use crate::evidence::Measure;

/// Asks a Prometheus server.
pub struct PrometheusMeasure(pub Arc<Prometheus>);

impl Measure for PrometheusMeasure {
    fn ask<'a>(&'a self, query: &'a Query) -> BoxFuture<'a, Answer> {
        async move {
            match query {
                Query::Samples { selector, from_ms, to_ms } => {
                    match self.0.raw_samples(selector, *from_ms, *to_ms).await {
                        Ok(answer) => Answer::Samples(answer.value),
                        Err(error) => Answer::Failed(error.to_string()),
                    }
                }
                Query::Instant { expr, at_ms } => match self.0.instant(expr, *at_ms).await {
                    Ok(answer) => Answer::Returned(answer.value.len()),
                    Err(error) => Answer::Failed(error.to_string()),
                },
            }
        }
        .boxed()
    }
}

/// Stands in where no metrics server is configured: every question fails with what to do about it.
pub struct NoPrometheus;

impl Measure for NoPrometheus {
    fn ask<'a>(&'a self, _: &'a Query) -> BoxFuture<'a, Answer> {
        let why = "no Prometheus is configured: start the manager with --prometheus-url";
        async move { Answer::Failed(why.to_owned()) }.boxed()
    }
}
