//! A tiny cluster: what the API server, the admission policy, the Deployment controller and people do to one service.
//!
//! A template is its own hash. Templates that begin with `b` have pods that never become ready.

use std::collections::{BTreeMap, BTreeSet};

use jiff::{SignedDuration, Timestamp};
use trimtab_delivery::plan::Pause;
use trimtab_delivery::snapshot::{Decision, Keep, Release, ReleaseEvent, ReleasePhase, ReleaseStatus};
use trimtab_delivery::{Plan, Write, lower, plan};
use trimtab_judge::finding::FindingState;
use trimtab_plan::check;
use trimtab_plan::concern::DELIVERY;
use trimtab_stats::Verdict;
use trimtab_workload::{AdmissionHold, Pod, ReplicaSet, Target};

use crate::service::{Service, finding, unclaimed};

/// Rounds of plan and progress after which a calm cluster must be quiet.
const ROUNDS_MAX: usize = 150;
/// A story that has nothing to do for as long as this is over.
const QUIET_AFTER: SignedDuration = SignedDuration::from_hours(24);
const PROGRESS_DEADLINE: SignedDuration = SignedDuration::from_secs(600);

/// A status as a manager finds it again: of a release that is over, moments are kept in whole seconds.
fn read_back(status: &ReleaseStatus) -> ReleaseStatus {
    if status.phase.in_flight() {
        return status.clone();
    }
    let cut = |at: Option<Timestamp>| at.and_then(|at| Timestamp::from_second(at.as_second()).ok());
    ReleaseStatus {
        started_at: cut(status.started_at),
        ready_at: cut(status.ready_at),
        decided_at: cut(status.decided_at),
        recovered_at: cut(status.recovered_at),
        ..status.clone()
    }
}

/// One service in a cluster.
#[derive(Clone, Debug)]
pub(crate) struct Cluster {
    pub(crate) service: Service,
    /// Whether the admission policy is installed.
    pub(crate) admission: bool,
    /// What the evidence says about a template.
    pub(crate) verdicts: BTreeMap<String, Verdict>,
    pub(crate) events: BTreeSet<(u64, ReleaseEvent)>,
    /// Templates for which pods were started while they were rejected.
    pub(crate) leaked: Vec<String>,
    pods_born: u32,
    deployments_born: u32,
    rolling_since: Option<(String, Timestamp)>,
}

impl Cluster {
    pub(crate) fn new() -> Self {
        let mut service = unclaimed();
        // Nothing happens on the stroke of a second.
        service.now = service.now.checked_add(SignedDuration::from_millis(12)).expect("a moment");
        Self {
            service,
            admission: true,
            verdicts: BTreeMap::new(),
            events: BTreeSet::new(),
            leaked: Vec::new(),
            pods_born: 100,
            deployments_born: 0,
            rolling_since: None,
        }
    }

    /// Plans on what there is.
    pub(crate) fn plan(&mut self) -> Plan {
        let template = self.service.snapshot().judged().and_then(|release| release.template_hash.clone());
        self.service.findings = template
            .map(|template| self.verdicts.get(&template).copied().unwrap_or(Verdict::Undecided))
            .map(|verdict| finding("rpc-errors", verdict, FindingState::Judged, "as measured"))
            .into_iter()
            .collect();
        let snapshot = self.service.snapshot();
        let plan = plan(&snapshot).0;
        if let Err(breach) = check(&lower(&snapshot, &plan), &DELIVERY) {
            panic!("a plan that delivery must not carry out: {breach}\n{plan:#?}");
        }
        plan
    }

    /// Carries out the first `writes` of a plan; a manager that was not killed then writes the status.
    pub(crate) fn execute(&mut self, plan: &Plan, writes: usize) {
        for write in plan.writes.iter().take(writes) {
            self.write(write);
        }
        if writes >= plan.writes.len() {
            self.service.app.status = plan.status.clone();
        }
    }

