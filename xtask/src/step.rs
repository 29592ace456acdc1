//! One command of a tier: its output is shown as it comes, and the tests it reports are counted.

use std::io::{BufRead as _, BufReader, Write as _};
use std::process::{Command, Output, Stdio};
use std::sync::Mutex;
use std::thread;

use anyhow::{Context as _, Result, anyhow};
use xtask::workspace;

/// How many tests came to what. A command that reports no tests counts as one.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub(crate) struct Tally {
    pub(crate) passed: usize,
    pub(crate) failed: usize,
    pub(crate) ignored: usize,
}

impl Tally {
    /// A command that fails has a failure, and one that reports no tests counts as one.
    fn of_command(mut self, succeeded: bool) -> Self {
        if !succeeded {
            self.failed = self.failed.max(1);
        } else if self == Self::default() {
            self.passed = 1;
        }
        self
    }
}

impl std::ops::AddAssign for Tally {
    fn add_assign(&mut self, other: Self) {
        self.passed += other.passed;
        self.failed += other.failed;
        self.ignored += other.ignored;
    }
}

/// `cargo` at the workspace's root, with the words of `line` as its arguments.
pub(crate) fn cargo(line: &str) -> Command {
    let mut command = Command::new(std::env::var_os("CARGO").unwrap_or_else(|| "cargo".into()));
    command.args(line.split_whitespace()).current_dir(workspace::root());
    // `cargo run` describes this very program in its environment, and a build script that looks at that (ring's does) would
    // run anew, with all that is built on it, whenever `cargo test` and `cargo xtask test` take turns.
    for (name, _) in std::env::vars_os().filter(|(name, _)| describes_a_package(&name.to_string_lossy())) {
        command.env_remove(name);
    }
    command
}

fn describes_a_package(name: &str) -> bool {
    ["CARGO_PKG_", "CARGO_MANIFEST_", "CARGO_BIN_", "CARGO_CRATE_"]
        .iter()
        .any(|start| name.starts_with(start))
}

/// Runs the command to its end.
///
/// # Errors
/// When it cannot be started; a command that fails is a tally with failures.
pub(crate) fn run(mut command: Command) -> Result<Tally> {
    eprintln!("$ {}", words(&command));
    let program = command.get_program().to_string_lossy().into_owned();
    let mut child =
        command.stdout(Stdio::piped()).spawn().with_context(|| format!("cannot start {program}"))?;
    let output = child.stdout.take().context("the output of a child is piped")?;
    let mut tally = Tally::default();
    let mut stdout = std::io::stdout().lock();
    for line in BufReader::new(output).lines() {
        let line = line.context("cannot read the output of a command")?;
        tally += reported(&line).unwrap_or_default();
        // A reader that has gone away does not end the tests.
        let _ = writeln!(stdout, "{line}");
    }
    let succeeded = child.wait().with_context(|| format!("cannot wait for {program}"))?.success();
    Ok(tally.of_command(succeeded))
}

/// Runs the commands, `width` of them at one time. What each prints is shown when it ends.
///
/// # Errors
/// When one cannot be started; a command that fails is a tally with failures.
pub(crate) fn run_side_by_side(width: usize, commands: Vec<Command>) -> Result<Tally> {
    let waiting = Mutex::new(commands.into_iter());
    let next = || waiting.lock().ok().and_then(|mut waiting| waiting.next());
    let work = || -> Result<Tally> {
        let mut tally = Tally::default();
        while let Some(mut command) = next() {
            let words = words(&command);
            eprintln!("$ {words}");
            let output = command.output().with_context(|| format!("cannot start {words}"))?;
            tally += show(&words, &output);
        }
        Ok(tally)
    };
    let mut tally = Tally::default();
    let results: Vec<Result<Tally>> = thread::scope(|scope| {
        let running: Vec<_> = (0..width).map(|_| scope.spawn(work)).collect();
        let joined = running.into_iter().map(|worker| worker.join());
        joined.map(|result| result.unwrap_or_else(|_| Err(anyhow!("a worker panicked")))).collect()
    });
    for result in results {
        tally += result?;
    }
    Ok(tally)
}

fn show(words: &str, output: &Output) -> Tally {
    let printed = String::from_utf8_lossy(&output.stdout);
    let mut tally = Tally::default();
    printed.lines().filter_map(reported).for_each(|counts| tally += counts);
    // One lock for all of it: what two commands print must not mix. A reader that has gone away does not end the tests.
    let mut stdout = std::io::stdout().lock();
    let _ = write!(stdout, "$ {words}\n{printed}{}", String::from_utf8_lossy(&output.stderr));
    tally.of_command(output.status.success())
}

/// The counts in a line such as `test result: ok. 3 passed; 0 failed; 1 ignored; ...`.
fn reported(line: &str) -> Option<Tally> {
    let (_, counts) = line.strip_prefix("test result: ")?.split_once(". ")?;
    let count = |word: &str| {
        let counted = counts.split("; ").find_map(|part| part.strip_suffix(word))?;
        counted.trim().parse().ok()
    };
    Some(Tally { passed: count("passed")?, failed: count("failed")?, ignored: count("ignored")? })
}

fn words(command: &Command) -> String {
    let set = command.get_envs().filter_map(|(name, value)| {
        Some(format!("{}={} ", name.to_string_lossy(), value?.to_string_lossy()))
    });
    let program =
        std::path::Path::new(command.get_program()).file_name().unwrap_or_default().to_string_lossy();
    let arguments = command.get_args().map(|argument| format!(" {}", argument.to_string_lossy()));
    set.chain(std::iter::once(program.into_owned())).chain(arguments).collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn results_are_read_as_the_test_harness_writes_them() {
        let check = |line: &str, expect: Option<(usize, usize, usize)>| {
            let tally = reported(line).map(|tally| (tally.passed, tally.failed, tally.ignored));
            assert_eq!(tally, expect, "{line}");
        };
        check(
            "test result: ok. 12 passed; 0 failed; 3 ignored; 0 measured; 7 filtered out; finished in 0.01s",
            Some((12, 0, 3)),
        );
        check(
            "test result: FAILED. 1 passed; 2 failed; 0 ignored; 0 measured; 0 filtered out",
            Some((1, 2, 0)),
        );
        check("test a_result ... ok", None);
        check("test result: ok. gone", None);
    }

    #[test]
    fn a_command_without_tests_counts_as_one() {
        let tally = |program: &str| run(Command::new(program)).expect("both programs exist everywhere");
        assert_eq!(tally("true"), Tally { passed: 1, ..Tally::default() });
        assert_eq!(tally("false"), Tally { failed: 1, ..Tally::default() });
    }

    #[test]
    fn commands_side_by_side_are_all_counted() {
        let commands = |programs: &[&str]| programs.iter().map(Command::new).collect();
        let tally = run_side_by_side(2, commands(&["true", "false", "true", "true", "false"]));
        assert_eq!(tally.expect("both exist everywhere"), Tally { passed: 3, failed: 2, ignored: 0 });
        assert!(run_side_by_side(2, commands(&["true", "no-such-program"])).is_err());
        let nothing = run_side_by_side(2, Vec::new()).expect("there is nothing to start");
        assert_eq!(nothing, Tally::default());
    }
}
