//! Messages to people: off the reconcile path, retried with a bound, never twice for one event across restarts.
//!
//! The outbox is a list in the release's status. An entry is written down as `Sending` before it is sent, so a successor
//! knows that it may have arrived.

use std::collections::BTreeMap;
use std::hash::{DefaultHasher, Hash as _, Hasher as _};
use std::sync::{Arc, Mutex, PoisonError};

use serde_json::{Value, json};
use trimtab_api::managed_app::SecretKey;
use trimtab_api::resolve::Reach;
use trimtab_delivery::snapshot::{Happening, Release, Told};
use trimtab_kube::api::Patch;
use trimtab_kube::resource::SECRETS;
use trimtab_kube::{Api, ApiError, Clock, Key};
use trimtab_notify::outbox::{Change, State};
use trimtab_notify::{
    Destination, DestinationKind, Letter, Outcome, OutcomeState, SecretText, Sender, SenderPolicy,
};
use trimtab_providers::http::HttpTransport;

use crate::apply::Writer;
use crate::cluster::Dirty;
use crate::expectations::Kind;
use crate::notice::notice;
use crate::observed::NOTHING_MEASURED;
use crate::resources::APP_RELEASES;

/// Sends what releases owe.
pub struct Teller {
    sender: Sender,
    /// Namespace of the Secrets that policies name.
    namespace: String,
    shared: Arc<Shared>,
}

#[derive(Default)]
struct Shared {
    /// Letters handed to the sender by this process: idempotency key and destination, and whom to wake.
    sent_by_us: Mutex<BTreeMap<(String, String), Key>>,
    outcomes: Mutex<BTreeMap<(String, String), OutcomeState>>,
}

impl Teller {
    /// Sends through `transport`; outcomes mark the service dirty, whose next reconcile writes them down.
    #[must_use]
    pub fn new(transport: Arc<dyn HttpTransport>, clock: Clock, namespace: String, dirty: Dirty) -> Self {
        let shared = Arc::new(Shared::default());
        let back = shared.clone();
        let tell = move |outcome: Outcome| {
            let entry = (outcome.key, outcome.destination);
            let service = locked(&back.sent_by_us).get(&entry).cloned();
            locked(&back.outcomes).insert(entry, outcome.state);
            if let Some(service) = service {
                dirty.mark(service);
            }
        };
        let sender = Sender::new(transport, SenderPolicy::default(), move || clock.now(), tell);
        Self { sender, namespace, shared }
    }

    /// Moves every message that the service's releases owe one step on.
    ///
    /// # Errors
    /// The first write that failed.
    pub(crate) async fn tell(&self, writer: &Writer<'_>) -> Result<(), ApiError> {
        let observed = writer.observed;
        let snapshot = observed.snapshot(writer.now, &NOTHING_MEASURED);
        for release in snapshot.releases {
            if release.status.told.iter().all(|told| is_over(&told.state)) {
                continue;
            }
            self.tell_release(writer, release).await?;
        }
        Ok(())
    }

    async fn tell_release(&self, writer: &Writer<'_>, release: &Release) -> Result<(), ApiError> {
        let uid = writer.observed.release_uid(release.number).unwrap_or_default();
        let mut told = release.status.told.clone();
        let mut letters = Vec::new();
        let mut settled = Vec::new();
        for entry in &mut told {
            let key = format!("{uid}:{}", entry.event.word());
            match self.step(writer, release, entry, &key).await? {
                Step::Stays => {}
                Step::Becomes(state) => {
                    settled.extend(self.id(writer, entry, key));
                    entry.state = state;
                }
                Step::Send(letter) => {
                    entry.state = state_word(State::Sending, "");
                    letters.push(*letter);
                }
            }
        }
        if told == release.status.told {
            return Ok(());
        }
        let list: Vec<Value> = told.iter().map(crate::convert::told_value).collect();
        let patch = Patch::Merge(json!({"status": {"notifications": list}}));
        let name = writer.release_name(release.number);
        let answer =
            writer.api.patch_subresource(APP_RELEASES, writer.namespace(), &name, "status", &patch).await?;
        writer.wrote(Kind::Release, &name, &answer);
        for entry in settled {
            locked(&self.shared.outcomes).remove(&entry);
            locked(&self.shared.sent_by_us).remove(&entry);
        }
        for letter in letters {
            self.submit(letter, &writer.observed.target_key);
        }
        Ok(())
    }

