//! What plans cost, counted by the allocator, which does not wobble as time does. One test: others would allocate
//! beside it.

#[path = "plan/service.rs"]
#[allow(dead_code, reason = "the plan's tests use more of it")]
mod service;

use trimtab_cost::check_allocations as check;
use trimtab_delivery::plan;
use trimtab_stats::Verdict;

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
