//! The parts that every object shares, borrowed from its bytes.

use std::borrow::Cow;
use std::collections::BTreeMap;
use std::ops::Deref;
use std::sync::Arc;

use serde::Deserialize;
use serde_json::value::RawValue;
use trimtab_units::Quantity;

use crate::intern::{Interner, LabelSet, Owner};
use crate::resource::Key;
use crate::uid::{Moment, Uid};
use crate::watch::ProjectError;

/// Text that is copied only where it holds escapes. A type of its own, so that it borrows inside containers too.
#[derive(Clone, Debug, Default, PartialEq, Eq, PartialOrd, Ord, Deserialize)]
#[serde(transparent)]
pub(crate) struct Text<'a>(#[serde(borrow)] Cow<'a, str>);

impl Deref for Text<'_> {
    type Target = str;

    fn deref(&self) -> &str {
        &self.0
    }
}

type Texts<'a> = BTreeMap<Text<'a>, Text<'a>>;

#[derive(Deserialize)]
#[serde(rename_all = "camelCase")]
pub(crate) struct Metadata<'a> {
    #[serde(borrow, default)]
    namespace: Text<'a>,
    #[serde(borrow)]
    name: Text<'a>,
    pub(crate) uid: Uid,
    #[serde(borrow)]
    resource_version: Text<'a>,
    #[serde(default)]
    pub(crate) generation: i64,
    #[serde(default)]
    pub(crate) creation_timestamp: Option<Moment>,
    #[serde(default)]
    pub(crate) deletion_timestamp: Option<Moment>,
    #[serde(borrow, default)]
    labels: Option<Texts<'a>>,
    #[serde(borrow, default)]
    annotations: Option<Texts<'a>>,
    #[serde(borrow, default)]
    owner_references: Option<Vec<OwnerReference<'a>>>,
    #[serde(borrow, default)]
    managed_fields: Option<Vec<ManagedFields<'a>>>,
}

#[derive(Deserialize)]
struct OwnerReference<'a> {
    #[serde(borrow)]
    kind: Text<'a>,
    #[serde(borrow)]
    name: Text<'a>,
    uid: Uid,
    #[serde(default)]
    controller: Option<bool>,
}

#[derive(Deserialize)]
#[serde(rename_all = "camelCase")]
pub(crate) struct ManagedFields<'a> {
    #[serde(borrow, default)]
    pub(crate) manager: Text<'a>,
    #[serde(default)]
    pub(crate) time: Option<Moment>,
    #[serde(borrow, default, rename = "fieldsV1")]
    fields: Option<&'a RawValue>,
}

impl ManagedFields<'_> {
    /// Which parts of the spec, of those that somebody asks about, this manager owns.
    pub(crate) fn owned(&self) -> OwnedFields {
        #[derive(Default, Deserialize)]
        #[serde(default)]
        struct Fields<'a> {
            #[serde(borrow, rename = "f:spec")]
            spec: SpecFields<'a>,
        }
        #[derive(Default, Deserialize)]
        #[serde(default)]
        struct SpecFields<'a> {
            #[serde(borrow, rename = "f:template")]
            template: Option<&'a RawValue>,
            #[serde(borrow, rename = "f:paused")]
            paused: Option<&'a RawValue>,
        }
        let fields = self.fields.and_then(|fields| serde_json::from_str::<Fields<'_>>(fields.get()).ok());
        let spec = fields.unwrap_or_default().spec;
        OwnedFields { template: spec.template.is_some(), paused: spec.paused.is_some() }
    }
}

/// Parts of a workload's spec that a field manager owns.
pub(crate) struct OwnedFields {
    /// Anything in `spec.template`.
    pub(crate) template: bool,
    /// `spec.paused`.
    pub(crate) paused: bool,
}

impl<'a> Metadata<'a> {
    pub(crate) fn key(&self, interner: &Interner) -> Key {
        Key { namespace: interner.text(&self.namespace), name: Arc::from(&*self.name) }
    }

    pub(crate) fn version(&self) -> Result<u64, ProjectError> {
        let version = &*self.resource_version;
        version.parse().map_err(|_| ProjectError(format!("resource version {version:?} is not a number")))
    }

    pub(crate) fn owner(&self, interner: &Interner) -> Option<Arc<Owner>> {
        let mut owners = self.owner_references.iter().flatten();
        let owner = owners.find(|owner| owner.controller == Some(true))?;
        Some(interner.owner(&owner.kind, &owner.name, owner.uid))
    }

    pub(crate) fn label_set(&self, interner: &Interner) -> LabelSet {
        interner.labels(self.labels.iter().flatten().map(|(key, value)| (&**key, &**value)))
    }

    /// The annotations that `wanted` names.
    pub(crate) fn annotation_set(&self, interner: &Interner, wanted: fn(&str) -> bool) -> LabelSet {
        let all = self.annotations.iter().flatten().map(|(key, value)| (&**key, &**value));
        interner.labels(all.filter(|(key, _)| wanted(key)))
    }

    pub(crate) fn has_annotations(&self) -> bool {
        self.annotations.as_ref().is_some_and(|all| !all.is_empty())
    }

    pub(crate) fn annotation(&self, key: &str) -> Option<&str> {
        self.annotations.as_ref()?.iter().find(|(held, _)| &***held == key).map(|(_, value)| &**value)
    }

    pub(crate) fn managed_fields(&self) -> impl Iterator<Item = &ManagedFields<'a>> {
        self.managed_fields.iter().flatten()
    }
}

#[derive(Deserialize)]
#[serde(rename_all = "camelCase")]
pub(crate) struct Condition<'a> {
    #[serde(borrow)]
    pub(crate) r#type: Text<'a>,
    #[serde(borrow)]
    pub(crate) status: Text<'a>,
    #[serde(borrow, default)]
    pub(crate) reason: Text<'a>,
    #[serde(borrow, default)]
    pub(crate) message: Text<'a>,
    #[serde(default)]
    pub(crate) last_transition_time: Option<Moment>,
    /// Only Deployments have it.
    #[serde(default)]
    pub(crate) last_update_time: Option<Moment>,
}

impl Condition<'_> {
    pub(crate) fn is_true(&self) -> bool {
        &*self.status == "True"
    }
}

#[derive(Default, Deserialize)]
#[serde(default)]
pub(crate) struct Resources<'a> {
    #[serde(borrow)]
    pub(crate) requests: Amounts<'a>,
    #[serde(borrow)]
    pub(crate) limits: Amounts<'a>,
}

/// CPU and memory; other resources are not looked at. An amount that cannot be read counts as not given: the API server
/// has checked it already.
#[derive(Default, Deserialize)]
#[serde(default)]
pub(crate) struct Amounts<'a> {
    #[serde(borrow)]
    cpu: Option<&'a RawValue>,
    #[serde(borrow)]
    memory: Option<&'a RawValue>,
}

impl Amounts<'_> {
    pub(crate) fn cpu_millis(&self) -> Option<i64> {
        amount(self.cpu).map(Quantity::millis)
    }

    pub(crate) fn memory_bytes(&self) -> Option<i64> {
        amount(self.memory).map(Quantity::value)
    }
}

/// A quantity is text or a bare number; neither form needs escapes.
fn amount(raw: Option<&RawValue>) -> Option<Quantity> {
    raw?.get().trim_matches('"').parse().ok()
}
