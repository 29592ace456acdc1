//! The kinds that are served: a table of built-in ones, plus whatever custom resource definitions add.

use std::collections::BTreeMap;
use std::sync::Arc;

use serde_json::Value;

use crate::crd::CustomVersion;
use crate::failure::{Subject, qualified};

/// What a kind offers beyond create, read, update and delete of the object itself.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub(crate) struct Features {
    pub(crate) status: bool,
    pub(crate) scale: bool,
    /// Whether `metadata.generation` counts changes of the spec.
    pub(crate) generation: bool,
}

/// One served version of one resource.
#[derive(Debug)]
pub(crate) struct Kind {
    pub(crate) group: String,
    pub(crate) version: String,
    pub(crate) kind: String,
    pub(crate) plural: String,
    pub(crate) singular: String,
    pub(crate) list_kind: String,
    pub(crate) short_names: Vec<String>,
    pub(crate) categories: Vec<String>,
    pub(crate) namespaced: bool,
    pub(crate) features: Features,
    /// Collection in the store; shared by all versions of a resource and by the two event groups.
    pub(crate) storage: Arc<str>,
    pub(crate) custom: Option<Arc<CustomVersion>>,
}

impl Kind {
    pub(crate) fn api_version(&self) -> String {
        if self.group.is_empty() { self.version.clone() } else { format!("{}/{}", self.group, self.version) }
    }

    pub(crate) fn subject(&self) -> Subject<'_> {
        Subject { group: &self.group, plural: &self.plural, kind: &self.kind }
    }

    pub(crate) fn resource(&self) -> String {
        qualified(&self.plural, &self.group)
    }

    pub(crate) fn is(&self, group: &str, plural: &str) -> bool {
        self.group == group && self.plural == plural
    }

    pub(crate) fn is_event(&self) -> bool {
        &*self.storage == "events"
    }

    /// Key in the store; sorts as in etcd.
    pub(crate) fn key(&self, namespace: &str, name: &str) -> String {
        if self.namespaced { format!("{namespace}/{name}") } else { name.to_owned() }
    }
}

const NAMESPACED: u8 = 1;
const STATUS: u8 = 2;
const SCALE: u8 = 4;
const GENERATION: u8 = 8;

