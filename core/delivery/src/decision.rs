//! What a decision comes to, in the words of delivery. [`lower`](crate::lower()) says which fields of which objects that is.

use jiff::Timestamp;
use trimtab_workload::{AdmissionHold, Arm};

use crate::app::AppStatus;
use crate::release::{ReleaseEvent, ReleaseStatus};

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
    Hold {
        /// The annotation's new word.
        hold: AdmissionHold,
        /// The images that admission holds from here on.
        images: Vec<String>,
        /// Whether `spec.paused` is cleared in the same write.
        pause: Pause,
    },
    /// Says in the claim which instance looks after the service from here on. The service's status comes first, as it stands
    /// and under the version that was seen: whoever sees an old label loses there, and takes nothing back.
    TakeOver,
    /// Puts the template of a release back on the Deployment, lifts admission's pause (a person's stays), and holds later
    /// changes at admission.
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
    /// Records an Event on the service. Its name follows from the record as it was read and from `event`: deciding the same
    /// anew makes no second one.
    Event {
        /// The release it speaks of.
        number: u64,
        /// What happened.
        event: ReleaseEvent,
        /// One line for people.
        note: String,
    },
}

impl Write {
    /// Whether no decision and nobody who is to be told waits for it. It comes last: it may be refused for as long as somebody
    /// wants, by an admission policy or a finalizer.
    #[must_use]
    pub fn is_upkeep(&self) -> bool {
        matches!(self, Self::LabelPod { .. } | Self::ReturnFields | Self::DeleteRelease { .. })
    }
}

/// What the write of a hold does with `spec.paused`.
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
