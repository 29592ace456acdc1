//! The `main` of a test program that needs the lab.
//!
//! Such a program moves into namespaces of its own, which a process can do only before it has threads: so these tests
//! bring their own `main` (`harness = false`) and run one after the other in one lab.

use std::process::ExitCode;

use anyhow::{Context, Result};
use futures::future::LocalBoxFuture;
use tokio::time::Instant;

use crate::lab::{Lab, LabOptions};
use crate::netns::{Namespace, reexec_in_namespace};
use crate::service;
use crate::tools::Tools;

/// With this set to `1`, a lab that cannot be had is a failure; otherwise its tests are skipped.
pub const REQUIRE_VARIABLE: &str = "TRIMTAB_REQUIRE_LAB";
/// Lines of each part's output that are shown with a failure.
const LINES_WITH_FAILURE: usize = 20;

/// One test against a running lab.
pub struct Case {
    name: String,
    #[expect(clippy::type_complexity, reason = "a boxed async function that borrows its argument")]
    run: Box<dyn for<'lab> FnOnce(&'lab mut Lab) -> LocalBoxFuture<'lab, Result<()>>>,
}

impl Case {
    /// `Case::new("name", |lab| Box::pin(async move { ... }))`.
    pub fn new(
        name: impl Into<String>,
        run: impl for<'lab> FnOnce(&'lab mut Lab) -> LocalBoxFuture<'lab, Result<()>> + 'static,
    ) -> Self {
        Self { name: name.into(), run: Box::new(run) }
    }
}

/// Runs the cases in one lab and prints what happened in the words of `cargo test`. The exit code is 0 when none failed.
///
/// The first argument that is not an option selects the cases whose names contain it, and `--list` names them, as with
/// any other test program.
pub fn run(options: Result<LabOptions>, cases: Vec<Case>) -> ExitCode {
    let arguments: Vec<String> = std::env::args().skip(1).collect();
    if let Err(error) = service::run_if_asked() {
        eprintln!("error: {error:#}");
        return ExitCode::FAILURE;
    }
    let filter = arguments.iter().find(|argument| !argument.starts_with('-'));
    let (cases, left_out): (Vec<Case>, Vec<Case>) =
        cases.into_iter().partition(|case| filter.is_none_or(|filter| case.name.contains(filter.as_str())));
    if arguments.iter().any(|argument| argument == "--list") {
        cases.iter().for_each(|case| println!("{}: test", case.name));
        return ExitCode::SUCCESS;
    }
    let mut tally = Tally { filtered_out: left_out.len(), ..Tally::default() };
    if !cases.is_empty() {
        match run_all(options, cases, &mut tally) {
            Ok(()) => {}
            Err(error) => {
                eprintln!("error: {error:#}");
                tally.failed += 1;
            }
        }
    }
    tally.conclude()
}

fn run_all(options: Result<LabOptions>, cases: Vec<Case>, tally: &mut Tally) -> Result<()> {
    let (tools, namespace) = match obtain() {
        Ok(obtained) => obtained,
        Err(error) if std::env::var(REQUIRE_VARIABLE).is_ok_and(|value| value == "1") => {
            return Err(error.context(format!("the lab is needed ({REQUIRE_VARIABLE}=1) and cannot be had")));
        }
        Err(error) => {
            eprintln!("skipped {} tests that need the lab: {error:#}", cases.len());
            tally.ignored += cases.len();
            return Ok(());
        }
    };
    println!("\nrunning {} tests", cases.len());
    let runtime =
        tokio::runtime::Builder::new_multi_thread().enable_all().build().context("cannot start a runtime")?;
    runtime.block_on(async {
        let started = Instant::now();
        let mut lab = Lab::start(&tools, &namespace, options?).await.context("cannot start the lab")?;
        eprintln!("lab is ready after {:.1} s", started.elapsed().as_secs_f64());
        for Case { name, run } in cases {
            let outcome = run(&mut lab).await;
            println!("test {name} ... {}", if outcome.is_ok() { "ok" } else { "FAILED" });
            match outcome {
                Ok(()) => tally.passed += 1,
                Err(error) => {
                    tally.failed += 1;
                    eprintln!("{name}: {error:#}\n{}", lab.tails(LINES_WITH_FAILURE));
                }
            }
        }
        lab.stop().await
    })
}

fn obtain() -> Result<(Tools, Namespace)> {
    let tools = Tools::ensure()?;
    let namespace = reexec_in_namespace(&tools)?;
    Ok((tools, namespace))
}

#[derive(Debug, Default)]
struct Tally {
    passed: usize,
    failed: usize,
    ignored: usize,
    filtered_out: usize,
}

impl Tally {
    fn conclude(&self) -> ExitCode {
        let Self { passed, failed, ignored, filtered_out } = self;
        let verdict = if *failed == 0 { "ok" } else { "FAILED" };
        println!(
            "\ntest result: {verdict}. {passed} passed; {failed} failed; {ignored} ignored; 0 measured; \
             {filtered_out} filtered out\n"
        );
        if *failed == 0 { ExitCode::SUCCESS } else { ExitCode::FAILURE }
    }
}
