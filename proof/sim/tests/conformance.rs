//! Runs every conformance case against the simulation.

use std::collections::BTreeSet;

use trimtab_sim::conformance::{cases, run};
use trimtab_sim::{Sim, SimConfig};

#[tokio::test(start_paused = true)]
async fn the_simulation_conforms() {
    let only = std::env::var("TRIMTAB_CASE").unwrap_or_default();
    let mut differences = Vec::new();
    for case in cases().iter().filter(|case| case.name.contains(&only)) {
        let sim = Sim::new(SimConfig::seeded(1));
        let target = sim.client("conformance").client;
        if let Err(difference) = run(case, &target).await {
            differences.push(difference.to_string());
        }
    }
    assert!(differences.is_empty(), "{} differences:\n{}", differences.len(), differences.join("\n"));
}

#[test]
fn case_names_are_unique_and_many() {
    let names: BTreeSet<String> = cases().into_iter().map(|case| case.name).collect();
    assert_eq!(names.len(), cases().len());
    assert!(names.len() >= 80, "{} cases", names.len());
}