    fn write(&mut self, write: &Write) {
        let now = self.service.now;
        match write {
            Write::CreateRelease(new) => {
                let target = self.service.target.as_ref().expect("a plan for no Deployment writes nothing");
                assert_eq!(target.template_hash, new.template_hash);
                assert!(
                    self.service.releases.iter().all(|release| release.number != new.number),
                    "{new:?} exists"
                );
                self.service.releases.push(Release {
                    number: new.number,
                    actor: new.actor.clone(),
                    created_at: Some(now),
                    ..Release::default()
                });
                self.give_template(new.number, &new.template_hash);
            }
            Write::AdoptRelease { number, template_hash, .. } => self.give_template(*number, template_hash),
            Write::ReleaseStatus { number, status } => self.release(*number).status = read_back(status),
            Write::Hold { hold, images, pause } => {
                let target = self.service.target.as_mut().expect("a claim is on a Deployment");
                (target.hold, target.held_images) = (Some(*hold), images.clone());
                if *pause == Pause::Clear {
                    (target.paused, target.paused_by) = (false, None);
                }
            }
            Write::TakeOver => {
                let target = self.service.target.as_mut().expect("a claim is on a Deployment");
                target.instance.clone_from(&self.service.app.instance);
            }
            Write::Restore { number, images } => {
                let release = self.release(*number).clone();
                let template = release.template_hash.expect("what is restored has a template");
                let uid = self.service.target.as_ref().map(|target| target.uid.clone());
                assert_eq!(release.target_uid, uid, "restores what was released to another Deployment");
                assert!(!self.is_rejected(&template), "restores {template}, which was rejected");
                let target = self.service.target.as_mut().expect("a restore is on a Deployment");
                set_template(target, &template);
                (target.paused, target.paused_by, target.hold) =
                    (false, None, Some(AdmissionHold::HoldChanges));
                target.held_images = images.clone();
                target.owns_template = true;
            }
            Write::ReturnFields => {
                self.service.target.as_mut().expect("fields are on a Deployment").owns_template = false;
            }
            Write::LabelPod { pod, uid, arm } => {
                let found =
                    self.service.pods.iter_mut().find(|other| other.name == *pod && other.uid == *uid);
                found.expect("a plan labels pods that exist").arm = Some(*arm);
            }
            Write::DeleteRelease { number } => {
                self.service.releases.retain(|release| release.number != *number);
            }
            Write::Event { number, event, .. } => {
                self.events.insert((*number, *event));
            }
        }
        let in_flight =
            self.service.releases.iter().filter(|release| release.status.phase.in_flight()).count();
        assert!(in_flight <= 1, "{in_flight} releases are in flight");
    }

    fn release(&mut self, number: u64) -> &mut Release {
        let found = self.service.releases.iter_mut().find(|release| release.number == number);
        found.expect("a plan writes to releases that exist")
    }

    /// A record with a template and no status is being judged.
    fn give_template(&mut self, number: u64, template: &str) {
        let image = format!("pay:{template}");
        let known = &self.release(number).image;
        assert!(
            known.is_empty() || *known == image,
            "the image of v{number} is {known}, and cannot become {image}"
        );
        let uid = self.service.target.as_ref().map(|target| target.uid.clone());
        let release = self.release(number);
        release.target_uid = uid;
        release.template_hash = Some(template.to_owned());
        release.image = image;
        release.status.phase = ReleasePhase::Judging;
    }

    /// Whether records say that a template was rejected and no person said otherwise.
    pub(crate) fn is_rejected(&self, template: &str) -> bool {
        let snapshot = self.service.snapshot();
        let promised = |release: &Release| {
            let again = |other: &Release| {
                other.rollback_to == Some(release.number) && other.keep_decision().is_some()
            };
            release.keep_decision().is_some() || snapshot.releases.iter().any(again)
        };
        let mut rejected = snapshot.rejected().filter(|release| !promised(release));
        rejected.any(|release| release.template_hash.as_deref() == Some(template))
    }

    /// Somebody other than Trimtab writes the Deployment: the admission policy sees the change.
    pub(crate) fn others_write(&mut self, change: impl FnOnce(&mut Target)) {
        let Some(target) = self.service.target.as_mut() else { return };
        let old = target.clone();
        change(target);
        let changed = target.template_hash != old.template_hash;
        let passes = changed && !old.held_images.contains(&target.image);
        let held = old.hold == Some(AdmissionHold::Held);
        if !self.admission || !(held || old.hold == Some(AdmissionHold::HoldChanges) && changed && !passes) {
            return;
        }
        if passes {
            (target.paused, target.hold) = (false, Some(AdmissionHold::HoldChanges));
        } else if held || !target.paused {
            (target.paused, target.hold) = (true, Some(AdmissionHold::Held));
        }
    }

