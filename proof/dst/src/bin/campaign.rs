//! Runs drawn stories with faults until one breaks a promise: see `docs/testing.md`.

use std::collections::BTreeMap;
use std::path::PathBuf;
use std::process::ExitCode;
use std::sync::Mutex;
use std::sync::atomic::{AtomicU64, Ordering};

use clap::Parser;
use trimtab_dst::campaign::{Case, Menu, Oracle, Outcome, run, shrink};
use trimtab_dst::planted::Planted;

/// Runs many short stories on the simulated cluster, with faults, and tells which promises were broken.
#[derive(Debug, Parser)]
struct Arguments {
    /// How many seeds.
    #[arg(long, default_value_t = 100)]
    seeds: u64,
    /// The first seed.
    #[arg(long, default_value_t = 0)]
    from: u64,
    /// This seed alone, with its transcript.
    #[arg(long)]
    only: Option<u64>,
    /// Seeds that run at one time.
    #[arg(long, default_value_t = 2)]
    threads: u64,
    /// Draws what is known to fail as well.
    #[arg(long)]
    everything: bool,
    /// Runs the scenario in this file instead.
    #[arg(long)]
    replay: Option<PathBuf>,
    /// Makes the failure of `--only` or `--replay` small and writes the scenario to this file.
    #[arg(long)]
    shrink: Option<PathBuf>,
    /// Plants this bug into every manager.
    #[arg(long)]
    plant: Option<String>,
    /// Prints what every seed came to, and the digest of its end.
    #[arg(long)]
    verbose: bool,
}

fn main() -> ExitCode {
    let arguments = Arguments::parse();
    let _ = tracing_subscriber::fmt()
        .with_env_filter(tracing_subscriber::EnvFilter::from_default_env())
        .with_writer(std::io::stderr)
        .without_time()
        .try_init();
    let planted = match arguments.plant.as_deref().map(planted) {
        None => None,
        Some(Ok(bug)) => Some(bug),
        Some(Err(error)) => {
            eprintln!("{error}");
            return ExitCode::from(2);
        }
    };
    let menu = if arguments.everything { Menu::everything() } else { Menu::mended() };
    if let Some(path) = &arguments.replay {
        return match std::fs::read_to_string(path) {
            Ok(script) => one(&Case::read(&script), planted, &arguments),
            Err(error) => {
                eprintln!("{}: {error}", path.display());
                ExitCode::from(2)
            }
        };
    }
    match arguments.only {
        Some(seed) => one(&Case::drawn(seed, &menu), planted, &arguments),
        None => many(&menu, planted, &arguments),
    }
}

fn planted(word: &str) -> Result<Planted, String> {
    let words: Vec<&str> = Planted::ALL.iter().map(|bug| bug.word()).collect();
    let found = Planted::ALL.into_iter().find(|bug| bug.word() == word);
    found.ok_or_else(|| format!("`{word}` is not a bug that can be planted: {}", words.join(", ")))
}

/// Runs one case and prints everything about it.
fn one(case: &Case, planted: Option<Planted>, arguments: &Arguments) -> ExitCode {
    let outcome = run(case, planted);
    print!("{}", outcome.transcript);
    println!("state {}", outcome.digest);
    print_violations(case.seed, &outcome);
    let Some(first) = outcome.violations.first() else { return ExitCode::SUCCESS };
    if let Some(path) = &arguments.shrink {
        let small = shrink(case, first, planted);
        let script = small.script(&format!("{:?}: {}", first.oracle, first.what));
        match std::fs::write(path, &script) {
            Ok(()) => println!(
                "{} lines instead of {}: {}\n\n{script}",
                small.lines.len(),
                case.lines.len(),
                path.display()
            ),
            Err(error) => eprintln!("{}: {error}", path.display()),
        }
    }
    ExitCode::FAILURE
}

fn print_violations(seed: u64, outcome: &Outcome) {
    for violation in &outcome.violations {
        println!("seed {seed}: {:?} at {}: {}", violation.oracle, violation.at, violation.what);
    }
}

/// Runs all seeds, and prints each that broke a promise.
fn many(menu: &Menu, planted: Option<Planted>, arguments: &Arguments) -> ExitCode {
    let (next, end) = (AtomicU64::new(arguments.from), arguments.from.saturating_add(arguments.seeds));
    let broken: Mutex<BTreeMap<Oracle, Vec<u64>>> = Mutex::default();
    let flags = if arguments.everything { " --everything" } else { "" };
    std::thread::scope(|scope| {
        for _ in 0..arguments.threads.max(1) {
            scope.spawn(|| {
                loop {
                    let seed = next.fetch_add(1, Ordering::Relaxed);
                    if seed >= end {
                        break;
                    }
                    let outcome = run(&Case::drawn(seed, menu), planted);
                    if arguments.verbose {
                        println!("seed {seed}: {} broken, {}", outcome.violations.len(), outcome.digest);
                    }
                    let mut broken = broken.lock().expect("no thread panics while it counts");
                    let Some(first) = outcome.violations.first() else { continue };
                    print_violations(seed, &outcome);
                    println!("  replay: cargo run -p trimtab-dst --bin campaign --{flags} --only {seed} --shrink seed-{seed}.txt");
                    broken.entry(first.oracle).or_default().push(seed);
                }
            });
        }
    });
    let broken = broken.into_inner().expect("no thread panics while it counts");
    let count: usize = broken.values().map(Vec::len).sum();
    println!("{} seeds from {}, {count} broken", arguments.seeds, arguments.from);
    for (oracle, seeds) in &broken {
        println!("  {oracle:?}: {} seeds, the first {:?}", seeds.len(), seeds.iter().min());
    }
    if count == 0 { ExitCode::SUCCESS } else { ExitCode::FAILURE }
}
