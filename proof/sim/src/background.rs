//! The server's own controllers: definitions, garbage collection, namespaces. They run a moment after what they react to.

use std::collections::{BTreeMap, BTreeSet};
use std::sync::Arc;

use serde_json::{Value, json};

use crate::crd::{self, CLEANUP_FINALIZER};
use crate::delete::{FOREGROUND, ORPHAN};
use crate::json::{at, list, object_mut, text};
use crate::kinds::Kind;
use crate::route::Route;
use crate::server::{Server, Target};
use crate::store::Stored;

/// What changed since the controllers last ran.
#[derive(Debug, Default)]
pub(crate) struct Background {
    scheduled: bool,
    /// Owners that are gone or going, and those that lost a dependent: references by uid, with their namespace.
    owners: BTreeMap<String, (Value, String)>,
    /// New objects with owners: the owners may be gone already.
    dependents: BTreeSet<(Arc<str>, String)>,
    namespaces: bool,
    definitions: bool,
    /// Whether some namespace or definition waits for its objects to go.
    waiting: bool,
    established: BTreeMap<String, (String, i64)>,
}

impl Background {
    /// Notes a change that a controller may have to react to.
    pub(crate) fn changed(&mut self, kind: &Kind, value: &Value) {
        let namespace = text(value, "metadata.namespace");
        if !list(value, "metadata.ownerReferences").is_empty() {
            let key = kind.key(namespace, text(value, "metadata.name"));
            self.dependents.insert((kind.storage.clone(), key));
        }
        if !at(value, "metadata.deletionTimestamp").is_null() {
            self.note_owner(reference_to(value), namespace);
            self.namespaces |= kind.is("", "namespaces");
        }
        self.definitions |= &*kind.storage == crd::DEFINITIONS;
    }

    /// Notes that an object is gone.
    pub(crate) fn removed(&mut self, kind: &Kind, last: &Value) {
        let namespace = text(last, "metadata.namespace");
        self.note_owner(reference_to(last), namespace);
        for reference in list(last, "metadata.ownerReferences") {
            self.note_owner(reference.clone(), namespace);
        }
        self.namespaces |= self.waiting && kind.namespaced;
        self.definitions |= self.waiting || &*kind.storage == crd::DEFINITIONS;
    }

    fn note_owner(&mut self, reference: Value, namespace: &str) {
        let uid = text(&reference, "uid").to_owned();
        self.owners.insert(uid, (reference, namespace.to_owned()));
    }

    fn is_idle(&self) -> bool {
        self.owners.is_empty() && self.dependents.is_empty() && !self.namespaces && !self.definitions
    }

    /// Whether a run has to be scheduled now; the caller must then schedule it.
    pub(crate) fn claim(&mut self) -> bool {
        let due = !self.scheduled && !self.is_idle();
        self.scheduled |= due;
        due
    }

    pub(crate) fn definition_generation(&self, name: &str) -> Option<(String, i64)> {
        self.established.get(name).cloned()
    }

    pub(crate) fn remember_definition(&mut self, name: &str, uid: String, generation: i64) {
        self.established.insert(name.to_owned(), (uid, generation));
    }

    pub(crate) fn forget_definition(&mut self, name: &str) {
        self.established.remove(name);
    }
}

fn reference_to(value: &Value) -> Value {
    json!({
        "apiVersion": value["apiVersion"], "kind": value["kind"],
        "name": text(value, "metadata.name"), "uid": text(value, "metadata.uid"),
    })
}

