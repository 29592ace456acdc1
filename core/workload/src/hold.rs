//! What the admission policy does with a changed pod template.

/// What is asked of the admission policy: the value of the annotation `trimtab.dev/claim` on a Deployment.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum AdmissionHold {
    /// Changes pass; nothing is different from an unclaimed Deployment.
    Open,
    /// A changed template is paused as it is written, until Trimtab has compared it with the rejected ones.
    HoldChanges,
    /// The template in the spec is a rejected one: paused, whoever writes.
    Held,
}

impl AdmissionHold {
    /// The annotation's value.
    #[must_use]
    pub fn as_str(self) -> &'static str {
        match self {
            Self::Open => "open",
            Self::HoldChanges => "hold-changes",
            Self::Held => "held",
        }
    }

    /// Reads the annotation's value; an unknown word counts as [`AdmissionHold::Open`], the value that holds nothing.
    #[must_use]
    pub fn parse(text: &str) -> Self {
        match text {
            "hold-changes" => Self::HoldChanges,
            "held" => Self::Held,
            _ => Self::Open,
        }
    }
}
