//! Messages to people: what is owed, what is on its way, and what became of it.
//!
//! The outbox is a list in a release's status. An entry is written down as `Sending` before it is handed over, so a successor
//! knows that it may have arrived. [`Outbox::advance`] says what is due as writes of a plan; the messages themselves, and the
//! Secrets that they need, have tasks of their own: nobody's release waits for them, and nothing that goes wrong with them
//! delays a decision, but for the moment in which a manager stops. What became of a message is recorded by a controller of its own
//! (`controllers/messages.rs`), which waits for nothing else: until then a death costs a double.
//!
//! A sender lives as long as the term that its messages were handed over in. When the term ends, it begins no attempt any more
//! and gives up those in flight before anybody else may lead.

use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::Duration;

use tokio::task::JoinSet;
use trimtab_api::resolve::Reach;
use trimtab_delivery::lower;
use trimtab_delivery::snapshot::{MessageState, OutboxEntry, Release, Snapshot};
use trimtab_kube::api::{Leadership, Term};
use trimtab_kube::queue::Queue;
use trimtab_kube::{Api, Clock, Key};
use trimtab_notify::{DestinationKind, Message, Outcome, OutcomeState, Sender, SenderPolicy};
use trimtab_plan::Write;
use trimtab_providers::http::HttpTransport;

use crate::address::{Unreachable, destination, kind_of, lane};
use crate::handed::{AllHanded, Became, Entry, MessageId, Sending, Unrecorded, Whose};
use crate::notification::notification;
use crate::observed::Observed;

/// Attempts to read a Secret while the API server does not answer.
const SECRET_ATTEMPTS_MAX: u32 = 8;
/// Wait between two of them; doubles with each.
const SECRET_AGAIN: Duration = Duration::from_secs(1);
/// How long attempts in flight are waited for at the end of a term: less than until another one may lead.
const LAST_ATTEMPTS: Duration = Duration::from_secs(3);
/// Why nobody knows whether a message arrived.
const STOPPED: &str = "the manager stopped while it was sent";

/// Sends what releases owe.
pub struct Outbox {
    shared: Arc<Shared>,
    transport: Arc<dyn HttpTransport>,
    clock: Clock,
    leadership: Leadership,
    /// Namespace of the Secrets that policies name.
    namespace: String,
    turn: Mutex<Option<Turn>>,
    /// Messages whose Secrets are being read, and senders that wait for the end of their term. Cut off when the outbox is
    /// dropped.
    tasks: Mutex<JoinSet<()>>,
}

struct Shared {
    api: Api,
    handed: AllHanded,
    /// Services whose records are to say what became of a message.
    to_record: Queue<Key>,
}

/// The sender of one term.
#[derive(Clone)]
struct Turn {
    term: Term,
    sender: Arc<Sender>,
}

/// What is due about one entry.
enum Step {
    /// It is only written down.
    Write(String),
    /// It is written down so, and handed over.
    HandOver(String),
}

impl Outbox {
    /// Sends through `transport` while this process leads; an outcome enqueues the service in `to_record`. `api` reads Secrets.
    #[must_use]
    pub fn new(
        api: Api,
        transport: Arc<dyn HttpTransport>,
        clock: Clock,
        namespace: String,
        leadership: Leadership,
        to_record: Queue<Key>,
    ) -> Self {
        let shared = Arc::new(Shared { api, handed: AllHanded::default(), to_record });
        let (turn, tasks) = (Mutex::default(), Mutex::default());
        Self { shared, transport, clock, leadership, namespace, turn, tasks }
    }

    /// A term begins, with a sender of its own.
    pub fn begin_term(&self) {
        let Some(term) = self.leadership.term() else { return };
        let mut turn = locked(&self.turn);
        let unbroken = turn.as_ref().is_some_and(|turn| self.leadership.led_alone_since(turn.term));
        self.shared.handed.begin_term(unbroken);
        let sender = Arc::new(self.sender(term));
        *turn = Some(Turn { term, sender: sender.clone() });
        drop(turn);
        let leadership = self.leadership.clone();
        self.spawn(async move {
            leadership.ended(term).await;
            sender.close(LAST_ATTEMPTS).await;
        });
    }

