//! What one decision costs: `cargo bench -p trimtab-delivery --bench plan_cost`.
//!
//! Prints nanoseconds per call for `plan()` of a release of three pods, settled and in flight (the target is 50 µs), and
//! for one look of the judge with the built-in rules: the first, with the server that answers it, and the ones after it.
//! Wall time wobbles with the machine; what CI holds fast is the number of allocations, in `tests/cost.rs`.

#[path = "../tests/judge/lab.rs"]
#[allow(dead_code, reason = "the tests use more of it")]
mod lab;
#[path = "../tests/plan/service.rs"]
#[allow(dead_code, reason = "the tests use more of it")]
mod service;

use std::hint::black_box;
use std::time::Duration;

use trimtab_delivery::finding::Finding;
use trimtab_delivery::plan;
use trimtab_delivery::rule::built_in;

/// How long each measurement runs.
const SPAN: Duration = Duration::from_millis(500);

#[allow(clippy::disallowed_methods, reason = "a benchmark measures real time")]
fn measure(name: &str, mut work: impl FnMut()) {
    let start = std::time::Instant::now();
    let mut calls = 0_u32;
    while start.elapsed() < SPAN {
        work();
        calls += 1;
    }
    println!("{name}: {} ns", start.elapsed().as_nanos() / u128::from(calls.max(1)));
}

fn main() {
    let settled = service::settled();
    measure("plan, settled", || drop(black_box(plan(&black_box(&settled).snapshot()))));
    let lab = lab::lab(built_in().swap_remove(0).kind).with(|lab| lab.rules = built_in());
    let lab = lab.traffic(300.0, (12.0, 0.01), (12.0, 0.01));
    let mut judging = service::out().later(200);
    judging.findings = lab.findings(&[200.0]);
    measure("plan, in flight", || drop(black_box(plan(&black_box(&judging).snapshot()))));

    measure("look, the first", || drop(black_box::<Vec<Finding>>(lab.findings(&[200.0]))));
    let mut judge = lab.judge();
    lab.look(&mut judge, 200.0);
    let soon = lab::instant(201.0);
    measure("look after a second: what to ask", || drop(black_box(judge.needs(soon))));
    let (needs, answers) = lab.questions(&judge, 201.0);
    let answers: Vec<_> = needs.into_iter().zip(answers).collect();
    measure("look after a second: taking it in", || {
        let mut judge = judge.clone();
        judge.absorb(answers.clone(), soon);
        black_box(judge.findings(soon));
    });
}