    pub(crate) fn deploy(&mut self, template: &str) {
        self.others_write(|target| {
            if target.template_hash != template {
                set_template(target, template);
                target.template_manager = "ci".into();
            }
        });
    }

    /// A person numbers a release, and writes its template.
    pub(crate) fn deploy_numbered(&mut self, template: &str, rollback_to: Option<u64>) {
        let number = self.service.snapshot().last_number() + 1;
        let created_at = Some(self.service.now);
        let image = format!("pay:{template}");
        self.service.releases.push(Release { number, image, rollback_to, created_at, ..Release::default() });
        self.deploy(template);
        self.others_write(|target| target.release_annotation = Some(number));
    }

    /// A person keeps what was rolled back by decision: under a new number, first the record and then its template. Returns
    /// the number.
    pub(crate) fn promote_again(&mut self, rejected: u64) -> u64 {
        let number = self.record_promise(rejected);
        self.write_promise(rejected, number);
        number
    }

    pub(crate) fn record_promise(&mut self, rejected: u64) -> u64 {
        let number = self.service.snapshot().last_number() + 1;
        let decision = Decision { keep: Keep::Keep, actor: "ana".into(), because: "so".into() };
        self.service.releases.push(Release {
            number,
            rollback_to: Some(rejected),
            decision: Some(decision),
            created_at: Some(self.service.now),
            ..Release::default()
        });
        number
    }

    pub(crate) fn write_promise(&mut self, rejected: u64, number: u64) {
        let template =
            self.release(rejected).template_hash.clone().expect("what was rejected has a template");
        self.others_write(|target| {
            if target.template_hash != template {
                set_template(target, &template);
                target.template_manager = "trimtab".into();
            }
            target.release_annotation = Some(number);
        });
    }

    /// A person decides about the newest release that there is something to decide about.
    pub(crate) fn decide(&mut self, keep: Keep) {
        let open = |release: &&mut Release| {
            release.status.phase.in_flight() || release.status.phase == ReleasePhase::RolledBack
        };
        if let Some(release) = self.service.releases.iter_mut().rev().find(open) {
            release.decision = Some(Decision { keep, actor: "ana".into(), because: "so".into() });
        }
    }

    pub(crate) fn delete(&mut self) {
        self.service.target = None;
        self.service.pods.clear();
        self.service.sets.clear();
        self.rolling_since = None;
    }

    /// A Deployment is created where there is none.
    pub(crate) fn create(&mut self, template: &str) {
        if self.service.target.is_none() {
            let mut target = unclaimed().target.expect("a fresh service has one");
            set_template(&mut target, template);
            self.deployments_born += 1;
            target.uid = format!("uid-pay-{}", self.deployments_born);
            self.service.target = Some(target);
        }
    }

    pub(crate) fn pass(&mut self, span: SignedDuration) {
        self.service.now = self.service.now.checked_add(span).expect("a story is short");
    }

    /// One step of the Deployment controller: at most one pod comes and one goes. Returns whether anything changed.
    pub(crate) fn progress(&mut self) -> bool {
        let before = (self.service.pods.clone(), self.service.sets.clone(), self.service.target.clone());
        if let Some(target) = self.service.target.clone() {
            self.reconcile(&target);
            self.count();
            let moved = before.0 != self.service.pods;
            self.deadline(&target, moved);
        }
        before != (self.service.pods.clone(), self.service.sets.clone(), self.service.target.clone())
    }

    fn reconcile(&mut self, target: &Target) {
        self.service.target.as_mut().expect("still there").observed_generation = target.generation;
        let active = match self.service.pods.first() {
            Some(pod) if target.paused => pod.replica_set.trim_start_matches("uid-").to_owned(),
            _ => target.template_hash.clone(),
        };
        let wanted = usize::try_from(target.replicas).unwrap_or_default();
        let own = |pod: &Pod| pod.replica_set == format!("uid-{active}");
        let new = self.service.pods.iter().filter(|pod| own(pod)).count();
        let ready = self.service.pods.iter().filter(|pod| pod.ready).count();
        let all = self.service.pods.len();
        let unready = self.service.pods.iter().position(|pod| !own(pod) && !pod.ready);
        let old = self.service.pods.iter().position(|pod| !own(pod));
        let gone = match (unready, old) {
            _ if new > wanted => self.service.pods.iter().position(own),
            (Some(_), _) if !target.paused => unready,
            (_, Some(_)) if !target.paused && ready > wanted => old,
            (_, Some(_)) if target.paused && all > wanted => old,
            _ => None,
        };
        match gone {
            Some(index) => drop(self.service.pods.remove(index)),
            None if new < wanted && all <= wanted && !(target.paused && all == wanted) => {
                self.start_pod(&active, target);
            }
            None => {}
        }
    }

