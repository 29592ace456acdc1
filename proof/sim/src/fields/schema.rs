//! What apply needs to know of a type: which lists are maps or sets, and which maps are atomic.

use serde_json::Value;

use crate::kinds::Kind;

/// How the items of a list are told apart.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) enum ListType<'a> {
    Atomic,
    Set,
    Map(Vec<&'a str>),
}

/// The schema at one place in an object.
#[derive(Clone, Copy, Debug)]
pub(crate) enum Node<'a> {
    /// Built-in kinds: the kind, and the names of the two enclosing fields decide.
    BuiltIn { kind: &'a str, parent: &'a str, name: &'a str },
    /// A node of a structural schema.
    Custom(&'a Value),
    /// `metadata`, the same for every kind.
    Metadata { name: &'a str },
    /// Nothing is known: maps are granular, lists atomic.
    Unknown,
}

/// The schema of a whole object.
pub(crate) fn root(kind: &Kind) -> Node<'_> {
    match &kind.custom {
        Some(custom) => custom.schema.as_ref().map_or(Node::Unknown, Node::Custom),
        None => Node::BuiltIn { kind: &kind.kind, parent: "", name: "" },
    }
}

impl<'a> Node<'a> {
    /// The schema of a field. `top` says that `self` is the whole object, whose metadata has a schema of its own.
    pub(crate) fn field(self, name: &'a str, depth: usize) -> Node<'a> {
        if depth == 0 && name == "metadata" {
            return Node::Metadata { name: "" };
        }
        match self {
            Node::BuiltIn { kind, name: parent, .. } => Node::BuiltIn { kind, parent, name },
            Node::Metadata { .. } => Node::Metadata { name },
            Node::Custom(schema) => custom_field(schema, name),
            Node::Unknown => Node::Unknown,
        }
    }

    /// The schema of the items of a list.
    pub(crate) fn items(self) -> Node<'a> {
        match self {
            Node::Custom(schema) => schema.get("items").map_or(Node::Unknown, Node::Custom),
            other => other,
        }
    }

    pub(crate) fn list_type(self) -> ListType<'a> {
        match self {
            Node::BuiltIn { kind, parent, name } => built_in_list(kind, parent, name),
            Node::Metadata { name: "ownerReferences" } => ListType::Map(vec!["uid"]),
            Node::Metadata { name: "finalizers" } => ListType::Set,
            Node::Custom(schema) => custom_list(schema),
            Node::Metadata { .. } | Node::Unknown => ListType::Atomic,
        }
    }

    /// Whether a map is owned as a whole.
    pub(crate) fn is_atomic_map(self) -> bool {
        match self {
            Node::BuiltIn { kind, parent, name } => built_in_atomic(kind, parent, name),
            Node::Custom(schema) => {
                schema.get("x-kubernetes-map-type").and_then(Value::as_str) == Some("atomic")
            }
            Node::Metadata { name } => name == "ownerReferences",
            Node::Unknown => false,
        }
    }

    /// Whether the value is a struct that Go serialises even when empty: it is in the object before its first write, so
    /// writing into it does not own it.
    pub(crate) fn is_always_present(self, depth: usize) -> bool {
        match self {
            Node::Metadata { name: "" } => true,
            Node::BuiltIn { name, .. } if depth == 1 => matches!(name, "spec" | "status"),
            Node::BuiltIn { parent, name, .. } => matches!(
                (parent, name),
                ("spec", "template" | "strategy" | "updateStrategy" | "scaleTargetRef" | "jobTemplate")
                    | ("template", "metadata" | "spec")
                    | ("jobTemplate", "metadata" | "spec")
                    | ("status", "loadBalancer" | "nodeInfo" | "daemonEndpoints")
            ),
            _ => false,
        }
    }
}

fn custom_field<'a>(schema: &'a Value, name: &str) -> Node<'a> {
    schema
        .get("properties")
        .and_then(|properties| properties.get(name))
        .or_else(|| schema.get("additionalProperties").filter(|additional| additional.is_object()))
        .map_or(Node::Unknown, Node::Custom)
}

fn custom_list(schema: &Value) -> ListType<'_> {
    match schema.get("x-kubernetes-list-type").and_then(Value::as_str) {
        Some("set") => ListType::Set,
        Some("map") => {
            let keys = schema.get("x-kubernetes-list-map-keys").and_then(Value::as_array);
            ListType::Map(keys.into_iter().flatten().filter_map(Value::as_str).collect())
        }
        _ => ListType::Atomic,
    }
}

fn built_in_list<'a>(kind: &str, parent: &str, name: &str) -> ListType<'a> {
    let keys: &[&str] = match (parent, name) {
        (_, "containers" | "initContainers" | "ephemeralContainers") if parent == "spec" => &["name"],
        ("containers" | "initContainers" | "ephemeralContainers", "ports") => &["containerPort", "protocol"],
        ("containers" | "initContainers" | "ephemeralContainers", "env") => &["name"],
        ("containers" | "initContainers" | "ephemeralContainers", "volumeMounts") => &["mountPath"],
        ("containers" | "initContainers" | "ephemeralContainers", "volumeDevices") => &["devicePath"],
        ("resources", "claims") => &["name"],
        ("spec", "ports") if kind == "Service" => &["port", "protocol"],
        ("spec", "volumes" | "imagePullSecrets" | "schedulingGates" | "resourceClaims") => &["name"],
        ("spec", "hostAliases") => &["ip"],
        ("spec", "topologySpreadConstraints") => &["topologyKey", "whenUnsatisfiable"],
        (_, "imagePullSecrets") => &["name"],
        ("", "secrets") if kind == "ServiceAccount" => &["name"],
        ("", "webhooks") => &["name"],
        ("spec", "variables" | "matchConditions") => &["name"],
        ("webhooks", "matchConditions") => &["name"],
        ("status", "conditions") => &["type"],
        ("status", "podIPs") => &["ip"],
        ("status", "addresses") if kind == "Node" => &["type"],
        ("status", "containerStatuses" | "initContainerStatuses") => return ListType::Atomic,
        ("spec", "finalizers") if kind == "Namespace" => return ListType::Atomic,
        ("capabilities", "add" | "drop") => return ListType::Atomic,
        ("spec", "clusterIPs") => return ListType::Atomic,
        ("spec", "podCIDRs") => return ListType::Set,
        _ => return ListType::Atomic,
    };
    ListType::Map(keys.to_vec())
}

fn built_in_atomic(kind: &str, parent: &str, name: &str) -> bool {
    match (parent, name) {
        ("spec", "nodeSelector") => true,
        ("spec", "selector") => !matches!(kind, "PodDisruptionBudget" if parent.is_empty()),
        (_, "labelSelector" | "namespaceSelector" | "podSelector" | "objectSelector") => true,
        (_, "configMapKeyRef" | "secretKeyRef" | "fieldRef" | "resourceFieldRef" | "roleRef") => true,
        ("spec" | "", "involvedObject" | "regarding" | "related" | "claimRef" | "targetRef") => true,
        ("affinity" | "nodeAffinity", "requiredDuringSchedulingIgnoredDuringExecution") => true,
        _ => false,
    }
}
