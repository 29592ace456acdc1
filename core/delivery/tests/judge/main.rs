//! The judge by example: raw samples in, what a person reads out.

mod alert;
mod binding;
mod crashes;
mod events;
mod lab;
mod promises;
mod rules_change;
mod ratio;
mod warm_up;

use lab::Lab;
use trimtab_delivery::report::finding_line;

/// Looks at the times of `looks`, and compares what the lab's rule found then with `expected`.
#[track_caller]
fn check(name: &str, lab: &Lab, looks: &[f64], expected: &str) {
    let found: Vec<String> = lab.findings(looks).iter().map(finding_line).collect();
    assert_eq!(found, [expected], "{name}");
}

/// Looks once a second from `from` to `to`, as a manager does.
fn every_second(from: i32, to: i32) -> Vec<f64> {
    (from..=to).map(f64::from).collect()
}
