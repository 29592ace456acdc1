//! Whether the rules of settled services find their series: asked when a service is claimed, when its rules or what it runs
//! change, and now and then while a rule finds none.

use std::collections::BTreeMap;
use std::hash::{DefaultHasher, Hash, Hasher as _};
use std::sync::{Arc, Mutex, PoisonError};
use std::time::Duration;

use jiff::Timestamp;
use trimtab_delivery::arms;
use trimtab_delivery::snapshot::{Binding, Snapshot};
use trimtab_judge::Arms;
use trimtab_judge::binding::{Bound, askable_at, bound, questions};
use trimtab_kube::Key;
use trimtab_kube::queue::Queue;

use crate::measurements::{Answers, Measure};

/// How long a rule that found no series waits for the next look: somebody has to add a metric meanwhile.
const UNBOUND_AGAIN: Duration = Duration::from_secs(3600);
/// The next looks of a fleet that was looked at in one moment are spread over this.
const SPREAD: Duration = Duration::from_secs(900);
/// A rule that finds no series is asked about once more after this before anybody is told: pods that have just been labelled
/// have to be scraped, and a scrape may be missed.
const UNBOUND_SURE: Duration = Duration::from_secs(120);
/// How long to wait for a metrics server that did not answer.
const UNANSWERED_AGAIN: Duration = Duration::from_secs(60);

/// What was asked, and what came of it.
///
/// Asking has a queue of its own: a metrics server that does not answer must not hold up a release of another service.
pub struct Bindings {
    measure: Arc<dyn Measure>,
    due: Queue<Key>,
    checked: Mutex<AllChecked>,
}

#[derive(Default)]
struct AllChecked {
    checked: BTreeMap<Key, Checked>,
    /// What was found of the few services of which not every rule is as it should be.
    found: BTreeMap<Key, Bound>,
}

struct Checked {
    about: About,
    state: State,
}

#[derive(Clone, Copy)]
enum State {
    /// What was found is what is said.
    Sure,
    Unsure {
        /// A rule found no series, once.
        missed: bool,
        /// The rules are not those that were asked about before.
        changed: bool,
    },
}

/// Fingerprints of what was asked about, for comparison within one process.
#[derive(Clone, Copy, PartialEq, Eq)]
struct About {
    service: u32,
    rules: u32,
}

impl Bindings {
    /// Nothing was asked yet; questions go to `measure`, and services that must be asked about are enqueued in `due`.
    #[must_use]
    pub fn new(measure: Arc<dyn Measure>, due: Queue<Key>) -> Self {
        Self { measure, due, checked: Mutex::default() }
    }

    /// What is known of the rules of `service`. Never waits.
    pub fn known(&self, service: &Key, snapshot: &Snapshot<'_>) -> Binding {
        let Some(about) = about(service, snapshot) else { return self.while_under_way(service, snapshot) };
        let all = self.lock();
        let Some(known) = all.checked.get(service) else {
            self.due.enqueue(service.clone());
            return Binding::NotAsked;
        };
        if known.about != about {
            self.due.enqueue(service.clone());
        }
        match known.state {
            State::Sure if known.about == about => {
                Binding::Found(all.found.get(service).cloned().unwrap_or_default())
            }
            State::Unsure { changed: true, .. } => Binding::Changed,
            // What was said of other rules says nothing of these.
            _ if known.about.rules != about.rules => Binding::Changed,
            _ => Binding::NotAsked,
        }
    }

    /// What is known while nobody is asked: what was said of other rules says nothing of these.
    fn while_under_way(&self, service: &Key, snapshot: &Snapshot<'_>) -> Binding {
        let asked = self.lock().checked.get(service).map(|known| known.about.rules);
        match asked {
            Some(rules) if rules != rules_of(snapshot) => Binding::Changed,
            _ => Binding::NotAsked,
        }
    }

