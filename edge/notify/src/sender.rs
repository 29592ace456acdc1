//! Sends letters, one destination apart from the other.
//!
//! Every destination has a lane: a queue with a task that takes one letter after the other, so what happened
//! first is told first, and a destination that is down holds up its own letters only. A lane exists while it
//! has letters.

use std::collections::BTreeMap;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::Duration;

use http::Response;
use jiff::Timestamp;
use tokio::sync::Semaphore;
use tokio::task::JoinSet;
use tokio::time::Instant;
use trimtab_providers::http::{BodyStream, Collected, HttpTransport, collect, retry_after};

use crate::answer::{self, Verdict};
use crate::destination::{Destination, NotifyError};
use crate::lanes::{Admission, Lanes};
use crate::letter::{Letter, SenderPolicy};
use crate::outbox::Change;
use crate::schedule;

/// How much of a refusal's body is read, in bytes.
const WORDS_BYTES: usize = 4 * 1024;
/// How long a refusal's body may take.
const WORDS_TIMEOUT: Duration = Duration::from_secs(2);

/// What became of a letter.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Outcome {
    /// Key of the notice.
    pub key: String,
    /// Name of the destination.
    pub destination: String,
    /// What became of it.
    pub state: OutcomeState,
}

/// The end of a letter. Texts are fit for a status: short, without secrets.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum OutcomeState {
    /// The destination confirmed it.
    Sent,
    /// It did not arrive and is not tried again.
    GaveUp {
        /// What the last attempt met, and what to do.
        why: String,
    },
    /// It may have arrived and is not tried again.
    Unknown {
        /// What the attempt met.
        why: String,
    },
}

impl Outcome {
    /// What this means for the outbox entry.
    #[must_use]
    pub fn change(&self) -> Change {
        match self.state {
            OutcomeState::Sent => Change::Confirmed,
            OutcomeState::GaveUp { .. } => Change::GaveUp,
            OutcomeState::Unknown { .. } => Change::Lost,
        }
    }
}

/// Sends letters in the background until it is dropped; then attempts in flight are cut off and no outcome is
/// told.
pub struct Sender {
    shared: Arc<Shared>,
    workers: Mutex<JoinSet<()>>,
}

struct Shared {
    transport: Arc<dyn HttpTransport>,
    policy: SenderPolicy,
    now: Box<dyn Fn() -> Timestamp + Send + Sync>,
    tell: Box<dyn Fn(Outcome) + Send + Sync>,
    lanes: Mutex<Lanes>,
    attempts: Semaphore,
}

impl Sender {
    /// A sender without letters. `now` dates signatures. `tell` gets exactly one outcome for each letter that
    /// was taken. It is called from within the lanes and from within [`Sender::submit`], so it must return soon,
    /// not panic and not take a lock that is held while submitting.
    pub fn new(
        transport: Arc<dyn HttpTransport>,
        policy: SenderPolicy,
        now: impl Fn() -> Timestamp + Send + Sync + 'static,
        tell: impl Fn(Outcome) + Send + Sync + 'static,
    ) -> Self {
        let attempts = Semaphore::new(policy.attempts_at_once.clamp(1, Semaphore::MAX_PERMITS));
        let (now, tell) = (Box::new(now), Box::new(tell));
        let shared = Shared { transport, policy, now, tell, lanes: Mutex::default(), attempts };
        Self { shared: Arc::new(shared), workers: Mutex::default() }
    }

    /// Takes a letter. Needs a tokio runtime. A letter whose notice already waits for the same destination
    /// changes nothing, so a caller that lost count may submit again. In a full queue a terminal notice takes
    /// the place of the oldest one that is not terminal, whose outcome says so.
    ///
    /// # Errors
    /// [`NotifyError::QueueFull`]; the letter was not taken.
    pub fn submit(&self, letter: Letter) -> Result<(), NotifyError> {
        let destination = letter.destination.name.clone();
        let admission = self.shared.lanes().admit(letter, Instant::now(), &self.shared.policy);
        match admission {
            Admission::Known | Admission::Joined => {}
            Admission::OpenedLane => self.open(destination),
            Admission::Full(waiting) => return Err(NotifyError::QueueFull { destination, waiting }),
            Admission::Displaced(letter) => {
                let why = "the queue was full and a more important notice took its place".to_owned();
                self.shared.settle(&letter, OutcomeState::GaveUp { why });
            }
        }
        Ok(())
    }

