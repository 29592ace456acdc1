//! From what a plan decided to writes of single objects: which fields, and what must still be true.
//!
//! Nothing is decided here. A decision says "restore v3"; this module says which fields of the Deployment that is.

mod deployment;
mod records;
mod status;

use serde_json::json;
use trimtab_plan as plan;
use trimtab_plan::{IfAbsent, IfThere, Kind, Object, Part, Patch, Precondition};

pub use deployment::{Change, freed, put_back, returned};
pub use records::{outbox, release_status};
pub use status::{RATIO_MAX, service_status, verdict_word};

use trimtab_workload::{ARM_LABEL, AdmissionHold, Arm, Target};

use crate::names::{claim_text, release_object};
use crate::plan::{Pause, Plan, Write};
use crate::snapshot::{Happening, Release, Snapshot};

/// `apiVersion` of our own kinds.
const API_VERSION: &str = "trimtab.dev/v1alpha1";

/// The writes of `decided`, made on `snapshot`, in order; the service's status comes last.
#[must_use]
pub fn lower(snapshot: &Snapshot<'_>, decided: &Plan) -> plan::Plan {
    let lowering = Lowering { snapshot };
    let mut writes: Vec<plan::Write> =
        decided.writes.iter().filter_map(|write| lowering.one(write)).collect();
    writes.extend(status::of_service(snapshot, &decided.status));
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
            Write::Claim { claim: hold, images, pause } => {
                let unpause = *pause == Pause::Clear;
                let text = Some(claim_text(*hold, images));
                Some(claim(self.snapshot.target?, &Change { claim: text, restore: None, unpause }))
            }
            Write::Restore { number, images } => {
                let restore = Some(records::template_of(self.snapshot, self.release(*number)?));
                let text = Some(claim_text(AdmissionHold::HoldChanges, images));
                Some(claim(self.snapshot.target?, &Change { claim: text, restore, unpause: true }))
            }
            Write::ReturnFields => Some(returned(&self.snapshot.app.namespace, self.snapshot.target?)),
            Write::LabelPod { pod, uid, arm } => {
                Some(label(&self.snapshot.app.namespace, pod, uid, Some(*arm)))
            }
            Write::DeleteRelease { number } => {
                let release = self.release(*number)?;
                Some(plan::Write::Delete {
                    object: self.record(*number),
                    // Another object of that name has another version.
                    when: Precondition::version(release.version),
                })
            }
            Write::Event { number, happening, note } => Some(self.event(*number, *happening, note)),
        }
    }

    fn release(&self, number: u64) -> Option<&Release> {
        self.snapshot.releases.iter().find(|release| release.number == number)
    }

    fn record(&self, number: u64) -> Object {
        record(self.snapshot, number)
    }

    fn event(&self, number: u64, happening: Happening, note: &str) -> plan::Write {
        let app = self.snapshot.app;
        let severity = match happening {
            Happening::Started | Happening::Kept => "Normal",
            Happening::RolledBack | Happening::Held | Happening::NeedsHuman => "Warning",
        };
        // Its name follows from the release and what happened, so that it exists once.
        let name = format!("{}.{}", release_object(&app.name, number), happening.word().to_lowercase());
        let body = json!({
            "apiVersion": "events.k8s.io/v1",
            "kind": "Event",
            "metadata": {"name": name, "namespace": app.namespace},
            // `MicroTime` wants exactly six digits.
            "eventTime": format!("{:.6}", self.snapshot.now),
            "reportingController": "trimtab.dev/delivery",
            "reportingInstance": crate::names::MANAGER,
            "action": happening.word(),
            "reason": happening.word(),
            "type": severity,
            "note": cut(note, EVENT_NOTE_BYTES_MAX),
            "regarding": {
                "apiVersion": API_VERSION,
                "kind": "ManagedApp",
                "name": app.name,
                "namespace": app.namespace,
                "uid": app.uid,
            },
        });
        let object = Object::new(Kind::Event, &app.namespace, name);
        plan::Write::Create { object, body, copy: None, if_there: IfThere::Done }
    }
}

/// The record of release `number`.
fn record(snapshot: &Snapshot<'_>, number: u64) -> Object {
    let app = snapshot.app;
    Object::new(Kind::AppRelease, &app.namespace, release_object(&app.name, number))
}

/// Sets or removes the arm label of the pod with `uid`.
#[must_use]
pub fn label(namespace: &str, pod: &str, uid: &str, arm: Option<Arm>) -> plan::Write {
    plan::Write::Patch {
        object: Object::new(Kind::Pod, namespace, pod),
        part: Part::Main,
        patch: Patch::Merge(json!({"metadata": {"labels": {ARM_LABEL: arm.map(Arm::as_str)}}})),
        copy: None,
        when: Precondition::uid(uid),
        // A pod that is gone, or came back as another one, needs no label.
        if_absent: IfAbsent::Done,
    }
}

/// Longest note that the API accepts, in bytes.
const EVENT_NOTE_BYTES_MAX: usize = 1024;

fn cut(text: &str, bytes_max: usize) -> &str {
    let end = (0..=bytes_max.min(text.len())).rev().find(|end| text.is_char_boundary(*end));
    text.get(..end.unwrap_or_default()).unwrap_or_default()
}
