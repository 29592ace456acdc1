//! How a command ends: a code for scripts, and for people a line that says why and one that says what to do.

use std::process::ExitCode;

use trimtab_kube::ApiError;

/// How a command ended. The numbers are promised: scripts branch on them.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Exit {
    /// Done, or the release was kept.
    Done,
    /// Something failed.
    Error,
    /// The release was rolled back.
    RolledBack,
    /// The release was kept although the evidence could not tell.
    LowEvidence,
    /// The release is held, or Trimtab stopped and a person must decide.
    Held,
    /// Refused: nothing was changed.
    Refused,
    /// The command line itself is wrong.
    Usage,
    /// Whoever read stdout went away before all of it was written, as `head` does.
    Unread,
}

impl Exit {
    /// The process's exit code.
    #[must_use]
    pub fn code(self) -> u8 {
        match self {
            Self::Done => 0,
            Self::Error => 1,
            Self::RolledBack => 2,
            Self::LowEvidence => 3,
            Self::Held => 4,
            Self::Refused => 5,
            Self::Usage => 64,
            // What shells report for a process that SIGPIPE ended, as it ends kubectl. Not 0: nobody saw the outcome.
            Self::Unread => 141,
        }
    }
}

impl From<Exit> for ExitCode {
    fn from(exit: Exit) -> Self {
        Self::from(exit.code())
    }
}

/// The part of `--help` that documents the codes.
pub const HELP: &str = "Exit codes:
  0   done; with --wait, the release was kept
  1   an error
  2   the release was rolled back
  3   the release was kept on low evidence
  4   the release is held, or a person must decide
  5   refused: nothing was changed
  64  the command line is wrong
  141 stdout was closed before all of it was written";

/// Why a command did not do what was asked.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
#[error("{message}")]
pub struct Failure {
    /// The code.
    pub exit: Exit,
    /// The object and the cause, lower case.
    pub message: String,
    /// The next command.
    pub hint: Option<String>,
}

impl Failure {
    /// Something failed.
    #[must_use]
    pub fn error(message: impl Into<String>) -> Self {
        Self { exit: Exit::Error, message: message.into(), hint: None }
    }

    /// Nothing was changed, on purpose.
    #[must_use]
    pub fn refused(message: impl Into<String>) -> Self {
        Self { exit: Exit::Refused, message: message.into(), hint: None }
    }

    /// The command line asks for what the command does not do.
    #[must_use]
    pub fn usage(message: impl Into<String>) -> Self {
        Self { exit: Exit::Usage, message: message.into(), hint: None }
    }

    /// The same, with what to do next.
    #[must_use]
    pub fn hint(self, hint: impl Into<String>) -> Self {
        Self { hint: Some(hint.into()), ..self }
    }
}

impl From<ApiError> for Failure {
    fn from(error: ApiError) -> Self {
        let failure = Self::error(error.to_string());
        match &error {
            // A name that is not found is an object that went meanwhile; a whole kind that is not found was never there.
            ApiError::NotFound { target }
                if target.resource.ends_with("trimtab.dev") && target.name.is_empty() =>
            {
                failure.hint("Trimtab's kinds are not installed: docs/guides/install.md")
            }
            ApiError::Transport { .. } => {
                failure.hint("`kubectl cluster-info` tells whether the cluster answers")
            }
            _ => failure,
        }
    }
}

impl From<std::io::Error> for Failure {
    fn from(error: std::io::Error) -> Self {
        let exit = match error.kind() {
            std::io::ErrorKind::BrokenPipe => Exit::Unread,
            _ => Exit::Error,
        };
        Self { exit, ..Self::error(error.to_string()) }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn codes_are_the_documented_ones() {
        let all = [
            Exit::Done,
            Exit::Error,
            Exit::RolledBack,
            Exit::LowEvidence,
            Exit::Held,
            Exit::Refused,
            Exit::Usage,
            Exit::Unread,
        ];
        let documented: Vec<u8> = HELP
            .lines()
            .skip(1)
            .map(|line| line.split_whitespace().next().unwrap().parse().unwrap())
            .collect();
        assert_eq!(all.map(Exit::code).to_vec(), documented);
    }
}
