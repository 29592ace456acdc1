//! The objects that plans write, by name.

use std::fmt;

/// API group of our own kinds.
const OURS: &str = "trimtab.dev";

/// A kind that plans write or copy from, by where it lives in the API.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub struct Kind {
    /// API group; empty for the core group.
    pub group: &'static str,
    /// Version within the group.
    pub version: &'static str,
    /// The word in manifests.
    pub word: &'static str,
    /// The plural in paths.
    pub plural: &'static str,
    /// Whether its objects live in namespaces.
    pub namespaced: bool,
}

impl Kind {
    /// `apps/v1` Deployment.
    pub const DEPLOYMENT: Self = Self::new("apps", "v1", "Deployment", "deployments");
    /// `apps/v1` ReplicaSet; only ever read.
    pub const REPLICA_SET: Self = Self::new("apps", "v1", "ReplicaSet", "replicasets");
    /// `v1` Pod.
    pub const POD: Self = Self::new("", "v1", "Pod", "pods");
    /// `events.k8s.io/v1` Event.
    pub const EVENT: Self = Self::new("events.k8s.io", "v1", "Event", "events");
    /// Our `ManagedApp`.
    pub const MANAGED_APP: Self = Self::new(OURS, "v1alpha1", "ManagedApp", "managedapps");
    /// Our `AppRelease`.
    pub const APP_RELEASE: Self = Self::new(OURS, "v1alpha1", "AppRelease", "appreleases");
    /// Our `FleetPolicy`.
    pub const FLEET_POLICY: Self =
        Self { namespaced: false, ..Self::new(OURS, "v1alpha1", "FleetPolicy", "fleetpolicies") };

    /// A kind whose objects live in namespaces.
    #[must_use]
    pub const fn new(
        group: &'static str,
        version: &'static str,
        word: &'static str,
        plural: &'static str,
    ) -> Self {
        Self { group, version, word, plural, namespaced: true }
    }

    /// The `apiVersion` in manifests.
    #[must_use]
    pub fn api_version(self) -> String {
        let slash = if self.group.is_empty() { "" } else { "/" };
        format!("{}{slash}{}", self.group, self.version)
    }

    /// Whether the kind is ours: nobody else writes its status.
    #[must_use]
    pub fn is_ours(self) -> bool {
        self.group == OURS
    }
}

/// Which part of an object is written.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub enum Part {
    /// The object itself.
    Main,
    /// Its `status` subresource.
    Status,
}

/// One object, by name.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub struct Object {
    /// Its kind.
    pub kind: Kind,
    /// Its namespace; `None` for cluster-scoped kinds.
    pub namespace: Option<String>,
    /// Its name.
    pub name: String,
}

impl Object {
    /// An object in a namespace.
    #[must_use]
    pub fn new(kind: Kind, namespace: &str, name: impl Into<String>) -> Self {
        Self { kind, namespace: Some(namespace.to_owned()), name: name.into() }
    }

    /// An object of the whole cluster.
    #[must_use]
    pub fn cluster_wide(kind: Kind, name: impl Into<String>) -> Self {
        Self { kind, namespace: None, name: name.into() }
    }

    /// `namespace/name`, or the name alone.
    #[must_use]
    pub fn place(&self) -> String {
        match &self.namespace {
            Some(namespace) => format!("{namespace}/{}", self.name),
            None => self.name.clone(),
        }
    }
}

impl fmt::Display for Object {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{} {}", self.kind.word, self.place())
    }
}
