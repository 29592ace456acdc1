//! `trimtab-lab`: the lab by hand.

use std::process::ExitCode;
use std::time::Duration;

use anyhow::{Context, Result};
use clap::{Parser, Subcommand};
use futures::future::{try_join, try_join_all};
use tokio::process::Command;
use trimtab_lab::attack::{self, AttackPlan};
use trimtab_lab::cost::{self, CostPlan};
use trimtab_lab::judged::{self, Kind, Round, RoundResult, Site};
use trimtab_lab::{Lab, LabOptions, Tools, reexec_in_namespace, service};

/// A real control plane, Prometheus and pods as local processes.
#[derive(Debug, Parser)]
struct Arguments {
    #[command(subcommand)]
    action: Action,
}

#[derive(Debug, Subcommand)]
enum Action {
    /// Build or fetch the programs that the lab runs, and print where they are
    Tools,
    /// Start a lab, run a command in it (a shell, if none is given) with KUBECONFIG and PROMETHEUS_URL set, and end it
    Run {
        /// The command and its arguments
        #[arg(trailing_var_arg = true)]
        command: Vec<String>,
    },
    /// Measure what Trimtab promises: ship releases of every kind and print the table
    Judge {
        /// Releases of each kind
        #[arg(long, default_value_t = 10)]
        runs: usize,
        /// How long a release is judged after its last pod is ready
        #[arg(long, default_value = "30s")]
        watch: String,
    },
    /// Measure what a manager costs a large cluster: memory, CPU and API writes, at rest and while many services ship
    Cost {
        /// Services
        #[arg(long, default_value_t = 2_000)]
        apps: usize,
        /// Services of them that ship a release, all at once
        #[arg(long, default_value_t = 100)]
        releases: usize,
        /// Pods of each service; nothing runs in them
        #[arg(long, default_value_t = 1)]
        replicas: usize,
        /// How long a release is judged after its last pod is ready
        #[arg(long, default_value = "30s")]
        watch: String,
        /// How many seconds the manager is measured at rest
        #[arg(long, default_value_t = 120)]
        idle: u64,
    },
    /// Measure what one namespace that does its worst costs everybody else: ship releases beside it, without it and with it
    Attack {
        /// Neighbours' releases of each kind, without the attack and again with it
        #[arg(long, default_value_t = 5)]
        runs: usize,
        /// How long a release is judged after its last pod is ready
        #[arg(long, default_value = "30s")]
        watch: String,
        /// Releases that the attacker writes by hand, of one service
        #[arg(long, default_value_t = 5_000)]
        records: usize,
    },
    /// Be the demo service that runs in the lab's pods
    Service(service::ServiceArguments),
}

fn main() -> ExitCode {
    match act(Arguments::parse().action) {
        Ok(code) => code,
        Err(error) => {
            eprintln!("error: {error:#}");
            ExitCode::FAILURE
        }
    }
}

fn act(action: Action) -> Result<ExitCode> {
    match action {
        Action::Tools => {
            let tools = Tools::ensure()?;
            for path in [&tools.controlplane, &tools.prometheus, &tools.kubectl, &tools.helm] {
                println!("{}", path.display());
            }
            Ok(ExitCode::SUCCESS)
        }
        Action::Run { command } => {
            in_lab(LabOptions::new, async |lab, tools| run(lab, tools, &command).await)
        }
        Action::Judge { runs, watch } => {
            in_lab(judged::options, async |lab, _| judge(lab, runs, &watch).await)
        }
        Action::Cost { apps, releases, replicas, watch, idle } => {
            let plan = CostPlan { apps, releases, replicas, watch, idle: Duration::from_secs(idle) };
            in_lab(
                || cost::options(&plan),
                async |lab, _| {
                    let cost = cost::measure(lab, &plan).await?;
                    print!("{cost}");
                    Ok(if cost.keeps_promises() { ExitCode::SUCCESS } else { ExitCode::FAILURE })
                },
            )
        }
        Action::Attack { runs, watch, records } => {
            let plan = AttackPlan { runs, watch, records };
            in_lab(judged::options, async |lab, _| {
                let outcome = attack::measure(lab, &plan).await?;
                print!("{outcome}");
                Ok(if outcome.keeps_promises() { ExitCode::SUCCESS } else { ExitCode::FAILURE })
            })
        }
        Action::Service(arguments) => {
            let runtime = tokio::runtime::Runtime::new().context("cannot start a runtime")?;
            runtime.block_on(service::serve(arguments))?;
            Ok(ExitCode::SUCCESS)
        }
    }
}

/// Starts a lab in namespaces of its own, acts in it, and stops it.
fn in_lab(
    options: impl FnOnce() -> Result<LabOptions>,
    act: impl AsyncFnOnce(&Lab, &Tools) -> Result<ExitCode>,
) -> Result<ExitCode> {
    let tools = Tools::ensure()?;
    let namespace = reexec_in_namespace(&tools)?;
    let runtime = tokio::runtime::Runtime::new().context("cannot start a runtime")?;
    runtime.block_on(async {
        let lab = Lab::start(&tools, &namespace, options()?).await?;
        let code = act(&lab, &tools).await?;
        lab.stop().await?;
        Ok(code)
    })
}

/// Ships `runs` releases of each kind and prints what became of them: one after the other where time is measured, and
/// beside them all the quiet ones at once.
async fn judge(lab: &Lab, runs: usize, watch: &str) -> Result<ExitCode> {
    let site = Site::prepare(lab).await?;
    let ship = async |kind: Kind, number| -> Result<RoundResult> {
        let round = Round { kind, number, watch: watch.to_owned() };
        let result = round.run(lab).await.with_context(|| site.tail())?;
        eprintln!("{} {number}: {} ({})", kind.word(), result.phase, result.summary);
        Ok(result)
    };
    let in_turn = async {
        let mut results = Vec::new();
        for kind in [Kind::Errors, Kind::Panics, Kind::Good] {
            for number in 1..=runs {
                results.push(ship(kind, number).await?);
            }
        }
        Ok(results)
    };
    let quiet = try_join_all((1..=runs).map(|number| ship(Kind::Quiet, number)));
    let (mut results, quiet) = try_join(in_turn, quiet).await?;
    results.extend(quiet);
    let (text, promises) = judged::table(&results);
    println!("{text}");
    for promise in &promises {
        println!("{} {}: {}", if promise.kept { "kept  " } else { "BROKEN" }, promise.text, promise.measured);
    }
    Ok(if promises.iter().all(|promise| promise.kept) { ExitCode::SUCCESS } else { ExitCode::FAILURE })
}

async fn run(lab: &Lab, tools: &Tools, command: &[String]) -> Result<ExitCode> {
    let shell = [std::env::var("SHELL").unwrap_or_else(|_| "/bin/sh".to_owned())];
    let command = if command.is_empty() { &shell } else { command };
    let (program, arguments) = command.split_first().context("no command was given")?;
    let path = std::env::var_os("PATH").unwrap_or_default();
    let bin = tools.kubectl.parent().context("kubectl is in no folder")?.to_owned();
    let path = std::env::join_paths(std::iter::once(bin).chain(std::env::split_paths(&path)))?;
    let mut child = Command::new(program);
    child.args(arguments).env("KUBECONFIG", &lab.admin().kubeconfig).env("PATH", path);
    child.env("PROMETHEUS_URL", lab.prometheus()?.url());
    let status = child.status().await.with_context(|| format!("cannot start {program}"))?;
    Ok(status.code().and_then(|code| u8::try_from(code).ok()).map_or(ExitCode::FAILURE, ExitCode::from))
}
