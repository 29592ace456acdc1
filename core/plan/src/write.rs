//! One write, and what must still be true when it is made.

use std::collections::BTreeMap;

use serde_json::Value;

use crate::concern::Concern;
use crate::event::Event;
use crate::object::{Object, Part};

/// One write to the API.
#[derive(Clone, Debug, PartialEq)]
pub enum Write {
    /// Creates an object.
    Create {
        /// Which.
        object: Object,
        /// The whole object, but for what is copied into it.
        body: Value,
        /// What is copied into it as it is written.
        copy: Option<Copied>,
        /// What it means that the object exists.
        if_there: IfThere,
    },
    /// Changes fields of an object.
    Patch {
        /// Which.
        object: Object,
        /// Which part of it.
        part: Part,
        /// The change.
        patch: Patch,
        /// What is copied into the patch as it is written.
        copy: Option<Copied>,
        /// What must still be true.
        when: Precondition,
        /// What it means that the object is gone, or another one by now.
        if_absent: IfAbsent,
    },
    /// Deletes an object.
    Delete {
        /// Which.
        object: Object,
        /// What must still be true.
        when: Precondition,
    },
    /// Asks for the eviction of a pod, which a disruption budget may hold back: then the plan stops there.
    Evict {
        /// Which.
        object: Object,
        /// What must still be true.
        when: Precondition,
    },
    /// Changes what the containers of a running pod get, in place.
    Resize {
        /// Which.
        object: Object,
        /// By container: its `resources` as the API has them.
        resources: BTreeMap<String, Value>,
        /// What must still be true.
        when: Precondition,
    },
    /// Sets how many pods a workload has, through its scale.
    Scale {
        /// Which.
        object: Object,
        /// Pods wanted.
        replicas: u32,
        /// What must still be true.
        when: Precondition,
    },
    /// Records an Event; one that exists was recorded before.
    Event {
        /// What happened.
        event: Event,
        /// Who reports it: the plan's own concern.
        by: &'static Concern,
    },
    /// Gives up what a field manager owns of an object's spec, so that whoever applies it next meets no conflict. The values
    /// stay. Where the entries are is seen in the object as it is written.
    ReturnFields {
        /// Which.
        object: Object,
        /// The field manager: the concern's own.
        manager: &'static str,
        /// What must still be true.
        when: Precondition,
    },
    /// Hands a message to the notifier, after the writes before it recorded that it is being sent.
    Notify {
        /// The outbox entry's key: a receiver drops doubles by it.
        key: String,
        /// Whom to tell, by the name that the outbox knows.
        destination: String,
    },
}

impl Write {
    /// The object that is written; `None` for a message.
    #[must_use]
    pub fn object(&self) -> Option<&Object> {
        match self {
            Self::Create { object, .. }
            | Self::Patch { object, .. }
            | Self::Delete { object, .. }
            | Self::Evict { object, .. }
            | Self::Resize { object, .. }
            | Self::Scale { object, .. }
            | Self::ReturnFields { object, .. } => Some(object),
            Self::Event { event, .. } => Some(&event.object),
            Self::Notify { .. } => None,
        }
    }

    /// One word for logs.
    #[must_use]
    pub fn verb(&self) -> &'static str {
        match self {
            Self::Create { .. } | Self::Event { .. } => "create",
            Self::Patch { .. } => "patch",
            Self::Delete { .. } => "delete",
            Self::Evict { .. } => "evict",
            Self::Resize { .. } => "resize",
            Self::Scale { .. } => "scale",
            Self::ReturnFields { .. } => "return fields of",
            Self::Notify { .. } => "notify",
        }
    }
}

/// A change of some fields.
#[derive(Clone, Debug, PartialEq)]
pub enum Patch {
    /// JSON merge patch.
    Merge(Value),
    /// JSON patch: operations, tests included.
    Json(Vec<Value>),
    /// Server-side apply by the concern's field manager: it owns just these fields, and loses those that it leaves out.
    Apply(Value),
}

/// A value that is read from another object at the moment of writing. A pod template is up to a megabyte: keeping every one
/// in memory, in case it is restored, would cost more than everything else together.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Copied {
    /// Where it is read.
    pub from: Object,
    /// JSON pointer of the value there.
    pub pointer: &'static str,
    /// JSON pointers of the body, or the `path` of an added operation, that it is written to.
    pub into: &'static str,
    /// Hash that the template must have: another one means that the plan was made on what is no longer true.
    pub template_hash: String,
    /// Whether a seal tells who wrote the template.
    pub seal: Sealing,
}

/// A seal on a template: proof of who wrote it. `about` is what it vouches for beside the template; what it is made with,
/// only a shell knows.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Sealing {
    /// There is none.
    Unsealed,
    /// One is made as the template is written.
    Write {
        /// What it vouches for.
        about: String,
        /// JSON pointer of the body that it is written to.
        into: &'static str,
    },
    /// The object that the template is read from must carry one.
    Read {
        /// What it must vouch for.
        about: String,
        /// JSON pointer of the seal there.
        pointer: &'static str,
    },
}

/// What must still be true of an object when it is written.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Precondition {
    /// Its uid: a name may come back as another object.
    pub uid: Option<String>,
    /// Its version: the one that the decision was made on. An earlier write of the same plan counts as read.
    pub version: Option<u64>,
    /// Its generation: nobody changed the spec. Where the status is written often, the version would seldom hold. Only a
    /// JSON patch can compare it; [`check`](crate::check()) refuses it elsewhere.
    pub generation: Option<i64>,
}

impl Precondition {
    /// Nothing: for objects that are only ours, or writes that are right whatever happened.
    #[must_use]
    pub fn none() -> Self {
        Self::default()
    }

    /// The object is the one with `uid`.
    #[must_use]
    pub fn uid(uid: impl Into<String>) -> Self {
        Self { uid: Some(uid.into()), ..Self::default() }
    }

    /// The object is at `version`.
    #[must_use]
    pub fn version(version: u64) -> Self {
        Self { version: Some(version), ..Self::default() }
    }

    /// Whether nothing is asked.
    #[must_use]
    pub fn is_none(&self) -> bool {
        *self == Self::default()
    }
}

/// What it means that an object to be created exists.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum IfThere {
    /// It was created before: the name follows from the intent.
    Done,
    /// The plan was made on something that is no longer true.
    Fail,
}

/// What it means that an object to be changed is gone, or is another one by now.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum IfAbsent {
    /// There is nothing left to do.
    Done,
    /// The plan was made on something that is no longer true.
    Fail,
}
