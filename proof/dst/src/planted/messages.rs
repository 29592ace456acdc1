//! Messages and measurements of a wrong manager.

use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};

use bytes::Bytes;
use futures::FutureExt;
use futures::future::BoxFuture;
use http::{Request, Response};
use trimtab_control::measurements::{Answers, Measure};
use trimtab_judge::{Answer, Query};
use trimtab_providers::http::{BodyStream, HttpTransport, TransportError, body_of};

use crate::messages::Messages;

/// One message in so many fails for ever.
const FAILS_EVERY: u64 = 3;

type Sent<'a> = BoxFuture<'a, Result<Response<BodyStream>, TransportError>>;

/// Sends every message again although it arrived.
pub(super) struct Twice(pub(super) Messages);

impl HttpTransport for Twice {
    fn send(&self, request: Request<Bytes>) -> Sent<'_> {
        async move {
            let (parts, body) = request.into_parts();
            let again = Request::from_parts(parts.clone(), body.clone());
            self.0.send(Request::from_parts(parts, body)).await?;
            self.0.send(again).await
        }
        .boxed()
    }
}

/// Messages that were sent, and whether the last one failed.
#[derive(Clone, Default)]
pub(super) struct Failed(Arc<AtomicU64>);

impl Failed {
    fn next(&self) -> bool {
        self.0.fetch_add(1, Ordering::Relaxed);
        self.is_failing()
    }

    fn is_failing(&self) -> bool {
        let sent = self.0.load(Ordering::Relaxed);
        sent > 0 && sent.is_multiple_of(FAILS_EVERY)
    }
}

/// A receiver that refuses some messages.
pub(super) struct Failing {
    pub(super) inner: Messages,
    pub(super) failed: Failed,
}

impl HttpTransport for Failing {
    fn send(&self, request: Request<Bytes>) -> Sent<'_> {
        if !self.failed.next() {
            return self.inner.send(request);
        }
        let mut refused = Response::new(body_of([Bytes::from_static(b"no")]));
        *refused.status_mut() = http::StatusCode::FORBIDDEN;
        async move { Ok(refused) }.boxed()
    }
}

/// Answers nothing while the last message failed.
pub(super) struct Silent {
    pub(super) inner: Arc<dyn Measure>,
    pub(super) failed: Failed,
}

impl Measure for Silent {
    fn ask<'a>(&'a self, query: &'a Query) -> BoxFuture<'a, Answer> {
        if self.failed.is_failing() { std::future::pending().boxed() } else { self.inner.ask(query) }
    }

    fn ask_all<'a>(&'a self, namespace: &'a str, queries: Vec<&'a Query>) -> BoxFuture<'a, Answers> {
        if self.failed.is_failing() {
            std::future::pending().boxed()
        } else {
            self.inner.ask_all(namespace, queries)
        }
    }

    fn sums_max(&self) -> usize {
        self.inner.sums_max()
    }
}
