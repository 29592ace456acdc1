//! Sends messages, one destination apart from the other.
//!
//! Every destination has a lane: a queue with a task that takes one message after the other, so what happened
//! first is told first, and a destination that is down holds up its own messages only. A lane exists while it
//! has messages.

use std::collections::BTreeMap;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::Duration;

use http::Response;
use jiff::Timestamp;
use tokio::sync::{Semaphore, watch};
use tokio::task::JoinSet;
use tokio::time::Instant;
use trimtab_providers::http::{BodyStream, Collected, HttpTransport, collect, retry_after};

use crate::answer::{self, AttemptEnd};
use crate::card::Posting;
use crate::destination::{Destination, DestinationKind, NotifyError};
use crate::lanes::{Admission, Lanes};
use crate::message::{Card, Message, SenderPolicy};
use crate::schedule;
use crate::web::Web;

/// How much of a refusal's body is read, in bytes.
const WORDS_BYTES: usize = 4 * 1024;
/// How long a refusal's body may take.
const WORDS_TIMEOUT: Duration = Duration::from_secs(2);

/// What became of a message.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Outcome {
    /// Key of the notification.
    pub key: String,
    /// Name of the destination.
    pub destination: String,
    /// What became of it.
    pub state: OutcomeState,
    /// The card that says it, where cards are edited.
    pub card: Option<Card>,
}

/// The end of a message. Texts are fit for a status: short, without secrets.
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
    /// The sender was closed before it arrived, or it may arrive again unharmed: it is to be sent as if it were new.
    Deferred,
    /// The sender was closed when it may have arrived: whoever sends it looks first.
    ToLookUp,
}

/// Sends messages in the background until it is closed or dropped. When it is dropped, attempts in flight are cut off and no
/// outcome is told.
pub struct Sender {
    shared: Arc<Shared>,
    workers: Mutex<JoinSet<()>>,
}

struct Shared {
    transport: Arc<dyn HttpTransport>,
    policy: SenderPolicy,
    now: Box<dyn Fn() -> Timestamp + Send + Sync>,
    tell: Box<dyn Fn(Outcome) + Send + Sync>,
    may_send: Box<dyn Fn() -> bool + Send + Sync>,
    /// Until when attempts in flight are waited for, once no other begins.
    closing: watch::Sender<Option<Instant>>,
    lanes: Mutex<Lanes>,
    attempts: Semaphore,
}

impl Sender {
    /// A sender without messages. `may_send` is asked right before every attempt; where it says no, none is made until the
    /// sender is closed. `now` dates signatures. `tell` gets exactly one outcome for each message that
    /// was taken. It is called from within the lanes and from within [`Sender::submit`], so it must return soon,
    /// not panic and not take a lock that is held while submitting.
    pub fn new(
        transport: Arc<dyn HttpTransport>,
        policy: SenderPolicy,
        may_send: impl Fn() -> bool + Send + Sync + 'static,
        now: impl Fn() -> Timestamp + Send + Sync + 'static,
        tell: impl Fn(Outcome) + Send + Sync + 'static,
    ) -> Self {
        let attempts = Semaphore::new(policy.attempts_at_once.clamp(1, Semaphore::MAX_PERMITS));
        let (now, tell, may_send) = (Box::new(now), Box::new(tell), Box::new(may_send));
        let (closing, lanes) = (watch::channel(None).0, Mutex::default());
        let shared = Shared { transport, policy, now, tell, may_send, closing, lanes, attempts };
        Self { shared: Arc::new(shared), workers: Mutex::default() }
    }

    /// Takes a message. Needs a tokio runtime. A message whose key already waits for the same destination changes
    /// nothing, so a caller that lost count may submit again. In a full queue a terminal message takes
    /// the place of the oldest one that is not terminal, whose outcome says so.
    ///
    /// # Errors
    /// [`NotifyError::QueueFull`]; the message was not taken.
    pub fn submit(&self, message: Message) -> Result<(), NotifyError> {
        if self.shared.is_closing() {
            self.shared.settle(&message, OutcomeState::Deferred, None);
            return Ok(());
        }
        let destination = message.destination.name.clone();
        let admission = self.shared.lanes().admit(message, Instant::now(), &self.shared.policy);
        match admission {
            Admission::Known | Admission::Joined => {}
            Admission::OpenedLane => self.open(destination),
            Admission::Full(waiting) => return Err(NotifyError::QueueFull { destination, waiting }),
            Admission::Displaced(message) => {
                let why = "the queue was full and a more important message took its place".to_owned();
                self.shared.settle(&message, OutcomeState::GaveUp { why }, None);
            }
        }
        Ok(())
    }

    /// Begins no attempt any more, waits up to `grace` for those in flight, and tells an outcome for every message that was
    /// taken. Messages that come later are deferred. Closed twice, the shorter wait counts.
    pub async fn close(&self, grace: Duration) {
        let until = Instant::now() + grace;
        self.shared
            .closing
            .send_modify(|closing| *closing = Some(closing.map_or(until, |own| own.min(until))));
        let mut workers = std::mem::take(&mut *self.workers.lock().unwrap_or_else(PoisonError::into_inner));
        while workers.join_next().await.is_some() {}
    }