type Row = (&'static str, &'static str, &'static str, &'static str, &'static str, u8);

/// group, versions (preferred first), kind, plural, short names and categories (`@` marks a category), flags.
const BUILT_IN: &[Row] = &[
    ("", "v1", "ConfigMap", "configmaps", "cm", NAMESPACED),
    ("", "v1", "Endpoints", "endpoints", "ep", NAMESPACED),
    ("", "v1", "Event", "events", "ev", NAMESPACED),
    ("", "v1", "LimitRange", "limitranges", "limits", NAMESPACED),
    ("", "v1", "Namespace", "namespaces", "ns", STATUS),
    ("", "v1", "Node", "nodes", "no", STATUS),
    ("", "v1", "PersistentVolumeClaim", "persistentvolumeclaims", "pvc", NAMESPACED | STATUS),
    ("", "v1", "PersistentVolume", "persistentvolumes", "pv", STATUS),
    ("", "v1", "Pod", "pods", "po @all", NAMESPACED | STATUS | GENERATION),
    (
        "",
        "v1",
        "ReplicationController",
        "replicationcontrollers",
        "rc @all",
        NAMESPACED | STATUS | SCALE | GENERATION,
    ),
    ("", "v1", "ResourceQuota", "resourcequotas", "quota", NAMESPACED | STATUS),
    ("", "v1", "Secret", "secrets", "", NAMESPACED),
    ("", "v1", "ServiceAccount", "serviceaccounts", "sa", NAMESPACED),
    ("", "v1", "Service", "services", "svc @all", NAMESPACED | STATUS),
    (
        "admissionregistration.k8s.io",
        "v1 v1beta1",
        "MutatingAdmissionPolicy",
        "mutatingadmissionpolicies",
        "@api-extensions",
        GENERATION,
    ),
    (
        "admissionregistration.k8s.io",
        "v1 v1beta1",
        "MutatingAdmissionPolicyBinding",
        "mutatingadmissionpolicybindings",
        "@api-extensions",
        GENERATION,
    ),
    (
        "admissionregistration.k8s.io",
        "v1",
        "MutatingWebhookConfiguration",
        "mutatingwebhookconfigurations",
        "@api-extensions",
        GENERATION,
    ),
    (
        "admissionregistration.k8s.io",
        "v1",
        "ValidatingAdmissionPolicy",
        "validatingadmissionpolicies",
        "@api-extensions",
        STATUS | GENERATION,
    ),
    (
        "admissionregistration.k8s.io",
        "v1",
        "ValidatingAdmissionPolicyBinding",
        "validatingadmissionpolicybindings",
        "@api-extensions",
        GENERATION,
    ),
    (
        "admissionregistration.k8s.io",
        "v1",
        "ValidatingWebhookConfiguration",
        "validatingwebhookconfigurations",
        "@api-extensions",
        GENERATION,
    ),
    (
        "apiextensions.k8s.io",
        "v1",
        "CustomResourceDefinition",
        "customresourcedefinitions",
        "crd crds @api-extensions",
        STATUS | GENERATION,
    ),
    ("apiregistration.k8s.io", "v1", "APIService", "apiservices", "@api-extensions", STATUS),
    ("apps", "v1", "ControllerRevision", "controllerrevisions", "", NAMESPACED),
    ("apps", "v1", "DaemonSet", "daemonsets", "ds @all", NAMESPACED | STATUS | GENERATION),
    ("apps", "v1", "Deployment", "deployments", "deploy @all", NAMESPACED | STATUS | SCALE | GENERATION),
    ("apps", "v1", "ReplicaSet", "replicasets", "rs @all", NAMESPACED | STATUS | SCALE | GENERATION),
    ("apps", "v1", "StatefulSet", "statefulsets", "sts @all", NAMESPACED | STATUS | SCALE | GENERATION),
    (
        "autoscaling",
        "v2 v1",
        "HorizontalPodAutoscaler",
        "horizontalpodautoscalers",
        "hpa @all",
        NAMESPACED | STATUS,
    ),
    ("batch", "v1", "CronJob", "cronjobs", "cj @all", NAMESPACED | STATUS | GENERATION),
    ("batch", "v1", "Job", "jobs", "@all", NAMESPACED | STATUS | GENERATION),
    ("certificates.k8s.io", "v1", "CertificateSigningRequest", "certificatesigningrequests", "csr", STATUS),
    ("coordination.k8s.io", "v1", "Lease", "leases", "", NAMESPACED),
    ("discovery.k8s.io", "v1", "EndpointSlice", "endpointslices", "", NAMESPACED | GENERATION),
    ("events.k8s.io", "v1", "Event", "events", "ev", NAMESPACED),
    ("networking.k8s.io", "v1", "Ingress", "ingresses", "ing", NAMESPACED | STATUS | GENERATION),
    ("networking.k8s.io", "v1", "IngressClass", "ingressclasses", "", GENERATION),
    ("networking.k8s.io", "v1", "NetworkPolicy", "networkpolicies", "netpol", NAMESPACED | GENERATION),
    ("policy", "v1", "PodDisruptionBudget", "poddisruptionbudgets", "pdb", NAMESPACED | STATUS | GENERATION),
    ("rbac.authorization.k8s.io", "v1", "ClusterRoleBinding", "clusterrolebindings", "", 0),
    ("rbac.authorization.k8s.io", "v1", "ClusterRole", "clusterroles", "", 0),
    ("rbac.authorization.k8s.io", "v1", "RoleBinding", "rolebindings", "", NAMESPACED),
    ("rbac.authorization.k8s.io", "v1", "Role", "roles", "", NAMESPACED),
    ("scheduling.k8s.io", "v1", "PriorityClass", "priorityclasses", "pc", 0),
    ("storage.k8s.io", "v1", "StorageClass", "storageclasses", "sc", 0),
];

/// Every kind that is served now.
#[derive(Debug, Default)]
pub(crate) struct Registry {
    kinds: BTreeMap<(String, String, String), Arc<Kind>>,
    /// Versions of each group in order of preference; the group order is discovery's.
    groups: Vec<(String, Vec<String>)>,
}

impl Registry {
    pub(crate) fn built_in() -> Self {
        let mut registry = Registry::default();
        for row in BUILT_IN {
            for version in row.1.split(' ') {
                registry.add(Arc::new(built_in_kind(row, version)));
            }
        }
        registry
    }

    pub(crate) fn add(&mut self, kind: Arc<Kind>) {
        match self.groups.iter_mut().find(|(group, _)| *group == kind.group) {
            Some((_, versions)) if !versions.contains(&kind.version) => {
                versions.push(kind.version.clone());
                versions.sort_by_key(|version| std::cmp::Reverse(version_rank(version)));
            }
            Some(_) => {}
            None => self.groups.push((kind.group.clone(), vec![kind.version.clone()])),
        }
        let key = (kind.group.clone(), kind.version.clone(), kind.plural.clone());
        self.kinds.insert(key, kind);
    }

    /// Stops serving every version of a resource.
    pub(crate) fn remove(&mut self, group: &str, plural: &str) {
        self.kinds.retain(|_, kind| !kind.is(group, plural));
        let kinds = &self.kinds;
        self.groups.retain_mut(|(group, versions)| {
            versions
                .retain(|version| kinds.keys().any(|(other, served, _)| other == group && served == version));
            !versions.is_empty()
        });
    }

    pub(crate) fn find(&self, group: &str, version: &str, plural: &str) -> Option<&Arc<Kind>> {
        self.kinds.get(&(group.to_owned(), version.to_owned(), plural.to_owned()))
    }

    /// The preferred version of a resource.
    pub(crate) fn preferred(&self, group: &str, plural: &str) -> Option<&Arc<Kind>> {
        self.versions(group).iter().find_map(|version| self.find(group, version, plural))
    }

    pub(crate) fn by_kind(&self, api_version: &str, kind: &str) -> Option<&Arc<Kind>> {
        let (group, version) = api_version.split_once('/').unwrap_or(("", api_version));
        self.kinds.values().find(|candidate| {
            candidate.group == group && candidate.version == version && candidate.kind == kind
        })
    }

    /// The preferred version of whatever resource is kept in a collection.
    pub(crate) fn by_storage(&self, storage: &str) -> Option<&Arc<Kind>> {
        let (plural, group) = storage.split_once('.').unwrap_or((storage, ""));
        self.preferred(group, plural)
    }

    pub(crate) fn in_version<'a>(
        &'a self,
        group: &'a str,
        version: &'a str,
    ) -> impl Iterator<Item = &'a Arc<Kind>> {
        self.kinds.values().filter(move |kind| kind.group == group && kind.version == version)
    }

    pub(crate) fn groups(&self) -> &[(String, Vec<String>)] {
        &self.groups
    }

    pub(crate) fn versions(&self, group: &str) -> &[String] {
        self.groups.iter().find(|(other, _)| other == group).map_or(&[], |(_, versions)| versions.as_slice())
    }
}

