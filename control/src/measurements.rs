//! Evidence about releases under way, gathered beside the reconciles: nobody waits for a metrics server inside one.
//!
//! [`Measurements::look`] answers at once with what is known, crash evidence included, and enqueues a question where one is
//! due. Questions have a queue of their own; an answer enqueues the service, whose next reconcile sees it. A server that
//! answers late or never delays nothing but the evidence that it alone could give, and [`Looked::measuring_since`] says so.

use std::collections::BTreeMap;
use std::sync::{Arc, Mutex, PoisonError};
use std::time::Duration;

use futures::FutureExt;
use futures::future::{BoxFuture, join_all};
use jiff::{SignedDuration, Timestamp};
use tokio::sync::OwnedSemaphorePermit;
use trimtab_delivery::arms;
use trimtab_delivery::snapshot::{Release, ReleasePhase, Snapshot};
use trimtab_judge::finding::Finding;
use trimtab_judge::{Answer, Arms, Judge, Query};
use trimtab_kube::queue::Queue;
use trimtab_kube::{Clock, Key};
use trimtab_stats::Verdict;

/// How often a release is looked at while its pods come up: half the shortest usual scrape interval.
const LOOK_SOON: Duration = Duration::from_secs(1);
/// How often it is looked at once its last pod has been ready for [`SETTLING`].
const LOOK_LATER: Duration = Duration::from_secs(5);
/// How often a release is looked at that was kept on too little evidence: a fleet of quiet services must not be a burden
/// to the metrics server.
const LOOK_WATCHED: Duration = Duration::from_secs(30);
/// How long a release that is out is looked at closely: most bad ones show within a few scrapes.
const SETTLING: Duration = Duration::from_secs(60);
/// How long a decision waits for an open question: most servers answer within a moment. After that it is made on what is
/// known, and what the answer could change is left open.
const ANSWER_SOON: Duration = LOOK_SOON;

/// Answers what a judge asks. The one thing that the evidence needs of a metrics server.
pub trait Measure: Send + Sync {
    /// The answer to one question; never fails, a failure is an answer. Ends within the server's timeout.
    fn ask<'a>(&'a self, query: &'a Query) -> BoxFuture<'a, Answer>;

    /// The answers to questions about services of one namespace, in their order. No namespace keeps another one waiting.
    fn ask_all<'a>(&'a self, _namespace: &'a str, queries: Vec<&'a Query>) -> BoxFuture<'a, Answers> {
        let all = join_all(queries.into_iter().map(|query| self.ask(query)));
        all.map(|answers| Answers { answers, room: Vec::new() }).boxed()
    }

    /// How many series of one selector can be read once they are summed up by pod.
    fn sums_max(&self) -> usize {
        usize::MAX
    }
}

/// Answers, and the room in memory that is taken for them until this is dropped.
#[derive(Debug)]
pub struct Answers {
    /// The answers, in the order of their questions.
    pub answers: Vec<Answer>,
    /// What was taken for them.
    pub room: Vec<OwnedSemaphorePermit>,
}

/// What is known about a release.
#[derive(Clone, Debug, Default)]
pub struct Looked {
    /// One finding per rule.
    pub findings: Vec<Finding>,
    /// Since when a question is open; `None` where the evidence is as new as it should be.
    pub measuring_since: Option<Timestamp>,
    /// Whether the decision should wait a moment for the answer to that question.
    pub wait_a_moment: bool,
    /// When to look again.
    pub next: Option<Timestamp>,
}

/// The judges of all releases under way. Cheap to clone.
#[derive(Clone)]
pub struct Measurements {
    measure: Arc<dyn Measure>,
    clock: Clock,
    judges: Arc<Mutex<BTreeMap<Key, Held>>>,
    /// Services with a question to ask, by namespace and name.
    asking: Queue<Key>,
    /// Services to decide about, once there is an answer.
    due: Queue<Key>,
}

/// The judge of one service's release.
struct Held {
    number: u64,
    judge: Judge,
    arms: Arms,
    looked_at: Option<Timestamp>,
    /// Since when a question is open.
    open_since: Option<Timestamp>,
}

impl Measurements {
    /// No evidence yet. A service with a question is enqueued in `asking`, whose worker calls [`Measurements::ask`]; the
    /// question goes to `measure`, and the service is enqueued in `due` when there is an answer.
    #[must_use]
    pub fn new(measure: Arc<dyn Measure>, clock: Clock, asking: Queue<Key>, due: Queue<Key>) -> Self {
        Self { measure, clock, judges: Arc::default(), asking, due }
    }

