//! How much of what was rejected is remembered and held: sixteen releases, and sixteen images of at most 512 bytes.

use std::ops::RangeInclusive;

use trimtab_delivery::lower;
use trimtab_delivery::names::{claimed_images, fits_claim};
use trimtab_delivery::snapshot::{ReleasePhase, Settings};
use trimtab_plan::{Patch, Write};
use trimtab_stats::Verdict;
use trimtab_workload::AdmissionHold;

use crate::cluster::Cluster;
use crate::service::{Service, rejected, settled};
use crate::{check, planned};

/// Where the claim on a Deployment is written.
const CLAIM: &str = "/metadata/annotations/trimtab.dev~1claim";

/// `v1` runs, and every release from `v2` to `last` was rejected.
fn rejected_until(last: u64) -> Service {
    let one = |service: Service, number: u64| {
        service.release(number, &format!("t{number}"), ReleasePhase::RolledBack)
    };
    (2..=last).fold(settled(), one).target(|target| target.has_annotations = true)
}

/// The claim holds the images of the releases `numbers`.
fn holding(service: Service, numbers: RangeInclusive<u64>) -> Service {
    service.target(|target| {
        target.hold = Some(AdmissionHold::HoldChanges);
        target.held_images = images(numbers);
    })
}

/// Release `number`, the newest, failed, and its template is not taken back yet.
fn fails(service: Service, number: u64) -> Service {
    let template = format!("t{number}");
    let service = service.applies(&template).release(number, &template, ReleasePhase::Judging);
    service.started().failed("rpc-errors: 30 %")
}

/// The record of release `number` says `image`.
fn of_image(mut service: Service, number: u64, image: &str) -> Service {
    let found = service.releases.iter_mut().find(|release| release.number == number);
    found.expect("it is recorded").image = image.to_owned();
    service
}

/// The images of releases that ascend, the newest first, as claims have them.
fn images(numbers: impl DoubleEndedIterator<Item = u64>) -> Vec<String> {
    numbers.rev().map(|number| format!("pay:t{number}")).collect()
}

/// An image of so many bytes.
fn image_of(bytes: usize) -> String {
    format!("pay:{}", "x".repeat(bytes - "pay:".len()))
}

/// `v2, v3, v4`.
fn words(numbers: RangeInclusive<u64>) -> String {
    let words: Vec<String> = numbers.map(|number| format!("v{number}")).collect();
    words.join(", ")
}

/// What is said while `v1` runs and the releases `numbers` are remembered as rejected.
fn at_rest(numbers: RangeInclusive<u64>) -> String {
    format!(
        "= Healthy: Healthy on v1 ({} rejected)
        why the Deployment runs v1, which was kept -> does nothing; waits for a change of its pod template
        wake +720h",
        words(numbers)
    )
}

/// What the plan for `service` writes into the claim on the Deployment.
fn written_claim(service: &Service) -> String {
    let snapshot = service.snapshot();
    let (decided, _) = planned(&snapshot);
    let lowered = lower(&snapshot, &decided, Vec::new());
    let claim = |write: &Write| match write {
        Write::Patch { patch: Patch::Json(operations), .. } => {
            let operation = operations.iter().find(|operation| operation["path"] == CLAIM)?;
            operation["value"].as_str().map(str::to_owned)
        }
        _ => None,
    };
    let claims: Vec<String> = lowered.writes.iter().filter_map(claim).collect();
    let [claim] = claims.as_slice() else { panic!("one claim is written: {claims:?}") };
    claim.clone()
}

fn shortest_history(settings: &mut Settings) {
    settings.history = 1;
}

#[test]
fn the_newest_sixteen_rejections_are_remembered() {
    let lifted = rejected_until(18).release(19, "t10", ReleasePhase::Kept).applies("t10");
    let mut elsewhere = rejected_until(18);
    let tenth = elsewhere.releases.iter_mut().find(|release| release.number == 10);
    tenth.expect("it is recorded").target_uid = Some("uid-of-another".into());
    let but_the_tenth = || -> Vec<u64> { (2..=9).chain(11..=18).collect() };
    let cases: [(&str, Service, Vec<u64>); 6] = [
        ("one", rejected_until(2), vec![2]),
        ("sixteen", rejected_until(17), (2..=17).collect()),
        ("one more, and the oldest is forgotten", rejected_until(18), (3..=18).collect()),
        ("many more", rejected_until(30), (15..=30).collect()),
        ("one whose template was kept since takes no place", lifted, but_the_tenth()),
        ("nor does one of another Deployment", elsewhere, but_the_tenth()),
    ];
    for (name, service, expected) in cases {
        let snapshot = service.snapshot();
        let remembered: Vec<u64> = snapshot.history().rejected().map(|release| release.number).collect();
        assert_eq!(remembered, expected, "{name}");
    }
}

#[test]
fn the_oldest_of_seventeen_rejections_goes_like_any_other_release() {
    let sixteen = holding(rejected_until(17), 2..=17).settings(shortest_history);
    check("as long as it is remembered it stays", &sixteen, &at_rest(2..=17));
    let seventeen = rejected_until(18).settings(shortest_history);
    check(
        "its image is let go of first",
        &holding(seventeen.clone(), 2..=17),
        &format!("claim hold-changes {}\n{}", images(3..=18).join(" "), at_rest(3..=18)),
    );
    let forgotten = holding(seventeen, 3..=18);
    check("then its record goes", &forgotten, &format!("delete v2\n{}", at_rest(3..=18)));
    check("and nothing is due any more", &forgotten.without(2), &at_rest(3..=18));
    check(
        "it stays as long as the history has room",
        &holding(rejected_until(18), 3..=18).settings(|settings| settings.history = 2),
        &at_rest(3..=18),
    );
    check(
        "of several the oldest go",
        &holding(rejected_until(21), 6..=21).settings(|settings| settings.history = 3),
        &format!("delete v2\ndelete v3\n{}", at_rest(6..=21)),
    );
}

