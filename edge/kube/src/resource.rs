//! What kinds there are, where they live in the API, and how their objects are named.

use std::fmt;
use std::sync::Arc;

use percent_encoding::{AsciiSet, NON_ALPHANUMERIC, utf8_percent_encode};
use trimtab_plan::Kind;

/// One served kind: enough to build every request path for it.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub struct Resource {
    /// API group; empty for the core group.
    pub group: &'static str,
    /// Version within the group, for example `v1`.
    pub version: &'static str,
    /// Kind, for example `Deployment`.
    pub kind: &'static str,
    /// Plural resource name as used in paths, for example `deployments`.
    pub plural: &'static str,
    /// Whether objects live in namespaces.
    pub namespaced: bool,
}

impl Resource {
    /// The kind that plans know.
    pub const fn of(kind: Kind) -> Resource {
        let Kind { group, version, word, plural, namespaced } = kind;
        Resource { namespaced, ..Resource::new(group, version, word, plural) }
    }

    /// A namespaced kind.
    pub const fn new(
        group: &'static str,
        version: &'static str,
        kind: &'static str,
        plural: &'static str,
    ) -> Resource {
        Resource { group, version, kind, plural, namespaced: true }
    }

    /// A cluster-scoped kind.
    pub const fn cluster_scoped(
        group: &'static str,
        version: &'static str,
        kind: &'static str,
        plural: &'static str,
    ) -> Resource {
        Resource { group, version, kind, plural, namespaced: false }
    }

    /// `apiVersion` as objects carry it: `v1`, `apps/v1`.
    pub fn api_version(&self) -> String {
        if self.group.is_empty() {
            self.version.to_string()
        } else {
            format!("{}/{}", self.group, self.version)
        }
    }

    /// The request path. Without `name` it is the collection; without `namespace` a namespaced kind is addressed
    /// across all namespaces. A namespace given for a cluster-scoped kind is ignored.
    pub fn path(&self, namespace: Option<&str>, name: Option<&str>, subresource: Option<&str>) -> String {
        let mut path = if self.group.is_empty() {
            format!("/api/{}", self.version)
        } else {
            format!("/apis/{}/{}", self.group, self.version)
        };
        if let Some(namespace) = namespace.filter(|_| self.namespaced) {
            path.push_str("/namespaces/");
            push_escaped(&mut path, namespace);
        }
        path.push('/');
        path.push_str(self.plural);
        for segment in [name, subresource].into_iter().flatten() {
            path.push('/');
            push_escaped(&mut path, segment);
        }
        path
    }
}

/// `deployments.apps`, `pods`: the form `kubectl` accepts.
impl fmt::Display for Resource {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(self.plural)?;
        if self.group.is_empty() { Ok(()) } else { write!(f, ".{}", self.group) }
    }
}

/// All but RFC 3986's unreserved characters.
const RESERVED: &AsciiSet = &NON_ALPHANUMERIC.remove(b'-').remove(b'.').remove(b'_').remove(b'~');

/// Percent-encodes everything outside RFC 3986's unreserved set, so that no name or selector can leave its place.
pub(crate) fn push_escaped(out: &mut String, text: &str) {
    out.extend(utf8_percent_encode(text, RESERVED));
}

/// Namespace and name of an object; the namespace is empty for cluster-scoped kinds. Ordered, cheap to clone.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct Key {
    /// Namespace, or empty.
    pub namespace: Arc<str>,
    /// Object name.
    pub name: Arc<str>,
}

impl Key {
    /// A key from its two parts.
    pub fn new(namespace: impl Into<Arc<str>>, name: impl Into<Arc<str>>) -> Key {
        Key { namespace: namespace.into(), name: name.into() }
    }

    /// The namespace as API calls take it: `None` when cluster-scoped.
    pub fn namespace(&self) -> Option<&str> {
        Some(&*self.namespace).filter(|namespace| !namespace.is_empty())
    }

    /// A hash that is the same in every process, for spreading work over time.
    pub fn stable_hash(&self) -> u64 {
        crate::rng::stable_hash(&[self.namespace.as_bytes(), b"/", self.name.as_bytes()])
    }
}

/// `namespace/name`, or the bare name when cluster-scoped.
impl fmt::Display for Key {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        if self.namespace.is_empty() {
            f.write_str(&self.name)
        } else {
            write!(f, "{}/{}", self.namespace, self.name)
        }
    }
}

