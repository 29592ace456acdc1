//! `plan()` by example: a service in a few words, and every write, status line and reason that must follow.

mod acting;
mod asked;
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

use service::Service;

/// Plans for `service` and compares the whole answer with `expected`, line by line; indentation does not matter.
#[track_caller]
fn check(name: &str, service: &Service, expected: &str) {
    let snapshot = service.snapshot();
    let (plan, report) = trimtab_delivery::plan(&snapshot);
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
