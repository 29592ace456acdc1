//! Messages to people: what is owed, what is on its way, and what became of it.
//!
//! The outbox is a list in a release's status. An entry is written down as `Sending` before it is handed over, so a successor
//! knows that it may have arrived. [`Outbox::advance`] says what is due as writes of a plan; the messages themselves, and the
//! Secrets that they need, have tasks of their own: nobody's release waits for them, and nothing that goes wrong with them
//! delays a decision.

use std::collections::BTreeMap;
use std::hash::{DefaultHasher, Hash as _, Hasher as _};
use std::sync::{Arc, Mutex, PoisonError};
use std::time::Duration;

use serde_json::Value;
use tokio::task::JoinSet;
use trimtab_api::managed_app::SecretKey;
use trimtab_api::resolve::Reach;
use trimtab_delivery::lower;
use trimtab_delivery::snapshot::{OutboxEntry, Release, Snapshot};
use trimtab_kube::kinds::app_release::is_over;
use trimtab_kube::queue::Queue;
use trimtab_kube::resource::SECRETS;
use trimtab_kube::{Api, ApiError, Clock, Key};
use trimtab_notify::outbox::{Change, State};
use trimtab_notify::{
    Destination, DestinationKind, Letter, Notice, Outcome, OutcomeState, SecretText, Sender, SenderPolicy,
};
use trimtab_plan::Write;
use trimtab_providers::http::HttpTransport;

use crate::notice::notice;
use crate::observed::Observed;

/// Attempts to read a Secret while the API server does not answer; the first included.
const SECRET_ATTEMPTS_MAX: u32 = 8;
/// Wait between two of them; doubles with each.
const SECRET_AGAIN: Duration = Duration::from_secs(1);

/// An outbox entry as the sender knows it: its key, and the lane of its destination.
type EntryId = (String, String);

/// Sends what releases owe.
pub struct Outbox {
    shared: Arc<Shared>,
    /// Namespace of the Secrets that policies name.
    namespace: String,
    /// Messages whose Secrets are being read. Cut off when the outbox is dropped, like the sender's own.
    addressing: Mutex<JoinSet<()>>,
}

struct Shared {
    api: Api,
    sender: Sender,
    entries: Arc<Entries>,
    due: Queue<Key>,
}

/// What this process handed over, and what became of it.
#[derive(Default)]
struct Entries {
    /// Whom to wake.
    ours: Mutex<BTreeMap<EntryId, Key>>,
    outcomes: Mutex<BTreeMap<EntryId, OutcomeState>>,
}

impl Outbox {
    /// Sends through `transport`; an outcome enqueues the service in `due`, whose next plan writes it down. `api` reads
    /// Secrets.
    #[must_use]
    pub fn new(
        api: Api,
        transport: Arc<dyn HttpTransport>,
        clock: Clock,
        namespace: String,
        due: Queue<Key>,
    ) -> Self {
        let entries = Arc::new(Entries::default());
        let (back, wake) = (entries.clone(), due.clone());
        let tell =
            move |outcome: Outcome| back.settle((outcome.key, outcome.destination), outcome.state, &wake);
        let sender = Sender::new(transport, SenderPolicy::default(), move || clock.now(), tell);
        let shared = Arc::new(Shared { api, sender, entries, due });
        Self { shared, namespace, addressing: Mutex::default() }
    }

