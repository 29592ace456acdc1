//! What a person is asked where Trimtab cannot go on alone: read from the record, so that it is said as long as it is so.

use trimtab_plan::Reason;
use trimtab_stats::Verdict;

use crate::names::release_word;
use crate::snapshot::{ReleasePhase, ReleaseStatus};

/// A release about which a person is asked.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Asked {
    /// Its number.
    pub number: u64,
    /// Where it stands.
    pub phase: ReleasePhase,
    /// What the evidence says of it.
    pub verdict: Option<Verdict>,
    /// Why.
    pub reason: Reason,
}

impl Asked {
    /// The release `number`, if its record says that a person is asked.
    pub(crate) fn about(number: u64, status: &ReleaseStatus) -> Option<Self> {
        status.needs_human.map(|reason| Self { number, phase: status.phase, verdict: status.verdict, reason })
    }

    /// Why; `back` is what runs, or would run, instead.
    #[must_use]
    pub fn words(&self, back: &str) -> String {
        let word = release_word(self.number);
        match self.reason {
            Reason::RestoresExhausted if self.phase == ReleasePhase::Judging => {
                format!("a rejected template is written over {word} again and again")
            }
            Reason::RestoresExhausted => {
                format!("{word} failed, and its template is written back whenever {back} is restored")
            }
            Reason::Recovering => format!("{word} failed, and the pods of {back} do not come back"),
            Reason::NothingToRestore => {
                format!("{word} failed, and no earlier release is recorded to go back to")
            }
            Reason::PausedByOther => {
                let why = why_not(self.verdict);
                format!("{word} {why}, and somebody paused the Deployment with another template")
            }
            Reason::RollbackFailed => {
                format!("{word} is itself a rollback, and failed too; it was not undone")
            }
            other => format!("{word} cannot go on alone ({other})"),
        }
    }
}

/// What a release does that is not to stay: the evidence says so, or a person does.
pub(crate) fn why_not(verdict: Option<Verdict>) -> &'static str {
    if verdict == Some(Verdict::Fail) { "fails" } else { "is to be rolled back" }
}
