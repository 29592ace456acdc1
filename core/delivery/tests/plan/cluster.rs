//! A tiny cluster: what the API server, the admission policy, the Deployment controller and people do to one service.
//!
//! A template is its own hash. Templates that begin with `b` have pods that never become ready.

mod controller;
mod people;

use std::collections::{BTreeMap, BTreeSet};

use jiff::{SignedDuration, Timestamp};
use trimtab_delivery::plan::Pause;
use trimtab_delivery::snapshot::{Release, ReleaseEvent, ReleasePhase, ReleaseStatus};
use trimtab_delivery::{Plan, Write};
use trimtab_judge::finding::FindingState;
use trimtab_stats::Verdict;
use trimtab_workload::{AdmissionHold, Target};

use crate::planned;
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
        planned(&self.service.snapshot()).0
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
        let mut rejected = snapshot.history().rejected().filter(|release| !promised(release));
        rejected.any(|release| release.template_hash.as_deref() == Some(template))
    }

    pub(crate) fn pass(&mut self, span: SignedDuration) {
        self.service.now = self.service.now.checked_add(span).expect("a story is short");
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
