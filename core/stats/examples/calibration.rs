//! Measures what the verdict engine promises, on simulated releases, and says where it does not hold.
//!
//! `cargo run --release -p trimtab-stats --example calibration [-- --runs N | --quick]`
//! Exits with 1 when a row is OFF or a tick costs more than its 3 µs, with 2 on an unknown argument.

#[path = "../tests/simulation/mod.rs"]
mod simulation;

use simulation::report::{Outcome, line, rows};
use std::process::ExitCode;
use trimtab_stats::{AbsoluteLimit, MetricPlan, MetricTest, TickCounts};

const RUNS: u32 = 2000;
const QUICK_RUNS: u32 = 200;
/// The fastest of several batches is measured: whatever else runs on the machine only adds.
const BATCHES: u32 = 40;
const TICKS_A_BATCH: u32 = 5000;
/// A thousand services of three metrics then cost less than 10 ms of a scrape interval.
const MOST_NANOSECONDS_A_TICK: f64 = 3000.0;

fn main() -> ExitCode {
    let Some(runs) = runs(&std::env::args().skip(1).collect::<Vec<_>>()) else {
        eprintln!("calibration: unknown arguments; usage: calibration [--runs N | --quick]");
        return ExitCode::from(2);
    };
    println!("{runs} simulated releases a row, 30 min each, ticks of 15 s, alpha 0.005");
    println!();
    println!("| release | judge | FAIL / median | simulation error | reference | holds |");
    println!("|---|---|---|---|---|---|");
    let mut off = 0;
    for row in rows() {
        let outcome = Outcome::of(&row.cell, runs);
        off += u32::from(!outcome.holds(&row.requirement));
        println!("{}", line(&row, &outcome));
    }
    let cost = nanoseconds_a_tick();
    off += u32::from(cost > MOST_NANOSECONDS_A_TICK);
    println!();
    println!(
        "One tick of a metric with comparison, interval, limit and verdict: {:.2} µs (at most 3)",
        cost / 1000.0
    );
    if off == 0 {
        return ExitCode::SUCCESS;
    }
    eprintln!("calibration: {off} figures are OFF");
    ExitCode::FAILURE
}

fn nanoseconds_a_tick() -> f64 {
    (0..BATCHES).map(|_| nanoseconds_of_a_batch()).fold(f64::INFINITY, f64::min)
}

#[expect(
    clippy::disallowed_methods,
    reason = "a stopwatch for people; nothing is decided by it but this check"
)]
fn nanoseconds_of_a_batch() -> f64 {
    let plan = MetricPlan { limit: Some(AbsoluteLimit::new(0.2)), ..MetricPlan::default() };
    let mut test = MetricTest::new(plan);
    let start = std::time::Instant::now();
    for number in 0..TICKS_A_BATCH {
        let bad = u64::from(number % 3);
        test.observe(&TickCounts {
            canary_bad: bad,
            canary_total: 500.0,
            stable_bad: 2 * bad,
            stable_total: 1000.0,
        });
        std::hint::black_box(test.verdict());
    }
    start.elapsed().as_nanos() as f64 / f64::from(TICKS_A_BATCH)
}

fn runs(arguments: &[String]) -> Option<u32> {
    match arguments {
        [] => Some(RUNS),
        [quick] if quick == "--quick" => Some(QUICK_RUNS),
        [flag, runs] if flag == "--runs" => runs.parse().ok().filter(|&runs| runs > 0),
        _ => None,
    }
}
