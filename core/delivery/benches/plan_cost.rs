//! What one plan costs: `cargo bench -p trimtab-delivery --bench plan_cost`.
//!
//! Prints nanoseconds per call for `plan()` of a release of three pods, settled and in flight (the target is 50 µs). Wall
//! time wobbles with the machine; what CI holds fast is the number of allocations, in `tests/cost.rs`.

#[path = "../tests/plan/service.rs"]
#[allow(dead_code, reason = "the tests use more of it")]
mod service;

use std::hint::black_box;

use trimtab_cost::print_nanoseconds as measure;
use trimtab_delivery::plan;
use trimtab_stats::Verdict;

fn main() {
    let settled = service::settled();
    measure("plan, settled", || drop(black_box(plan(&black_box(&settled).snapshot()))));
    let judging = service::out().later(200);
    let judging = ["rpc-errors", "panics-and-crashes", "database-errors"]
        .into_iter()
        .fold(judging, |service, rule| service.finds(rule, Verdict::Undecided, "canary 24/2400 (1.0 %)"));
    measure("plan, in flight", || drop(black_box(plan(&black_box(&judging).snapshot()))));
}
