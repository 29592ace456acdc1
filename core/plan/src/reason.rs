//! Why something was decided: stable codes for machines. Conditions, Events and the steps of a report carry them.

/// Makes the enum, and with it the one list of all codes: a code is its variant's name, and its meaning the comment on it.
macro_rules! reasons {
    ($($(#[doc = $meaning:literal])+ $name:ident,)+) => {
        /// A reason code. Scripts branch on it, so it is never renamed; `docs/reference/reasons.md` lists every one.
        #[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
        pub enum Reason {
            $($(#[doc = $meaning])+ $name,)+
        }

        impl Reason {
            /// Every code of this process.
            pub const ALL: &[Self] = &[$(Self::$name),+];

            /// The code as machines read it.
            #[must_use]
            pub fn code(self) -> &'static str {
                match self {
                    $(Self::$name => stringify!($name),)+
                }
            }

            /// Reads [`Self::code`].
            #[must_use]
            pub fn parse(code: &str) -> Option<Self> {
                Self::ALL.iter().copied().find(|reason| reason.code() == code)
            }

            /// What it means, in one line.
            #[must_use]
            pub fn meaning(self) -> &'static str {
                match self {
                    $(Self::$name => concat!($($meaning),+).trim_ascii(),)+
                }
            }
        }
    };
}

reasons! {
    /// nothing was recorded, and what runs becomes the first release that was kept
    BaselineKept,
    /// what runs when the service is claimed gets a record
    BaselineRecorded,
    /// every rule that needs series finds them
    Bound,
    /// a template that was taken away is put back: the release under way, or one that a person decided to keep
    BroughtBack,
    /// the Deployment is looked after
    Claimed,
    /// a person decided to keep a release, and somebody took its template away each time it was brought back
    DecisionUndone,
    /// the evidence since the release was kept on too little of it passes it
    EvidencePassed,
    /// a rejected template was applied again, and is held
    Held,
    /// a rejected template is held, and no release that counts tells what runs instead
    HeldUnrecorded,
    /// the spec is wrong
    Invalid,
    /// a release is compared with what was before it
    Judging,
    /// the release stays
    Kept,
    /// a rejected template stays, because a person decided so
    KeptByDecision,
    /// admission held a template that is not a rejected one; it passes
    LetThrough,
    /// the release was kept on too little evidence, and is watched on
    LowEvidence,
    /// a question to the metrics server is still open: the watch of a release is over, or rules have changed
    MeasurementPending,
    /// Trimtab stopped, and a person must decide
    NeedsHuman,
    /// new pods are scraped and get no requests: the rule cannot be judged
    NoTraffic,
    /// a field is valid, and this version does not act on it
    NotInThisVersion,
    /// a release failed, and no earlier one is recorded to go back to
    NothingToRestore,
    /// the next number is the name of an object that is no release of the service
    NumberTaken,
    /// somebody else paused the Deployment
    PausedByOther,
    /// pods of the release are missing or not ready
    PodsUnavailable,
    /// a record is none that the manager wrote
    RecordRefused,
    /// the previous template is back, and its pods are not all there
    Recovering,
    /// the Deployment replaces all pods at once, so there are no two arms
    Recreate,
    /// a rejected template is out although it should be held; the previous one is restored
    RejectedTemplateOut,
    /// a new template gets its number
    ReleaseRecorded,
    /// a template was restored as often as is sensible, and somebody keeps undoing it
    RestoresExhausted,
    /// the release failed, and the previous template is restored
    Restoring,
    /// somebody put the previous template back before a verdict
    Reverted,
    /// a release that is itself a rollback fails, and is kept
    RollbackFailed,
    /// the previous release runs again
    RolledBack,
    /// a rule finds no series
    RuleUnbound,
    /// the service runs what was kept, and nothing is due
    Settled,
    /// a release begins
    Started,
    /// the Deployment does not exist
    TargetNotFound,
    /// another object manages the Deployment
    TargetOwned,
    /// the Deployment is not the one that the release went to
    TargetReplaced,
    /// new pods are ready and their series are missing or late, or the metrics server does not answer
    TelemetryLost,
    /// the pod template is too large to be recorded, and ships without being judged
    TemplateTooLarge,
    /// a rule finds more series than may be read, even summed up by pod
    TooManySeries,
    /// a claim that no service names is taken off its Deployment
    Unclaimed,
    /// the spec is valid
    Valid,
    /// every pod of the release is out, and the time of its watch begins
    WatchStarted,
}

impl std::fmt::Display for Reason {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.write_str(self.code())
    }
}
