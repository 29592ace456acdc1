//! The workspace's test programs, and the programs that they start: built once, for every tier that runs some of them.

use std::collections::BTreeMap;
use std::path::PathBuf;
use std::process::{Command, Stdio};

use anyhow::{Context as _, Result, ensure};
use serde::Deserialize;
use xtask::workspace::{self, Workspace};

use crate::step::cargo;

/// One test program.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub(crate) struct TestProgram {
    /// The crate that it belongs to.
    pub(crate) package: String,
    /// The integration test's name; that of the library or binary for unit tests.
    pub(crate) target: String,
    kind: String,
}

impl TestProgram {
    /// An integration test.
    pub(crate) fn of(package: &str, test: &str) -> Self {
        Self { package: package.to_owned(), target: test.to_owned(), kind: "test".to_owned() }
    }
}

/// What one build makes.
#[derive(Debug, Default)]
pub(crate) struct Programs {
    /// Test programs, each with the folder of its crate and the file to run.
    pub(crate) tests: BTreeMap<TestProgram, Place>,
    /// The workspace's own programs by name. `cargo build` would choose other features of what they share with the tests,
    /// and compile nearly everything a second time.
    pub(crate) binaries: BTreeMap<String, PathBuf>,
}

/// Where a test program is.
#[derive(Clone, Debug)]
pub(crate) struct Place {
    folder: PathBuf,
    executable: PathBuf,
}

/// Builds the tests and the programs that they start.
///
/// # Errors
/// When one does not build; the compiler has then told why.
pub(crate) fn build(workspace: &Workspace) -> Result<Programs> {
    let line = "test --workspace --locked --no-run --message-format=json-render-diagnostics";
    eprintln!("$ cargo {line}");
    let output = cargo(line).stderr(Stdio::inherit()).output().context("cannot start cargo")?;
    ensure!(output.status.success(), "the tests do not build");
    let mut programs = Programs::default();
    for line in output.stdout.split(|byte| *byte == b'\n') {
        // Other messages have other shapes.
        let Ok(artifact) = serde_json::from_slice::<Artifact>(line) else { continue };
        let member = workspace.members.iter().find(|member| member.is(&artifact.package_id));
        let (Some(member), Some(executable)) = (member, artifact.executable) else { continue };
        let kind = artifact.target.kind.into_iter().next().unwrap_or_default();
        if artifact.profile.test {
            let program = TestProgram { package: member.name.clone(), target: artifact.target.name, kind };
            let place = Place { folder: workspace::root().join(&member.folder), executable };
            programs.tests.insert(program, place);
        } else if kind == "bin" {
            programs.binaries.insert(artifact.target.name, executable);
        }
    }
    ensure!(!programs.tests.is_empty(), "cargo built no tests");
    Ok(programs)
}

/// Runs a test program as `cargo test` would.
pub(crate) fn command_of((_, place): (&TestProgram, &Place)) -> Command {
    let mut command = Command::new(&place.executable);
    command.current_dir(&place.folder).env("CARGO_MANIFEST_DIR", &place.folder);
    command
}

#[derive(Deserialize)]
struct Artifact {
    package_id: String,
    target: Target,
    profile: Profile,
    executable: Option<PathBuf>,
}

#[derive(Deserialize)]
struct Target {
    name: String,
    kind: Vec<String>,
}

#[derive(Deserialize)]
struct Profile {
    test: bool,
}
