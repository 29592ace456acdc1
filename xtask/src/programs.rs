//! The test programs of the workspace: built once, for every tier that runs some of them.

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

/// Test programs, each with the folder of its crate and the file to run.
pub(crate) type Programs = BTreeMap<TestProgram, Place>;

/// Where a test program is.
#[derive(Clone, Debug)]
pub(crate) struct Place {
    folder: PathBuf,
    executable: PathBuf,
}

/// Builds them all.
///
/// # Errors
/// When one does not build; the compiler has then told why.
pub(crate) fn build(workspace: &Workspace) -> Result<Programs> {
    let line = "test --workspace --locked --no-run --message-format=json-render-diagnostics";
    eprintln!("$ cargo {line}");
    let output = cargo(line).stderr(Stdio::inherit()).output().context("cannot start cargo")?;
    ensure!(output.status.success(), "the tests do not build");
    let mut programs = Programs::new();
    for line in output.stdout.split(|byte| *byte == b'\n') {
        // Other messages have other shapes.
        let Ok(artifact) = serde_json::from_slice::<Artifact>(line) else { continue };
        let member = workspace.members.iter().find(|member| member.is(&artifact.package_id));
        let (Some(member), Some(executable), true) = (member, artifact.executable, artifact.profile.test)
        else {
            continue;
        };
        let kind = artifact.target.kind.into_iter().next().unwrap_or_default();
        let program = TestProgram { package: member.name.clone(), target: artifact.target.name, kind };
        programs.insert(program, Place { folder: workspace::root().join(&member.folder), executable });
    }
    ensure!(!programs.is_empty(), "cargo built no tests");
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
