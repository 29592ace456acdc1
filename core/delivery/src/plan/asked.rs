//! What a person is asked where Trimtab cannot go on alone: read from the record, so that it is said as long as it is so.

use super::limits::RESTORES_MAX;
use crate::names::release_word;
use crate::snapshot::{ReleasePhase, ReleaseStatus};

/// A release about which a person is asked.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) struct Asked {
    pub(super) number: u64,
    phase: ReleasePhase,
    /// Its template, or the one before it, was put back as often as is sensible.
    exhausted: bool,
}

impl Asked {
    /// The release `number`, if its record says that a person is asked.
    pub(super) fn about(number: u64, status: &ReleaseStatus) -> Option<Self> {
        let exhausted = status.restores >= RESTORES_MAX;
        status.needs_human.then_some(Self { number, phase: status.phase, exhausted })
    }

    /// Why; `back` is what runs, or would run, instead.
    pub(super) fn words(&self, back: &str) -> String {
        let word = release_word(self.number);
        match (self.phase, self.exhausted) {
            (ReleasePhase::RollingBack, true) => {
                format!("{word} failed, and its template is written back whenever {back} is restored")
            }
            (ReleasePhase::RollingBack, false) => {
                format!("{word} failed, and the pods of {back} do not come back")
            }
            (ReleasePhase::Judging, true) => {
                format!("a rejected template is written over {word} again and again")
            }
            (ReleasePhase::Judging, false) => {
                format!("{word} failed, and no earlier release is recorded to go back to")
            }
            _ => format!("{word} is itself a rollback, and failed too; it was not undone"),
        }
    }
}
