//! The reference pages as files.

use std::path::Path;
use std::process::Command;

use anyhow::{Context as _, Result, bail, ensure};
use xtask::{reference, workspace};

/// What to do with a page that is out of date.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Mode {
    /// Write it.
    Write,
    /// Fail.
    Check,
}

/// Writes or checks the page about the kinds, and, where the binary is given, the one about its command line.
///
/// # Errors
/// When a source of a page cannot be read, or in [`Mode::Check`] a page is out of date.
pub(crate) fn bring_up_to_date(mode: Mode, trimtab: Option<&Path>) -> Result<()> {
    let mut pages = vec![(reference::CRD_PAGE, reference::crd_page(workspace::root())?)];
    if let Some(trimtab) = trimtab {
        pages.push((reference::CLI_PAGE, reference::cli_page(|command| help_of(trimtab, command))?));
    }
    for (path, text) in pages {
        let file = workspace::root().join(path);
        match mode {
            Mode::Write => std::fs::write(&file, text).with_context(|| format!("cannot write {path}"))?,
            Mode::Check if std::fs::read_to_string(&file).unwrap_or_default() == text => {}
            Mode::Check => {
                bail!(
                    "{path} is out of date; write it with `cargo xtask reference --trimtab target/debug/trimtab`"
                )
            }
        }
    }
    Ok(())
}

fn help_of(trimtab: &Path, command: &[String]) -> Result<String> {
    let mut asked = Command::new(trimtab);
    // The width of the terminal must not show in the page.
    asked.args(command).arg("--help").env("COLUMNS", "100").env("NO_COLOR", "1");
    let output = asked.output().with_context(|| format!("cannot start {}", trimtab.display()))?;
    ensure!(output.status.success(), "`trimtab {} --help` failed", command.join(" "));
    String::from_utf8(output.stdout).context("help is text")
}
