//! `FleetPolicy`: what binds many services at once.

use std::collections::BTreeMap;

use serde::{Deserialize, Serialize};
use serde_json::Value;

use crate::condition::Condition;
use crate::managed_app::{ManagedAppSpec, NotifySpec};
use crate::meta::ObjectMeta;
use crate::rule::RuleSpec;

/// Policy for every service that it matches. Cluster-scoped; several may match, the most specific wins field by field.
#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase", default)]
pub struct FleetPolicy {
    /// Always [`crate::API_VERSION`].
    pub api_version: String,
    /// Always `FleetPolicy`.
    pub kind: String,
    /// Metadata.
    pub metadata: ObjectMeta,
    /// What the platform team wants.
    pub spec: FleetPolicySpec,
    /// What Trimtab sees.
    pub status: FleetPolicyStatus,
}

/// What the platform team wants.
#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase", default)]
pub struct FleetPolicySpec {
    /// Which services; an empty match is every service.
    #[serde(rename = "match", skip_serializing_if = "Option::is_none")]
    pub matches: Option<MatchSpec>,
    /// Rules for every matching service, merged over the built-in ones by name.
    #[serde(skip_serializing_if = "Vec::is_empty")]
    pub rules: Vec<RuleSpec>,
    /// Sizing of sidecars. Validated now, acted on in a later version.
    #[serde(skip_serializing_if = "Vec::is_empty")]
    pub sidecars: Vec<Value>,
    /// Mode triggers. Validated now, acted on in a later version.
    #[serde(skip_serializing_if = "Vec::is_empty")]
    pub triggers: Vec<Value>,
    /// Bounds on disruption. Validated now, acted on in a later version.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub disruption: Option<Value>,
    /// Windows without releases. Validated now, acted on in a later version.
    #[serde(skip_serializing_if = "Vec::is_empty")]
    pub freeze: Vec<FreezeSpec>,
    /// Defaults of any `ManagedApp` field.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub defaults: Option<ManagedAppSpec>,
    /// Who is told of every matching service.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub notify: Option<NotifySpec>,
    /// Chance that a good release is rolled back, in (0, 0.2]; default 0.005.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub alpha: Option<f64>,
}

/// Which services: all named fields must hold.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase", default)]
pub struct MatchSpec {
    /// Namespaces by name.
    #[serde(skip_serializing_if = "Vec::is_empty")]
    pub namespaces: Vec<String>,
    /// Labels of the `ManagedApp`.
    #[serde(skip_serializing_if = "BTreeMap::is_empty")]
    pub labels: BTreeMap<String, String>,
    /// Tiers.
    #[serde(skip_serializing_if = "Vec::is_empty")]
    pub tiers: Vec<u8>,
}

/// A window without releases.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase", default)]
pub struct FreezeSpec {
    /// Start, as five cron fields.
    pub cron: String,
    /// Length.
    pub duration: String,
    /// Reason shown to people.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub why: Option<String>,
}

/// What Trimtab sees of a policy.
#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase", default)]
pub struct FleetPolicyStatus {
    /// Generation of the spec that this status speaks of.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub observed_generation: Option<i64>,
    /// Conditions.
    #[serde(skip_serializing_if = "Vec::is_empty")]
    pub conditions: Vec<Condition>,
}
