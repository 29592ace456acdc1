//! What the claim asks of admission: which images it holds, and when a pause that it set is lifted.

use trimtab_workload::{AdmissionHold, Target};

use super::builder::PlanBuilder;
use crate::decision::{Pause, Write};
use crate::names::{HELD_IMAGES_MAX, fits_claim};
use crate::snapshot::{Release, Snapshot};

/// Which rejections a claim is written for.
#[derive(Clone, Copy, Debug)]
pub(super) enum Rejections<'a> {
    /// Those that are remembered.
    Known,
    /// Those, and that of a release which is about to be remembered.
    And(&'a Release),
    /// Those that are left when this release is kept.
    After(&'a Release),
}

fn remembered<'a>(snapshot: &Snapshot<'a>, rejections: Rejections<'a>) -> Vec<&'a Release> {
    let mut rejected: Vec<&Release> = snapshot.history().rejected().collect();
    match rejections {
        Rejections::Known => {}
        Rejections::And(release) => rejected.push(release),
        Rejections::After(kept) => rejected
            .retain(|release| release.number != kept.number && release.template_hash != kept.template_hash),
    }
    rejected
}

/// The images that admission shall hold, those of the newest rejections first.
pub(super) fn held_images<'a>(snapshot: &Snapshot<'a>, rejections: Rejections<'a>) -> Vec<String> {
    let mut images: Vec<String> = Vec::new();
    for release in remembered(snapshot, rejections).into_iter().rev() {
        let image = image(snapshot, release);
        if fits_claim(image) && images.len() < HELD_IMAGES_MAX && !images.iter().any(|held| held == image) {
            images.push(image.to_owned());
        }
    }
    images
}

/// Image of `release`. Little is kept of one that was kept, so it is read from the Deployment while that holds its template.
fn image<'a>(snapshot: &Snapshot<'a>, release: &'a Release) -> &'a str {
    let shows = |target: &&Target| release.template_hash.as_deref() == Some(target.template_hash.as_str());
    match snapshot.target.filter(shows) {
        Some(target) if release.image.is_empty() => &target.image,
        _ => &release.image,
    }
}

/// Writes the hold where it is not what it should be.
pub(super) fn write_hold(
    builder: &mut PlanBuilder<'_>,
    target: &Target,
    hold: AdmissionHold,
    images: Vec<String>,
    pause: Pause,
) {
    if target.hold != Some(hold) || target.held_images != images || pause == Pause::Clear {
        builder.write(Write::Hold { hold, images, pause });
    }
}

/// Nothing in the spec is held any more: what stays is what the rejections ask for. A pause that admission set goes.
pub(super) fn let_pass(builder: &mut PlanBuilder<'_>, target: &Target, rejections: Rejections<'_>) {
    let snapshot = builder.snapshot;
    let nothing = remembered(snapshot, rejections).is_empty();
    let word = if nothing { AdmissionHold::Open } else { AdmissionHold::HoldChanges };
    let pause = if target.held_by_admission() { Pause::Clear } else { Pause::Leave };
    write_hold(builder, target, word, held_images(snapshot, rejections), pause);
}

/// `release` is about to be remembered as rejected: from then on its template must not pass admission, so the claim comes
/// first. What admission holds already stays held.
pub(super) fn hold_changes(builder: &mut PlanBuilder<'_>, target: &Target, release: &Release) {
    let images = held_images(builder.snapshot, Rejections::And(release));
    let word = if target.hold == Some(AdmissionHold::Held) {
        AdmissionHold::Held
    } else {
        AdmissionHold::HoldChanges
    };
    write_hold(builder, target, word, images, Pause::Leave);
}
