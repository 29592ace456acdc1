//! What was seen, what was decided, what is waited for, and why: the value behind logs, `trimtab explain` and whatever
//! else tells people why a plan is what it is.

use std::fmt::Write as _;

use trimtab_units::line::one_line;

use crate::object::Object;
use crate::reason::Reason;

/// Why the plan beside it is what it is.
#[must_use = "an unread report helps nobody"]
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Report {
    /// The object that the plan is about.
    pub about: Object,
    /// Its state in one line.
    pub summary: String,
    /// The steps that led to the plan, in order.
    pub steps: Vec<Step>,
}

/// One step of a decision.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Step {
    /// Why, for machines.
    pub code: Reason,
    /// The object that it speaks of.
    pub subject: Object,
    /// What was seen.
    pub saw: String,
    /// What was decided.
    pub decided: String,
    /// What has to happen before the decision changes; `None` where nothing is waited for.
    pub waits_for: Option<String>,
}

/// What stands between the parts of a step.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Wording {
    /// For logs and transcripts.
    Arrows,
    /// For people at a terminal.
    Sentences,
}

impl Report {
    /// The report as text.
    #[must_use]
    pub fn text(&self) -> String {
        format!("{}: {}\n{}", self.about.place(), one_line(&self.summary), self.steps_text(Wording::Arrows))
    }

    /// Its steps as text. What others named is shown in one line, and moves no cursor.
    #[must_use]
    pub fn steps_text(&self, wording: Wording) -> String {
        let (before_saw, before_decided, before_waits) = match wording {
            Wording::Arrows => ("  ", "\n    -> ", "; waits for "),
            Wording::Sentences => ("  saw ", "\n    so it ", "\n    and waits for "),
        };
        let mut text = String::new();
        for step in &self.steps {
            let _ = write!(
                text,
                "{before_saw}{}{before_decided}{}",
                one_line(&step.saw),
                one_line(&step.decided)
            );
            if let Some(waits_for) = &step.waits_for {
                let _ = write!(text, "{before_waits}{}", one_line(waits_for));
            }
            text.push('\n');
        }
        text
    }
}
