//! The tests in tiers, cheap ones first. Every tier reuses the one development build of the whole workspace.

use std::io::Write as _;
use std::path::{Path, PathBuf};
use std::process::{Command, ExitCode};
use std::thread::{self, JoinHandle};
use std::time::Duration;

use anyhow::{Context as _, Result, ensure};
use xtask::workspace::{self, Workspace};

use crate::pages;
use crate::programs::{self, Programs, TestProgram, command_of};
use crate::step::{Tally, cargo, run as step, run_side_by_side};
use crate::warm_up;

/// The version that `deny` installs where there is none.
const CARGO_DENY_VERSION: &str = "0.20.2";
/// The product.
const TRIMTAB: &str = "trimtab";
/// The crate whose integration tests need a real control plane, and its program.
const LAB: &str = "trimtab-lab";
/// The simulated API server, and its test with a real kubectl.
const SIM: &str = "trimtab-sim";
const KUBECTL_TEST: &str = "kubectl";
/// Scenarios in the simulated cluster, and the test of them that takes as long as all others together.
const DST: &str = "trimtab-dst";
const LONGEST_TEST: &str = "crash";
/// The lab's test that takes longest.
const LONGEST_LAB_TEST: &str = "operations";
/// Each of the lab's programs has a cluster and a network of its own, and waits most of the time: for scrapes, for pods, for
/// the end of a watch. What they promise about seconds still has to hold, so few of them run at one time.
const LABS_AT_ONCE: usize = 2;
/// A kubectl to use instead of the lab's own.
const KUBECTL_VARIABLE: &str = "TRIMTAB_KUBECTL";

struct Tier {
    name: &'static str,
    shows: &'static str,
    tools: Tools,
    run: fn(&mut Session) -> Result<Outcome>,
}

/// What a tier needs on the machine.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Tools {
    /// Rust.
    Cargo,
    /// What the lab builds with Go or fetches with pip.
    Lab,
}

const TIERS: [Tier; 9] = [
    Tier { name: "fmt", shows: "the source is formatted", tools: Tools::Cargo, run: fmt },
    Tier {
        name: "layers",
        shows: "dependencies point down, the tree is tidy, links lead somewhere",
        tools: Tools::Cargo,
        run: layers,
    },
    Tier { name: "clippy", shows: "no lint fires, house law included", tools: Tools::Cargo, run: clippy },
    Tier {
        name: "deny",
        shows: "licences, duplicate crates and sources are as agreed",
        tools: Tools::Cargo,
        run: deny,
    },
    Tier {
        name: "tests",
        shows: "units, properties, scenarios and simulations hold",
        tools: Tools::Cargo,
        run: tests,
    },
    Tier {
        name: "docs",
        shows: "API docs build, the reference says what the code does",
        tools: Tools::Cargo,
        run: docs,
    },
    Tier {
        name: "demo",
        shows: "`trimtab demo --once` tells its whole story",
        tools: Tools::Cargo,
        run: demo,
    },
    Tier {
        name: "kubectl",
        shows: "a real kubectl works on the simulated API",
        tools: Tools::Lab,
        run: kubectl,
    },
    Tier {
        name: "lab",
        shows: "the same holds on a real control plane with real traffic",
        tools: Tools::Lab,
        run: lab,
    },
];

/// What a run knows from one tier to the next.
struct Session {
    workspace: Workspace,
    /// Whether a tier that cannot run is a failure.
    everything_required: bool,
    warming: Option<JoinHandle<()>>,
    programs: Option<Programs>,
}

enum Outcome {
    Ran(Tally),
    Skipped(String),
}

/// The tiers' names, in order.
pub(crate) fn names() -> Vec<&'static str> {
    TIERS.iter().map(|tier| tier.name).collect()
}

/// Prints the tiers.
pub(crate) fn list() {
    for tier in &TIERS {
        say(&format!("{:<8} {}", tier.name, tier.shows));
    }
}

/// Prints a line. A reader that has gone away does not end the tests.
fn say(line: &str) {
    let _ = writeln!(std::io::stdout(), "{line}");
}

