//! What this process handed to senders, and what became of it.

use std::collections::{BTreeMap, BTreeSet};
use std::sync::{Mutex, MutexGuard, PoisonError};
use std::time::Duration;

use tokio::time::Instant;
use trimtab_delivery::snapshot::{MessageState, OutboxEntry, Release};
use trimtab_kube::Key;
use trimtab_kube::api::Term;
use trimtab_kube::expectations::UNSEEN_TIMEOUT;
use trimtab_notify::{Outcome, OutcomeState};

/// How long an outcome is remembered after its record said so: a storage that lost its last seconds says less again.
const REMEMBERED: Duration = Duration::from_secs(60);

/// A message as its sender knows it: its key, and the lane of its destination.
pub(crate) type MessageId = (String, String);

/// Which entry of which outbox a message is. Its key tells it from that of another release under the same number.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub(crate) struct Entry {
    pub(crate) service: Key,
    pub(crate) number: u64,
    pub(crate) key: String,
    pub(crate) destination: String,
}

/// What a record says of a message since it was handed over.
#[derive(Clone, Debug)]
pub(crate) struct Sending {
    /// The version of the record that the hand-over was decided on: a store that shows it is behind our own write.
    pub(crate) decided_on: u64,
    /// What the record says.
    pub(crate) state: String,
}

/// A message that was handed over.
#[derive(Debug)]
struct Handed {
    entry: Entry,
    sending: Sending,
    at: Instant,
    /// A store has shown another version of the record since.
    is_seen: bool,
    /// The term of its sender.
    term: Term,
    outcome: Option<Became>,
    /// Since when its record says so.
    recorded: Option<Instant>,
}

/// What became of a message, in the words of a record.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct Became {
    pub(crate) progress: MessageState,
    pub(crate) state: String,
    pub(crate) card: Option<String>,
}

impl Became {
    /// `None` where whoever sends it next has to look whether it arrived.
    pub(crate) fn of(outcome: &Outcome) -> Option<Self> {
        let (progress, why) = match &outcome.state {
            OutcomeState::Sent => (MessageState::Sent, ""),
            OutcomeState::GaveUp { why } => (MessageState::Failed, why.as_str()),
            OutcomeState::Unknown { why } => (MessageState::Unknown, why.as_str()),
            OutcomeState::Deferred => (MessageState::Pending, ""),
            OutcomeState::ToLookUp => return None,
        };
        let card = outcome.card.as_ref().map(ToString::to_string);
        Some(Self { progress, state: progress.because(why), card })
    }
}

/// What became of a message, and its record does not say yet.
#[derive(Debug)]
pub(crate) struct Unrecorded<'a> {
    pub(crate) release: &'a Release,
    /// The place in its outbox.
    pub(crate) place: usize,
    /// What the record says there.
    pub(crate) before: OutboxEntry,
    pub(crate) became: Became,
    /// How long ago it was handed over.
    pub(crate) age: Duration,
}

/// How far this process got with a message.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Whose {
    /// It has nothing to do with it.
    NotOurs,
    /// Its sender has it, or had it and its record does not say so yet.
    Ours,
    /// Its sender gave it back unsent.
    GivenBack,
}

/// All messages that this process handed over, or was about to, and still has to know of.
#[derive(Debug, Default)]
pub(crate) struct AllHanded(Mutex<Known>);

#[derive(Debug, Default)]
struct Known {
    handed: BTreeMap<MessageId, Handed>,
    /// Messages that were about to be handed over, and were not yet.
    intended: BTreeMap<Entry, Intended>,
}

/// A message that its record may say is being sent.
#[derive(Debug)]
struct Intended {
    id: MessageId,
    /// The version of the record that this was decided on.
    decided_on: u64,
    term: Term,
}

impl AllHanded {
    /// A sender gets the message as soon as its record says so. A record that says so although nothing was handed over, because
    /// the answer to that write was lost, speaks of a message that nobody has sent.
    pub(crate) fn intend(&self, id: MessageId, entry: Entry, decided_on: u64, term: Term) {
        self.lock().intended.insert(entry, Intended { id, decided_on, term });
    }

    /// Whether the message was about to be handed over, and was not.
    pub(crate) fn is_intended(&self, entry: &Entry) -> bool {
        self.lock().intended.contains_key(entry)
    }

    /// Nothing is handed over any more: what was about to be is to be sent by whoever comes next, as if it were new. Returns the
    /// services whose records are to say so.
    pub(crate) fn give_back_intended(&self) -> BTreeSet<Key> {
        let mut known = self.lock();
        let back =
            Became { progress: MessageState::Pending, state: MessageState::Pending.because(""), card: None };
        let intended = std::mem::take(&mut known.intended);
        let services = intended.keys().map(|entry| entry.service.clone()).collect();
        for (entry, Intended { id, decided_on, term }) in intended {
            let sending = Sending { decided_on, state: MessageState::Sending.because("") };
            let handed = Handed { outcome: Some(back.clone()), ..Handed::new(entry, sending, term) };
            known.handed.entry(id).or_insert(handed);
        }
        services
    }

    /// A sender of `term` gets the message.
    pub(crate) fn begin(&self, id: MessageId, entry: Entry, sending: Sending, term: Term) {
        let mut known = self.lock();
        let forgotten = |handed: &Handed| handed.recorded.is_some_and(|since| since.elapsed() >= REMEMBERED);
        known.handed.retain(|_, handed| !forgotten(handed) && handed.entry != entry);
        known.intended.remove(&entry);
        known.handed.insert(id, Handed::new(entry, sending, term));
    }

