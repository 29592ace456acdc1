//! Whether the rules of settled services find their series: asked when a service is claimed, when its rules or what it runs
//! change, and now and then while a rule finds none.

use std::collections::BTreeMap;
use std::hash::{DefaultHasher, Hash as _, Hasher as _};
use std::sync::{Arc, Mutex, PoisonError};
use std::time::Duration;

use futures::future::join_all;
use jiff::Timestamp;
use trimtab_delivery::judge::binding::{askable_at, questions, unbound};
use trimtab_delivery::rule::Rule;
use trimtab_delivery::snapshot::Snapshot;
use trimtab_kube::{Key, Moment};

use crate::evidence::Measure;

/// How long a rule that found no series waits for the next look: somebody has to add a metric meanwhile.
const UNBOUND_AGAIN: Duration = Duration::from_secs(3600);
/// The next looks of a fleet that was looked at in one moment are spread over this.
const SPREAD: Duration = Duration::from_secs(900);
/// How long to wait for a metrics server that did not answer.
const UNANSWERED_AGAIN: Duration = Duration::from_secs(60);

/// What was asked, and what came of it.
pub struct Bindings {
    measure: Arc<dyn Measure>,
    checked: Mutex<BTreeMap<Key, Checked>>,
}

struct Checked {
    /// Fingerprint of what was asked about.
    about: u64,
    /// `None` where nobody answered.
    unbound: Option<Box<[String]>>,
    /// When to ask again; `None` where every rule is bound.
    again_at: Option<Moment>,
}

impl Bindings {
    /// Nothing was asked yet; questions go to `measure`.
    #[must_use]
    pub fn new(measure: Arc<dyn Measure>) -> Self {
        Self { measure, checked: Mutex::default() }
    }

    /// Names of the rules that find no series of the service that claims `target`, as far as it is known, and when to look
    /// again. A service is asked about when nothing is under way.
    pub async fn check(
        &self,
        target: &Key,
        snapshot: &Snapshot<'_>,
    ) -> (Option<Vec<String>>, Option<Timestamp>) {
        let now = snapshot.now;
        let rests = snapshot.in_flight().is_none() && snapshot.app.problems.is_empty();
        let Some(current) = snapshot.current().filter(|_| rests) else { return (None, None) };
        let about = fingerprint(target, current.number, &snapshot.settings.rules);
        if let Some(checked) = self.lock().get(target).filter(|checked| checked.about == about)
            && checked.again_at.is_none_or(|again_at| now < again_at.timestamp())
        {
            let unbound = checked.unbound.as_deref().map(<[String]>::to_vec);
            return (unbound, checked.again_at.map(Moment::timestamp));
        }
        match askable_at(snapshot) {
            None => return (None, None),
            Some(askable_at) if now < askable_at => return (None, Some(askable_at)),
            Some(_) => {}
        }
        let asked = questions(snapshot);
        let answers = join_all(asked.iter().map(|question| self.measure.ask(&question.query))).await;
        let answers: Vec<_> = asked.into_iter().zip(answers).collect();
        let found = unbound(&snapshot.settings.rules, &answers);
        if let Err(why) = &found {
            tracing::debug!(%target, why, "cannot tell whether its rules find their series");
        }
        let unbound = found.ok();
        let wait = match &unbound {
            None => Some(UNANSWERED_AGAIN),
            Some(unbound) => (!unbound.is_empty()).then(|| UNBOUND_AGAIN + spread(about)),
        };
        let again_at = wait.and_then(|wait| now.checked_add(wait).ok());
        let known = unbound.clone().map(Vec::into_boxed_slice);
        let checked = Checked { about, unbound: known, again_at: again_at.map(Moment::from) };
        self.lock().insert(target.clone(), checked);
        (unbound, again_at)
    }

    /// Forgets a Deployment that nobody claims any more.
    pub fn forget(&self, target: &Key) {
        self.lock().remove(target);
    }

    fn lock(&self) -> std::sync::MutexGuard<'_, BTreeMap<Key, Checked>> {
        self.checked.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

/// The same Deployment running the same release under the same rules; compared within one process only.
fn fingerprint(target: &Key, release: u64, rules: &[Rule]) -> u64 {
    let mut hasher = DefaultHasher::new();
    (target.to_string(), release, format!("{rules:?}")).hash(&mut hasher);
    hasher.finish()
}

fn spread(fingerprint: u64) -> Duration {
    Duration::from_secs(fingerprint % SPREAD.as_secs())
}