/// Runs the tiers that are named, or all of them, and prints what each came to.
///
/// # Errors
/// When cargo cannot tell what the workspace is; a tier that fails is told and is not an error.
pub(crate) fn run(named: &[String]) -> Result<ExitCode> {
    let chosen: Vec<&Tier> =
        TIERS.iter().filter(|tier| named.is_empty() || named.iter().any(|name| name == tier.name)).collect();
    let mut session = Session::new(&chosen)?;
    let mut lines = Vec::new();
    let mut total = Tally::default();
    for tier in chosen {
        say(&format!("\n=== {}: {}", tier.name, tier.shows));
        let started = now();
        let tally = match (tier.run)(&mut session) {
            Ok(Outcome::Ran(tally)) => tally,
            Ok(Outcome::Skipped(why)) if !session.everything_required => {
                say(&format!("=== {} skipped: {why}", tier.name));
                lines.push(format!("{:<8} skipped: {why}", tier.name));
                continue;
            }
            Ok(Outcome::Skipped(why)) => {
                eprintln!("error: tier {} did not run, and every tier is required here: {why}", tier.name);
                Tally { failed: 1, ..Tally::default() }
            }
            Err(error) => {
                eprintln!("error: tier {}: {error:#}", tier.name);
                Tally { failed: 1, ..Tally::default() }
            }
        };
        let line = line(tier.name, tally, now().saturating_sub(started));
        say(&format!("=== {line}"));
        lines.push(line);
        total += tally;
    }
    session.finish_warm_up();
    say(&format!("\n{}\n\n{} passed, {} failed", lines.join("\n"), total.passed, total.failed));
    Ok(if total.failed == 0 { ExitCode::SUCCESS } else { ExitCode::FAILURE })
}

fn line(name: &str, tally: Tally, took: Duration) -> String {
    let word = if tally.failed == 0 { "ok" } else { "FAILED" };
    let Tally { passed, failed, ignored } = tally;
    let ignored = if ignored == 0 { String::new() } else { format!(", {ignored} ignored") };
    format!("{name:<8} {word}: {passed} passed, {failed} failed{ignored}, {:.0} s", took.as_secs_f64())
}

#[expect(clippy::disallowed_methods, reason = "how long a tier really took; nothing is decided by it")]
fn now() -> Duration {
    let since = std::time::SystemTime::now().duration_since(std::time::UNIX_EPOCH);
    since.unwrap_or_default()
}

impl Session {
    fn new(chosen: &[&Tier]) -> Result<Self> {
        let is = |name: &str, value: &str| std::env::var(name).is_ok_and(|set| set == value);
        let workspace = Workspace::load()?;
        let needs_tools = chosen.iter().any(|tier| tier.tools == Tools::Lab);
        Ok(Self {
            workspace,
            programs: None,
            everything_required: is("CI", "true") || is("TRIMTAB_REQUIRE_LAB", "1"),
            warming: needs_tools.then(warm_up::start),
        })
    }

    fn finish_warm_up(&mut self) {
        if let Some(warming) = self.warming.take() {
            // It reports nothing, and a panic in it takes nothing away.
            let _ = warming.join();
        }
    }

    /// Every test program of the workspace, built once: choosing packages would choose other features of what they
    /// share, and build it all anew.
    fn programs(&mut self) -> Result<&Programs> {
        if self.programs.is_none() {
            self.programs = Some(programs::build(&self.workspace)?);
        }
        self.programs.as_ref().context("was built above")
    }

    /// The test programs that are `wanted`: `first` before the others, so that it does not run on alone when they have ended.
    fn commands(
        &mut self,
        wanted: impl Fn(&TestProgram) -> bool,
        first: &TestProgram,
    ) -> Result<Vec<Command>> {
        let mut found: Vec<_> =
            self.programs()?.tests.iter().filter(|(program, _)| wanted(program)).collect();
        ensure!(
            found.iter().any(|(program, _)| *program == first),
            "{} has no test {}",
            first.package,
            first.target
        );
        found.sort_by_key(|(program, _)| *program != first);
        Ok(found.into_iter().map(command_of).collect())
    }

    fn program(&mut self, wanted: &TestProgram) -> Result<Command> {
        let found = self.programs()?.tests.get_key_value(wanted);
        found.map(command_of).with_context(|| format!("{} has no test {}", wanted.package, wanted.target))
    }

    /// A program of the workspace.
    fn binary(&mut self, name: &str) -> Result<PathBuf> {
        self.programs()?
            .binaries
            .get(name)
            .cloned()
            .with_context(|| format!("building the tests made no program {name}"))
    }
}

fn all(commands: impl IntoIterator<Item = Command>) -> Result<Outcome> {
    let mut tally = Tally::default();
    for command in commands {
        tally += step(command)?;
    }
    Ok(Outcome::Ran(tally))
}

fn fmt(_: &mut Session) -> Result<Outcome> {
    all([cargo("fmt --all --check")])
}

fn layers(_: &mut Session) -> Result<Outcome> {
    all([cargo("test --package xtask --locked --quiet --no-fail-fast")])
}

