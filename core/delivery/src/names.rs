//! The words that Trimtab writes on objects it does not own, and the names it gives to objects that it does.

/// API group of our own kinds.
pub const GROUP: &str = "trimtab.dev";
/// Field manager and event source of the delivery controller.
pub const MANAGER: &str = "trimtab-delivery";
/// Annotation on a claimed Deployment; its values are the words of [`trimtab_workload::AdmissionHold`]. Removing it releases
/// the Deployment.
pub const CLAIM_ANNOTATION: &str = "trimtab.dev/claim";
/// Annotation on a Deployment naming the release that a human action already numbered, such as `v128`.
pub const RELEASE_ANNOTATION: &str = "trimtab.dev/release";
/// Label on a release naming its service.
pub const APP_LABEL: &str = "trimtab.dev/app";
/// Label that the Deployment controller puts on ReplicaSets and pods.
pub const POD_TEMPLATE_HASH_LABEL: &str = "pod-template-hash";

/// The object name of release `number` of service `app`: `payments-v128`. Deterministic, so one intent makes one object.
#[must_use]
pub fn release_object(app: &str, number: u64) -> String {
    format!("{app}-v{number}")
}

/// How people say a release: `v128`.
#[must_use]
pub fn release_word(number: u64) -> String {
    format!("v{number}")
}

/// Reads `v128` or `128`.
#[must_use]
pub fn parse_release_word(text: &str) -> Option<u64> {
    text.strip_prefix('v').unwrap_or(text).parse().ok()
}