    /// What is due about the messages that the service's releases owe: each moves one step on, and says so in its record
    /// before it is handed over.
    #[must_use]
    pub fn advance(&self, observed: &Observed, snapshot: &Snapshot<'_>) -> Vec<Write> {
        self.forget_written(observed, snapshot);
        let mut writes = Vec::new();
        for release in snapshot.releases {
            if release.status.outbox.iter().any(|told| !is_over(&told.state)) {
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
        for entry in &mut told {
            let key = entry_key(release, entry);
            let reach = reach_of(observed, entry);
            if let Some(after) = self.after(observed, entry, reach, &key) {
                if parse_state(&after) == Some(State::Sending) {
                    handed_over.push(Write::Notify { key, destination: entry.destination.clone() });
                }
                entry.state = after;
            }
        }
        if told != release.status.outbox {
            writes.push(lower::outbox(snapshot, release, &told));
            writes.extend(handed_over);
        }
    }

    /// What the entry becomes; `None` where it stays.
    fn after(
        &self,
        observed: &Observed,
        entry: &OutboxEntry,
        reach: Option<&Reach>,
        key: &str,
    ) -> Option<String> {
        let state = parse_state(&entry.state)?;
        if is_over(&entry.state) {
            return None;
        }
        let Some(reach) = reach else { return Some(state_word(State::Failed, "no longer configured")) };
        if state == State::Pending {
            return Some(state_word(State::Sending, ""));
        }
        let id = (key.to_owned(), lane(reach, self.secrets_of(observed, reach)));
        if let Some(outcome) = locked(&self.shared.entries.outcomes).get(&id) {
            return Some(outcome_word(outcome));
        }
        if locked(&self.shared.entries.ours).contains_key(&id) {
            return None;
        }
        let after = state.after(Change::Restarted, kind_of(reach))?;
        Some(state_word(after, "the manager restarted while it was sent"))
    }

    /// Hands over the message of the entry with `key`, which its record says is being sent.
    pub fn hand_over(&self, observed: &Observed, snapshot: &Snapshot<'_>, key: &str, destination: &str) {
        let entries = snapshot
            .releases
            .iter()
            .flat_map(|release| release.status.outbox.iter().map(move |entry| (release, entry)));
        let found = entries
            .filter(|(release, entry)| entry.destination == destination && entry_key(release, entry) == key)
            .find_map(|(release, entry)| Some((release, entry, reach_of(observed, entry)?)));
        let Some((release, entry, reach)) = found else { return };
        let namespace = self.secrets_of(observed, reach).to_owned();
        let id = (key.to_owned(), lane(reach, &namespace));
        let notice = notice(observed, release, entry, key);
        locked(&self.shared.entries.ours).insert(id.clone(), observed.key.clone());
        let mut addressing = locked(&self.addressing);
        while addressing.try_join_next().is_some() {}
        addressing.spawn(self.shared.clone().address(id, notice, reach.clone(), namespace));
    }

    /// Forgets a service that is gone.
    pub fn forget(&self, service: &Key) {
        self.shared.entries.forget(|_, of| of == service);
    }

    /// Forgets what became of entries whose records say so.
    fn forget_written(&self, observed: &Observed, snapshot: &Snapshot<'_>) {
        let service = &observed.key;
        if locked(&self.shared.entries.ours).values().any(|of| of == service) {
            let open = self.open_entries(observed, snapshot);
            self.shared.entries.forget(|id, of| of == service && !open.contains(id));
        }
    }

    /// The entries of the service that are not over, as the sender knows them.
    fn open_entries(&self, observed: &Observed, snapshot: &Snapshot<'_>) -> Vec<EntryId> {
        let entries = snapshot.releases.iter().flat_map(|release| {
            let open = release.status.outbox.iter().filter(|entry| !is_over(&entry.state));
            open.map(move |entry| (release, entry))
        });
        let id = |(release, entry): (&Release, &OutboxEntry)| {
            let reach = reach_of(observed, entry)?;
            Some((entry_key(release, entry), lane(reach, self.secrets_of(observed, reach))))
        };
        entries.filter_map(id).collect()
    }

    /// Namespace of the Secrets that `reach` names.
    fn secrets_of<'a>(&'a self, observed: &'a Observed, reach: &Reach) -> &'a str {
        if reach.of_policy() { &self.namespace } else { &observed.app.namespace }
    }
}

impl Shared {
    /// Reads what the message needs to know where it goes, and gives it to the sender.
    async fn address(self: Arc<Self>, id: EntryId, notice: Notice, reach: Reach, namespace: String) {
        let mut wait = SECRET_AGAIN;
        for attempt in 1..=SECRET_ATTEMPTS_MAX {
            match destination(&self.api, &reach, &namespace).await {
                Ok(destination) => {
                    if let Err(error) = self.sender.submit(Letter { notice, destination }) {
                        self.gives_up(id, error.to_string());
                    }
                    return;
                }
                Err(Unreachable::Now(error)) if attempt == SECRET_ATTEMPTS_MAX => {
                    return self.gives_up(id, error.to_string());
                }
                // A busy API server must not cost anybody the message.
                Err(Unreachable::Now(_)) => tokio::time::sleep(wait).await,
                Err(Unreachable::Never(why)) => return self.gives_up(id, why),
            }
            wait *= 2;
        }
    }

    fn gives_up(&self, id: EntryId, why: String) {
        self.entries.settle(id, OutcomeState::GaveUp { why }, &self.due);
    }
}

impl Entries {
    /// Forgets the entries that `is_done` says so of.
    fn forget(&self, is_done: impl Fn(&EntryId, &Key) -> bool) {
        let (mut ours, mut outcomes) = (locked(&self.ours), locked(&self.outcomes));
        ours.retain(|id, service| {
            let stays = !is_done(id, service);
            if !stays {
                outcomes.remove(id);
            }
            stays
        });
    }

    fn settle(&self, id: EntryId, outcome: OutcomeState, due: &Queue<Key>) {
        // Whose service is gone needs no record of it.
        let (ours, mut outcomes) = (locked(&self.ours), locked(&self.outcomes));
        let Some(service) = ours.get(&id).cloned() else { return };
        outcomes.insert(id, outcome);
        drop((ours, outcomes));
        due.enqueue(service);
    }
}

/// A receiver drops doubles by it.
fn entry_key(release: &Release, entry: &OutboxEntry) -> String {
    format!("{}:{}", release.uid, entry.event.word())
}

async fn destination(api: &Api, reach: &Reach, namespace: &str) -> Result<Destination, Unreachable> {
    let (url, signing_key, channel) = match reach {
        Reach::Slack { url_from, channel, .. } => {
            (secret(api, namespace, url_from).await?, None, channel.clone())
        }
        Reach::Webhook { spec, .. } => {
            let signing_key = match &spec.signing_key_from {
                Some(from) => Some(secret(api, namespace, from).await?),
                None => None,
            };
            (SecretText::new(spec.url.clone()), signing_key, None)
        }
    };
    Ok(Destination { name: lane(reach, namespace), kind: kind_of(reach), url, signing_key, channel })
}

fn reach_of<'a>(observed: &'a Observed, entry: &OutboxEntry) -> Option<&'a Reach> {
    observed.reaches.iter().find(|reach| reach.name() == entry.destination)
}