    /// Asks about `service`. Returns whether anything is known now, and when to ask again.
    pub async fn check(&self, service: &Key, snapshot: &Snapshot<'_>) -> (bool, Option<Timestamp>) {
        let now = snapshot.now;
        let Some((about, askable_at)) = about(service, snapshot).zip(askable_at(snapshot.pods)) else {
            return (false, None);
        };
        if now < askable_at {
            return (false, Some(askable_at));
        }
        let arms = snapshot.history().current().map(|current| arms::of(snapshot, current, &Arms::default()));
        let rules = &snapshot.settings.rules;
        let asked =
            arms.map(|arms| questions(rules, &arms, self.measure.sums_max(), now)).unwrap_or_default();
        let queries = asked.iter().map(|question| &question.query).collect();
        let Answers { answers, room: _room } = self.measure.ask_all(&service.namespace, queries).await;
        let answers: Vec<_> = asked.into_iter().zip(answers).collect();
        let found = bound(rules, &answers);
        if let Err(why) = &found {
            tracing::debug!(%service, why, "cannot tell whether its rules find their series");
        }
        let (known, again_in) = self.note(service, about, found);
        (known, again_in.and_then(|wait| now.checked_add(wait).ok()))
    }

    /// Notes what came of the questions. Returns whether anything is known now, and after how long to ask again.
    fn note(&self, service: &Key, about: About, found: Result<Bound, String>) -> (bool, Option<Duration>) {
        let missed = found.as_ref().is_ok_and(|found| !found.unbound.is_empty());
        let mut all = self.lock();
        let before = all.checked.get(service);
        let missed_before =
            before.filter(|before| before.about == about).is_some_and(|before| match before.state {
                State::Sure => all.found.get(service).is_some_and(|found| !found.unbound.is_empty()),
                State::Unsure { missed, .. } => missed,
            });
        let is_sure = !missed || missed_before;
        let again_in = match &found {
            Err(_) => Some(UNANSWERED_AGAIN),
            Ok(_) if !is_sure => Some(UNBOUND_SURE),
            Ok(found) => (*found != Bound::default()).then(|| UNBOUND_AGAIN + spread(about.service)),
        };
        let changed = before.is_some_and(|before| {
            before.about.rules != about.rules || matches!(before.state, State::Unsure { changed: true, .. })
        });
        let known = found.is_ok() && is_sure;
        let state = if known { State::Sure } else { State::Unsure { missed, changed } };
        all.checked.insert(service.clone(), Checked { about, state });
        match found {
            Ok(found) if known && found != Bound::default() => all.found.insert(service.clone(), found),
            _ => all.found.remove(service),
        };
        drop(all);
        (known, again_in)
    }

    /// Forgets a service that is gone.
    pub fn forget(&self, service: &Key) {
        let mut all = self.lock();
        all.checked.remove(service);
        all.found.remove(service);
    }

    /// Forgets everything: whoever leads next, perhaps this process again, asks anew.
    pub fn forget_all(&self) {
        *self.lock() = AllChecked::default();
    }

    fn lock(&self) -> std::sync::MutexGuard<'_, AllChecked> {
        self.checked.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

/// Fingerprints of a service that runs one release under one set of rules; `None` while something is under way.
fn about(service: &Key, snapshot: &Snapshot<'_>) -> Option<About> {
    let rests = snapshot.history().in_flight().is_none();
    let current = snapshot.history().current().filter(|_| rests)?;
    Some(About { service: fingerprint(&(service.to_string(), current.number)), rules: rules_of(snapshot) })
}

fn rules_of(snapshot: &Snapshot<'_>) -> u32 {
    fingerprint(&format!("{:?}", snapshot.settings.rules))
}

fn fingerprint(of: &impl Hash) -> u32 {
    let mut hasher = DefaultHasher::new();
    of.hash(&mut hasher);
    u32::try_from(hasher.finish() >> u32::BITS).expect("the upper half")
}

fn spread(fingerprint: u32) -> Duration {
    Duration::from_secs(u64::from(fingerprint) % SPREAD.as_secs())
}
