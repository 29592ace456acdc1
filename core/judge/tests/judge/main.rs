//! The judge by example: raw samples in, what a person reads out.

mod alert;
mod arms;
mod binding;
mod crashes;
mod events;
mod hostile;
mod lab;
mod lag;
mod promises;
mod ratio;
mod rules_change;
mod sums;
mod warm_up;
mod whose;

use trimtab_judge::finding::finding_line;

use lab::Lab;

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
