//! `ManagedApp`: one per service.

use std::collections::BTreeMap;

use jiff::Timestamp;
use serde::{Deserialize, Serialize};
use serde_json::Value;

use crate::condition::Condition;
use crate::meta::ObjectMeta;
use crate::rule::RuleSpec;

/// A service under Trimtab's care. Namespaced; claims an existing Deployment in place.
#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase", default)]
pub struct ManagedApp {
    /// Always [`crate::API_VERSION`].
    pub api_version: String,
    /// Always `ManagedApp`.
    pub kind: String,
    /// Metadata.
    pub metadata: ObjectMeta,
    /// What people want.
    pub spec: ManagedAppSpec,
    /// What Trimtab sees.
    pub status: ManagedAppStatus,
}

/// What people want of a service. Every field has a default from policy, so `{}` is a complete spec.
#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase", default)]
pub struct ManagedAppSpec {
    /// 0 = most critical ... 4.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub tier: Option<u8>,
    /// The workload to claim; default: the Deployment of the same name.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub target: Option<TargetRef>,
    /// The service container; every other container is a sidecar. Default: the first.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub container: Option<String>,
    /// How releases are shipped.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub delivery: Option<DeliverySpec>,
    /// How the service is sized. Validated now, acted on in a later version.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub scaling: Option<ScalingSpec>,
    /// Who is told.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub notify: Option<NotifySpec>,
}

/// The workload to claim.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase", default)]
pub struct TargetRef {
    /// `Deployment`.
    pub kind: String,
    /// Name in the same namespace.
    pub name: String,
}

/// How releases are shipped.
#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase", default)]
pub struct DeliverySpec {
    /// `Rolling`, `Guarded` (default), `Progressive` or `BlueGreen`.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub strategy: Option<String>,
    /// How long a release is judged after its last pod is ready; default `5m`.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub watch: Option<String>,
    /// Steps of `Progressive`. Validated now, acted on in a later version.
    #[serde(skip_serializing_if = "Vec::is_empty")]
    pub steps: Vec<Value>,
    /// Rules of this service, merged over the policy's by name.
    #[serde(skip_serializing_if = "Vec::is_empty")]
    pub rules: Vec<RuleSpec>,
    /// How many finished releases are remembered, 2..=100; default 10.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub history: Option<u32>,
}

/// How the service is sized.
#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase", default)]
pub struct ScalingSpec {
    /// `Manual`, `Vertical` or `Horizontal`.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub mode: Option<String>,
    /// Whether triggers may change the mode.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub auto: Option<bool>,
    /// `Manual`: fixed numbers.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub manual: Option<ManualScaling>,
    /// `Vertical`: fixed replicas, requests that follow use.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub vertical: Option<VerticalScaling>,
    /// `Horizontal`: replicas that follow use.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub horizontal: Option<HorizontalScaling>,
}

/// Quantities by resource name, such as `{cpu: 10m, memory: 64Mi}`.
pub type Resources = BTreeMap<String, Value>;

/// Fixed numbers.
#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase", default)]
pub struct ManualScaling {
    /// Pods.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub replicas: Option<i32>,
    /// Requests of the service container.
    #[serde(skip_serializing_if = "BTreeMap::is_empty")]
    pub requests: Resources,
}

/// Fixed replicas, requests that follow use.
#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase", default)]
pub struct VerticalScaling {
    /// Pods.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub replicas: Option<i32>,
    /// Lower bounds of requests.
    #[serde(skip_serializing_if = "BTreeMap::is_empty")]
    pub min: Resources,
    /// Upper bounds of requests.
    #[serde(skip_serializing_if = "BTreeMap::is_empty")]
    pub max: Resources,
}

/// Replicas that follow use.
#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase", default)]
pub struct HorizontalScaling {
    /// Fewest pods.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub min: Option<i32>,
    /// Most pods.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub max: Option<i32>,
    /// CPU request of the service container.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub cpu: Option<Value>,
    /// Percent of the request that is aimed at, 1..=100.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub target_utilization: Option<i32>,
}

/// Who is told. Secrets are named, never written here.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase", default)]
pub struct NotifySpec {
    /// Channel to post in, such as `#payments` or an ID; an incoming webhook that is bound to a channel keeps to its own.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub slack: Option<String>,
    /// Secret key holding the Slack incoming-webhook URL; default: the policy's.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub slack_url_from: Option<SecretKey>,
    /// Secret key holding the bot token of a Slack app, which edits one card per release; default: the policy's. Takes the
    /// place of `slackUrlFrom`, and needs a channel.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub slack_token_from: Option<SecretKey>,
    /// Generic signed webhook.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub webhook: Option<WebhookSpec>,
    /// Events to tell: `Started`, `Kept`, `RolledBack`, `Held`, `NeedsHuman`; default: all.
    #[serde(skip_serializing_if = "Vec::is_empty")]
    pub events: Vec<String>,
}

/// A key of a Secret. In a `ManagedApp` the Secret is in its namespace, in a `FleetPolicy` in Trimtab's own.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase", default)]
pub struct SecretKey {
    /// Secret name.
    pub name: String,
    /// Key in its data.
    pub key: String,
}

/// A generic webhook.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase", default)]
pub struct WebhookSpec {
    /// Where to POST.
    pub url: String,
    /// Key for the HMAC-SHA256 signature.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub signing_key_from: Option<SecretKey>,
}

/// What Trimtab sees of a service.
#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase", default)]
pub struct ManagedAppStatus {
    /// Generation of the spec that this status speaks of.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub observed_generation: Option<i64>,
    /// One word: `Healthy`, `Releasing`, `RollingBack`, `Held`, `Unclaimed`.
    pub phase: String,
    /// One line for people: `Healthy on v127 (v128 rejected)`.
    pub summary: String,
    /// Uid of the claimed Deployment.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub target_uid: Option<String>,
    /// Number of the release that was kept last.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub current: Option<u64>,
    /// Number of the release being judged.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub in_flight: Option<u64>,
    /// Highest number given so far.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub last_release: Option<u64>,
    /// Rejected releases whose templates are held at admission.
    #[serde(skip_serializing_if = "Vec::is_empty")]
    pub rejected: Vec<RejectedRelease>,
    /// Conditions.
    #[serde(skip_serializing_if = "Vec::is_empty")]
    pub conditions: Vec<Condition>,
}

/// A release that was rolled back and is remembered.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase", default)]
pub struct RejectedRelease {
    /// Its number.
    pub number: u64,
    /// Hash of its pod template.
    pub template_hash: String,
    /// When it was rejected.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub at: Option<Timestamp>,
}
