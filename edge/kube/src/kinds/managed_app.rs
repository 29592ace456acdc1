//! `ManagedApp`s, by the Deployment that they claim.

use std::sync::Arc;

use jiff::Timestamp;
use trimtab_api::condition::Condition;
use trimtab_api::managed_app::{ManagedAppStatus, RejectedRelease};
use trimtab_api::{ManagedApp, ObjectMeta};
use trimtab_delivery::names::INSTANCE_LABEL;

use super::kind::Kind;
use super::own::{OwnRow, WrittenUid, version};
use crate::intern::{AppSpec, Interner, LabelSet};
use crate::resource::{Key, Resource};
use crate::uid::Uid;
use crate::watch::{Project, ProjectError};

/// `ManagedApp`.
pub const MANAGED_APPS: &Resource = &Resource::of(trimtab_plan::Kind::MANAGED_APP);

/// A service.
pub type AppRow = OwnRow<AppFacts>;

/// A service without annotations, owners and other metadata that nothing reads. What a fleet repeats is shared: specs,
/// label sets and what conditions say.
#[derive(Clone, Debug)]
pub struct AppFacts {
    /// Name of the Deployment that it claims.
    pub target: Arc<str>,
    /// The manager that looks after it, where several share a cluster.
    pub instance: Option<Arc<str>>,
    uid: WrittenUid,
    generation: i64,
    labels: LabelSet,
    spec: Arc<AppSpec>,
    status: StatusFacts,
}

/// A [`ManagedAppStatus`].
#[derive(Clone, Debug)]
struct StatusFacts {
    observed_generation: Option<i64>,
    phase: Arc<str>,
    summary: Box<str>,
    target_uid: Option<WrittenUid>,
    current: Option<u64>,
    in_flight: Option<u64>,
    last_release: Option<u64>,
    rejected: Box<[RejectedRelease]>,
    conditions: Box<[ConditionFacts]>,
}

/// A condition: what many of them say, and since when this one does.
#[derive(Clone, Debug)]
struct ConditionFacts {
    /// Without its time.
    says: Arc<Condition>,
    since: Option<Timestamp>,
}

impl StatusFacts {
    fn new(status: ManagedAppStatus, interner: &Interner) -> Self {
        let condition = |mut says: Condition| {
            let since = says.last_transition_time.take();
            ConditionFacts { says: interner.condition(says), since }
        };
        Self {
            observed_generation: status.observed_generation,
            phase: interner.text(&status.phase),
            summary: status.summary.into(),
            target_uid: status.target_uid.map(WrittenUid::from),
            current: status.current,
            in_flight: status.in_flight,
            last_release: status.last_release,
            rejected: status.rejected.into(),
            conditions: status.conditions.into_iter().map(condition).collect(),
        }
    }

    fn status(&self) -> ManagedAppStatus {
        let condition =
            |of: &ConditionFacts| Condition { last_transition_time: of.since, ..Condition::clone(&of.says) };
        ManagedAppStatus {
            observed_generation: self.observed_generation,
            phase: self.phase.to_string(),
            summary: self.summary.to_string(),
            target_uid: self.target_uid.as_ref().map(ToString::to_string),
            current: self.current,
            in_flight: self.in_flight,
            last_release: self.last_release,
            rejected: self.rejected.to_vec(),
            conditions: self.conditions.iter().map(condition).collect(),
        }
    }
}

impl AppRow {
    /// The service, with the metadata that decisions look at.
    #[must_use]
    pub fn app(&self) -> ManagedApp {
        let facts = &self.object;
        let labels = facts.labels.iter().map(|(name, value)| (name.to_string(), value.to_string()));
        let metadata = ObjectMeta {
            namespace: self.key.namespace.to_string(),
            name: self.key.name.to_string(),
            uid: facts.uid.to_string(),
            generation: facts.generation,
            labels: labels.collect(),
            ..ObjectMeta::default()
        };
        let (spec, status) = (facts.spec.spec().clone(), facts.status.status());
        ManagedApp { metadata, spec, status, ..ManagedApp::default() }
    }

    /// Whether its status says that it looks after the Deployment with this uid.
    #[must_use]
    pub fn looks_after(&self, uid: &Uid) -> bool {
        self.object.status.target_uid.as_ref().is_some_and(|own| *own == *uid)
    }

    /// The Deployment that it claims.
    #[must_use]
    pub fn target(&self) -> Key {
        Key::new(self.key.namespace.clone(), self.object.target.clone())
    }
}

/// Projects services.
#[derive(Clone)]
pub struct Apps(Interner);

impl Apps {
    /// Shares names through `interner`.
    #[must_use]
    pub fn new(interner: Interner) -> Self {
        Self(interner)
    }
}

impl Kind for Apps {
    const RESOURCE: &'static Resource = MANAGED_APPS;

    type Index = Key;

    fn new(interner: &Interner) -> Apps {
        Apps::new(interner.clone())
    }

    fn index(row: &AppRow, out: &mut Vec<Key>) {
        out.push(row.target());
    }
}

impl Project for Apps {
    type Row = AppRow;

    fn project(&self, object: &[u8]) -> Result<AppRow, ProjectError> {
        let ManagedApp { metadata, spec, status, .. } = serde_json::from_slice(object)?;
        let key = Key::new(self.0.text(&metadata.namespace), self.0.text(&metadata.name));
        let resource_version = version(&metadata)?;
        let named = spec.target.as_ref().map(|target| target.name.as_str()).filter(|name| !name.is_empty());
        let target = self.0.text(named.unwrap_or(&metadata.name));
        let instance = metadata.labels.get(INSTANCE_LABEL).map(|id| self.0.text(id));
        let labels = metadata.labels.iter().map(|(name, value)| (name.as_str(), value.as_str()));
        let object = AppFacts {
            target,
            instance,
            labels: self.0.labels(labels),
            uid: metadata.uid.into(),
            generation: metadata.generation,
            spec: self.0.spec(spec),
            status: StatusFacts::new(status, &self.0),
        };
        Ok(OwnRow { key, resource_version, object })
    }
}
