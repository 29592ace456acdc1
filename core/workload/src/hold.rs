//! What the admission policy does with a changed pod template.

/// What is asked of the admission policy: the first word of the annotation `trimtab.dev/claim` on a Deployment.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum AdmissionHold {
    /// Changes pass; nothing is different from an unclaimed Deployment.
    Open,
    /// A changed template with a rejected image is paused as it is written; everything else passes.
    HoldChanges,
    /// Admission paused the template in the spec: it stays so, whoever writes, until another template comes.
    Held,
}

impl AdmissionHold {
    /// The annotation's first word.
    #[must_use]
    pub fn as_str(self) -> &'static str {
        match self {
            Self::Open => "open",
            Self::HoldChanges => "hold-changes",
            Self::Held => "held",
        }
    }

    /// Reads the annotation's first word; an unknown word counts as [`AdmissionHold::Open`], the value that holds nothing.
    #[must_use]
    pub fn parse(text: &str) -> Self {
        match text.split(' ').next().unwrap_or_default() {
            "hold-changes" => Self::HoldChanges,
            "held" => Self::Held,
            _ => Self::Open,
        }
    }
}
