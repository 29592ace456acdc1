//! `plan(snapshot) -> (Plan, Report)`: every write that is due for one service, and why.

mod claim;
mod draft;
mod held;
mod history;
mod judging;
mod labels;
mod rolling_back;
mod situation;
mod status;
mod verdict;

use std::time::Duration;

use jiff::Timestamp;
use trimtab_workload::{AdmissionHold, Arm};

pub use status::{AppPhase, AppStatus, Condition, Rejected};

use crate::report::Report;
use crate::snapshot::{Happening, ReleaseStatus, Snapshot};
use draft::Draft;
use situation::{Situation, situation};

/// Times that the previous template is restored before Trimtab stops and asks for a person: whoever writes the rejected
/// template back that often, while nothing holds it at admission, is not going to stop.
pub const RESTORES_MAX: u32 = 5;
/// How long a number given by a person waits for its template to appear on the Deployment.
pub const PENDING_MAX: Duration = Duration::from_secs(120);
/// How long a rollout may go on without a new pod before its release is judged by the pods that there are. Kubernetes gives
/// up earlier, unless the Deployment's `progressDeadlineSeconds` tells it not to.
pub const NO_PROGRESS_MAX: Duration = Duration::from_secs(3600);
/// How long the previous release may take to run again before a person is asked.
pub const RECOVERY_MAX: Duration = Duration::from_secs(600);

/// Largest pod template that is recorded and judged, in bytes of JSON. A record holds the template, and etcd refuses
/// objects of more than 1.5 MiB: what is left is for the record's own fields and who owns them.
pub const TEMPLATE_BYTES_MAX: usize = 1 << 20;

/// Everything that is due now. Writes are executed in order; the first failure ends the attempt and the next event plans
/// anew.
#[derive(Clone, Debug, Default, PartialEq)]
pub struct Plan {
    /// Writes in order.
    pub writes: Vec<Write>,
    /// The service's status as it should stand after the writes.
    pub status: AppStatus,
    /// When to look again although nothing happened.
    pub wake_at: Option<Timestamp>,
}

/// One write to the API.
#[derive(Clone, Debug, PartialEq)]
pub enum Write {
    /// Creates the record of a release from the template that the Deployment holds now.
    CreateRelease(NewRelease),
    /// Fills in the record that a person's command created before the template appeared.
    AdoptRelease {
        /// The release.
        number: u64,
        /// Number of the release before it.
        previous: Option<u64>,
        /// Hash of the template that is expected on the Deployment.
        template_hash: String,
    },
    /// Replaces the status of a release.
    ReleaseStatus {
        /// The release.
        number: u64,
        /// Its whole status.
        status: Box<ReleaseStatus>,
    },
    /// Sets the claim annotation, and unpauses where `pause` says so.
    Claim {
        /// The annotation's new word.
        claim: AdmissionHold,
        /// The images that admission holds from here on.
        images: Vec<String>,
        /// Whether `spec.paused` is cleared in the same write.
        pause: Pause,
    },
    /// Puts the template of a release back on the Deployment, clears `paused`, and holds later changes at admission.
    Restore {
        /// The release whose template is restored.
        number: u64,
        /// The images that admission holds from here on.
        images: Vec<String>,
    },
    /// Gives up what our field manager owns of the Deployment, so that whoever applies the next template server-side
    /// meets no conflict.
    ReturnFields,
    /// Sets the label of a pod that tells its arm.
    LabelPod {
        /// Pod name.
        pod: String,
        /// Uid that the pod must have.
        uid: String,
        /// The label's value.
        arm: Arm,
    },
    /// Forgets a release.
    DeleteRelease {
        /// The release.
        number: u64,
    },
    /// Records an Event on the service; its name follows from the release and `happening`, so it exists once.
    Event {
        /// The release it speaks of.
        number: u64,
        /// What happened.
        happening: Happening,
        /// One line for people.
        note: String,
    },
}

/// What a claim write does with `spec.paused`.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Pause {
    /// Leaves it.
    Leave,
    /// Clears it: Kubernetes rolls natively to the template in the spec.
    Clear,
}

/// The record of a new release.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct NewRelease {
    /// Its number.
    pub number: u64,
    /// Number of the release before it.
    pub previous: Option<u64>,
    /// Hash of the template that is expected on the Deployment.
    pub template_hash: String,
    /// Who released it.
    pub actor: String,
    /// Why, in a few words.
    pub reason: Option<String>,
}

/// What is due for the service in `snapshot`, and why. Total and deterministic.
pub fn plan(snapshot: &Snapshot<'_>) -> (Plan, Report) {
    let mut draft = Draft::new(snapshot);
    match claim::claimable(snapshot) {
        Err(refusal) => draft.refuse(refusal),
        Ok(target) if target.template_bytes > TEMPLATE_BYTES_MAX => held::pass_unjudged(&mut draft, target),
        Ok(target) => {
            history::close_foreign(&mut draft, target);
            match situation(snapshot, target) {
                Situation::Unknown => judging::adopt_baseline(&mut draft, target),
                Situation::Settled(current) => held::settle(&mut draft, target, current),
                Situation::Fresh => judging::begin(&mut draft, target),
                Situation::Judging(release) => judging::judge(&mut draft, target, release),
                Situation::Reverted(release) => judging::reverted(&mut draft, target, release),
                Situation::RollingBack(release) => rolling_back::restore(&mut draft, target, release),
                Situation::Recovering(release) => rolling_back::recover(&mut draft, target, release),
                Situation::Rejected(release) => held::hold(&mut draft, target, release),
                Situation::Promised(promise) => rolling_back::keep_promise(&mut draft, promise),
            }
            labels::label(&mut draft);
            if target.owns_template {
                draft.write(Write::ReturnFields);
            }
            history::forget(&mut draft, target);
        }
    }
    draft.finish()
}