    fn start_pod(&mut self, template: &str, target: &Target) {
        // A paused Deployment still scales what runs, and that may be a release which was rejected a moment ago.
        if self.admission && !target.paused && self.is_rejected(template) {
            self.leaked.push(template.to_owned());
        }
        self.pods_born += 1;
        let ready = !template.starts_with('b');
        self.service.pods.push(Pod {
            name: format!("pay-{template}-{}", self.pods_born),
            uid: format!("uid-{}", self.pods_born),
            replica_set: format!("uid-{template}"),
            ready,
            started_at: Some(self.service.now),
            waiting: (!ready).then(|| "ImagePullBackOff".to_owned()),
            ..Pod::default()
        });
        if self.service.sets.iter().all(|set| set.template_hash != template) {
            let (name, uid) = (format!("pay-{template}"), format!("uid-{template}"));
            self.service.sets.push(ReplicaSet {
                name,
                uid,
                template_hash: template.into(),
                ..ReplicaSet::default()
            });
        }
    }

    fn count(&mut self) {
        for set in &mut self.service.sets {
            let own = || self.service.pods.iter().filter(|pod| pod.replica_set == set.uid);
            set.replicas = i32::try_from(own().count()).expect("few pods");
            set.available = i32::try_from(own().filter(|pod| pod.ready).count()).expect("few pods");
        }
    }

    /// Progress that has not come for long is told once, and forgotten with the next step.
    fn deadline(&mut self, target: &Target, moved: bool) {
        let wanted = usize::try_from(target.replicas).unwrap_or_default();
        let uid = format!("uid-{}", target.template_hash);
        let out =
            self.service.pods.iter().filter(|pod| pod.ready && pod.replica_set == uid).count() >= wanted;
        let known = self.rolling_since.as_ref().is_some_and(|(rolling, _)| *rolling == target.template_hash);
        if out || target.paused || !known || moved {
            let rolls = !out && !target.paused;
            self.rolling_since = rolls.then(|| (target.template_hash.clone(), self.service.now));
        }
        let overdue =
            |(_, since): &(String, Timestamp)| self.service.now.duration_since(*since) > PROGRESS_DEADLINE;
        let exceeded = self.rolling_since.as_ref().is_some_and(overdue);
        self.service.target.as_mut().expect("still there").progress_deadline_exceeded =
            exceeded.then(|| "has timed out progressing".to_owned());
    }

    /// Nobody touches anything any more: plans, progress and time take turns until all is quiet. What only waits for a
    /// rejection to be forgotten is quiet.
    pub(crate) fn calm(&mut self) {
        for _ in 0..ROUNDS_MAX {
            let plan = self.plan();
            self.execute(&plan, usize::MAX);
            let next = self.plan();
            if next.writes.is_empty() {
                assert_eq!(
                    next.status, self.service.app.status,
                    "the status is written again after {:#?}",
                    plan.writes
                );
            }
            let moved = self.progress();
            if !plan.writes.is_empty() || moved {
                continue;
            }
            let deadline = self.rolling_since.as_ref().map(|(_, since)| {
                since.checked_add(PROGRESS_DEADLINE + SignedDuration::from_secs(1)).expect("a story is short")
            });
            let Some(next) =
                plan.wake_at.into_iter().chain(deadline).filter(|at| *at > self.service.now).min()
            else {
                return;
            };
            if next.duration_since(self.service.now) > QUIET_AFTER {
                return;
            }
            self.pass(next.duration_since(self.service.now));
        }
        panic!("not quiet after {ROUNDS_MAX} rounds: {:#?}", self.plan());
    }
}

fn set_template(target: &mut Target, template: &str) {
    target.template_hash = template.to_owned();
    target.image = format!("pay:{template}");
    target.generation += 1;
}
