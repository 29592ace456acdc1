//! Evidence about releases under way: asks for what the judge needs, and hands it over.

use std::collections::BTreeMap;
use std::pin::pin;
use std::sync::{Arc, Mutex, PoisonError};
use std::time::Duration;

use futures::future::{BoxFuture, Either, join_all, select};
use jiff::Timestamp;
use trimtab_delivery::finding::Finding;
use trimtab_delivery::judge::{Answer, Arms, Judge, Need, Query};
use trimtab_delivery::snapshot::{Release, ReleasePhase, Snapshot};
use trimtab_kube::Key;
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

/// Answers what a judge asks. The one thing that the evidence loop needs of a metrics server.
pub trait Measure: Send + Sync {
    /// The answer to one question; never fails, a failure is an answer.
    fn ask<'a>(&'a self, query: &'a Query) -> BoxFuture<'a, Answer>;
}

/// The judges of all releases under way.
#[derive(Clone)]
pub struct Evidence {
    measure: Arc<dyn Measure>,
    judges: Arc<Mutex<BTreeMap<(Key, u64), Held>>>,
}

struct Held {
    judge: Judge,
    arms: Arms,
    looked_at: Option<Timestamp>,
}

impl Evidence {
    /// No evidence yet; questions go to `measure`.
    #[must_use]
    pub fn new(measure: Arc<dyn Measure>) -> Self {
        Self { measure, judges: Arc::default() }
    }

    /// What is known about `release` now, and when to look again. A judge that does not exist yet (a new release, or a new
    /// manager) starts from nothing and asks for everything since before the release began.
    ///
    /// A crash needs no metrics server to be told, and does not wait for one: while it is asked, `pods` shows the arms as they
    /// are by then, given what they were.
    pub async fn look(
        &self,
        service: &Key,
        snapshot: &Snapshot<'_>,
        release: &Release,
        pods: impl Fn(&Arms) -> (Arms, Timestamp),
    ) -> (Vec<Finding>, Timestamp) {
        let now = snapshot.now;
        let key = (service.clone(), release.number);
        let mut held = self.take(&key).unwrap_or_else(|| {
            let started_at = release.status.started_at.or(release.created_at).unwrap_or(now);
            let judge = Judge::new(started_at, &snapshot.settings.rules, snapshot.settings.alpha);
            Held { judge, arms: Arms::default(), looked_at: None }
        });
        let (rules, alpha) = (&snapshot.settings.rules, snapshot.settings.alpha);
        if !held.judge.judges_by(rules, alpha) {
            held = Held { judge: held.judge.with_rules(rules, alpha), looked_at: None, ..held };
        }
        held.arms = Arms::of(snapshot, release, &held.arms);
        held.judge.observe(held.arms.clone(), now);
        let next = next_look(release, held.looked_at.unwrap_or(now));
        if !has_failed(&held.judge, now) && (held.looked_at.is_none() || now >= next) {
            match self.ask(&held, &pods, now).await {
                First::Answers(answers) => held.judge.absorb(answers, now),
                First::Crash(arms, seen_at) => {
                    held.judge.observe(arms.clone(), seen_at);
                    held.arms = arms;
                }
            }
            held.looked_at = Some(now);
        }
        let findings = held.judge.findings(now);
        let next = next_look(release, held.looked_at.unwrap_or(now));
        self.put(key, held);
        (findings, next)
    }

    /// Asks what the judge needs, unless the pods fail the release before there is an answer.
    async fn ask(&self, held: &Held, pods: &impl Fn(&Arms) -> (Arms, Timestamp), now: Timestamp) -> First {
        let needs = held.judge.needs(now);
        let answers = join_all(needs.iter().map(|need| self.measure.ask(&need.query)));
        match select(pin!(answers), pin!(until_pods_fail(held, pods))).await {
            Either::Left((answers, _)) => First::Answers(needs.iter().cloned().zip(answers).collect()),
            Either::Right(((arms, seen_at), _)) => First::Crash(arms, seen_at),
        }
    }

    /// Forgets every judge of `service` but that of release `number`.
    pub fn forget(&self, service: &Key, number: Option<u64>) {
        self.lock().retain(|(other, of), _| other != service || Some(*of) == number);
    }

    fn take(&self, key: &(Key, u64)) -> Option<Held> {
        self.lock().remove(key)
    }

    fn put(&self, key: (Key, u64), held: Held) {
        self.lock().insert(key, held);
    }

    fn lock(&self) -> std::sync::MutexGuard<'_, BTreeMap<(Key, u64), Held>> {
        self.judges.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

/// What came first.
enum First {
    Answers(Vec<(Need, Answer)>),
    Crash(Arms, Timestamp),
}

fn has_failed(judge: &Judge, now: Timestamp) -> bool {
    judge.findings(now).iter().any(|finding| finding.verdict == Verdict::Fail)
}

/// Returns once the pods alone fail the release, with the arms that show it.
async fn until_pods_fail(held: &Held, pods: &impl Fn(&Arms) -> (Arms, Timestamp)) -> (Arms, Timestamp) {
    let mut arms = held.arms.clone();
    loop {
        // A server that answers at once is done before the first pass.
        tokio::time::sleep(LOOK_SOON).await;
        let (seen, now) = pods(&arms);
        let mut judge = held.judge.clone();
        judge.observe(seen.clone(), now);
        if has_failed(&judge, now) {
            return (seen, now);
        }
        arms = seen;
    }
}

fn next_look(release: &Release, looked_at: Timestamp) -> Timestamp {
    let settled = release.status.ready_at.is_some_and(|ready_at| {
        looked_at.duration_since(ready_at)
            > jiff::SignedDuration::try_from(SETTLING).unwrap_or(jiff::SignedDuration::MAX)
    });
    let span = match (release.status.phase, settled) {
        (ReleasePhase::Kept, _) => LOOK_WATCHED,
        (_, true) => LOOK_LATER,
        (_, false) => LOOK_SOON,
    };
    looked_at.checked_add(span).unwrap_or(Timestamp::MAX)
}
