//! The Deployment controller: pods come and go one at a time, and progress has a deadline.

use jiff::Timestamp;
use trimtab_workload::{Pod, ReplicaSet, Target};

use super::{Cluster, PROGRESS_DEADLINE};

impl Cluster {
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
}