    /// Letters that wait or are on their way, by destination.
    #[must_use]
    pub fn waiting(&self) -> BTreeMap<String, usize> {
        self.shared.lanes().counts()
    }

    fn open(&self, destination: String) {
        let mut workers = self.workers.lock().unwrap_or_else(PoisonError::into_inner);
        while workers.try_join_next().is_some() {}
        workers.spawn(Arc::clone(&self.shared).serve(destination));
    }
}

impl Shared {
    fn lanes(&self) -> MutexGuard<'_, Lanes> {
        self.lanes.lock().unwrap_or_else(PoisonError::into_inner)
    }

    fn settle(&self, letter: &Letter, state: OutcomeState) {
        let (key, destination) = (letter.notice.key.clone(), letter.destination.name.clone());
        (self.tell)(Outcome { key, destination, state });
    }

    async fn serve(self: Arc<Self>, destination: String) {
        loop {
            let first = self.lanes().first(&destination);
            let Some((letter, taken_at)) = first else { return };
            let state = self.deliver(&letter, taken_at).await;
            // In this order: until the outcome is told, a letter submitted again is known and not sent again.
            self.settle(&letter, state);
            self.lanes().finish_first(&destination);
        }
    }

    async fn deliver(&self, letter: &Letter, taken_at: Instant) -> OutcomeState {
        let mut attempt = 1;
        loop {
            let (why, asked) = match self.attempt(letter).await {
                Verdict::Arrived => return OutcomeState::Sent,
                Verdict::Never { why } => return OutcomeState::GaveUp { why },
                Verdict::Unclear { why } => return OutcomeState::Unknown { why },
                Verdict::Later { why, asked } => (why, asked),
            };
            let Some(wait) = schedule::next(&letter.notice.key, attempt, taken_at.elapsed(), asked) else {
                return OutcomeState::GaveUp { why: format!("{why}; gave up after {attempt} attempts") };
            };
            tracing::debug!(destination = letter.destination.name, attempt, why, "trying again later");
            tokio::time::sleep(wait).await;
            attempt += 1;
        }
    }

    async fn attempt(&self, letter: &Letter) -> Verdict {
        let _turn = self.attempts.acquire().await.expect("the semaphore is owned here and never closed");
        let request = match letter.destination.request(&letter.notice, (self.now)()) {
            Ok(request) => request,
            Err(error) => return Verdict::Never { why: error.to_string() },
        };
        let timeout = self.policy.attempt_timeout;
        match tokio::time::timeout(timeout, self.transport.send(request)).await {
            Ok(Ok(response)) if response.status().is_success() => Verdict::Arrived,
            Ok(Ok(response)) => self.refusal(&letter.destination, response).await,
            Ok(Err(error)) => {
                let cause = letter.destination.shown(&error.to_string());
                tracing::info!(destination = letter.destination.name, ?cause, "a message was not taken");
                answer::of_failure(&letter.destination, &error)
            }
            Err(_) => answer::of_timeout(&letter.destination, timeout),
        }
    }

    /// A refusal's words help an operator and decide nothing: without them the status still stands.
    async fn refusal(&self, destination: &Destination, response: Response<BodyStream>) -> Verdict {
        let (head, body) = response.into_parts();
        let said = match tokio::time::timeout(WORDS_TIMEOUT, collect(body, WORDS_BYTES)).await {
            Ok(Ok(Collected::Whole(bytes) | Collected::CutOff(bytes))) => bytes,
            Ok(Err(_)) | Err(_) => Vec::new(),
        };
        let words = destination.shown(&self.transport.redact(&String::from_utf8_lossy(&said)));
        let status = head.status.as_u16();
        tracing::info!(destination = destination.name, status, ?words, "a message was refused");
        answer::of_refusal(destination, head.status, retry_after(&head.headers), &said)
    }
}