    /// Waits until it is being closed.
    pub async fn closed(&self) {
        self.shared.closing().await;
    }

    /// Messages that wait or are on their way, by destination.
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

    fn settle(&self, message: &Message, state: OutcomeState, card: Option<Card>) {
        let (key, destination) = (message.notification.key.clone(), message.destination.name.clone());
        (self.tell)(Outcome { key, destination, state, card });
    }

    fn is_closing(&self) -> bool {
        self.closing.borrow().is_some()
    }

    /// Waits until the sender is being closed.
    async fn closing(&self) {
        // The other end is owned here and never gone.
        let _ = self.closing.subscribe().wait_for(Option::is_some).await;
    }

    /// Waits until attempts in flight are not waited for any more.
    async fn cut(&self) {
        let mut closing = self.closing.subscribe();
        loop {
            let until = *closing.borrow_and_update();
            let over = async {
                match until {
                    Some(until) => tokio::time::sleep_until(until).await,
                    None => std::future::pending().await,
                }
            };
            tokio::select! {
                biased;
                () = over => return,
                _ = closing.changed() => {}
            }
        }
    }

    async fn serve(self: Arc<Self>, destination: String) {
        loop {
            let first = self.lanes().first(&destination);
            let Some((message, taken_at)) = first else { return };
            let mut posting = Posting::of(&message);
            let state = self.deliver(&message, taken_at, &mut posting).await;
            // In this order: until the outcome is told, a message submitted again is known and not sent again.
            self.settle(&message, state, posting.card);
            self.lanes().finish_first(&destination);
        }
    }

    async fn deliver(&self, message: &Message, taken_at: Instant, posting: &mut Posting) -> OutcomeState {
        let mut attempt = 1;
        loop {
            let (why, asked) = match self.attempt(message, posting).await {
                AttemptEnd::Arrived => return OutcomeState::Sent,
                AttemptEnd::Never { why } => return OutcomeState::GaveUp { why },
                AttemptEnd::Unclear { why } => return OutcomeState::Unknown { why },
                AttemptEnd::Stopped => return stopped(message, posting),
                AttemptEnd::Later { why, asked } => (why, asked),
            };
            let Some(wait) = schedule::next(&message.notification.key, attempt, taken_at.elapsed(), asked)
            else {
                return OutcomeState::GaveUp { why: format!("{why}; gave up after {attempt} attempts") };
            };
            tracing::debug!(destination = message.destination.name, attempt, why, "trying again later");
            tokio::select! {
                biased;
                () = self.closing() => return stopped(message, posting),
                () = tokio::time::sleep(wait) => {}
            }
            attempt += 1;
        }
    }

    async fn attempt(&self, message: &Message, posting: &mut Posting) -> AttemptEnd {
        let _turn = tokio::select! {
            biased;
            () = self.closing() => return AttemptEnd::Stopped,
            turn = self.attempts.acquire() => turn.expect("the semaphore is owned here and never closed"),
        };
        if !(self.may_send)() {
            self.closing().await;
            return AttemptEnd::Stopped;
        }
        if message.destination.kind == DestinationKind::SlackApp {
            let (transport, timeout) = (&*self.transport, self.policy.attempt_timeout);
            let web =
                Web { transport, destination: &message.destination, may_send: &*self.may_send, timeout };
            tokio::select! {
                biased;
                verdict = posting.attempt(&web, message) => verdict,
                () = self.cut() => AttemptEnd::Stopped,
            }
        } else {
            tokio::select! {
                biased;
                verdict = self.send(message) => verdict,
                () = self.cut() => answer::of_cut(&message.destination),
            }
        }
    }

    /// Sends the one request that tells it.
    async fn send(&self, message: &Message) -> AttemptEnd {
        let request = match message.destination.request(&message.notification, (self.now)()) {
            Ok(request) => request,
            Err(error) => return AttemptEnd::Never { why: error.to_string() },
        };
        let timeout = self.policy.attempt_timeout;
        match tokio::time::timeout(timeout, self.transport.send(request)).await {
            Ok(Ok(response)) if response.status().is_success() => AttemptEnd::Arrived,
            Ok(Ok(response)) => self.refusal(&message.destination, response).await,
            Ok(Err(error)) => {
                let cause = message.destination.shown(&error.to_string());
                tracing::info!(destination = message.destination.name, ?cause, "a message was not taken");
                answer::of_failure(&message.destination, &error)
            }
            Err(_) => answer::of_timeout(&message.destination, timeout),
        }
    }

    /// A refusal's words help an operator and decide nothing: without them the status still stands.
    async fn refusal(&self, destination: &Destination, response: Response<BodyStream>) -> AttemptEnd {
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

/// What a closing sender makes of a message that it no longer sends.
fn stopped(message: &Message, posting: &Posting) -> OutcomeState {
    match message.destination.kind {
        DestinationKind::SlackApp if posting.begun => OutcomeState::ToLookUp,
        _ => OutcomeState::Deferred,
    }
}
