//! `FleetPolicy`s, few and whole.

use trimtab_api::FleetPolicy;

use super::kind::Kind;
use super::own::{OwnRow, version};
use crate::intern::Interner;
use crate::resource::{Key, Resource};
use crate::watch::{Project, ProjectError};

/// `FleetPolicy`.
pub const FLEET_POLICIES: &Resource = &Resource::of(trimtab_plan::Kind::FLEET_POLICY);

/// A policy.
pub type PolicyRow = OwnRow<FleetPolicy>;

/// Projects policies.
#[derive(Clone, Copy, Debug, Default)]
pub struct Policies;

impl Kind for Policies {
    const RESOURCE: &'static Resource = FLEET_POLICIES;

    type Index = ();

    fn new(_: &Interner) -> Policies {
        Policies
    }

    fn index(_: &PolicyRow, _: &mut Vec<()>) {}
}

impl Project for Policies {
    type Row = PolicyRow;

    fn project(&self, object: &[u8]) -> Result<PolicyRow, ProjectError> {
        let mut policy: FleetPolicy = serde_json::from_slice(object)?;
        policy.metadata.annotations.clear();
        let meta = &policy.metadata;
        let key = Key::new(meta.namespace.as_str(), meta.name.as_str());
        Ok(OwnRow { key, resource_version: version(meta)?, object: policy })
    }
}
