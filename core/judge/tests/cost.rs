//! What a look of the judge costs, counted by the allocator, which does not wobble as time does. One test: others would allocate
//! beside it.

#[path = "judge/lab.rs"]
#[allow(dead_code, reason = "the judge's tests use more of it")]
mod lab;

use std::alloc::System;

use stats_alloc::{INSTRUMENTED_SYSTEM, Region, StatsAlloc};
use trimtab_judge::rule::built_in;

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
fn looks_allocate_little() {
    let lab = lab::lab(built_in().swap_remove(0).kind).with(|lab| lab.rules = built_in());
    let lab = lab.traffic(300.0, (12.0, 0.01), (12.0, 0.01));
    let mut judge = lab.judge();
    lab.look(&mut judge, 200.0);
    let (needs, answers) = lab.questions(&judge, 201.0);
    check("what a judge asks", 6500, || drop(judge.needs(lab::instant(201.0))));
    let answers = needs.into_iter().zip(answers).collect();
    check("taking in the answers", 1600, || judge.absorb(answers, lab::instant(201.0)));
}