    fn sender(&self, term: Term) -> Sender {
        let (shared, clock, leadership) = (self.shared.clone(), self.clock.clone(), self.leadership.clone());
        let tell = move |outcome: Outcome| {
            let became = Became::of(&outcome);
            shared.settle(&(outcome.key, outcome.destination), term, became);
        };
        // A process that was frozen finds out here.
        let may_send = move || leadership.term() == Some(term);
        let (transport, policy) = (self.transport.clone(), SenderPolicy::default());
        Sender::new(transport, policy, may_send, move || clock.now(), tell)
    }

    /// Sends nothing more, and waits for what is in flight as long as an attempt may take, or until the term ends.
    pub async fn close(&self) {
        let turn = locked(&self.turn).clone();
        if let Some(turn) = turn {
            turn.sender.close(SenderPolicy::default().attempt_timeout).await;
        }
        for service in self.shared.handed.give_back_intended() {
            self.shared.to_record.enqueue(service);
        }
    }

    /// What is due about the messages that releases owe: each moves one step on, and its record says so before.
    #[must_use]
    pub fn advance(&self, observed: &Observed, snapshot: &Snapshot<'_>) -> Vec<Write> {
        let mut writes = Vec::new();
        for release in snapshot.releases {
            if !release.status.outbox.iter().all(OutboxEntry::is_over) {
                self.shared.handed.saw(&observed.key, snapshot.releases);
                self.advance_release(observed, snapshot, release, &mut writes);
            }
        }
        writes
    }

    fn advance_release(
        &self,
        observed: &Observed,
        snapshot: &Snapshot<'_>,
        release: &Release,
        writes: &mut Vec<Write>,
    ) {
        let mut told = release.status.outbox.clone();
        let mut handed_over = Vec::new();
        for place in 0..told.len() {
            let key = entry_key(observed, release, &told[place]);
            match self.step(observed, release, &told[..=place], &key) {
                Some(Step::Write(state)) => told[place].state = state,
                Some(Step::HandOver(state)) => {
                    self.intend(observed, release, &told[place], &key);
                    told[place].state = state;
                    let destination = told[place].destination.clone();
                    handed_over.push(Write::Notify { key, destination });
                }
                None => {}
            }
        }
        // What is handed over again may read as before: it is written all the same, on the version that was read.
        if told != release.status.outbox || !handed_over.is_empty() {
            writes.push(lower::outbox(snapshot, release, &told));
            writes.extend(handed_over);
        }
    }

    /// Remembers that a message is about to be handed over for the first time.
    fn intend(&self, observed: &Observed, release: &Release, entry: &OutboxEntry, key: &str) {
        let reach = reach_of(observed, entry).filter(|_| entry.progress() == Some(MessageState::Pending));
        if let Some((reach, turn)) = reach.zip(locked(&self.turn).as_ref()) {
            let id = (key.to_owned(), lane(reach, self.secrets_of(observed, reach)));
            let entry = entry_of(observed, release, entry, key);
            self.shared.handed.intend(id, entry, release.version, turn.term);
        }
    }

    /// What is due about the last of `told`.
    fn step(&self, observed: &Observed, release: &Release, told: &[OutboxEntry], key: &str) -> Option<Step> {
        let (entry, earlier) = told.split_last()?;
        let progress = entry.progress().filter(|progress| !progress.is_over())?;
        let own = entry_of(observed, release, entry, key);
        let whose = self.shared.handed.whose(&own);
        if whose == Whose::Ours {
            return None;
        }
        let Some(reach) = reach_of(observed, entry) else {
            return Some(Step::Write(MessageState::Failed.because("no longer configured")));
        };
        let kind = kind_of(reach);
        // What an earlier message posted is edited, so it has to be known first.
        let awaited = |other: &OutboxEntry| other.destination == entry.destination && !other.is_over();
        if kind == DestinationKind::SlackApp && earlier.iter().any(awaited) {
            return None;
        }
        match (whose, progress, kind) {
            (Whose::GivenBack, MessageState::Sending, _) => None,
            (_, MessageState::Sending, DestinationKind::Slack) if !self.shared.handed.is_intended(&own) => {
                Some(Step::Write(MessageState::Unknown.because(STOPPED)))
            }
            (..) => Some(Step::HandOver(self.sending(&own, progress))),
        }
    }

