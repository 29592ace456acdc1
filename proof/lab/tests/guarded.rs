//! Guarded releases of real processes, judged by the real manager with the rights that its ServiceAccount has.

use std::process::ExitCode;

use anyhow::{Result, ensure};
use trimtab_lab::judged::{self, Kind, Round, Site};
use trimtab_lab::{Case, Lab, harness};

/// How long a good release is judged here: long enough for several scrapes.
const WATCH: &str = "25s";

fn main() -> ExitCode {
    harness::run(
        judged::options(),
        vec![Case::new("releases_end_as_they_should_with_no_rule_written", |lab| Box::pin(releases(lab)))],
    )
}

async fn releases(lab: &mut Lab) -> Result<()> {
    let mut site = Site::prepare(lab).await?;
    let mut results = Vec::new();
    for kind in [Kind::Errors, Kind::Panics, Kind::Good] {
        let round = Round { kind, number: 1, watch: WATCH.to_owned() };
        let result = round.run(lab).await;
        results.push(result.map_err(|error| error.context(site.tail()))?);
    }
    let (text, promises) = judged::table(&results);
    println!("{text}");
    for promise in promises {
        ensure!(promise.kept, "{}: {}\n{}", promise.text, promise.measured, site.tail());
    }
    site.kill().await
}
