//! The simulated API server's conformance cases against the real one: where a case fails here, the case is wrong, and
//! whatever the simulation does to pass it is wrong too.

use std::process::ExitCode;

use trimtab_lab::{Case, LabOptions, harness};
use trimtab_sim::conformance;

fn main() -> ExitCode {
    let cases = conformance::cases().into_iter().map(|case| {
        Case::new(case.name.clone(), move |lab| {
            Box::pin(async move { conformance::run(&case, &lab.client()).await.map_err(anyhow::Error::new) })
        })
    });
    harness::run(LabOptions::control_plane_only(), cases.collect())
}
