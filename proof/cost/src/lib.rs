//! What a piece of work costs.
//!
//! Tests count allocations, which do not wobble as time does: one test a binary, for others would allocate beside it.
//! Benchmarks measure real time.

use std::alloc::System;
use std::time::Duration;

use stats_alloc::{INSTRUMENTED_SYSTEM, Region, StatsAlloc};

#[global_allocator]
static ALLOCATOR: &StatsAlloc<System> = &INSTRUMENTED_SYSTEM;

/// How long a benchmark measures one piece of work.
const SPAN: Duration = Duration::from_millis(500);

/// Holds `work` against a limit of allocations, and prints how many there were.
///
/// # Panics
/// When there are more than `most`.
#[track_caller]
pub fn check_allocations(name: &str, most: usize, work: impl FnOnce()) {
    let region = Region::new(ALLOCATOR);
    work();
    let count = region.change().allocations;
    println!("{name}: {count} allocations");
    assert!(count <= most, "{name} allocates {count} times; at most {most} are allowed");
}

/// Holds what is left of `work` in memory against a limit of bytes, and prints how many there were.
///
/// # Panics
/// When more than `most` are kept.
#[track_caller]
pub fn check_kept_bytes(name: &str, most: usize, work: impl FnOnce()) {
    let region = Region::new(ALLOCATOR);
    work();
    let change = region.change();
    let kept = change.bytes_allocated.saturating_sub(change.bytes_deallocated);
    println!("{name}: {kept} bytes are kept");
    assert!(kept <= most, "{name} keeps {kept} bytes; at most {most} are allowed");
}

/// Prints the nanoseconds that one call of `work` takes.
#[allow(clippy::disallowed_methods, reason = "a benchmark measures real time")]
pub fn print_nanoseconds(name: &str, mut work: impl FnMut()) {
    let start = std::time::Instant::now();
    let mut calls = 0_u32;
    while start.elapsed() < SPAN {
        work();
        calls += 1;
    }
    println!("{name}: {} ns", start.elapsed().as_nanos() / u128::from(calls.max(1)));
}
