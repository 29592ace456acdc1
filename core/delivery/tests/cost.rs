//! What plans cost, counted by the allocator, which does not wobble as time does. One test: others would allocate
//! beside it.

#[path = "plan/service.rs"]
#[allow(dead_code, reason = "the plan's tests use more of it")]
mod service;

use std::alloc::System;

use stats_alloc::{INSTRUMENTED_SYSTEM, Region, StatsAlloc};
use trimtab_delivery::plan;
use trimtab_stats::Verdict;

#[global_allocator]
static ALLOCATOR: &StatsAlloc<System> = &INSTRUMENTED_SYSTEM;

/// Allocations of `work`.
fn allocations(work: impl FnOnce()) -> usize {
    let region = Region::new(ALLOCATOR);
    work();
    region.change().allocations
}

#[track_caller]
fn check(name: &str, most: usize, work: impl FnOnce()) {
    let count = allocations(work);
    println!("{name}: {count} allocations");
    assert!(count <= most, "{name} allocates {count} times; at most {most} are allowed");
}

#[test]
fn plans_allocate_little() {
    let settled = service::settled();
    check("a plan for a settled service", 24, || drop(plan(&settled.snapshot())));

    let judging = service::out().later(200);
    let judging = ["rpc-errors", "panics-and-crashes", "database-errors"]
        .into_iter()
        .fold(judging, |service, rule| service.finds(rule, Verdict::Undecided, "canary 24/2400 (1.0 %)"));
    check("a plan for a release in flight", 50, || drop(plan(&judging.snapshot())));

    let mut huge = service::judging().runs("t1", 900).runs("t2", 100);
    huge.findings = judging.findings.clone();
    check("a plan for a thousand pods", 160, || drop(plan(&huge.snapshot())));
}
