//! From what a plan decided to writes of single objects: which fields, and what must still be true.
//!
//! Nothing is decided here. A decision says "restore v3"; this module says which fields of the Deployment that is.

mod deployment;
mod event;
mod pods;
mod records;
mod status;

use trimtab_plan as plan;
use trimtab_plan::Precondition;
use trimtab_workload::{AdmissionHold, Target};

pub use deployment::{Change, freed, put_back, returned};
pub use pods::label;
pub use records::{outbox, release_status, told};
pub use status::{RATIO_MAX, service_status, verdict_word};

use crate::decision::{Pause, Plan, Write};
use crate::names::claim_text;
use crate::objects;
use crate::snapshot::{Release, Snapshot};

/// The writes of `decided`, made on `snapshot`, in order; then the service's status, what is due about `messages`, and upkeep.
#[must_use]
pub fn lower(snapshot: &Snapshot<'_>, decided: &Plan, messages: Vec<plan::Write>) -> plan::Plan {
    let lowering = Lowering { snapshot };
    let mut writes = Vec::new();
    let (upkeep, decisions): (Vec<&Write>, Vec<&Write>) =
        decided.writes.iter().partition(|write| write.is_upkeep());
    for write in decisions {
        writes.extend((*write == Write::TakeOver).then(|| status::unchanged(snapshot)));
        writes.extend(lowering.one(write));
    }
    writes.extend(status::of_service(snapshot, &decided.status));
    writes.extend(messages);
    writes.extend(upkeep.into_iter().filter_map(|write| lowering.one(write)));
    // Whoever writes hundreds of records has them closed over several plans, and keeps no decision from being made.
    writes.truncate(plan::WRITES_MAX);
    plan::Plan { writes, wake_at: decided.wake_at }
}

struct Lowering<'a> {
    snapshot: &'a Snapshot<'a>,
}

impl Lowering<'_> {
    /// A write, or `None` where the plan speaks of what the snapshot does not show: such a plan is made on nothing.
    fn one(&self, write: &Write) -> Option<plan::Write> {
        let claim = |target: &Target, change: &Change| deployment::change(self.snapshot, target, change);
        match write {
            Write::CreateRelease(new) => Some(records::create(self.snapshot, self.snapshot.target?, new)),
            Write::AdoptRelease { number, previous, template_hash } => {
                let release = self.release(*number)?;
                Some(records::adopt(self.snapshot, self.snapshot.target?, release, *previous, template_hash))
            }
            Write::ReleaseStatus { number, status } => {
                Some(records::status(self.snapshot, self.release(*number)?, status))
            }
            Write::Hold { hold, images, pause } => {
                let unpause = *pause == Pause::Clear;
                let text = Some(claim_text(*hold, images));
                Some(claim(self.snapshot.target?, &Change { claim: text, restore: None, unpause }))
            }
            Write::TakeOver => {
                let target = self.snapshot.target?;
                let text = Some(claim_text(target.hold?, &target.held_images));
                Some(claim(target, &Change { claim: text, restore: None, unpause: false }))
            }
            Write::Restore { number, images } => {
                let restore = Some(records::template_of(self.snapshot, self.release(*number)?));
                let text = Some(claim_text(AdmissionHold::HoldChanges, images));
                let target = self.snapshot.target?;
                // A person's pause stays: the template is back, and its pods come when that person lifts it.
                let unpause = target.paused_by_others().is_none();
                Some(claim(target, &Change { claim: text, restore, unpause }))
            }
            Write::ReturnFields => Some(returned(&self.snapshot.app.namespace, self.snapshot.target?)),
            Write::LabelPod { pod, uid, arm } => {
                Some(label(&self.snapshot.app.namespace, pod, uid, Some(*arm)))
            }
            Write::DeleteRelease { number } => {
                let release = self.release(*number)?;
                Some(plan::Write::Delete {
                    object: objects::record(self.snapshot.app, *number),
                    // Another object of that name has another version.
                    when: Precondition::version(release.version),
                })
            }
            Write::Event { number, event, note } => Some(event::event(self.snapshot, *number, *event, note)),
        }
    }

    fn release(&self, number: u64) -> Option<&Release> {
        self.snapshot.releases.iter().find(|release| release.number == number)
    }
}
