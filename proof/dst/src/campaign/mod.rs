//! Campaigns: many drawn stories with faults, each watched by oracles, and every failure made small.
//!
//! A case is a scenario script. It is drawn from a seed, may be made shorter, written to a file, read back and run again,
//! and gives the same bytes each time.

mod draw;
mod menu;
mod oracle;
mod shrink;
mod story;

use std::fmt::Write as _;
use std::sync::mpsc;
use std::time::Duration;

use trimtab_sim::Sim;

pub use self::menu::{Act, Ingredient, Menu, NOT_YET};
use self::oracle::Oracles;
pub use self::oracle::{Oracle, Violation};
pub use self::shrink::shrink;
pub use crate::fault::FaultKind;
use crate::planted::Planted;
use crate::script;
use crate::stage::{MANAGER_USER, Stage, StageOptions};

/// How every case ends, whatever was drawn and whatever was left out: what goes wrong ends, and the world comes to rest.
const END: [&str; 2] = ["end faults", "settle"];
/// Writes of managers in one story after which it is cut off.
const WRITES_MAX: u64 = 20_000;
/// How often that is looked at.
const WRITES_LOOK: Duration = Duration::from_secs(1);
/// How long a story may take in real time; it takes about a second.
const STUCK_AFTER: Duration = Duration::from_secs(300);
/// Marks the line of a script that names the seed of its world.
const SEED_MARK: &str = "# seed ";

/// A story in a world.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Case {
    /// Everything random in the world follows from it.
    pub seed: u64,
    /// Commands; one may be followed by its block.
    pub lines: Vec<String>,
}

impl Case {
    /// The story that a seed tells.
    #[must_use]
    pub fn drawn(seed: u64, menu: &Menu) -> Self {
        Self { seed, lines: story::draw(seed, menu) }
    }

    /// Reads [`Self::script`].
    #[must_use]
    pub fn read(script: &str) -> Self {
        let seed = script.lines().find_map(|line| line.strip_prefix(SEED_MARK)?.trim().parse().ok());
        let mut lines: Vec<String> = Vec::new();
        let mut in_block = false;
        for line in script.lines() {
            match lines.last_mut() {
                Some(last) if in_block => {
                    last.push('\n');
                    last.push_str(line);
                    in_block = line.trim() != ".";
                }
                _ if line.trim().is_empty() || line.starts_with('#') => {}
                _ => {
                    lines.push(line.trim().to_owned());
                    in_block = line.ends_with("<<");
                }
            }
        }
        if lines.ends_with(&END.map(str::to_owned)) {
            lines.truncate(lines.len() - END.len());
        }
        Self { seed: seed.unwrap_or_default(), lines }
    }

    /// The scenario file: `title` says what it shows.
    #[must_use]
    pub fn script(&self, title: &str) -> String {
        let mut script = format!("# {title}\n{SEED_MARK}{}\n", self.seed);
        for line in self.lines.iter().map(String::as_str).chain(END) {
            let _ = writeln!(script, "{line}");
        }
        script
    }
}

/// What became of a case.
#[derive(Clone, Debug, PartialEq)]
pub struct Outcome {
    /// What the oracles have to say; nothing when all is well.
    pub violations: Vec<Violation>,
    /// Every command and what it showed.
    pub transcript: String,
    /// SHA-256 of the whole state at the end.
    pub digest: String,
}

/// Runs a case in a world of its own, in virtual time, on this thread.
///
/// # Panics
/// When the system refuses a runtime.
#[must_use]
pub fn run(case: &Case, planted: Option<Planted>) -> Outcome {
    let _watchdog = Watchdog::of(case);
    crate::in_virtual_time(play(case, planted))
}

/// Where somebody is busy without end, no time passes in the world, and nothing in it can end the story. This ends the process,
/// and says which story it was, unless it is dropped in time.
struct Watchdog {
    _alive: mpsc::Sender<()>,
}

impl Watchdog {
    fn of(case: &Case) -> Self {
        let (alive, dropped) = mpsc::channel::<()>();
        let script = case.script("no time passes any more: somebody is busy without end");
        std::thread::spawn(move || {
            if dropped.recv_timeout(STUCK_AFTER) == Err(mpsc::RecvTimeoutError::Timeout) {
                eprintln!("this story does not end; `campaign --replay FILE` runs it:\n{script}");
                std::process::exit(1);
            }
        });
        Self { _alive: alive }
    }
}

/// Returns once managers have written more than anything needs: they would never let the story end.
async fn runaway(sim: &Sim) {
    while sim.requests(MANAGER_USER).writes() < WRITES_MAX {
        tokio::time::sleep(WRITES_LOOK).await;
    }
}

async fn play(case: &Case, planted: Option<Planted>) -> Outcome {
    let mut stage = Stage::set(&StageOptions { planted, ..StageOptions::seeded(case.seed) });
    let mut oracles = Oracles::watch(&stage, case);
    let mut transcript = String::new();
    for line in case.lines.iter().map(String::as_str).chain(END) {
        let (command, block) = line.split_once('\n').unwrap_or((line, ""));
        let block = block.trim_end_matches("\n.").to_owned() + "\n";
        let words: Vec<&str> = command.trim_end_matches("<<").split_whitespace().collect();
        let _ = writeln!(transcript, "> {command}");
        let sim = stage.sim.clone();
        let shown = tokio::select! {
            biased;
            () = runaway(&sim) => None,
            shown = script::step(&words, &block, &mut stage) => Some(shown),
        };
        match shown {
            Some(Ok(shown)) => transcript.push_str(&shown),
            Some(Err(error)) => {
                let _ = writeln!(transcript, "{error}");
            }
            None => {
                stage.kill_managers();
                oracles.ran_away(&stage);
            }
        }
        oracles.look(&stage);
    }
    oracles.at_rest(&stage).await;
    let outcome = Outcome { violations: oracles.violations(), transcript, digest: stage.sim.state_digest() };
    stage.kill_managers();
    outcome
}
