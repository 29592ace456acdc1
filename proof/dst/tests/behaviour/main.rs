//! What the manager does when the cluster, Prometheus and people do not do what it hopes for: one file for each subject.
//! They are one program, because every program links all of Trimtab again.
#![allow(clippy::unwrap_used, reason = "a test that cannot go on fails")]

mod by_phase;
mod ended_pods;
mod episodes;
mod execute;
mod forgets;
mod late_prometheus;
mod leadership;
mod logged;
mod many_series;
mod numbered;
mod refused_plans;
mod rules_change;
mod sealed;
mod shared_cluster;
mod shared_status;
mod silent_prometheus;
mod slowed;
mod stale;
mod support;
mod target_moved;
mod told_once;
mod undecodable;
mod written_over;
