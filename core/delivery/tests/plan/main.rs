//! `plan()` by example: a service in a few words, and every write, status line and reason that must follow.

mod acting;
mod asked;
mod bounds;
mod claims;
mod cluster;
mod decided_late;
mod decided_otherwise;
mod holding;
mod housekeeping;
mod low_evidence;
mod measuring;
mod paused;
mod pods;
mod promises;
mod properties;
mod records;
mod releases;
mod render;
mod replaced;
mod rollbacks;
mod service;
mod short_of_pods;
mod strategies;

use trimtab_delivery::{Plan, Report, Snapshot, Write, lower};
use trimtab_plan::WRITES_MAX;
use trimtab_plan::concern::DELIVERY;

use service::Service;

/// Plans on `snapshot`. Each decision comes to a write, and delivery is permitted to make every one of them.
#[track_caller]
fn planned(snapshot: &Snapshot<'_>) -> (Plan, Report) {
    let (decided, report) = trimtab_delivery::plan(snapshot);
    let lowered = lower(snapshot, &decided, Vec::new());
    if let Err(breach) = trimtab_plan::check(&lowered, &DELIVERY) {
        panic!("a plan that delivery must not carry out: {breach}\n{decided:#?}");
    }
    // The service's status is written where it changes, and before a claim is taken over.
    let takeovers = decided.writes.iter().filter(|write| **write == Write::TakeOver).count();
    let statuses = takeovers + usize::from(decided.status != snapshot.app.status);
    let due = WRITES_MAX.min(decided.writes.len() + statuses);
    assert_eq!(lowered.writes.len(), due, "a decision comes to no write: {decided:#?}");
    (decided, report)
}

/// Plans for `service`, as [`planned`] does, and compares the whole answer with `expected`, line by line; indentation does not
/// matter.
#[track_caller]
fn check(name: &str, service: &Service, expected: &str) {
    let (plan, report) = planned(&service.snapshot());
    let actual = render::render(&plan, &report);
    let expected: Vec<&str> = expected.trim().lines().map(str::trim).collect();
    let actual: Vec<&str> = actual.lines().collect();
    assert!(
        actual == expected,
        "{name}\n--- got\n{}\n--- expected\n{}",
        actual.join("\n"),
        expected.join("\n")
    );
}