    /// What a record says of a message while it is being sent.
    fn sending(&self, entry: &Entry, progress: MessageState) -> String {
        match progress {
            MessageState::Sending if !self.shared.handed.is_intended(entry) => {
                MessageState::Sending.because(&format!("again, because {STOPPED}"))
            }
            _ => MessageState::Sending.because(""),
        }
    }

    /// Hands over the message of the entry with `key`, which its record says is being sent. `snapshot` is from before it did.
    pub fn hand_over(&self, observed: &Observed, snapshot: &Snapshot<'_>, key: &str, destination: &str) {
        let entries = snapshot
            .releases
            .iter()
            .flat_map(|release| (0..release.status.outbox.len()).map(move |place| (release, place)));
        let found = entries
            .map(|(release, place)| (release, place, &release.status.outbox[place]))
            .filter(|(release, _, entry)| {
                entry.destination == destination && entry_key(observed, release, entry) == key
            })
            .find_map(|(release, place, entry)| Some((release, place, entry, reach_of(observed, entry)?)));
        let (Some((release, place, entry, reach)), Some(turn)) = (found, locked(&self.turn).clone()) else {
            return;
        };
        let namespace = self.secrets_of(observed, reach).to_owned();
        let id = (key.to_owned(), lane(reach, &namespace));
        let earlier =
            || release.status.outbox[..place].iter().filter(|other| other.destination == destination);
        let message = Unaddressed {
            notification: notification(observed, release, entry, key),
            reach: reach.clone(),
            namespace,
            about: release_key(observed, release),
            card: earlier().rev().find_map(|other| other.card.as_deref()?.parse().ok()),
            follows: earlier().next().is_some(),
            again: entry.progress() == Some(MessageState::Sending),
        };
        let own = entry_of(observed, release, entry, key);
        let state = self.sending(&own, entry.progress().unwrap_or(MessageState::Pending));
        let sending = Sending { decided_on: release.version, state };
        self.shared.handed.begin(id.clone(), own, sending, turn.term);
        self.spawn(self.shared.clone().address(turn, id, message));
    }

    /// What the records of a service do not say yet, as writes, and how long ago the last of these messages was handed over.
    #[must_use]
    pub fn record(&self, observed: &Observed, snapshot: &Snapshot<'_>) -> (Vec<Write>, Duration) {
        let key_of = |release: &Release, entry: &OutboxEntry| entry_key(observed, release, entry);
        let due = self.shared.handed.to_record(&observed.key, snapshot.releases, key_of);
        let age = due.iter().map(|due| due.age).min().unwrap_or_default();
        let write = |Unrecorded { release, place, before, became, .. }: Unrecorded<'_>| {
            let card = became.card.or_else(|| before.card.clone());
            let after = OutboxEntry { state: became.state, card, ..before.clone() };
            lower::told(snapshot, release, place, &before, &after)
        };
        (due.into_iter().map(write).collect(), age)
    }

    /// Services whose records do not say yet what became of their messages.
    #[must_use]
    pub fn unrecorded(&self) -> Vec<Key> {
        self.shared.handed.unrecorded().into_iter().collect()
    }

    /// Whether this process has something left to record, and may.
    #[must_use]
    pub fn is_recording(&self) -> bool {
        let handed = &self.shared.handed;
        self.leadership.is_leader() && (handed.is_sending() || !handed.unrecorded().is_empty())
    }

    /// Whether this process knows what became of a message of `service`.
    #[must_use]
    pub fn knows_of(&self, service: &Key) -> bool {
        self.shared.handed.has_outcome(service)
    }

    /// Forgets a service that is gone.
    pub fn forget(&self, service: &Key) {
        self.shared.handed.forget(service);
    }

    /// Messages that are remembered.
    #[must_use]
    pub fn remembered(&self) -> usize {
        self.shared.handed.len()
    }

    fn spawn(&self, task: impl Future<Output = ()> + Send + 'static) {
        let mut tasks = locked(&self.tasks);
        while tasks.try_join_next().is_some() {}
        tasks.spawn(task);
    }

    /// Namespace of the Secrets that `reach` names.
    fn secrets_of<'a>(&'a self, observed: &'a Observed, reach: &Reach) -> &'a str {
        if reach.of_policy() { &self.namespace } else { &observed.app.namespace }
    }
}

