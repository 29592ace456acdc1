//! Carries out a plan: write by write, in order, and stops at the first that fails. Knows no kind of decision.

use std::collections::BTreeMap;

use serde_json::{Value, json};
use trimtab_delivery::seal::{Seal, SealKey};
use trimtab_kube::api::{Force, Patch as Wire, Preconditions, Propagation};
use trimtab_kube::expectations::Expectations;
use trimtab_kube::{Api, ApiError, Key, Resource};
use trimtab_plan::{
    Copied, IfAbsent, IfThere, Kind, Object, Part, Patch, Permitted, Precondition, Sealing, Write,
};
use trimtab_units::{template_digest, template_hash};

/// Where writes go, and the memory of them.
#[derive(Clone)]
pub struct Executor<'a> {
    /// The API, fenced by the lease.
    pub api: &'a Api,
    /// What was written and not seen yet.
    pub expectations: &'a Expectations,
    /// A value that the stores hold anyway, which saves reading it.
    pub known: &'a (dyn Fn(&Copied) -> Option<Value> + Send + Sync),
    /// The key of seals; none in a command.
    pub key: Option<SealKey>,
    /// Takes a message: the key of its outbox entry, and the destination.
    pub notify: &'a (dyn Fn(&str, &str) + Send + Sync),
}

/// Why a plan was not carried out to its end.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Stopped {
    /// Something is no longer what the plan was made on. Nothing is wrong: whoever changed it is seen, and a new plan
    /// follows.
    Stale(ApiError),
    /// A write was refused, or its answer never came.
    Failed(ApiError),
}

impl From<Stopped> for ApiError {
    fn from(stopped: Stopped) -> Self {
        match stopped {
            Stopped::Stale(error) | Stopped::Failed(error) => error,
        }
    }
}

/// What the writes of one plan left behind: the version of every object that was written.
type Versions = BTreeMap<Object, u64>;

