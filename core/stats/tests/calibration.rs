//! The gate: good releases stay within alpha on every kind of traffic, with few enough runs for every build.

mod simulation;

use simulation::report::{Outcome, Requirement, line, rows};

const RUNS: u32 = 1000;

#[test]
fn good_releases_stay_within_alpha() {
    let good = rows().into_iter().filter(|row| matches!(row.requirement, Requirement::Good { .. }));
    let off: Vec<String> = good
        .map(|row| (Outcome::of(&row.cell, RUNS), row))
        .filter(|(outcome, row)| !outcome.holds(&row.requirement))
        .map(|(outcome, row)| line(&row, &outcome))
        .collect();
    assert!(off.is_empty(), "replay with --example calibration:\n{}", off.join("\n"));
}

/// The gate can fail: a margin blind to pod noise is caught by it.
#[test]
fn a_bare_margin_is_off_under_pod_noise() {
    let bare = rows().into_iter().find(|row| row.release.contains("log-sd 0.4") && row.judge == "r0 1");
    let cell = bare.expect("the table has the row").cell;
    assert!(!Outcome::of(&cell, RUNS).holds(&Requirement::Good { reference: None }));
}

/// Power is part of the promise too: a tenfold regression is found as soon as in the reference.
#[test]
fn a_tenfold_regression_is_found_in_time() {
    let row =
        rows().into_iter().find(|row| row.release == "×10, 5 req/s, 1/3").expect("the table has the row");
    let outcome = Outcome::of(&row.cell, RUNS);
    assert!(outcome.holds(&row.requirement), "{}", line(&row, &outcome));
}
