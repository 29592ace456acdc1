//! What the stores keep of our own kinds.

use std::sync::Arc;

use serde::de::DeserializeOwned;
use trimtab_api::{AppRelease, FleetPolicy, ManagedApp, ObjectMeta};
use trimtab_delivery::snapshot::Release;
use trimtab_kube::Key;
use trimtab_kube::watch::{Project, ProjectError, Row};

use crate::convert;

/// An object of one of our kinds, parsed.
#[derive(Clone, Debug)]
pub struct OwnRow<T> {
    key: Key,
    resource_version: u64,
    /// The object.
    pub object: T,
}

impl<T: Send + Sync + 'static> Row for OwnRow<T> {
    fn key(&self) -> &Key {
        &self.key
    }

    fn resource_version(&self) -> u64 {
        self.resource_version
    }
}

/// A service.
pub type AppRow = OwnRow<ManagedApp>;
/// A policy.
pub type PolicyRow = OwnRow<FleetPolicy>;
/// A release, without its template and, once it is over, without its evidence: a service remembers many.
pub type ReleaseRow = OwnRow<ReleaseFacts>;

/// What a plan looks at in a release, and what it takes to write it.
#[derive(Clone, Debug)]
pub struct ReleaseFacts {
    /// The service.
    pub app: Arc<str>,
    /// Uid of the object.
    pub uid: String,
    /// What a plan looks at.
    pub release: Release,
}

/// Projects services.
#[derive(Clone, Copy, Debug, Default)]
pub struct Apps;
/// Projects policies.
#[derive(Clone, Copy, Debug, Default)]
pub struct PoliciesOf;
/// Projects releases.
#[derive(Clone, Copy, Debug, Default)]
pub struct Releases;

fn read<T: DeserializeOwned>(object: &[u8]) -> Result<T, ProjectError> {
    serde_json::from_slice(object).map_err(ProjectError::from)
}

fn own<T>(meta: &ObjectMeta, object: T) -> Result<OwnRow<T>, ProjectError> {
    let version = &meta.resource_version;
    let resource_version =
        version.parse().map_err(|_| ProjectError(format!("resource version {version:?} is not a number")))?;
    Ok(OwnRow { key: Key::new(meta.namespace.as_str(), meta.name.as_str()), resource_version, object })
}

impl Project for Apps {
    type Row = AppRow;

    fn project(&self, object: &[u8]) -> Result<AppRow, ProjectError> {
        let mut app: ManagedApp = read(object)?;
        app.metadata.annotations.clear();
        own(&app.metadata.clone(), app)
    }
}

impl Project for PoliciesOf {
    type Row = PolicyRow;

    fn project(&self, object: &[u8]) -> Result<PolicyRow, ProjectError> {
        let policy: FleetPolicy = read(object)?;
        own(&policy.metadata.clone(), policy)
    }
}

impl Project for Releases {
    type Row = ReleaseRow;

    fn project(&self, object: &[u8]) -> Result<ReleaseRow, ProjectError> {
        let wire: AppRelease = read(object)?;
        release_row(&wire)
    }
}

/// The row of a release.
pub fn release_row(wire: &AppRelease) -> Result<ReleaseRow, ProjectError> {
    let mut release = convert::release(wire);
    // A message that is still owed tells what the rules saw.
    let told = release.status.told.iter().all(|told| crate::tell::is_over(&told.state));
    if !release.status.phase.in_flight() && told {
        release.status.findings = Vec::new();
    }
    let facts =
        ReleaseFacts { app: Arc::from(wire.spec.app.as_str()), uid: wire.metadata.uid.clone(), release };
    own(&wire.metadata, facts)
}
