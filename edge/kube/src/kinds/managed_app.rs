//! `ManagedApp`s, by the Deployment that they claim.

use std::sync::Arc;

use trimtab_api::{ManagedApp, ObjectMeta};
use trimtab_delivery::names::INSTANCE_LABEL;

use super::kind::Kind;
use super::own::{OwnRow, pack, reread, version};
use super::packed::Packed;
use crate::intern::Interner;
use crate::resource::{Key, Resource};
use crate::watch::{Project, ProjectError};

/// `ManagedApp`.
pub const MANAGED_APPS: &Resource = &Resource::of(trimtab_plan::Kind::MANAGED_APP);

/// A service.
pub type AppRow = OwnRow<AppFacts>;

/// A service without annotations, owners and other metadata that nothing reads.
#[derive(Clone, Debug)]
pub struct AppFacts {
    /// Name of the Deployment that it claims.
    pub target: Arc<str>,
    /// The manager that looks after it, where several share a cluster.
    pub instance: Option<Arc<str>>,
    packed: Packed,
}

impl AppRow {
    /// The service, with the metadata that decisions look at.
    #[must_use]
    pub fn app(&self) -> ManagedApp {
        let mut app: ManagedApp = reread(&self.object.packed);
        app.metadata.namespace = self.key.namespace.to_string();
        app.metadata.name = self.key.name.to_string();
        app
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
        let ObjectMeta { uid, generation, labels, .. } = metadata;
        let kept = ObjectMeta { uid, generation, labels, ..ObjectMeta::default() };
        let packed = pack(&kept, &spec, &status)?;
        Ok(OwnRow { key, resource_version, object: AppFacts { target, instance, packed } })
    }
}
