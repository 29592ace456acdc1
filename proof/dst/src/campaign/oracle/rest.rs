//! What must hold once what went wrong has ended and the world had time to come to rest.

use std::time::Duration;

use trimtab_delivery::plan::RESTORES_MAX;

use super::records::Record;
use super::{Oracle, Oracles, Violation};
use crate::stage::{LEASES, MANAGER_USER, NAMESPACE, Stage};

/// By then a client has noticed that its watch is half-open, and a watch without bookmarks has been renewed.
const NOTICED: Duration = Duration::from_secs(310);
/// Silence that counts as rest.
const QUIET: Duration = Duration::from_secs(60);
/// How long coming to rest may take: a progress deadline, a watch twice as long, and a way back.
const REST_LIMIT: Duration = Duration::from_secs(1800);
/// Writes at rest that are told.
const SAID_MAX: usize = 3;
/// How long nothing is written at rest.
const SILENCE: Duration = Duration::from_secs(600);

impl Oracles {
    /// Lets the world come to rest, and judges the end.
    pub(crate) async fn at_rest(&mut self, stage: &Stage) {
        stage.advance(NOTICED).await;
        stage.settle(QUIET, REST_LIMIT).await;
        self.look(stage);
        let start = stage.sim.ledger_since(0).len();
        stage.advance(SILENCE).await;
        self.look(stage);
        let unfinished = self.unfinished(stage);
        self.say(stage, Oracle::EveryReleaseEnds, unfinished);
        let fresh = stage.sim.ledger_since(start);
        let ours = fresh.iter().filter(|entry| entry.user == MANAGER_USER && entry.resource != LEASES);
        let said =
            ours.map(|entry| format!("{} {} {} ({})", entry.verb, entry.resource, entry.name, entry.code));
        // One that waits for a person or for its pods does not rest, and still writes nothing.
        let said: Vec<String> = said.take(SAID_MAX).collect();
        self.say(stage, Oracle::QuietAtRest, said);
        let (lost, wrong) = (self.lost_decisions(), self.wrong_verdicts());
        self.say(stage, Oracle::DecisionsCount, lost);
        for (oracle, what) in wrong {
            self.say(stage, oracle, vec![what]);
        }
        let low = self.capacity.at_rest();
        self.say(stage, Oracle::Capacity, low);
        let left = self.left_behind(stage);
        self.say(stage, Oracle::NothingIsLeftBehind, left);
    }

    fn say(&mut self, stage: &Stage, oracle: Oracle, what: Vec<String>) {
        let at = stage.sim.now();
        self.add(what.into_iter().map(|what| Violation { oracle, at, what }));
    }

    /// Releases under way, where nobody asked for it: a person's pause, a missing service and a call for help apart.
    fn unfinished(&self, stage: &Stage) -> Vec<String> {
        let waits_for_a_person = |app: &str| {
            let deployment = self.deployments.all().find(|(name, _)| *name == app);
            deployment.is_some_and(|(_, deployment)| deployment.paused_by_a_person)
                || stage.sim.get("managedapps.trimtab.dev", NAMESPACE, app).is_none()
        };
        let runs = |record: &Record| self.deployments.image(&record.app) == Some(&record.image);
        let open = |record: &&Record| {
            !record.gone
                && !waits(record)
                && match record.phase.as_str() {
                    "Judging" | "RollingBack" => true,
                    // A number without a template comes to nothing by itself; one with a template is released.
                    "" | "Pending" => runs(record),
                    _ => false,
                }
        };
        let open = self.records.all().filter(open).filter(|record| !waits_for_a_person(&record.app));
        let mut unfinished: Vec<String> = open
            .map(|record| format!("{} is {:?}: {}", record.word(), record.phase, record.summary))
            .collect();
        for (name, deployment) in self.deployments.all() {
            let looked_after = !deployment.claim.is_empty() && !waits_for_a_person(name);
            let told = self
                .records
                .all()
                .any(|record| !record.gone && record.app == *name && record.image == deployment.image);
            if looked_after && !told {
                unfinished.push(format!("{name} runs {}, and no record tells of it", deployment.image));
            }
        }
        unfinished
    }

    fn lost_decisions(&self) -> Vec<String> {
        let lost = self
            .records
            .all()
            .filter(|record| !waits(record) && record.binding.is_some_and(|binding| binding != record.phase));
        let word = |binding: Option<&'static str>| binding.unwrap_or_default();
        lost.map(|record| {
            format!("{} should be {} and is {}", record.word(), word(record.binding), record.phase)
        })
        .collect()
    }

    /// Verdicts that the truth contradicts; what nobody judged apart.
    fn wrong_verdicts(&self) -> Vec<(Oracle, String)> {
        let mut wrong = Vec::new();
        // Of one about which a person is asked, nobody says that it is good.
        let judged = self
            .records
            .all()
            .filter(|record| !record.decided && !record.needs_human && !record.image.is_empty());
        for record in judged.filter(|record| !record.summary.starts_with("was running")) {
            let bad = record.image.contains('-');
            // Few failures among few requests tell little, which is said, and among pods that fail more they are no worse.
            let little = record.low_evidence || self.records.was_compared_with_bad(record);
            let unsure = little && record.image.ends_with("-errors8");
            let said =
                format!("{} ({}) is {}: {}", record.word(), record.image, record.phase, record.summary);
            match record.phase.as_str() {
                "RolledBack" if !bad => wrong.push((Oracle::GoodIsKept, said)),
                // A rollback that failed is kept, and its record says so when nobody has to be asked any more.
                "Kept" if bad && !unsure && !record.failed && !self.traits.may_be_blind => {
                    wrong.push((Oracle::BadIsNotKept, said));
                }
                _ => {}
            }
        }
        wrong
    }

    fn left_behind(&self, stage: &Stage) -> Vec<String> {
        let mut left = Vec::new();
        for (name, deployment) in self.deployments.all() {
            if !self.deployments.is_claimed_by_an_app(name) && !deployment.claim.is_empty() {
                left.push(format!("{name} has no ManagedApp and is claimed: {}", deployment.claim));
            }
            let rejected = self.records.was_rejected(name, &deployment.image);
            if deployment.paused && !deployment.paused_by_a_person && !rejected {
                left.push(format!("{name} is paused, and {} was not rejected", deployment.image));
            }
        }
        for app in stage.sim.list("managedapps.trimtab.dev", Some(NAMESPACE)) {
            let name = super::text(&app, "/metadata/name");
            let deployment = self.deployments.all().find(|(other, _)| *other == name);
            if deployment.is_some_and(|(_, deployment)| deployment.claim.is_empty()) {
                left.push(format!("{name} has a ManagedApp and is not claimed"));
            }
        }
        left
    }
}

/// Whether a person is rightly asked about a release and has not answered. What they answered is carried out, or the record
/// says that it cannot be; a rollback may be fought for ever.
fn waits(record: &Record) -> bool {
    let impossible = record.wanted && record.restores >= u64::from(RESTORES_MAX);
    let fought = record.phase == "RollingBack" && !record.wanted;
    record.needs_human && (!record.decided || impossible || fought)
}