impl Executor<'_> {
    /// Carries out `plan` in the name of its concern.
    ///
    /// # Errors
    /// The first write that failed; nothing after it was sent.
    pub async fn carry_out(&self, plan: Permitted<'_>) -> Result<(), Stopped> {
        let api = &self.api.with_field_manager(plan.concern().manager);
        let named = Executor { api, ..self.clone() };
        let mut versions = Versions::new();
        for write in plan.writes() {
            named.one(write, &mut versions).await.map_err(|error| stopped(write, error))?;
        }
        Ok(())
    }

    async fn one(&self, write: &Write, versions: &mut Versions) -> Result<(), ApiError> {
        match write {
            Write::Create { object, body, copy, if_there } => {
                let mut body = body.clone();
                for (into, value) in self.copied(copy.as_ref()).await? {
                    put(&mut body, into, value);
                }
                match self.api.create(&Resource::of(object.kind), namespace(object), &body).await {
                    Ok(answer) => self.wrote(object, &answer, versions),
                    Err(ApiError::AlreadyExists { .. }) if *if_there == IfThere::Done => {}
                    Err(error) => return Err(error),
                }
            }
            Write::Patch { object, part, patch, copy, when, if_absent } => {
                let copied = self.copied(copy.as_ref()).await?;
                let when = newest(when, versions.get(object));
                match self.patch(object, *part, &wire(patch, copied, &when)).await {
                    Ok(answer) => self.wrote(object, &answer, versions),
                    Err(error) if *if_absent == IfAbsent::Done && is_absent(&error) => {}
                    Err(error) => return Err(error),
                }
            }
            Write::Delete { object, when } => self.delete(object, when).await?,
            Write::Evict { object, when } => {
                let (namespace, when) = (namespace(object).unwrap_or_default(), preconditions(when));
                match self.api.evict(namespace, &object.name, &when).await {
                    Ok(()) => {}
                    Err(error) if is_gone(&error) => {}
                    Err(error) => return Err(error),
                }
            }
            Write::Resize { object, resources, when } => {
                let answer = self.subresource(object, "resize", &resized(resources, when)).await?;
                self.wrote(object, &answer, versions);
            }
            Write::Scale { object, replicas, when } => {
                let body = guarded(
                    &json!({"spec": {"replicas": replicas}}),
                    Vec::new(),
                    &newest(when, versions.get(object)),
                );
                let answer = self.subresource(object, "scale", &Wire::Merge(body)).await?;
                self.wrote(object, &answer, versions);
            }
            Write::Event { event, by } => {
                let object = &event.object;
                match self.api.create(&Resource::of(object.kind), namespace(object), &event.body(by)).await {
                    Ok(_) | Err(ApiError::AlreadyExists { .. }) => {}
                    Err(error) => return Err(error),
                }
            }
            Write::ReturnFields { object, manager, when } => {
                if let Some(answer) = self.return_fields(object, manager, when).await? {
                    self.wrote(object, &answer, versions);
                }
            }
            Write::Notify { key, destination } => (self.notify)(key, destination),
        }
        Ok(())
    }

    async fn patch(&self, object: &Object, part: Part, patch: &Wire) -> Result<Value, ApiError> {
        let (of, namespace) = (&Resource::of(object.kind), namespace(object));
        match part {
            Part::Main => self.api.patch(of, namespace, &object.name, patch).await,
            Part::Status => self.subresource(object, "status", patch).await,
        }
    }

    async fn subresource(&self, object: &Object, name: &str, patch: &Wire) -> Result<Value, ApiError> {
        self.api
            .patch_subresource(&Resource::of(object.kind), namespace(object), &object.name, name, patch)
            .await
    }

    /// What is gone, or came back as another object, needs no deleting.
    async fn delete(&self, object: &Object, when: &Precondition) -> Result<(), ApiError> {
        let (of, when) = (&Resource::of(object.kind), preconditions(when));
        let deleted = self.api.delete(of, namespace(object), &object.name, &when, Propagation::Background);
        match deleted.await {
            Err(error) if !is_gone(&error) => Err(error),
            _ => Ok(()),
        }
    }

    /// Takes the entries of `manager` out of the managed fields; the answer, where there was any.
    async fn return_fields(
        &self,
        object: &Object,
        manager: &str,
        when: &Precondition,
    ) -> Result<Option<Value>, ApiError> {
        let Some(found) = self.api.get(&Resource::of(object.kind), namespace(object), &object.name).await?
        else {
            return Ok(None);
        };
        let Some(patch) = returned(&found, manager) else { return Ok(None) };
        self.patch(object, Part::Main, &wire(&patch, Vec::new(), when)).await.map(Some)
    }

    /// What is written beside a body: where, and what.
    async fn copied(&self, copy: Option<&Copied>) -> Result<Vec<(&'static str, Value)>, ApiError> {
        let Some(copy) = copy else { return Ok(Vec::new()) };
        let value = self.read(copy).await?;
        let mut copied = Vec::new();
        if let Sealing::Write { about, into } = &copy.seal {
            let seal = self.seal(copy, about, &value)?;
            copied.push((*into, json!(seal.to_string())));
        }
        copied.push((copy.into, value));
        Ok(copied)
    }

    fn seal(&self, copy: &Copied, about: &str, template: &Value) -> Result<Seal, ApiError> {
        let made = self.key.as_ref().map(|key| key.seal(about, &template_digest(template)));
        made.ok_or_else(|| no_longer(copy, "there is no key to seal its template with"))
    }

    /// A value as another object has it now, if it is still the one that the plan was made on.
    async fn read(&self, copy: &Copied) -> Result<Value, ApiError> {
        let fits = |value: &Value| template_hash(value).as_str() == copy.template_hash;
        if let Some(value) = (self.known)(copy).filter(fits) {
            return Ok(value);
        }
        let (of, namespace) = (&Resource::of(copy.from.kind), namespace(&copy.from));
        let gone = || ApiError::missing(of, namespace, &copy.from.name);
        let found = self.api.get(of, namespace, &copy.from.name).await?.ok_or_else(gone)?;
        let value = found.pointer(copy.pointer).cloned().ok_or_else(gone)?;
        if !fits(&value) {
            return Err(no_longer(copy, &format!("its template is no longer {}", copy.template_hash)));
        }
        // A hash is of honest templates alone: anybody finds another with the same one.
        if let Sealing::Read { about, pointer } = &copy.seal {
            let carried = found.pointer(pointer).and_then(Value::as_str).and_then(|text| text.parse().ok());
            if carried != Some(self.seal(copy, about, &value)?) {
                return Err(no_longer(copy, "its seal is not on this template"));
            }
        }
        Ok(without_hash_label(value))
    }

    fn wrote(&self, object: &Object, answer: &Value, versions: &mut Versions) {
        let version = answer.pointer("/metadata/resourceVersion").and_then(Value::as_str);
        let Some(version) = version.and_then(|version| version.parse().ok()) else { return };
        versions.insert(object.clone(), version);
        // Pods and Events are not waited for: a label that is set twice is set once, and nobody reads Events back.
        if !matches!(object.kind, Kind::POD | Kind::EVENT) {
            self.expectations.wrote(&Resource::of(object.kind), key(object), version);
        }
    }
}

/// What is copied is not what the plan was made on.
fn no_longer(copy: &Copied, why: &str) -> ApiError {
    let of = &Resource::of(copy.from.kind);
    ApiError::stale(of, namespace(&copy.from), &copy.from.name, why.to_owned())
}

/// Tells a precondition that no longer holds from a refusal. A JSON patch whose tests fail is refused without naming a field,
/// and what the server finds wrong in an object names one.
fn stopped(write: &Write, error: ApiError) -> Stopped {
    let tests = matches!(write, Write::ReturnFields { .. } | Write::Patch { patch: Patch::Json(_), .. });
    let creates = matches!(write, Write::Create { .. } | Write::Event { .. });
    let stale = match &error {
        ApiError::Conflict { .. } | ApiError::AlreadyExists { .. } => true,
        // A namespace that is missing for a new object is a fault.
        ApiError::NotFound { .. } => !creates,
        ApiError::Invalid { code: 422, causes, .. } => tests && causes.is_empty(),
        _ => false,
    };
    if stale { Stopped::Stale(error) } else { Stopped::Failed(error) }
}