    /// Whatever is configured by now: who has the message of an entry has it for the destination that it was handed over for.
    pub(crate) fn whose(&self, entry: &Entry) -> Whose {
        let known = self.lock();
        match known.handed.values().find(|handed| handed.entry == *entry).map(|handed| &handed.outcome) {
            None => Whose::NotOurs,
            Some(Some(became)) if became.progress == MessageState::Pending => Whose::GivenBack,
            Some(_) => Whose::Ours,
        }
    }

    /// Takes note of what a store shows of the records of `service`.
    pub(crate) fn saw(&self, service: &Key, releases: &[Release]) {
        for handed in self.lock().handed.values_mut().filter(|handed| handed.entry.service == *service) {
            handed.saw(releases);
        }
    }

    /// Whether a sender has a message whose end is not known yet.
    pub(crate) fn is_sending(&self) -> bool {
        self.lock().handed.values().any(|handed| handed.outcome.is_none())
    }

    /// Notes what became of a message that a sender of `term` had. Returns the service whose record is to say so; `None`
    /// where nobody wants to know.
    pub(crate) fn settle(&self, id: &MessageId, term: Term, became: Option<Became>) -> Option<Key> {
        let mut known = self.lock();
        let handed = known.handed.get_mut(id).filter(|handed| handed.term == term)?;
        let Some(became) = became else {
            known.handed.remove(id);
            return None;
        };
        handed.outcome = Some(became);
        Some(handed.entry.service.clone())
    }

    /// Another term begins. Where somebody may have led in between, only that a message arrived is true for good.
    pub(crate) fn begin_term(&self, unbroken: bool) {
        let sent = |handed: &Handed| {
            handed.outcome.as_ref().is_some_and(|became| became.progress == MessageState::Sent)
        };
        let mut known = self.lock();
        known.handed.retain(|_, handed| unbroken || sent(handed));
        known.intended.retain(|_, _| unbroken);
    }

    pub(crate) fn forget(&self, service: &Key) {
        let mut known = self.lock();
        known.handed.retain(|_, handed| handed.entry.service != *service);
        known.intended.retain(|entry, _| entry.service != *service);
    }

    /// Services whose records do not say yet what became of their messages.
    pub(crate) fn unrecorded(&self) -> BTreeSet<Key> {
        let known = self.lock();
        let unrecorded =
            known.handed.values().filter(|handed| handed.outcome.is_some() && handed.recorded.is_none());
        unrecorded.map(|handed| handed.entry.service.clone()).collect()
    }

    /// Whether an outcome is known of a message of `service`.
    pub(crate) fn has_outcome(&self, service: &Key) -> bool {
        let known = self.lock();
        known.handed.values().any(|handed| handed.outcome.is_some() && handed.entry.service == *service)
    }

    /// What the records of `service` do not say yet. `key_of` tells the key of the message of an outbox entry.
    pub(crate) fn to_record<'a>(
        &self,
        service: &Key,
        releases: &'a [Release],
        key_of: impl Fn(&Release, &OutboxEntry) -> String,
    ) -> Vec<Unrecorded<'a>> {
        let mut due = Vec::new();
        self.lock().handed.retain(|_, handed| {
            if handed.entry.service != *service {
                return true;
            }
            handed.saw(releases);
            let Some(became) = &handed.outcome else { return true };
            let Some((release, place)) = find(&handed.entry, releases, &key_of) else {
                // A row of a release that everybody was told of does not keep what they were told.
                handed.recorded.get_or_insert_with(Instant::now);
                return true;
            };
            let entry = &release.status.outbox[place];
            // A store that lags behind our own write shows what the record said before: waiting for it would leave time to die.
            let is_behind = handed.is_unseen_in(release);
            let state = if is_behind { &handed.sending.state } else { &entry.state };
            let before = OutboxEntry { state: state.clone(), ..entry.clone() };
            let age = handed.at.elapsed();
            let unrecorded = || Unrecorded { release, place, before, became: became.clone(), age };
            if became.progress == MessageState::Pending {
                let given_back = !is_behind && entry.progress() != Some(MessageState::Sending);
                if !given_back {
                    due.push(unrecorded());
                }
                return !given_back;
            }
            if entry.is_over() {
                handed.recorded.get_or_insert_with(Instant::now);
            } else {
                handed.recorded = None;
                due.push(unrecorded());
            }
            true
        });
        due
    }

    pub(crate) fn len(&self) -> usize {
        self.lock().handed.len()
    }

    fn lock(&self) -> MutexGuard<'_, Known> {
        self.0.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

impl Handed {
    fn new(entry: Entry, sending: Sending, term: Term) -> Self {
        Self { entry, sending, at: Instant::now(), is_seen: false, term, outcome: None, recorded: None }
    }

    fn saw(&mut self, releases: &[Release]) {
        let own = releases.iter().find(|release| release.number == self.entry.number);
        self.is_seen = self.is_seen || own.is_none_or(|release| release.version != self.sending.decided_on);
    }

    /// Whether the store that shows `release` has not seen the hand-over. A version that comes back was restored, with what
    /// the record said then, and what is not seen for long is lost.
    fn is_unseen_in(&self, release: &Release) -> bool {
        release.version == self.sending.decided_on && !self.is_seen && self.at.elapsed() < UNSEEN_TIMEOUT
    }
}

fn find<'a>(
    entry: &Entry,
    releases: &'a [Release],
    key_of: impl Fn(&Release, &OutboxEntry) -> String,
) -> Option<(&'a Release, usize)> {
    let release = releases.iter().find(|release| release.number == entry.number)?;
    let same =
        |told: &OutboxEntry| told.destination == entry.destination && key_of(release, told) == entry.key;
    Some((release, release.status.outbox.iter().position(same)?))
}

#[cfg(test)]
mod tests;
