//! `AppRelease`: one per deploy, written by Trimtab and by its CLI.

use jiff::Timestamp;
use serde::{Deserialize, Serialize};
use serde_json::Value;

use crate::meta::ObjectMeta;

/// One release of one service: `payments-v128`.
#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase", default)]
pub struct AppRelease {
    /// Always [`crate::API_VERSION`].
    pub api_version: String,
    /// Always `AppRelease`.
    pub kind: String,
    /// Metadata; owned by the `ManagedApp`.
    pub metadata: ObjectMeta,
    /// What was released, and what people asked of it.
    pub spec: AppReleaseSpec,
    /// What became of it.
    pub status: AppReleaseStatus,
}

/// What was released, and what people asked of it.
#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase", default)]
pub struct AppReleaseSpec {
    /// The service.
    pub app: String,
    /// The number, unique within the service.
    pub number: u64,
    /// Number of the release before it.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub previous: Option<u64>,
    /// The pod template, raw. Absent while a person has numbered a release that the cluster has not shown yet.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub template: Option<Value>,
    /// Hash of the template.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub template_hash: Option<String>,
    /// Uid of the Deployment that it was released to.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub target_uid: Option<String>,
    /// Image of the service container.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub image: Option<String>,
    /// Who released it: a person, or the field manager that wrote the template.
    pub actor: String,
    /// Why, in their words.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub reason: Option<String>,
    /// Number of the release whose template this one brings back.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub rollback_to: Option<u64>,
    /// What a person decided, overruling the verdict. Immutable once set.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub decision: Option<Decision>,
}

/// What a person decided.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase", default)]
pub struct Decision {
    /// `Keep` or `RollBack`.
    pub verdict: String,
    /// Who.
    pub actor: String,
    /// Why.
    pub because: String,
    /// When.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub at: Option<Timestamp>,
}

/// What became of a release.
#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase", default)]
pub struct AppReleaseStatus {
    /// `Pending`, `Judging`, `RollingBack`, `RolledBack`, `Kept`, `Superseded`.
    pub phase: String,
    /// One line for people.
    pub summary: String,
    /// `Pass`, `Fail` or `Undecided`.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub verdict: Option<String>,
    /// Kept although the evidence could not tell.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub low_evidence: Option<bool>,
    /// The template is held at admission because somebody applied it again.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub held: Option<bool>,
    /// When it was first seen.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub started_at: Option<Timestamp>,
    /// When its last pod became ready.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub ready_at: Option<Timestamp>,
    /// When the verdict fell.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub decided_at: Option<Timestamp>,
    /// When the service ran on the previous release again.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub recovered_at: Option<Timestamp>,
    /// How often the previous template was restored; more than once means that somebody fights.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub restores: Option<u32>,
    /// The number of the release whose template was restored.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub restored: Option<u64>,
    /// Trimtab could not go on alone, and has said so.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub needs_human: Option<bool>,
    /// Why, as a reason code.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub needs_human_reason: Option<String>,
    /// Evidence per rule at the last write.
    #[serde(skip_serializing_if = "Vec::is_empty")]
    pub rules: Vec<RuleEvidence>,
    /// Requests that failed because of this release.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub harmed: Option<f64>,
    /// Messages owed or sent.
    #[serde(skip_serializing_if = "Vec::is_empty")]
    pub notifications: Vec<Value>,
}

/// Evidence of one rule.
#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase", default)]
pub struct RuleEvidence {
    /// The rule.
    pub name: String,
    /// `Pass`, `Fail`, `Undecided`.
    pub verdict: String,
    /// Why, when the verdict alone does not tell: `RuleUnbound`, `TelemetryLost`, ...
    #[serde(skip_serializing_if = "Option::is_none")]
    pub reason: Option<String>,
    /// One line for people: value on both arms, ratio with its interval.
    pub summary: String,
    /// Bad events on the new pods.
    pub canary_bad: f64,
    /// Exposure of the new pods: requests, or pod-seconds.
    pub canary_total: f64,
    /// Bad events on the old pods.
    pub stable_bad: f64,
    /// Exposure of the old pods.
    pub stable_total: f64,
    /// Ratio of the rates, and its confidence interval.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub ratio: Option<[f64; 3]>,
    /// Evidence toward FAIL: log10 of the e-value, and of the threshold 1/α.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub evidence: Option<[f64; 2]>,
}
