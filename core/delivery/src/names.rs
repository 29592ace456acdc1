//! The words that Trimtab writes on objects it does not own, and the names it gives to objects that it does.

use trimtab_workload::AdmissionHold;

/// API group of our own kinds.
pub const GROUP: &str = "trimtab.dev";
/// Field manager and event source of the delivery controller.
pub const MANAGER: &str = "trimtab-delivery";
/// Label of a `ManagedApp`: the manager that looks after it, where several share a cluster.
pub const INSTANCE_LABEL: &str = "trimtab.dev/instance";
/// Annotation on a claimed Deployment: the instance whose claim it is; absent where that has no name.
pub const INSTANCE_ANNOTATION: &str = INSTANCE_LABEL;
/// Name of the lease of the manager that looks after a whole cluster.
const LEASE: &str = "trimtab-manager";
/// Annotation on a claimed Deployment: one of the words of [`AdmissionHold`], and the images that it holds: see
/// [`claim_text`]. Removing it releases the Deployment.
pub const CLAIM_ANNOTATION: &str = "trimtab.dev/claim";
/// Annotation on a Deployment naming the release that a human action already numbered, such as `v128`.
pub const RELEASE_ANNOTATION: &str = "trimtab.dev/release";
/// Label on a release naming its service.
pub const APP_LABEL: &str = "trimtab.dev/app";
/// Label that the Deployment controller puts on ReplicaSets and pods.
pub const POD_TEMPLATE_HASH_LABEL: &str = "pod-template-hash";

/// Images in a claim at most; those of the newest rejections come first.
pub const HELD_IMAGES_MAX: usize = 16;
/// Longest image in a claim, in bytes. A longer one is not held at admission, and its template restored after the fact.
pub const HELD_IMAGE_BYTES_MAX: usize = 512;

/// Whether a claim can carry `image`: the words of a claim are separated by spaces.
#[must_use]
pub fn fits_claim(image: &str) -> bool {
    !image.is_empty() && image.len() <= HELD_IMAGE_BYTES_MAX && !image.contains(char::is_whitespace)
}

/// The value of the claim annotation: the word, then the service images of the rejected releases, separated by spaces.
/// The admission policy reads it with nobody else there.
#[must_use]
pub fn claim_text(hold: AdmissionHold, images: &[String]) -> String {
    let words = std::iter::once(hold.as_str()).chain(images.iter().map(String::as_str));
    words.collect::<Vec<_>>().join(" ")
}

/// The images in the value of a claim annotation.
#[must_use]
pub fn claimed_images(text: &str) -> Vec<String> {
    text.split(' ').skip(1).take(HELD_IMAGES_MAX).map(str::to_owned).collect()
}

/// The lease that the managers of an instance compete for: every instance has a leader of its own.
#[must_use]
pub fn lease_name(instance: Option<&str>) -> String {
    instance.map_or_else(|| LEASE.to_owned(), |id| format!("{LEASE}-{id}"))
}

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
    let digits = text.strip_prefix('v').unwrap_or(text);
    digits.parse().ok().filter(|_| digits.chars().all(|c| c.is_ascii_digit()))
}