macro_rules! resources {
    ($($(#[$doc:meta])* $name:ident = $group:literal $version:literal $kind:literal $plural:literal $scope:ident;)*) => {
        $($(#[$doc])* pub const $name: &Resource = &Resource::$scope($group, $version, $kind, $plural);)*
    };
}

resources! {
    /// Pods.
    PODS = "" "v1" "Pod" "pods" new;
    /// Services.
    SERVICES = "" "v1" "Service" "services" new;
    /// ConfigMaps.
    CONFIG_MAPS = "" "v1" "ConfigMap" "configmaps" new;
    /// Secrets.
    SECRETS = "" "v1" "Secret" "secrets" new;
    /// Namespaces.
    NAMESPACES = "" "v1" "Namespace" "namespaces" cluster_scoped;
    /// Nodes.
    NODES = "" "v1" "Node" "nodes" cluster_scoped;
    /// LimitRanges.
    LIMIT_RANGES = "" "v1" "LimitRange" "limitranges" new;
    /// Deployments.
    DEPLOYMENTS = "apps" "v1" "Deployment" "deployments" new;
    /// ReplicaSets.
    REPLICA_SETS = "apps" "v1" "ReplicaSet" "replicasets" new;
    /// StatefulSets.
    STATEFUL_SETS = "apps" "v1" "StatefulSet" "statefulsets" new;
    /// DaemonSets.
    DAEMON_SETS = "apps" "v1" "DaemonSet" "daemonsets" new;
    /// EndpointSlices.
    ENDPOINT_SLICES = "discovery.k8s.io" "v1" "EndpointSlice" "endpointslices" new;
    /// Events, in the current API.
    EVENTS = "events.k8s.io" "v1" "Event" "events" new;
    /// Leases.
    LEASES = "coordination.k8s.io" "v1" "Lease" "leases" new;
    /// HorizontalPodAutoscalers.
    HPAS = "autoscaling" "v2" "HorizontalPodAutoscaler" "horizontalpodautoscalers" new;
    /// PodDisruptionBudgets.
    PDBS = "policy" "v1" "PodDisruptionBudget" "poddisruptionbudgets" new;
    /// Jobs.
    JOBS = "batch" "v1" "Job" "jobs" new;
    /// CustomResourceDefinitions.
    CRDS = "apiextensions.k8s.io" "v1" "CustomResourceDefinition" "customresourcedefinitions" cluster_scoped;
    /// MutatingAdmissionPolicies.
    MUTATING_ADMISSION_POLICIES = "admissionregistration.k8s.io" "v1" "MutatingAdmissionPolicy" "mutatingadmissionpolicies" cluster_scoped;
    /// MutatingAdmissionPolicyBindings.
    MUTATING_ADMISSION_POLICY_BINDINGS = "admissionregistration.k8s.io" "v1" "MutatingAdmissionPolicyBinding" "mutatingadmissionpolicybindings" cluster_scoped;
    /// PrometheusRules of the Prometheus operator.
    PROMETHEUS_RULES = "monitoring.coreos.com" "v1" "PrometheusRule" "prometheusrules" new;
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn paths() {
        let check = |resource: &Resource, namespace, name, subresource, expect: &str| {
            assert_eq!(resource.path(namespace, name, subresource), expect);
        };
        check(PODS, None, None, None, "/api/v1/pods");
        check(PODS, Some("shop"), Some("a"), Some("eviction"), "/api/v1/namespaces/shop/pods/a/eviction");
        check(DEPLOYMENTS, Some("shop"), None, None, "/apis/apps/v1/namespaces/shop/deployments");
        check(NODES, Some("ignored"), Some("n1"), None, "/api/v1/nodes/n1");
        check(PODS, Some("../x"), Some("a/b?c"), None, "/api/v1/namespaces/..%2Fx/pods/a%2Fb%3Fc");
    }

    #[test]
    fn names_people_read() {
        assert_eq!(DEPLOYMENTS.to_string(), "deployments.apps");
        assert_eq!(DEPLOYMENTS.api_version(), "apps/v1");
        assert_eq!(PODS.api_version(), "v1");
        assert_eq!(Key::new("shop", "a").to_string(), "shop/a");
        assert_eq!(Key::new("", "node-1").to_string(), "node-1");
    }
}