    /// What is known about `release` of `service` now. Never waits.
    ///
    /// A judge that does not exist yet (a new release, other rules, or a new manager) starts from nothing, and asks for
    /// everything since before the release began: evidence is a function of the samples, not of who looked when.
    #[must_use]
    pub fn look(&self, service: &Key, snapshot: &Snapshot<'_>, release: &Release) -> Looked {
        let now = snapshot.now;
        let mut judges = self.lock();
        if judges.get(service).is_none_or(|held| held.number != release.number) {
            judges.insert(service.clone(), Held::new(snapshot, release));
        }
        let held = judges.get_mut(service).expect("inserted above where it was missing");
        let (rules, alpha) = (&snapshot.settings.rules, snapshot.settings.alpha);
        if !held.judge.judges_by(rules, alpha) {
            held.judge = held.judge.clone().with_rules(rules, alpha);
            (held.looked_at, held.open_since) = (None, None);
        }
        held.arms = arms::of(snapshot, release, &held.arms);
        held.judge.observe(held.arms.clone(), now);
        let findings = held.judge.findings(now);
        let failed = findings.iter().any(|finding| finding.verdict == Verdict::Fail);
        let next = next_look(release, held.looked_at.unwrap_or(now));
        if !failed && held.open_since.is_none() && (held.looked_at.is_none() || now >= next) {
            held.open_since = Some(now);
            self.asking.enqueue(service.clone());
        }
        let until = held.open_since.map(|since| after(since, ANSWER_SOON));
        let wait_a_moment = !failed && until.is_some_and(|until| now < until);
        // While a question is open, pods are looked at as often as before; the answer enqueues the service. What failed is
        // not asked about again, and somebody may have stopped what follows from it.
        let next = match held.open_since {
            Some(_) => after(now, LOOK_SOON),
            None if next <= now => next_look(release, now),
            None => next,
        };
        Looked { findings, measuring_since: held.open_since, wait_a_moment, next: Some(next) }
    }

    /// Asks what is due about `service`. There is nothing to be asked again at a time of its own: whoever looks says so.
    pub async fn ask(&self, service: Key) -> Option<Timestamp> {
        let now = self.clock.now();
        let asked =
            self.lock().get(&service).map(|held| (held.number, held.open_since, held.judge.needs(now)));
        let (number, open_since, needs) = asked?;
        let queries = needs.iter().map(|need| &need.query).collect();
        let Answers { answers, room: _room } = self.measure.ask_all(&service.namespace, queries).await;
        let answers = needs.into_iter().zip(answers).collect();
        let mut judges = self.lock();
        // Another judge has taken its place meanwhile: it asks its own questions.
        let same = |held: &&mut Held| held.number == number && held.open_since == open_since;
        if let Some(held) = judges.get_mut(&service).filter(same) {
            held.judge.absorb(answers, now);
            held.looked_at = Some(now);
            held.open_since = None;
            drop(judges);
            self.due.enqueue(service);
        }
        None
    }

    /// Forgets what was measured about `service`: nothing of it is judged.
    pub fn forget(&self, service: &Key) {
        self.lock().remove(service);
    }

    /// Forgets everything: whoever leads next, perhaps this process again, starts from the samples.
    pub fn forget_all(&self) {
        self.lock().clear();
    }

    /// Services that something is remembered of.
    #[must_use]
    pub fn remembered(&self) -> usize {
        self.lock().len()
    }

    fn lock(&self) -> std::sync::MutexGuard<'_, BTreeMap<Key, Held>> {
        self.judges.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

impl Held {
    fn new(snapshot: &Snapshot<'_>, release: &Release) -> Self {
        let started_at = release.status.started_at.or(release.created_at).unwrap_or(snapshot.now);
        Self {
            number: release.number,
            judge: Judge::new(started_at, &snapshot.settings.rules, snapshot.settings.alpha),
            arms: Arms::default(),
            looked_at: None,
            open_since: None,
        }
    }
}

fn next_look(release: &Release, looked_at: Timestamp) -> Timestamp {
    let settled = release.status.ready_at.is_some_and(|ready_at| looked_at > after(ready_at, SETTLING));
    let span = match (release.status.phase, settled) {
        (ReleasePhase::Kept, _) => LOOK_WATCHED,
        (_, true) => LOOK_LATER,
        (_, false) => LOOK_SOON,
    };
    after(looked_at, span)
}

fn after(at: Timestamp, span: Duration) -> Timestamp {
    at.checked_add(SignedDuration::try_from(span).unwrap_or(SignedDuration::MAX)).unwrap_or(Timestamp::MAX)
}