    /// What is next for one entry of the outbox.
    async fn step(
        &self,
        writer: &Writer<'_>,
        release: &Release,
        entry: &Told,
        key: &str,
    ) -> Result<Step, ApiError> {
        let Some(state) = parse_state(&entry.state) else { return Ok(Step::Stays) };
        let Some(reach) = reach_of(writer, entry) else {
            return Ok(if is_over(&entry.state) {
                Step::Stays
            } else {
                Step::Becomes(state_word(State::Failed, "no longer configured"))
            });
        };
        let kind = kind_of(reach);
        Ok(match state {
            State::Sending => {
                let id = (key.to_owned(), lane(reach, self.secrets_of(writer, reach)));
                let outcome = locked(&self.shared.outcomes).get(&id).cloned();
                let ours = locked(&self.shared.sent_by_us).contains_key(&id);
                match outcome {
                    Some(outcome) => Step::Becomes(outcome_word(&outcome)),
                    None if ours => Step::Stays,
                    None => match state.after(Change::Restarted, kind) {
                        Some(after) => {
                            Step::Becomes(state_word(after, "the manager restarted while it was sent"))
                        }
                        None => Step::Stays,
                    },
                }
            }
            State::Pending => match self.destination(writer, reach).await {
                Ok(destination) => Step::Send(Box::new(Letter {
                    notice: notice(writer.observed, release, entry, key),
                    destination,
                })),
                // A busy API server must not cost anybody the message.
                Err(Unreachable::Now(error)) => return Err(error),
                Err(Unreachable::Never(why)) => Step::Becomes(state_word(State::Failed, &why)),
            },
            State::Sent | State::Failed | State::Unknown => Step::Stays,
        })
    }

    fn submit(&self, letter: Letter, service: &Key) {
        let id = (letter.notice.key.clone(), letter.destination.name.clone());
        locked(&self.shared.sent_by_us).insert(id.clone(), service.clone());
        if let Err(error) = self.sender.submit(letter) {
            locked(&self.shared.outcomes).insert(id, OutcomeState::GaveUp { why: error.to_string() });
        }
    }

    /// What the sender knows an entry by, while its destination is configured.
    fn id(&self, writer: &Writer<'_>, entry: &Told, key: String) -> Option<(String, String)> {
        let reach = reach_of(writer, entry)?;
        Some((key, lane(reach, self.secrets_of(writer, reach))))
    }

    /// Namespace of the Secrets that `reach` names.
    fn secrets_of<'a>(&'a self, writer: &'a Writer<'_>, reach: &Reach) -> &'a str {
        if reach.of_policy() { &self.namespace } else { &writer.observed.app.namespace }
    }

    async fn destination(&self, writer: &Writer<'_>, reach: &Reach) -> Result<Destination, Unreachable> {
        let namespace = self.secrets_of(writer, reach);
        let (url, signing_key, channel) = match reach {
            Reach::Slack { url_from, channel, .. } => {
                (secret(writer.api, namespace, url_from).await?, None, channel.clone())
            }
            Reach::Webhook { spec, .. } => {
                let signing_key = match &spec.signing_key_from {
                    Some(from) => Some(secret(writer.api, namespace, from).await?),
                    None => None,
                };
                (SecretText::new(spec.url.clone()), signing_key, None)
            }
        };
        Ok(Destination { name: lane(reach, namespace), kind: kind_of(reach), url, signing_key, channel })
    }
}

fn reach_of<'a>(writer: &'a Writer<'_>, entry: &Told) -> Option<&'a Reach> {
    writer.observed.reaches.iter().find(|reach| reach.name() == entry.destination)
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

enum Step {
    Stays,
    Becomes(String),
    Send(Box<Letter>),
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

pub(crate) fn is_over(state: &str) -> bool {
    matches!(parse_state(state), Some(State::Sent | State::Failed | State::Unknown) | None)
}

/// Rises with every event of a service.
pub(crate) fn sequence(release: &Release, happening: Happening) -> u64 {
    release.number.saturating_mul(10) + happening as u64
}

fn locked<T>(mutex: &Mutex<T>) -> std::sync::MutexGuard<'_, T> {
    mutex.lock().unwrap_or_else(PoisonError::into_inner)
}
