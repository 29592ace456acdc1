//! Who may write what: one list of all writers.
//!
//! A concern is what one controller is there for. It has one field manager and its own condition types, so that several
//! write the status of one object without wiping each other out. A field has one owner: the tests hold [`ALL`] to it. So a
//! concern lists the fields of a status one by one where another one may come to write others of it, and conditions by
//! their type.

use crate::object::{Kind, Part};

/// Told apart by their types, each with one owner: only an apply leaves those of others alone.
pub(crate) const CONDITIONS: &str = "/status/conditions";

/// One writer.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Concern {
    /// Its name in logs and metrics.
    pub name: &'static str,
    /// Its field manager.
    pub manager: &'static str,
    /// What it may do.
    pub rights: &'static [Right],
    /// The condition types that it sets on a kind.
    pub conditions: &'static [(Kind, &'static str)],
}

/// One thing that a concern may do.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Right {
    /// Create objects of a kind.
    Create(Kind),
    /// Delete objects of a kind.
    Delete(Kind),
    /// Evict pods.
    Evict,
    /// Change the resources of running pods.
    Resize,
    /// Set the number of pods of a kind of workload.
    Scale(Kind),
    /// Change a field and everything below it, a JSON pointer.
    Field(Kind, Part, &'static str),
    /// Tell people.
    Notify,
}

/// The release of a service: records, claims, restores, phase labels, the service's status, and messages about it.
pub const DELIVERY: Concern = Concern {
    name: "delivery",
    manager: "trimtab-delivery",
    rights: &[
        Right::Create(Kind::APP_RELEASE),
        Right::Delete(Kind::APP_RELEASE),
        Right::Field(Kind::APP_RELEASE, Part::Main, "/spec"),
        Right::Field(Kind::APP_RELEASE, Part::Main, "/metadata/annotations/trimtab.dev~1seal"),
        Right::Field(Kind::APP_RELEASE, Part::Status, "/status"),
        Right::Field(Kind::DEPLOYMENT, Part::Main, "/metadata/annotations"),
        Right::Field(Kind::DEPLOYMENT, Part::Main, "/metadata/managedFields"),
        Right::Field(Kind::DEPLOYMENT, Part::Main, "/spec/template"),
        Right::Field(Kind::DEPLOYMENT, Part::Main, "/spec/paused"),
        Right::Field(Kind::POD, Part::Main, "/metadata/labels/trimtab.dev~1phase"),
        Right::Field(Kind::MANAGED_APP, Part::Status, "/status/observedGeneration"),
        Right::Field(Kind::MANAGED_APP, Part::Status, "/status/phase"),
        Right::Field(Kind::MANAGED_APP, Part::Status, "/status/summary"),
        Right::Field(Kind::MANAGED_APP, Part::Status, "/status/targetUid"),
        Right::Field(Kind::MANAGED_APP, Part::Status, "/status/current"),
        Right::Field(Kind::MANAGED_APP, Part::Status, "/status/inFlight"),
        Right::Field(Kind::MANAGED_APP, Part::Status, "/status/lastRelease"),
        Right::Field(Kind::MANAGED_APP, Part::Status, "/status/rejected"),
        Right::Create(Kind::EVENT),
        Right::Notify,
    ],
    conditions: &[
        (Kind::MANAGED_APP, "Claimed"),
        (Kind::MANAGED_APP, "Valid"),
        (Kind::MANAGED_APP, "RulesBound"),
        (Kind::MANAGED_APP, "RecordsCounted"),
        (Kind::MANAGED_APP, "ActedOn"),
        (Kind::MANAGED_APP, "Progressing"),
        (Kind::MANAGED_APP, "Comparable"),
    ],
};

/// A Deployment that is claimed and that no `ManagedApp` names any more. It writes the same fields as [`DELIVERY`], and the
/// two never meet: one acts where a service names the Deployment, the other where none does.
pub const UNCLAIM: Concern = Concern {
    name: "unclaim",
    manager: "trimtab-delivery",
    rights: &[
        Right::Field(Kind::DEPLOYMENT, Part::Main, "/metadata/annotations"),
        Right::Field(Kind::DEPLOYMENT, Part::Main, "/metadata/managedFields"),
        Right::Field(Kind::DEPLOYMENT, Part::Main, "/spec/template"),
        Right::Field(Kind::DEPLOYMENT, Part::Main, "/spec/paused"),
        Right::Field(Kind::POD, Part::Main, "/metadata/labels/trimtab.dev~1phase"),
    ],
    conditions: &[],
};

/// Whether a policy is valid.
pub const POLICY: Concern = Concern {
    name: "policy",
    manager: "trimtab-policy",
    rights: &[Right::Field(Kind::FLEET_POLICY, Part::Status, "/status/observedGeneration")],
    conditions: &[(Kind::FLEET_POLICY, "Valid")],
};

/// Every writer of this process.
pub const ALL: [&Concern; 3] = [&DELIVERY, &UNCLAIM, &POLICY];

/// Fields and condition types that two concerns with different field managers both claim.
#[must_use]
pub fn shared_fields(concerns: &[&Concern]) -> Vec<String> {
    let mut shared = Vec::new();
    for (index, one) in concerns.iter().enumerate() {
        let others = concerns.iter().skip(index + 1).filter(|other| other.manager != one.manager);
        for other in others {
            let fields =
                one.rights.iter().filter(|right| other.rights.iter().any(|theirs| meet(right, theirs)));
            shared.extend(fields.map(|right| format!("{} and {}: {right:?}", one.name, other.name)));
            let types = one.conditions.iter().filter(|of| other.conditions.contains(of));
            let covered = covered_conditions(one, other).chain(covered_conditions(other, one));
            shared.extend(
                types
                    .chain(covered)
                    .map(|(kind, name)| format!("{} and {}: {kind:?} {name}", one.name, other.name)),
            );
        }
    }
    shared
}

/// The condition types of `other` that a field of `one` has in it.
fn covered_conditions<'a>(
    one: &'a Concern,
    other: &'a Concern,
) -> impl Iterator<Item = &'a (Kind, &'static str)> {
    other.conditions.iter().filter(|(kind, _)| {
        let conditions = Right::Field(*kind, Part::Status, CONDITIONS);
        one.rights.iter().any(|right| meet(right, &conditions))
    })
}

/// Whether two rights speak of one field.
fn meet(one: &Right, other: &Right) -> bool {
    match (one, other) {
        (Right::Field(kind, part, below), Right::Field(theirs, their_part, their_below)) => {
            let within =
                |a: &str, b: &str| a == b || a.strip_prefix(b).is_some_and(|rest| rest.starts_with('/'));
            kind == theirs && part == their_part && (within(below, their_below) || within(their_below, below))
        }
        (Right::Scale(kind), Right::Scale(theirs)) => kind == theirs,
        (Right::Resize, Right::Resize) => true,
        _ => false,
    }
}