fn entry_of(observed: &Observed, release: &Release, entry: &OutboxEntry, key: &str) -> Entry {
    Entry {
        service: observed.key.clone(),
        number: release.number,
        key: key.to_owned(),
        destination: entry.destination.clone(),
    }
}

/// A message that is not addressed yet.
struct Unaddressed {
    notification: trimtab_notify::Notification,
    reach: Reach,
    namespace: String,
    about: String,
    card: Option<trimtab_notify::Card>,
    follows: bool,
    again: bool,
}

impl Shared {
    /// Reads what the message needs to know where it goes, and gives it to the sender.
    async fn address(self: Arc<Self>, turn: Turn, id: MessageId, message: Unaddressed) {
        let found = tokio::select! {
            biased;
            () = turn.sender.closed() => Ok(None),
            found = self.find(&message) => found.map(Some),
        };
        let became = match found {
            Ok(Some(destination)) => {
                let Unaddressed { notification, about, card, follows, again, .. } = message;
                let message = Message { notification, destination, about, card, follows, again };
                match turn.sender.submit(message) {
                    Ok(()) => return,
                    Err(error) => OutcomeState::GaveUp { why: error.to_string() },
                }
            }
            Ok(None) if message.again => OutcomeState::ToLookUp,
            Ok(None) => OutcomeState::Deferred,
            Err(why) => OutcomeState::GaveUp { why },
        };
        let (key, destination) = id.clone();
        let outcome = Outcome { key, destination, state: became, card: None };
        self.settle(&id, turn.term, Became::of(&outcome));
    }

    async fn find(&self, message: &Unaddressed) -> Result<trimtab_notify::Destination, String> {
        let mut wait = SECRET_AGAIN;
        let mut attempt = 1;
        loop {
            match destination(&self.api, &message.reach, &message.namespace).await {
                Ok(destination) => return Ok(destination),
                Err(Unreachable::Never(why)) => return Err(why),
                Err(Unreachable::Now(error)) if attempt == SECRET_ATTEMPTS_MAX => {
                    return Err(error.to_string());
                }
                // A busy API server must not cost anybody the message.
                Err(Unreachable::Now(_)) => tokio::time::sleep(wait).await,
            }
            (attempt, wait) = (attempt + 1, wait * 2);
        }
    }

    fn settle(&self, id: &MessageId, term: Term, became: Option<Became>) {
        if let Some(service) = self.handed.settle(id, term, became) {
            self.to_record.enqueue(service);
        }
    }
}

/// What all messages about a release have in common. It does not name the record: one that was lost with the storage that kept
/// it, and is written anew, is told about under the same key.
fn release_key(observed: &Observed, release: &Release) -> String {
    let template = release.template_hash.as_deref().unwrap_or_default();
    format!("{}:v{}:{template}", observed.app.uid, release.number)
}

/// A receiver drops doubles by it.
fn entry_key(observed: &Observed, release: &Release, entry: &OutboxEntry) -> String {
    let again = if entry.again > 0 { format!(":{}", entry.again) } else { String::new() };
    format!("{}:{}{again}", release_key(observed, release), entry.event.word())
}

fn reach_of<'a>(observed: &'a Observed, entry: &OutboxEntry) -> Option<&'a Reach> {
    observed.reaches.iter().find(|reach| reach.name() == entry.destination)
}

fn locked<T>(mutex: &Mutex<T>) -> MutexGuard<'_, T> {
    mutex.lock().unwrap_or_else(PoisonError::into_inner)
}