fn built_in_kind(row: &Row, version: &str) -> Kind {
    let (group, _, kind, plural, aliases, flags) = *row;
    let (categories, short_names): (Vec<_>, Vec<_>) =
        aliases.split_whitespace().map(str::to_owned).partition(|alias: &String| alias.starts_with('@'));
    let storage = if plural == "events" { "events".to_owned() } else { qualified(plural, group) };
    Kind {
        group: group.to_owned(),
        version: version.to_owned(),
        kind: kind.to_owned(),
        plural: plural.to_owned(),
        singular: kind.to_lowercase(),
        list_kind: format!("{kind}List"),
        short_names,
        categories: categories.iter().map(|category| category.trim_start_matches('@').to_owned()).collect(),
        namespaced: flags & NAMESPACED != 0,
        features: Features {
            status: flags & STATUS != 0,
            scale: flags & SCALE != 0,
            generation: flags & GENERATION != 0,
        },
        storage: storage.into(),
        custom: None,
    }
}

/// Kubernetes' version priority: GA before beta before alpha, then by number.
fn version_rank(version: &str) -> (u8, u32, u32, String) {
    let Some(rest) = version.strip_prefix('v') else { return (0, 0, 0, version.to_owned()) };
    let digits = |text: &str| text.chars().take_while(char::is_ascii_digit).collect::<String>();
    let major = digits(rest);
    let stage = &rest[major.len()..];
    let major: u32 = major.parse().unwrap_or(0);
    let (rank, minor) = match stage {
        "" => (3, ""),
        beta if beta.starts_with("beta") => (2, &beta[4..]),
        alpha if alpha.starts_with("alpha") => (1, &alpha[5..]),
        _ => return (0, 0, 0, version.to_owned()),
    };
    (rank, major, minor.parse().unwrap_or(0), String::new())
}

/// `apiVersion` and `kind` of an object.
pub(crate) fn type_of(value: &Value) -> (&str, &str) {
    (crate::json::text(value, "apiVersion"), crate::json::text(value, "kind"))
}