#[test]
fn only_what_is_remembered_is_held_when_it_comes_again() {
    let seventeen = holding(rejected_until(18), 3..=18);
    let remembered = seventeen.clone().applies("t3").paused(None);
    check(
        "the oldest that is remembered",
        &remembered.target(|target| target.hold = Some(AdmissionHold::Held)),
        &format!(
            "
            event v3 Held: v3 was rejected and applied again by ci: held, no pod is touched
            v3 is RolledBack:  [held]
            = Held: Healthy on v1 ({} rejected)
            why the Deployment holds the template of v3, which was rejected -> holds it; no pod is touched
            wake +720h
            ",
            words(3..=18)
        ),
    );
    check(
        "one that is forgotten is a release like any other",
        &seventeen.applies("t2"),
        &format!(
            "
            create v19 t2 by ci after v1
            = Healthy: Healthy on v1 ({} rejected)
            why the Deployment holds a new template -> records it as v19
            wake +720h
            ",
            words(3..=18)
        ),
    );
}

#[test]
fn a_claim_holds_the_newest_sixteen_images() {
    let fifteen = fails(holding(rejected_until(16), 2..=16), 17);
    let sixteen = fails(holding(rejected_until(17), 2..=17), 18);
    let shared = of_image(sixteen.clone(), 3, "pay:t4");
    let long = of_image(sixteen.clone(), 10, &image_of(513));
    let cases: [(&str, Service, Vec<String>); 4] = [
        ("beside fifteen", fifteen, images(2..=17)),
        ("beside sixteen: the oldest is let go of", sixteen, images(3..=18)),
        ("an image of two releases takes one place", shared, images(std::iter::once(2).chain(4..=18))),
        ("an image that is too long takes none", long, images((2..=9).chain(11..=18))),
    ];
    for (name, service, expected) in cases {
        let text = format!("hold-changes {}", expected.join(" "));
        for (when, service) in
            [("as it is restored", service.clone()), ("as it is closed", service.applies("t1"))]
        {
            let claim = written_claim(&service);
            assert_eq!(claim, text, "{name}, {when}");
            assert_eq!(claimed_images(&claim), expected, "{name}, {when}: what was written is read");
        }
    }
}

#[test]
fn what_a_claim_says_beyond_sixteen_images_is_not_read() {
    let claim = |held: Vec<String>| format!("held {}", held.join(" "));
    assert_eq!(claimed_images(&claim(images(2..=17))), images(2..=17));
    assert_eq!(claimed_images(&claim(images(2..=18))), images(3..=18));
}

#[test]
fn an_image_of_more_than_512_bytes_is_not_held() {
    let of = |bytes: usize| {
        of_image(rejected(), 2, &image_of(bytes)).target(|target| target.has_annotations = true)
    };
    check("512 bytes", &of(512), &format!("claim hold-changes {}\n{}", image_of(512), at_rest(2..=2)));
    check("513 bytes", &of(513), &format!("claim hold-changes\n{}", at_rest(2..=2)));
    let unheld = of(513).target(|target| target.held_images.clear());
    check("which is written once", &unheld, &at_rest(2..=2));
    let held = of(512).applies("t2").paused(None).target(|target| {
        target.image = image_of(512);
        (target.hold, target.held_images) = (Some(AdmissionHold::Held), vec![image_of(512)]);
    });
    check(
        "512 bytes come again, and admission held them",
        &held,
        "
        event v2 Held: v2 was rejected and applied again by ci: held, no pod is touched
        v2 is RolledBack: rpc-errors: 30 % [Fail, held, started +0s, decided +0s, recovered +0s, restores 1]
        = Held: Healthy on v1 (v2 rejected)
        why the Deployment holds the template of v2, which was rejected -> holds it; no pod is touched
        wake +720h
        ",
    );
    let out = unheld.applies("t2").target(|target| target.image = image_of(513));
    check("513 bytes come again, and are out until the previous template is restored", &out, "
        v2 is RollingBack: rpc-errors: 30 % [Fail, started +0s, decided +0s, restores 1]
        restore v1
        v2 is RollingBack: rpc-errors: 30 % [Fail, started +0s, decided +0s, restores 2]
        = RollingBack: Rolling back v2 to v1
        why the Deployment holds the template of v2, which was rejected -> restores the previous template: nothing held this one at admission
        why the Deployment holds v2, which failed -> restores the template of v1
        wake +720h
    ");
    assert_eq!(written_claim(&out), "hold-changes", "it is not held from then on either");
}

#[test]
fn bytes_of_an_image_are_counted_and_not_characters() {
    let cases = [
        (image_of(512), true),
        (image_of(513), false),
        ("\u{e9}".repeat(256), true),
        ("\u{e9}".repeat(257), false),
    ];
    for (image, fits) in cases {
        assert_eq!(fits_claim(&image), fits, "{} bytes", image.len());
    }
}

/// The seventeenth rejection puts the first one out of the status in the plan that closes it, and not in one after that.
#[test]
fn the_status_names_what_is_remembered() {
    let mut cluster = Cluster::new();
    cluster.calm();
    for number in 2..=18 {
        let template = format!("t{number}");
        cluster.verdicts.insert(template.clone(), Verdict::Fail);
        cluster.deploy(&template);
        cluster.calm();
    }
    let named: Vec<u64> =
        cluster.service.app.status.rejected.iter().map(|rejected| rejected.number).collect();
    assert_eq!(named, (3..=18).collect::<Vec<u64>>());
}
