//! Records that are no releases of the service, and numbers that are taken.

use trimtab_delivery::records::{NUMBER_JUMP_MAX, sift, taken_from};
use trimtab_delivery::seal::Author;
use trimtab_delivery::snapshot::{Decision, Keep, Release, ReleasePhase};

use crate::check;
use crate::service::{settled, unclaimed};

/// A record that a person created for the number that is next.
fn asked(number: u64) -> Release {
    Release { number, ..Release::default() }
}

/// A record as the manager writes it.
fn written(number: u64, phase: ReleasePhase) -> Release {
    let mut release = Release { author: Author::Manager, template_hash: Some("t".into()), ..asked(number) };
    release.status.phase = phase;
    release
}

#[track_caller]
fn sifts(case: &str, reached: u64, records: &[(&str, Release)], counted: &[u64], refused: &[&str]) {
    let records = records.iter().map(|(name, release)| ((*name).to_owned(), release.clone())).collect();
    let sifted = sift("pay", reached, records);
    let numbers: Vec<u64> = sifted.releases.iter().map(|release| release.number).collect();
    assert_eq!(numbers, counted, "{case}");
    assert_eq!(sifted.refused, refused, "{case}");
}

#[test]
fn numbers_that_people_take() {
    sifts("in any order", 0, &[("pay-v2", asked(2)), ("pay-v1", asked(1))], &[1, 2], &[]);
    let none = [("pay-v0", asked(0)), ("pay-v1", asked(1))];
    sifts("no number", 0, &none, &[1], &["AppRelease pay-v0: numbers begin with 1"]);
    let twice = [("pay-v1", asked(1)), ("pay-v2", asked(1))];
    sifts("under another name", 0, &twice, &[1], &["AppRelease pay-v2: v1 of pay is called pay-v1"]);
    let max = i64::MAX.cast_unsigned();
    let far = [("pay-v1", asked(1)), ("pay-v9223372036854775807", asked(max))];
    let told = "AppRelease pay-v9223372036854775807: v9223372036854775807 is more than 1000 above v1";
    sifts("far away", 0, &far, &[1], &[told]);
    let next = [("pay-v1000", asked(NUMBER_JUMP_MAX))];
    sifts("the next after many that were forgotten", 0, &next, &[1000], &[]);
    sifts("as its status says", 9000, &[("pay-v9001", asked(9001))], &[9001], &[]);
    let last = [("pay-v18446744073709551615", asked(u64::MAX))];
    sifts("nothing overflows", u64::MAX, &last, &[u64::MAX], &[]);
    let mut over = asked(1);
    over.status.phase = ReleasePhase::Superseded;
    sifts("came to nothing", 0, &[("pay-v1", over)], &[1], &[]);
}

#[test]
fn records_that_the_manager_wrote() {
    for phase in [ReleasePhase::Judging, ReleasePhase::Kept, ReleasePhase::RolledBack] {
        sifts("its own", 0, &[("pay-v3", written(3, phase))], &[3], &[]);
    }
    let decided = Release {
        decision: Some(Decision { keep: Keep::Keep, actor: "ana".into(), because: "works".into() }),
        image: "pay:v3".into(),
        rollback_to: Some(1),
        ..written(3, ReleasePhase::Judging)
    };
    sifts("a person decided about it", 0, &[("pay-v3", decided)], &[3], &[]);
    sifts("however far", 0, &[("pay-v5000", written(5000, ReleasePhase::Kept))], &[5000], &[]);
}

#[test]
fn records_that_somebody_else_wrote() {
    let refused = |release: Release, why: &str| {
        sifts(why, 2, &[("pay-v3", release)], &[], &[&format!("AppRelease pay-v3: {why}")]);
    };
    for author in [Author::Unsealed, Author::Incomplete, Author::Foreign, Author::Unseen] {
        let why = author.fault().expect("it is not the manager's");
        for phase in [ReleasePhase::Pending, ReleasePhase::Judging, ReleasePhase::Kept] {
            refused(Release { author, ..written(3, phase) }, why);
        }
    }
    let mut kept = asked(3);
    kept.status.phase = ReleasePhase::Kept;
    refused(kept, "the manager did not write it: it has no seal");
}

#[test]
fn taken_numbers_are_passed_over() {
    assert_eq!(taken_from(2, |number| number < 5), Some(2..=4));
    assert_eq!(taken_from(2, |_| false), None);
    assert_eq!(taken_from(u64::MAX, |_| true), Some(u64::MAX..=u64::MAX));
    let mut service = settled().applies("t2");
    service.taken = vec![2..=3];
    check(
        "the next two are",
        &service,
        "
        create v4 t2 by ci after v1
        = Healthy: Healthy on v1
        why AppRelease pay-v2 is no release of this service -> takes another number
        why the Deployment holds a new template -> records it as v4
    ",
    );
    let mut first = unclaimed();
    first.taken = vec![1..=1];
    check(
        "the first is",
        &first,
        "
        create v2 t1 by ci: was running when the service was claimed
        = Unclaimed: Claiming
        why no release is recorded -> records what runs as v2
    ",
    );
}

#[test]
fn refused_records_are_told() {
    let mut service = settled();
    service.refused = vec!["AppRelease pay-v0: numbers begin with 1".into(), "another".into()];
    check("in a condition", &service, "
        = Healthy: Healthy on v1
        ! RecordsCounted RecordRefused: not counted and never restored: AppRelease pay-v0: numbers begin with 1, and 1 more; delete what nobody needs
        why the Deployment runs v1, which was kept -> does nothing; waits for a change of its pod template
    ");
}
