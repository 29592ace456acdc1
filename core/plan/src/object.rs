//! The objects that plans write, by name.

use std::fmt;

/// Every kind that any plan may name. A kind that is not listed cannot be written.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub enum Kind {
    /// `apps/v1` Deployment.
    Deployment,
    /// `apps/v1` ReplicaSet; only ever read.
    ReplicaSet,
    /// `v1` Pod.
    Pod,
    /// `events.k8s.io/v1` Event.
    Event,
    /// Our `ManagedApp`.
    ManagedApp,
    /// Our `AppRelease`.
    AppRelease,
    /// Our `FleetPolicy`.
    FleetPolicy,
}

impl Kind {
    /// Every kind.
    pub const ALL: [Self; 7] = [
        Self::Deployment,
        Self::ReplicaSet,
        Self::Pod,
        Self::Event,
        Self::ManagedApp,
        Self::AppRelease,
        Self::FleetPolicy,
    ];

    /// The word in manifests.
    #[must_use]
    pub fn word(self) -> &'static str {
        match self {
            Self::Deployment => "Deployment",
            Self::ReplicaSet => "ReplicaSet",
            Self::Pod => "Pod",
            Self::Event => "Event",
            Self::ManagedApp => "ManagedApp",
            Self::AppRelease => "AppRelease",
            Self::FleetPolicy => "FleetPolicy",
        }
    }

    /// The `apiVersion` in manifests.
    #[must_use]
    pub fn api_version(self) -> &'static str {
        match self {
            Self::Deployment | Self::ReplicaSet => "apps/v1",
            Self::Pod => "v1",
            Self::Event => "events.k8s.io/v1",
            Self::ManagedApp | Self::AppRelease | Self::FleetPolicy => "trimtab.dev/v1alpha1",
        }
    }

    /// Whether the kind is ours: nobody else writes its status.
    #[must_use]
    pub fn is_ours(self) -> bool {
        matches!(self, Self::ManagedApp | Self::AppRelease | Self::FleetPolicy)
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
        write!(f, "{} {}", self.kind.word(), self.place())
    }
}
