//! What people and their tools do: they deploy, decide, delete and create. The admission policy sees every write.

use trimtab_delivery::snapshot::{Decision, Keep, Release, ReleasePhase};
use trimtab_workload::{AdmissionHold, Target};

use super::{Cluster, set_template};
use crate::service::unclaimed;

impl Cluster {
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
}