fn clippy(_: &mut Session) -> Result<Outcome> {
    all([cargo("clippy --workspace --all-targets --locked -- -D warnings")])
}

fn deny(session: &mut Session) -> Result<Outcome> {
    let check = |program: &Path| {
        let mut command = Command::new(program);
        command.args(["--locked", "check", "licenses", "bans", "sources"]).current_dir(workspace::root());
        command
    };
    let on_path = Path::new("cargo-deny");
    if Command::new(on_path).arg("--version").output().is_ok_and(|output| output.status.success()) {
        return all([check(on_path)]);
    }
    let home = session.workspace.target_directory.join("tools");
    let installed = home.join("bin/cargo-deny");
    if !installed.exists() {
        // Unoptimised and without debug information: it runs for a second, and both would cost minutes.
        let mut install = cargo("install --locked --debug --quiet --version");
        install.args([CARGO_DENY_VERSION, "cargo-deny", "--root"]).arg(&home);
        install.env("CARGO_PROFILE_DEV_DEBUG", "false");
        let tally = step(install)?;
        if tally.failed > 0 {
            return Ok(Outcome::Skipped("cargo-deny cannot be installed".to_owned()));
        }
    }
    all([check(&installed)])
}

/// All tests but those that have tiers of their own.
fn tests(session: &mut Session) -> Result<Outcome> {
    let own_tier = |program: &TestProgram| {
        [LAB, "xtask"].contains(&program.package.as_str()) || *program == TestProgram::of(SIM, KUBECTL_TEST)
    };
    let commands = session.commands(|program| !own_tier(program), &TestProgram::of(DST, LONGEST_TEST))?;
    // Most test programs keep one processor busy.
    let processors = thread::available_parallelism().map_or(1, usize::from);
    let mut tally = run_side_by_side(processors, commands)?;
    tally += step(cargo("test --workspace --locked --doc"))?;
    Ok(Outcome::Ran(tally))
}

fn docs(session: &mut Session) -> Result<Outcome> {
    let mut rustdoc = cargo("doc --workspace --no-deps --locked");
    // The words of `--help` are doc comments too, and an address in them must stay bare.
    rustdoc.env("RUSTDOCFLAGS", "-Dwarnings -Arustdoc::bare_urls");
    let outcome = all([rustdoc])?;
    pages::bring_up_to_date(pages::Mode::Check, Some(&session.binary(TRIMTAB)?))?;
    Ok(outcome)
}

fn demo(session: &mut Session) -> Result<Outcome> {
    let mut demo = Command::new(session.binary(TRIMTAB)?);
    demo.args(["demo", "--once"]);
    all([demo])
}

/// Builds or fetches the lab's tools and tells where they are; `None` when that fails.
fn tools(session: &mut Session) -> Result<Option<Vec<PathBuf>>> {
    session.finish_warm_up();
    let program = session.binary(LAB)?;
    let mut command = Command::new(&program);
    command.arg("tools").stderr(std::process::Stdio::inherit());
    let output = command.output().with_context(|| format!("cannot start {}", program.display()))?;
    let paths = String::from_utf8_lossy(&output.stdout).lines().map(PathBuf::from).collect();
    Ok(output.status.success().then_some(paths))
}

fn kubectl(session: &mut Session) -> Result<Outcome> {
    let given = std::env::var_os(KUBECTL_VARIABLE).map(PathBuf::from);
    let found = match given {
        Some(path) => Some(path),
        None => tools(session)?.and_then(|tools| tools.into_iter().find(|tool| tool.ends_with("kubectl"))),
    };
    let Some(path) = found else {
        return Ok(Outcome::Skipped(format!("no kubectl: set {KUBECTL_VARIABLE}, or install Go and pip")));
    };
    let mut command = session.program(&TestProgram::of(SIM, KUBECTL_TEST))?;
    command.env(KUBECTL_VARIABLE, path).env("TRIMTAB_REQUIRE_KUBECTL", "1");
    all([command])
}

fn lab(session: &mut Session) -> Result<Outcome> {
    if tools(session)?.is_none() {
        return Ok(Outcome::Skipped("its tools cannot be built here: they need Go and pip".to_owned()));
    }
    let mut commands =
        session.commands(|program| program.package == LAB, &TestProgram::of(LAB, LONGEST_LAB_TEST))?;
    for command in &mut commands {
        command.env("TRIMTAB_REQUIRE_LAB", "1");
    }
    Ok(Outcome::Ran(run_side_by_side(LABS_AT_ONCE, commands)?))
}