impl Server<'_> {
    /// One round of every controller over what changed.
    pub(crate) fn run_background(&mut self) {
        self.state.store.changes_are_by("", 0, None);
        let background = &mut self.state.background;
        background.scheduled = false;
        let owners = std::mem::take(&mut background.owners);
        let dependents = std::mem::take(&mut background.dependents);
        let namespaces = std::mem::take(&mut background.namespaces);
        let definitions = std::mem::take(&mut background.definitions);
        background.waiting = false;
        if definitions {
            self.establish_definitions();
            self.clean_up_definitions();
        }
        for (uid, (reference, namespace)) in &owners {
            self.collect_dependents(uid, reference, namespace);
        }
        for (storage, key) in &dependents {
            self.collect_orphan(storage, key);
        }
        if namespaces {
            self.empty_namespaces();
        }
    }

    fn target_of(&self, storage: &str, stored: &Stored) -> Option<Target> {
        let kind = self.state.registry.by_storage(storage)?.clone();
        let route = Route {
            group: kind.group.clone(),
            version: kind.version.clone(),
            plural: kind.plural.clone(),
            namespace: text(&stored.value, "metadata.namespace").to_owned(),
            name: text(&stored.value, "metadata.name").to_owned(),
            subresource: String::new(),
        };
        Some(Target { route, kind })
    }

    fn by_uid(&self, reference: &Value, namespace: &str) -> Option<(Target, Arc<Stored>)> {
        let kind = self.state.registry.by_kind(text(reference, "apiVersion"), text(reference, "kind"))?;
        let key = kind.key(namespace, text(reference, "name"));
        let stored = self.state.store.get(&kind.storage, &key)?;
        if text(&stored.value, "metadata.uid") != text(reference, "uid") {
            return None;
        }
        let target = self.target_of(&kind.storage, stored)?;
        Some((target, stored.clone()))
    }

    /// Deletes, releases or waits for the dependents of an owner that is gone or going.
    fn collect_dependents(&mut self, uid: &str, reference: &Value, namespace: &str) {
        let dependents = self.state.store.dependents_of(uid);
        match self.by_uid(reference, namespace) {
            Some((_, stored)) if at(&stored.value, "metadata.deletionTimestamp").is_null() => {}
            Some((target, stored)) if has_finalizer(&stored.value, ORPHAN) => {
                for (storage, key) in &dependents {
                    self.release(storage, key, uid);
                }
                self.drop_finalizer(&target, &stored, ORPHAN);
            }
            Some((target, stored)) if has_finalizer(&stored.value, FOREGROUND) => {
                self.collect_foreground(&target, &stored, uid, &dependents);
            }
            Some(_) => {}
            None => {
                for (storage, key) in &dependents {
                    self.collect_orphan(storage, key);
                }
            }
        }
    }

    fn collect_foreground(
        &mut self,
        target: &Target,
        stored: &Arc<Stored>,
        uid: &str,
        dependents: &[(Arc<str>, String)],
    ) {
        let mut blocked = false;
        for (storage, key) in dependents {
            let Some(dependent) = self.state.store.get(storage, key).cloned() else { continue };
            let blocks = list(&dependent.value, "metadata.ownerReferences").iter().any(|reference| {
                text(reference, "uid") == uid && reference["blockOwnerDeletion"] == Value::Bool(true)
            });
            if at(&dependent.value, "metadata.deletionTimestamp").is_null()
                && let Some(target) = self.target_of(storage, &dependent)
            {
                self.delete_internally(&target, &dependent);
            }
            blocked |= blocks && self.state.store.get(storage, key).is_some();
        }
        if !blocked {
            self.drop_finalizer(target, stored, FOREGROUND);
        }
    }

    /// Deletes an object all of whose owners are gone, and forgets the gone ones of the others.
    fn collect_orphan(&mut self, storage: &Arc<str>, key: &str) {
        let Some(stored) = self.state.store.get(storage, key).cloned() else { return };
        let namespace = text(&stored.value, "metadata.namespace").to_owned();
        let references = list(&stored.value, "metadata.ownerReferences");
        let alive: Vec<Value> = references
            .iter()
            .filter(|reference| self.by_uid(reference, &namespace).is_some())
            .cloned()
            .collect();
        if references.is_empty() || alive.len() == references.len() {
            return;
        }
        if !alive.is_empty() {
            let mut value = stored.value.clone();
            value["metadata"]["ownerReferences"] = alive.into();
            self.state.store.put(storage, key, value);
            return;
        }
        if at(&stored.value, "metadata.deletionTimestamp").is_null()
            && let Some(target) = self.target_of(storage, &stored)
        {
            self.delete_internally(&target, &stored);
        }
    }

    /// Removes the reference to an owner that lets go of its dependents.
    fn release(&mut self, storage: &Arc<str>, key: &str, uid: &str) {
        let Some(stored) = self.state.store.get(storage, key).cloned() else { return };
        let mut value = stored.value.clone();
        let metadata = object_mut(&mut value, "metadata");
        if let Some(references) = metadata.get_mut("ownerReferences").and_then(Value::as_array_mut) {
            references.retain(|reference| text(reference, "uid") != uid);
            if references.is_empty() {
                metadata.remove("ownerReferences");
            }
        }
        self.state.store.put(storage, key, value);
    }

    fn drop_finalizer(&mut self, target: &Target, stored: &Arc<Stored>, finalizer: &str) {
        let mut value = stored.value.clone();
        let metadata = object_mut(&mut value, "metadata");
        if let Some(finalizers) = metadata.get_mut("finalizers").and_then(Value::as_array_mut) {
            finalizers.retain(|one| one != finalizer);
            if finalizers.is_empty() {
                metadata.remove("finalizers");
            }
        }
        self.settle(target, value);
    }

    /// Stores the object, or removes it if nothing holds it back any more.
    fn settle(&mut self, target: &Target, value: Value) {
        let storage = &target.kind.storage;
        if crate::write::is_finally_deleted(&value) {
            let last = self.state.store.remove(storage, &target.key(), value);
            self.forget(&target.kind.clone(), &last.value);
        } else {
            let stored = self.state.store.put(storage, &target.key(), value);
            self.state.background.changed(&target.kind, &stored.value);
        }
    }

    /// What follows from the removal of an object.
    pub(crate) fn forget(&mut self, kind: &Kind, last: &Value) {
        self.state.background.removed(kind, last);
        if &*kind.storage == crd::DEFINITIONS {
            self.withdraw_definition(last);
        }
    }

    /// Deletes the objects of definitions that are being deleted, then lets the definitions go.
    fn clean_up_definitions(&mut self) {
        let going: Vec<Arc<Stored>> = self
            .state
            .store
            .in_collection(crd::DEFINITIONS)
            .map(|(_, stored)| stored.clone())
            .filter(|stored| !at(&stored.value, "metadata.deletionTimestamp").is_null())
            .collect();
        for definition in going {
            let storage = text(&definition.value, "metadata.name").to_owned();
            self.delete_all(&storage, "");
            if self.state.store.in_collection(&storage).next().is_some() {
                self.state.background.waiting = true;
            } else if let Some(target) = self.target_of(crd::DEFINITIONS, &definition) {
                self.drop_finalizer(&target, &definition, CLEANUP_FINALIZER);
            }
        }
    }

    /// Deletes everything in namespaces that are being deleted, then lets them go.
    fn empty_namespaces(&mut self) {
        let going: Vec<Arc<Stored>> = self
            .state
            .store
            .in_collection("namespaces")
            .map(|(_, stored)| stored.clone())
            .filter(|stored| !at(&stored.value, "metadata.deletionTimestamp").is_null())
            .collect();
        for namespace in going {
            let name = text(&namespace.value, "metadata.name").to_owned();
            let storages: Vec<Arc<str>> = self.state.store.collections.keys().cloned().collect();
            let mut left = false;
            for storage in &storages {
                if self.state.registry.by_storage(storage).is_some_and(|kind| kind.namespaced) {
                    self.delete_all(storage, &name);
                    left |= self.state.store.in_namespace(storage, &name).next().is_some();
                }
            }
            if left {
                self.state.background.waiting = true;
                continue;
            }
            let mut value = namespace.value.clone();
            object_mut(&mut value, "spec").remove("finalizers");
            if let Some(target) = self.target_of("namespaces", &namespace) {
                self.settle(&target, value);
            }
        }
    }

    fn delete_all(&mut self, storage: &str, namespace: &str) {
        let victims: Vec<Arc<Stored>> = self
            .state
            .store
            .in_collection(storage)
            .filter(|(key, _)| namespace.is_empty() || key.starts_with(&format!("{namespace}/")))
            .map(|(_, stored)| stored.clone())
            .filter(|stored| at(&stored.value, "metadata.deletionTimestamp").is_null())
            .collect();
        for victim in victims {
            if let Some(target) = self.target_of(storage, &victim) {
                self.delete_internally(&target, &victim);
            }
        }
    }
}

fn has_finalizer(value: &Value, finalizer: &str) -> bool {
    list(value, "metadata.finalizers").iter().any(|one| one == finalizer)
}
