//! Releases: decided once, numbered once, and as people decided.

use std::collections::{BTreeMap, BTreeSet};

use serde_json::Value;
use trimtab_sim::StoreChange;

use super::deployments::Deployments;
use super::{Oracle, Violation, image_of, is_by_a_person, text, violation};

/// What a record said last.
#[derive(Clone, Debug, Default)]
pub(super) struct Record {
    pub(super) app: String,
    /// Of the ManagedApp that owns it.
    owner: String,
    pub(super) number: u64,
    /// What it was compared with.
    previous: Option<u64>,
    pub(super) image: String,
    pub(super) phase: String,
    pub(super) summary: String,
    pub(super) needs_human: bool,
    /// Whether the record says that it failed.
    pub(super) failed: bool,
    /// How often a template was put back for it.
    pub(super) restores: u64,
    pub(super) gone: bool,
    /// What a person decided, while it can still happen.
    pub(super) binding: Option<&'static str>,
    pub(super) decided: bool,
    /// Whether a person decided to keep it.
    pub(super) wanted: bool,
    pub(super) low_evidence: bool,
}

impl Record {
    fn read(object: &Value) -> Self {
        Self {
            app: text(object, "/spec/app").to_owned(),
            owner: text(object, "/metadata/ownerReferences/0/uid").to_owned(),
            number: object["spec"]["number"].as_u64().unwrap_or_default(),
            previous: object["spec"]["previous"].as_u64(),
            image: text(object, "/spec/image").to_owned(),
            phase: text(object, "/status/phase").to_owned(),
            summary: text(object, "/status/summary").to_owned(),
            needs_human: object["status"]["needsHuman"] == true,
            failed: text(object, "/status/verdict") == "Fail",
            restores: object["status"]["restores"].as_u64().unwrap_or_default(),
            decided: object["spec"]["decision"].is_object(),
            wanted: text(object, "/spec/decision/verdict") == "Keep",
            low_evidence: object["status"]["lowEvidence"] == true,
            gone: false,
            binding: None,
        }
    }

    pub(super) fn word(&self) -> String {
        format!("{} v{}", self.app, self.number)
    }

    pub(super) fn was_rejected(&self) -> bool {
        matches!(self.phase.as_str(), "RollingBack" | "RolledBack")
    }
}

/// All records that ever were, by uid.
#[derive(Default)]
pub(super) struct Records {
    by_uid: BTreeMap<String, Record>,
    /// Highest number of each ManagedApp, by its uid.
    highest: BTreeMap<String, u64>,
    /// ManagedApps that are gone: what is still written for them goes with them.
    unowned: BTreeSet<String>,
}

impl Records {
    pub(super) fn all(&self) -> impl Iterator<Item = &Record> {
        self.by_uid.values()
    }

    /// Whether the old pods of a release failed as well, because a person had kept them.
    pub(super) fn was_compared_with_bad(&self, record: &Record) -> bool {
        let mut before =
            self.all().filter(|other| other.app == record.app && Some(other.number) == record.previous);
        before.any(|other| other.image.contains('-'))
    }

    /// Whether a template with this image failed, whatever became of its record.
    pub(super) fn was_rejected(&self, app: &str, image: &str) -> bool {
        self.all().any(|record| record.app == app && record.image == image && record.was_rejected())
    }

    pub(super) fn see_release(&mut self, change: &StoreChange, deployments: &Deployments) -> Vec<Violation> {
        let Some(object) = change.after() else {
            let uid = change.before().map(|object| text(object, "/metadata/uid")).unwrap_or_default();
            if let Some(record) = self.by_uid.get_mut(uid) {
                record.gone = true;
                record.binding = None;
            }
            return Vec::new();
        };
        let mut found = Vec::new();
        let mut record = Record::read(object);
        let uid = text(object, "/metadata/uid").to_owned();
        match self.by_uid.get(&uid) {
            None => found.extend(self.number(change, &record)),
            Some(old) => {
                record.binding = old.binding;
                found.extend(flipped(change, old, &record));
                if record.decided && !old.decided {
                    record.binding = binding(object, old, deployments);
                }
            }
        }
        self.by_uid.insert(uid, record);
        found
    }

    fn number(&mut self, change: &StoreChange, record: &Record) -> Option<Violation> {
        if self.unowned.contains(&record.owner) {
            return None;
        }
        let highest = self.highest.entry(record.owner.clone()).or_default();
        let old = std::mem::replace(highest, record.number.max(*highest));
        (record.number <= old).then(|| {
            violation(Oracle::NumbersRise, change, format!("{} was made after v{old}", record.word()))
        })
    }

    /// A template that a person writes, or a Deployment that goes, takes the ground from what was decided before.
    pub(super) fn see_deployment(&mut self, change: &StoreChange) {
        let (before, after) = (change.before(), change.after());
        let name = after.or(before).map(|object| text(object, "/metadata/name")).unwrap_or_default();
        let replaced = match (before, after) {
            (Some(before), Some(after)) => is_by_a_person(change) && image_of(before) != image_of(after),
            _ => true,
        };
        if replaced {
            self.unbind(name);
        }
    }

    /// So does a service that goes or that is asked for something else.
    pub(super) fn see_app(&mut self, change: &StoreChange) {
        let (Some(before), after) = (change.before(), change.after()) else { return };
        if after.is_none() {
            self.unowned.insert(text(before, "/metadata/uid").to_owned());
        }
        if after.is_none_or(|after| after["spec"] != before["spec"]) {
            self.unbind(text(before, "/metadata/name"));
        }
    }

    fn unbind(&mut self, app: &str) {
        for record in self.by_uid.values_mut().filter(|record| record.app == app) {
            record.binding = None;
        }
    }
}

/// What a new decision must lead to: it counts where the template is out, or held.
fn binding(object: &Value, old: &Record, deployments: &Deployments) -> Option<&'static str> {
    if deployments.image(&old.app) != Some(&old.image) {
        return None;
    }
    let held = object["status"]["held"] == true;
    match (text(object, "/spec/decision/verdict"), old.phase.as_str()) {
        ("Keep", "Judging") => Some("Kept"),
        ("Keep", "RolledBack") if held => Some("Kept"),
        ("RollBack", "Judging") => Some("RolledBack"),
        _ => None,
    }
}

fn flipped(change: &StoreChange, old: &Record, new: &Record) -> Option<Violation> {
    let may_become = match old.phase.as_str() {
        _ if old.phase == new.phase || new.decided => return None,
        // One that was kept on too little evidence is watched on.
        "Kept" => old.low_evidence && new.phase == "RollingBack",
        // A rejected template that nothing held is put away again.
        "RolledBack" => new.phase == "RollingBack",
        "Superseded" => false,
        // Nothing is restored on another Deployment than the one that it was released to, or for a service that is left alone.
        "RollingBack" if new.phase == "Superseded" => new.summary.contains("; not followed to its end: "),
        "RollingBack" => !matches!(new.phase.as_str(), "Judging" | "Pending"),
        "Judging" => new.phase != "Pending",
        _ => true,
    };
    (!may_become).then(|| {
        let what = format!("{} was {} and became {}", old.word(), old.phase, new.phase);
        violation(Oracle::DecidedOnce, change, what)
    })
}
