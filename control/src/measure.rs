//! Prometheus as the judge's witness.

use std::collections::BTreeMap;
use std::sync::{Arc, Mutex, PoisonError, Weak};

use futures::FutureExt;
use futures::future::{BoxFuture, join_all};
use tokio::sync::{OwnedSemaphorePermit, Semaphore};
use trimtab_judge::{Answer, Failure, Query};
use trimtab_providers::ProviderError;
use trimtab_providers::prometheus::Prometheus;

use crate::measurements::{Answers, Measure};

/// Answers that the process holds at one time, until they are judged: so many as large as allowed, and more where they are
/// smaller. With the questions being asked, this bounds the memory that a metrics server can fill: (4 + 2) times
/// `--prometheus-max-answer-bytes` of JSON.
const HELD_ANSWERS_MAX: usize = 2;
/// An answer of at most this part of the largest is small: those of a service with fifty rules come to a twentieth of one.
const SMALL_PART: usize = 1024;
/// Held answers are counted in pieces of so many bytes: there is a largest number of permits.
const ROOM_BYTES: usize = 1024;

/// Asks a Prometheus server.
pub struct PrometheusMeasure {
    prometheus: Arc<Prometheus>,
    /// Room for answers that wait for their judge.
    room: Arc<Semaphore>,
    /// Shares by namespace, while any question of it is open.
    shares: Mutex<BTreeMap<String, Weak<Share>>>,
}

/// What one namespace may have: a quarter of all is never its own, so that one whose questions are slow, or whose answers are
/// large, leaves something for others.
struct Share {
    turns: Semaphore,
    room: Arc<Semaphore>,
}

impl PrometheusMeasure {
    /// Asks `prometheus`.
    #[must_use]
    pub fn new(prometheus: Arc<Prometheus>) -> Self {
        let room = Arc::new(Semaphore::new(room(&prometheus)));
        Self { prometheus, room, shares: Mutex::default() }
    }

    fn share(&self, namespace: &str) -> Arc<Share> {
        let mut shares = self.shares.lock().unwrap_or_else(PoisonError::into_inner);
        if let Some(known) = shares.get(namespace).and_then(Weak::upgrade) {
            return known;
        }
        shares.retain(|_, share| share.strong_count() > 0);
        let of = |all: usize| Semaphore::new((all - all.div_ceil(4)).clamp(1, Semaphore::MAX_PERMITS));
        let turns = of(self.prometheus.limits().concurrent_queries);
        let own = Arc::new(Share { turns, room: Arc::new(of(room(&self.prometheus))) });
        shares.insert(namespace.to_owned(), Arc::downgrade(&own));
        own
    }

    /// Takes room for an answer that came as so many bytes of JSON. Never waits: whoever holds an answer while it waits for
    /// room would wait for others that do the same.
    fn hold(&self, share: &Share, json_bytes: usize) -> Option<[OwnedSemaphorePermit; 2]> {
        // Small answers need none: a namespace with large ones must not cost its neighbours theirs.
        let pieces = if json_bytes <= self.prometheus.limits().response_bytes / SMALL_PART {
            0
        } else {
            json_bytes.div_ceil(ROOM_BYTES)
        };
        let pieces = u32::try_from(pieces).ok()?;
        let own = Arc::clone(&share.room).try_acquire_many_owned(pieces).ok()?;
        Some([own, Arc::clone(&self.room).try_acquire_many_owned(pieces).ok()?])
    }

    /// An answer, and the bytes of JSON that it came as; none where little is left of them.
    async fn answer(&self, query: &Query) -> (Answer, usize) {
        let found = match query {
            Query::Samples { selector, from_ms, to_ms } => {
                self.prometheus.raw_samples(selector, *from_ms, *to_ms).await.map_err(|error| failure(&error))
            }
            Query::Sums { selector, by, from_ms, to_ms, step_ms } => {
                let sums = self.prometheus.sums(selector, by, (*from_ms, *to_ms), *step_ms).await;
                sums.map_err(|error| match error {
                    ProviderError::TooLarge { .. } => Failure::TooLarge(format!(
                        "{error}, or raise --prometheus-max-sums and --prometheus-max-answer-bytes of the manager"
                    )),
                    _ => failure(&error),
                })
            }
            Query::Instant { expr, at_ms } => {
                return match self.prometheus.instant(expr, *at_ms).await {
                    Ok(answer) => (Answer::Returned(answer.value.len()), 0),
                    Err(error) => (Answer::Failed(failure(&error)), 0),
                };
            }
        };
        match found {
            Ok(answer) => (Answer::Samples(answer.value), answer.json_bytes),
            Err(why) => (Answer::Failed(why), 0),
        }
    }
}

/// Room for the answers of all namespaces.
fn room(prometheus: &Prometheus) -> usize {
    let bytes = prometheus.limits().response_bytes.saturating_mul(HELD_ANSWERS_MAX);
    bytes.div_ceil(ROOM_BYTES).min(Semaphore::MAX_PERMITS)
}

impl Measure for PrometheusMeasure {
    fn ask<'a>(&'a self, query: &'a Query) -> BoxFuture<'a, Answer> {
        self.answer(query).map(|(answer, _)| answer).boxed()
    }

    fn ask_all<'a>(&'a self, namespace: &'a str, queries: Vec<&'a Query>) -> BoxFuture<'a, Answers> {
        let share = self.share(namespace);
        let in_turn = move |query| {
            let share = Arc::clone(&share);
            async move {
                let _turn = share.turns.acquire().await.expect("the semaphore is never closed");
                let (answer, json_bytes) = self.answer(query).await;
                match self.hold(&share, json_bytes) {
                    Some(room) => (answer, Some(room)),
                    None => (Answer::Failed(no_room(json_bytes)), None),
                }
            }
        };
        let all = join_all(queries.into_iter().map(in_turn));
        all.map(|found| {
            let (answers, room): (Vec<_>, Vec<_>) = found.into_iter().unzip();
            Answers { answers, room: room.into_iter().flatten().flatten().collect() }
        })
        .boxed()
    }

    fn sums_max(&self) -> usize {
        self.prometheus.limits().max_sums
    }
}

/// What was found is judged within moments, so there is room for the answer when it is asked again.
fn no_room(json_bytes: usize) -> Failure {
    Failure::Passing(format!(
        "its answer of {} KiB was dropped: the answers that wait to be judged take as much memory as they may; raise --prometheus-max-answer-bytes of the manager where this lasts",
        json_bytes.div_ceil(1024)
    ))
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