/// What keeps one destination's queue apart from another's: a dead one delays nobody else. Never a secret.
fn lane(reach: &Reach, namespace: &str) -> String {
    match reach {
        Reach::Slack { url_from, .. } => format!("slack {namespace}/{}/{}", url_from.name, url_from.key),
        Reach::Webhook { spec, .. } => {
            // Whoever knows the path may post, so it is told apart and not shown.
            let mut hasher = DefaultHasher::new();
            spec.url.hash(&mut hasher);
            let url: Option<http::Uri> = spec.url.parse().ok();
            let host = url.as_ref().and_then(http::Uri::host).unwrap_or_default();
            format!("webhook {namespace}/{host}#{:x}", hasher.finish())
        }
    }
}

/// Why a message cannot be addressed.
enum Unreachable {
    /// The API server did not tell the secret this time.
    Now(ApiError),
    /// The secret is not what it should be.
    Never(String),
}

fn kind_of(reach: &Reach) -> DestinationKind {
    match reach {
        Reach::Slack { .. } => DestinationKind::Slack,
        Reach::Webhook { .. } => DestinationKind::Webhook,
    }
}

async fn secret(api: &Api, namespace: &str, from: &SecretKey) -> Result<SecretText, Unreachable> {
    use base64::Engine as _;
    let SecretKey { name, key } = from;
    let never = |why: &str| Unreachable::Never(format!("Secret {namespace}/{name} {why}"));
    let found = match api.get(SECRETS, Some(namespace), name).await {
        Ok(found) => found.ok_or_else(|| never("does not exist"))?,
        Err(error) if error.is_retryable() => return Err(Unreachable::Now(error)),
        Err(error) => return Err(Unreachable::Never(error.to_string())),
    };
    let data = found.pointer("/data").and_then(|data| data.get(key)).and_then(Value::as_str);
    let encoded = data.ok_or_else(|| never(&format!("has no key {key}")))?;
    let bytes = base64::engine::general_purpose::STANDARD.decode(encoded).ok();
    let text = bytes.and_then(|bytes| String::from_utf8(bytes).ok());
    text.map(SecretText::new).ok_or_else(|| never(&format!("holds no text under {key}")))
}

/// The word of a state in the outbox; an empty one is pending.
fn parse_state(text: &str) -> Option<State> {
    match text.split(':').next().unwrap_or_default() {
        "" | "Pending" => Some(State::Pending),
        "Sending" => Some(State::Sending),
        "Sent" => Some(State::Sent),
        "Failed" => Some(State::Failed),
        "Unknown" => Some(State::Unknown),
        _ => None,
    }
}

fn state_word(state: State, why: &str) -> String {
    let word = match state {
        State::Pending => "Pending",
        State::Sending => "Sending",
        State::Sent => "Sent",
        State::Failed => "Failed",
        State::Unknown => "Unknown",
    };
    if why.is_empty() || state == State::Pending { word.to_owned() } else { format!("{word}: {why}") }
}

fn outcome_word(outcome: &OutcomeState) -> String {
    match outcome {
        OutcomeState::Sent => state_word(State::Sent, ""),
        OutcomeState::GaveUp { why } => state_word(State::Failed, why),
        OutcomeState::Unknown { why } => state_word(State::Unknown, why),
    }
}

fn locked<T>(mutex: &Mutex<T>) -> std::sync::MutexGuard<'_, T> {
    mutex.lock().unwrap_or_else(PoisonError::into_inner)
}
