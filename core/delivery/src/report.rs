//! What was seen, what was decided, what is waited for, and why: the value behind conditions, Events, `trimtab explain`
//! and messages.

use std::fmt::Write as _;

use trimtab_judge::finding::Finding;
use trimtab_workload::Claim;

/// Why the plan beside it is what it is.
#[must_use = "an unread report helps nobody"]
#[derive(Clone, Debug, Default, PartialEq)]
pub struct Report {
    /// `namespace/name`.
    pub service: String,
    /// The service's state in one line.
    pub summary: String,
    /// The steps that led to the plan, in order.
    pub steps: Vec<Step>,
    /// Who acts on the workload.
    pub acting: Claim,
    /// What the rules found.
    pub findings: Vec<Finding>,
}

/// One step of a decision.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Step {
    /// What was seen.
    pub saw: String,
    /// What was decided.
    pub decided: String,
    /// What has to happen before the decision changes; `None` where nothing is waited for.
    pub waits_for: Option<String>,
}

impl Report {
    /// The report as text, one line a step.
    #[must_use]
    pub fn text(&self) -> String {
        let mut text = format!("{}: {}\n", self.service, self.summary);
        for step in &self.steps {
            let _ = write!(text, "  {}\n    -> {}", step.saw, step.decided);
            if let Some(waits_for) = &step.waits_for {
                let _ = write!(text, "; waits for {waits_for}");
            }
            text.push('\n');
        }
        text
    }
}
