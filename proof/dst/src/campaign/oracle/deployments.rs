//! Deployments: what is held gets no pods, and nothing that was not judged is replaced.

use std::collections::{BTreeMap, BTreeSet};

use serde_json::Value;
use trimtab_sim::StoreChange;

use super::records::Records;
use super::{Oracle, Violation, image_of, is_by_a_person, text, violation};
use crate::stage::MANAGER_USER;

/// What a Deployment said last.
#[derive(Clone, Debug, Default)]
pub(super) struct Deployment {
    pub(super) image: String,
    pub(super) claim: String,
    pub(super) paused: bool,
    /// A person paused it, with the template as it was.
    pub(super) paused_by_a_person: bool,
    /// A rejected template that admission held.
    held: Option<String>,
}

/// All Deployments that are there, by name, and their pods.
#[derive(Default)]
pub(super) struct Deployments {
    by_name: BTreeMap<String, Deployment>,
    apps: BTreeSet<String>,
    /// Names of pods by service and image.
    pods: BTreeMap<(String, String), BTreeSet<String>>,
}

fn claim_of(object: &Value) -> &str {
    text(object, "/metadata/annotations/trimtab.dev~1claim")
}

impl Deployments {
    pub(super) fn all(&self) -> impl Iterator<Item = (&String, &Deployment)> {
        self.by_name.iter()
    }

    pub(super) fn image(&self, name: &str) -> Option<&String> {
        self.by_name.get(name).map(|deployment| &deployment.image)
    }

    pub(super) fn is_claimed_by_an_app(&self, name: &str) -> bool {
        self.apps.contains(name)
    }

    /// A service that goes, or that is asked for something else, holds nothing.
    pub(super) fn see_app(&mut self, change: &StoreChange) {
        let (before, after) = (change.before(), change.after());
        let name = after.or(before).map(|app| text(app, "/metadata/name")).unwrap_or_default().to_owned();
        let same = before.zip(after).is_some_and(|(before, after)| before["spec"] == after["spec"]);
        if let Some(deployment) = self.by_name.get_mut(&name).filter(|_| !same) {
            deployment.held = None;
        }
        if after.is_some() {
            self.apps.insert(name);
        } else {
            self.apps.remove(&name);
        }
    }

    pub(super) fn see(&mut self, change: &StoreChange, records: &Records) -> Vec<Violation> {
        let Some(object) = change.after() else {
            if let Some(before) = change.before() {
                self.by_name.remove(text(before, "/metadata/name"));
            }
            return Vec::new();
        };
        let name = text(object, "/metadata/name").to_owned();
        let old = self.by_name.get(&name).cloned().unwrap_or_default();
        let mut new = Deployment {
            image: image_of(object).to_owned(),
            claim: claim_of(object).to_owned(),
            paused: object["spec"]["paused"] == true,
            paused_by_a_person: old.paused_by_a_person,
            held: old.held.clone(),
        };
        let person = is_by_a_person(change);
        let same_template = old.image == new.image;
        new.paused_by_a_person =
            new.paused && (old.paused_by_a_person || (person && same_template && !old.paused));
        let freed = person && ((old.paused && !new.paused) || new.claim.is_empty());
        let kept = records
            .all()
            .any(|record| record.app == name && record.image == new.image && record.decided && !record.gone);
        if !same_template || freed || kept {
            new.held = None;
        }
        let by_admission = new.claim == "held" || (person && !same_template && !old.paused);
        if new.paused
            && !new.claim.is_empty()
            && by_admission
            && !kept
            && self.holds(&name, &new.image, records)
        {
            new.held = Some(new.image.clone());
        }
        let found = self.replaced(change, &name, &old, &new, records);
        self.by_name.insert(name, new);
        found.into_iter().collect()
    }

    fn holds(&self, name: &str, image: &str, records: &Records) -> bool {
        let key = (name.to_owned(), image.to_owned());
        let runs = self.pods.get(&key).is_some_and(|pods| !pods.is_empty());
        !runs && records.was_rejected(name, image)
    }

    /// Only a template that failed may be written over by the manager, unless a person called another one back.
    fn replaced(
        &self,
        change: &StoreChange,
        name: &str,
        old: &Deployment,
        new: &Deployment,
        records: &Records,
    ) -> Option<Violation> {
        let ours = change.by() == MANAGER_USER && !old.image.is_empty() && old.image != new.image;
        let called_back =
            || records.all().any(|record| record.app == name && record.image == new.image && record.wanted);
        (ours && !records.was_rejected(name, &old.image) && !called_back()).then(|| {
            let what = format!("{} was put in the place of {}, which did not fail", new.image, old.image);
            violation(Oracle::NothingUnjudgedIsReplaced, change, what)
        })
    }

    pub(super) fn see_pod(&mut self, change: &StoreChange) -> Vec<Violation> {
        let Some(pod) = change.after().or(change.before()) else { return Vec::new() };
        let (app, image) = (text(pod, "/metadata/labels/app").to_owned(), image_of(pod).to_owned());
        let name = text(pod, "/metadata/name").to_owned();
        let pods = self.pods.entry((app.clone(), image.clone())).or_default();
        if change.after().is_none() {
            pods.remove(&name);
            return Vec::new();
        }
        let is_new = pods.insert(name.clone());
        let held = self.by_name.get(&app).and_then(|deployment| deployment.held.as_ref());
        let wrong = is_new && held == Some(&image);
        let what = || format!("pod {name} runs {image}, which was rejected and is held");
        wrong.then(|| violation(Oracle::RejectedStaysDown, change, what())).into_iter().collect()
    }
}