fn namespace(object: &Object) -> Option<&str> {
    object.namespace.as_deref()
}

fn key(object: &Object) -> Key {
    Key::new(object.namespace.as_deref().unwrap_or_default(), object.name.as_str())
}

/// The patch that takes `manager` off an object as it was read; none where it owns nothing of the spec.
fn returned(object: &Value, manager: &str) -> Option<Patch> {
    let entries = object.pointer("/metadata/managedFields").and_then(Value::as_array)?;
    let ours = |entry: &Value| entry["manager"] == manager && entry.pointer("/fieldsV1/f:spec").is_some();
    // From the last on, so that an index still counts after a later entry went.
    let owned = entries.iter().enumerate().rev().filter(|(_, entry)| ours(entry));
    let mut operations: Vec<Value> = owned
        .map(|(index, _)| json!({"op": "remove", "path": format!("/metadata/managedFields/{index}")}))
        .collect();
    if operations.is_empty() {
        return None;
    }
    // The indices are those of the version that was read.
    let version = object.pointer("/metadata/resourceVersion")?;
    operations.insert(0, json!({"op": "test", "path": "/metadata/resourceVersion", "value": version}));
    Some(Patch::Json(operations))
}

/// What a plan wrote itself counts as read.
fn newest(when: &Precondition, written: Option<&u64>) -> Precondition {
    let version = when.version.map(|read| written.copied().unwrap_or(read));
    Precondition { version, ..when.clone() }
}

/// What is gone, or came back as another object or in another state, is not there to be deleted or evicted.
fn is_gone(error: &ApiError) -> bool {
    matches!(error, ApiError::NotFound { .. } | ApiError::Conflict { .. })
}

fn preconditions(when: &Precondition) -> Preconditions {
    Preconditions { uid: when.uid.clone(), resource_version: when.version.map(|of| of.to_string()) }
}

/// Containers merge by their name, and what is not named stays.
fn resized(resources: &BTreeMap<String, Value>, when: &Precondition) -> Wire {
    let containers: Vec<Value> =
        resources.iter().map(|(name, resources)| json!({"name": name, "resources": resources})).collect();
    Wire::Strategic(guarded(&json!({"spec": {"containers": containers}}), Vec::new(), when))
}

/// Whether the object is gone or another one by now. What the server finds wrong in the patch itself is a fault.
fn is_absent(error: &ApiError) -> bool {
    match error {
        ApiError::NotFound { .. } | ApiError::Conflict { .. } => true,
        ApiError::Invalid { code, causes, .. } => {
            (*code == 422 && causes.is_empty()) || causes.iter().any(|cause| cause.field == "metadata.uid")
        }
        _ => false,
    }
}

/// The patch as it is sent: what must still be true is part of it.
fn wire(patch: &Patch, copied: Vec<(&str, Value)>, when: &Precondition) -> Wire {
    match patch {
        Patch::Json(operations) => {
            let mut sent = tests(when);
            sent.extend(operations.iter().cloned());
            for (into, value) in copied {
                let place =
                    sent.iter_mut().find(|operation| operation["path"] == into && operation["op"] != "test");
                if let Some(operation) = place {
                    operation["value"] = value;
                }
            }
            Wire::Json(Value::Array(sent))
        }
        Patch::Merge(value) => Wire::Merge(guarded(value, copied, when)),
        Patch::Apply(value) => Wire::Apply { value: guarded(value, copied, when), force: Force::Yes },
    }
}

fn tests(when: &Precondition) -> Vec<Value> {
    let test = |member: &str, value: Value| json!({"op": "test", "path": format!("/metadata/{member}"), "value": value});
    let uid = when.uid.as_ref().map(|uid| test("uid", json!(uid)));
    let version = when.version.map(|version| test("resourceVersion", json!(version.to_string())));
    let generation = when.generation.map(|generation| test("generation", json!(generation)));
    uid.into_iter().chain(version).chain(generation).collect()
}

/// The server itself compares the uid and the version in an object's metadata with its own.
fn guarded(value: &Value, copied: Vec<(&str, Value)>, when: &Precondition) -> Value {
    let mut value = value.clone();
    for (into, copied) in copied {
        put(&mut value, into, copied);
    }
    if let Some(uid) = &when.uid {
        put(&mut value, "/metadata/uid", json!(uid));
    }
    if let Some(version) = when.version {
        put(&mut value, "/metadata/resourceVersion", json!(version.to_string()));
    }
    value
}

/// Puts `value` at a JSON pointer into objects, with the objects above it where they are missing.
fn put(object: &mut Value, pointer: &str, value: Value) {
    let mut place = object;
    for name in pointer.split('/').skip(1) {
        if !place.is_object() {
            *place = json!({});
        }
        place = &mut place[name.replace("~1", "/").replace("~0", "~")];
    }
    *place = value;
}

/// A ReplicaSet's template carries a label that its Deployment's must not have.
fn without_hash_label(mut template: Value) -> Value {
    if let Some(labels) = template.pointer_mut("/metadata/labels").and_then(Value::as_object_mut) {
        labels.remove(trimtab_delivery::names::POD_TEMPLATE_HASH_LABEL);
    }
    template
}
