//! What people who run Trimtab rely on besides its verdicts: that mistakes are told, that messages come once, that a
//! second manager takes over, that rules say what they miss, that what a tenant forges neither counts nor holds anything up,
//! that no right is missing and none is used beyond the list, and that it goes without a trace.

#[path = "operations/forged_pods.rs"]
mod forged_pods;
#[path = "operations/forged_records.rs"]
mod forged_records;
#[path = "operations/helm.rs"]
mod helm;
#[path = "operations/manifests.rs"]
mod manifests;
#[path = "operations/messages.rs"]
mod messages;
#[path = "operations/removal.rs"]
mod removal;
#[path = "operations/rights.rs"]
mod rights;
#[path = "operations/series.rs"]
mod series;
#[path = "operations/stage.rs"]
mod stage;
#[path = "operations/takeover.rs"]
mod takeover;
#[path = "operations/tenants.rs"]
mod tenants;

use std::process::ExitCode;

use trimtab_lab::harness;
use trimtab_lab::judged::Shared;

use stage::Stage;

fn main() -> ExitCode {
    let stage = Shared::<Stage>::default();
    let cases = vec![
        stage.case("every_bad_manifest_is_refused_or_explained", |lab, stage| {
            Box::pin(manifests::every_bad_manifest_is_refused_or_explained(lab, stage))
        }),
        stage.case("people_are_told_once", |lab, stage| Box::pin(messages::people_are_told_once(lab, stage))),
        stage.case("a_second_manager_takes_over", |lab, stage| {
            Box::pin(takeover::a_second_manager_takes_over(lab, stage))
        }),
        stage.case("a_rule_without_series_says_so_before_a_release", |lab, stage| {
            Box::pin(series::a_rule_without_series_says_so_before_a_release(lab, stage))
        }),
        stage.case("helm_ships_the_fix_after_a_rollback", |lab, stage| {
            Box::pin(helm::helm_ships_the_fix_after_a_rollback(lab, stage))
        }),
        stage.case("a_record_that_a_tenant_wrote_is_never_restored", |lab, stage| {
            Box::pin(tenants::a_record_that_a_tenant_wrote_is_never_restored(lab, stage))
        }),
        stage.case("records_that_a_tenant_wrote_are_refused_or_passed_over", |lab, stage| {
            Box::pin(forged_records::records_that_a_tenant_wrote_are_refused_or_passed_over(lab, stage))
        }),
        stage.case("pods_that_a_tenant_made_count_nothing_and_hold_nothing_up", |lab, stage| {
            Box::pin(forged_pods::pods_that_a_tenant_made_count_nothing_and_hold_nothing_up(lab, stage))
        }),
        stage.case("the_manager_asks_for_nothing_it_may_not_have", |lab, stage| {
            Box::pin(rights::the_manager_asks_for_nothing_it_may_not_have(lab, stage))
        }),
        stage.case("uninstall_leaves_every_pod_running", |lab, stage| {
            Box::pin(removal::uninstall_leaves_every_pod_running(lab, stage))
        }),
    ];
    // It ends with its last case, before the lab does.
    drop(stage);
    harness::run(stage::options(), cases)
}
