//! Records that are no releases of the service, and numbers that are taken.

use trimtab_delivery::records::{NUMBER_JUMP_MAX, sift, taken_from};
use trimtab_delivery::snapshot::Release;

use crate::check;
use crate::service::{settled, unclaimed};

fn record(name: &str, number: u64) -> (String, Release) {
    (name.into(), Release { number, ..Release::default() })
}

#[track_caller]
fn sifts(case: &str, reached: u64, records: &[(&str, u64)], counted: &[u64], refused: &[&str]) {
    let records = records.iter().map(|(name, number)| record(name, *number)).collect();
    let sifted = sift("pay", reached, records);
    let numbers: Vec<u64> = sifted.releases.iter().map(|release| release.number).collect();
    assert_eq!(numbers, counted, "{case}");
    assert_eq!(sifted.refused, refused, "{case}");
}

#[test]
fn records_that_do_not_count() {
    sifts("its own, in any order", 0, &[("pay-v2", 2), ("pay-v1", 1)], &[1, 2], &[]);
    sifts(
        "no number",
        0,
        &[("pay-v0", 0), ("pay-v1", 1)],
        &[1],
        &["AppRelease pay-v0: numbers begin with 1"],
    );
    let twice = [("pay-v1", 1), ("pay-v2", 1)];
    sifts("under another name", 0, &twice, &[1], &["AppRelease pay-v2: v1 of pay is called pay-v1"]);
    let max = i64::MAX.cast_unsigned();
    let far = [("pay-v1", 1), ("pay-v9223372036854775807", max)];
    let told = "AppRelease pay-v9223372036854775807: v9223372036854775807 is more than 1000 above v1";
    sifts("far away", 0, &far, &[1], &[told]);
    sifts("the next after many that were forgotten", 0, &[("pay-v1000", NUMBER_JUMP_MAX)], &[1000], &[]);
    sifts("as its status says", 9000, &[("pay-v9001", 9001)], &[9001], &[]);
    sifts("nothing overflows", u64::MAX, &[("pay-v18446744073709551615", u64::MAX)], &[u64::MAX], &[]);
}

#[test]
fn taken_numbers_are_passed_over() {
    assert_eq!(taken_from(2, |number| number < 5), [2, 3, 4]);
    assert_eq!(taken_from(u64::MAX, |_| true), [u64::MAX]);
    let mut service = settled().applies("t2");
    service.taken = vec![2, 3];
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
    first.taken = vec![1];
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
