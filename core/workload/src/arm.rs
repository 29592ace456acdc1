//! The two sides of a comparison.

/// Label on a pod telling its arm while a release is judged: see [`Arm`].
pub const ARM_LABEL: &str = "trimtab.dev/phase";

/// The arm of a pod, as its [`ARM_LABEL`] says.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub enum Arm {
    /// Runs the release being judged.
    Canary,
    /// Runs a release that was kept.
    Stable,
}

impl Arm {
    /// The label's value.
    #[must_use]
    pub fn as_str(self) -> &'static str {
        match self {
            Self::Canary => "canary",
            Self::Stable => "stable",
        }
    }

    /// Reads the label's value.
    #[must_use]
    pub fn parse(text: &str) -> Option<Self> {
        match text {
            "canary" => Some(Self::Canary),
            "stable" => Some(Self::Stable),
            _ => None,
        }
    }
}
