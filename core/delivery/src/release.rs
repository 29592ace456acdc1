//! A release of a service: what people asked of it, and what became of it.

use jiff::Timestamp;
use trimtab_judge::finding::Finding;
use trimtab_plan::Reason;
use trimtab_stats::Verdict;
use trimtab_units::line::in_one_line;

use crate::seal::Author;

/// A release of the service.
#[derive(Clone, Debug, Default, PartialEq)]
pub struct Release {
    /// Uid of its record.
    pub uid: String,
    /// Version of the record that this was read from.
    pub version: u64,
    /// Its number.
    pub number: u64,
    /// Hash of its template; `None` while a person has numbered a release that the cluster has not shown yet.
    pub template_hash: Option<String>,
    /// Who wrote what its record keeps.
    pub author: Author,
    /// Uid of the Deployment that it was released to; `None` where its record does not tell.
    pub target_uid: Option<String>,
    /// Its image.
    pub image: String,
    /// Who released it.
    pub actor: String,
    /// When the object was created.
    pub created_at: Option<Timestamp>,
    /// Number of the release whose template it brings back.
    pub rollback_to: Option<u64>,
    /// What a person decided.
    pub decision: Option<Decision>,
    /// When the last message about it was owed, where its outbox is not kept any more.
    pub told_at: Option<Timestamp>,
    /// What became of it.
    pub status: ReleaseStatus,
}

impl Release {
    /// Whether it was kept because the evidence could not tell, and not because a person wanted it.
    #[must_use]
    pub fn is_kept_unsure(&self) -> bool {
        self.status.phase == ReleasePhase::Kept
            && self.status.verdict == Some(Verdict::Undecided)
            && self.decision.is_none()
    }

    /// Whether a person went back with it to what had been kept before; `own` are the releases of its Deployment. One that
    /// brings back a template which never passed is a release like any other; where nothing tells any more whether it did,
    /// the person's word counts.
    #[must_use]
    pub fn is_rollback<'a>(&self, own: impl Iterator<Item = &'a Self> + Clone) -> bool {
        let Some(number) = self.rollback_to else { return false };
        let Some(old) = own.clone().find(|other| other.number == number) else { return true };
        let mut kept =
            own.filter(|other| other.number < self.number && other.status.phase == ReleasePhase::Kept);
        kept.any(|other| other.number == number || other.template_hash == old.template_hash)
    }

    /// Whether it failed: it is being rolled back, or could not be yet.
    pub(crate) fn has_failed(&self) -> bool {
        self.status.phase == ReleasePhase::RollingBack || self.status.verdict == Some(Verdict::Fail)
    }

    /// Whether it was released to another Deployment than the one with `uid`.
    #[must_use]
    pub fn is_foreign_to(&self, uid: &str) -> bool {
        self.target_uid.as_deref().is_some_and(|own| own != uid)
    }

    /// Whether a template with `image` may be the one that it was numbered for. The image of a record cannot be changed.
    #[must_use]
    pub fn may_be(&self, image: &str) -> bool {
        self.image.is_empty() || self.image == image
    }

    /// The decision of a person to keep it, if there is one.
    #[must_use]
    pub fn keep_decision(&self) -> Option<&Decision> {
        self.decision.as_ref().filter(|decision| decision.keep == Keep::Keep)
    }
}

/// What a person decided about a release.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Decision {
    /// Keep it, or roll it back.
    pub keep: Keep,
    /// Who.
    pub actor: String,
    /// Why.
    pub because: String,
}

/// Its words are one line, as they stand in a summary: whether they stand there already is looked for.
impl Decision {
    /// What came of it, and why, for a summary.
    pub(crate) fn outcome(&self) -> String {
        let done = match self.keep {
            Keep::Keep => "kept",
            Keep::RollBack => "rolled back",
        };
        in_one_line(format!("{done} by {}: {}", self.actor, self.because))
    }

    /// What a person wanted, before what became of that.
    pub(crate) fn wish(&self) -> String {
        let wanted = match self.keep {
            Keep::Keep => "keep it",
            Keep::RollBack => "roll it back",
        };
        in_one_line(format!("{} decided to {wanted}", self.actor))
    }
}

/// The two things a person can decide.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Keep {
    /// Keep the release, whatever the evidence says.
    Keep,
    /// Bring back the previous one now.
    RollBack,
}

/// What became of a release.
#[derive(Clone, Debug, Default, PartialEq)]
pub struct ReleaseStatus {
    /// Where it stands.
    pub phase: ReleasePhase,
    /// One line for people.
    pub summary: String,
    /// How it was judged.
    pub verdict: Option<Verdict>,
    /// Kept although the evidence could not tell.
    pub low_evidence: bool,
    /// Its template is held at admission.
    pub held: bool,
    /// When it was first seen.
    pub started_at: Option<Timestamp>,
    /// When its last pod became ready.
    pub ready_at: Option<Timestamp>,
    /// When the verdict fell.
    pub decided_at: Option<Timestamp>,
    /// When the service ran on the previous release again.
    pub recovered_at: Option<Timestamp>,
    /// How often a template was put back for it.
    pub restores: u32,
    /// The release whose template that was.
    pub restored: Option<u64>,
    /// Why Trimtab could not go on alone, which it has said.
    pub needs_human: Option<Reason>,
    /// Evidence at the time of the last write.
    pub findings: Vec<Finding>,
    /// Requests that failed because of it.
    pub harmed: Option<f64>,
    /// Events to tell, in order.
    pub outbox: Vec<OutboxEntry>,
}

/// An event that people are told at one destination.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct OutboxEntry {
    /// What happened.
    pub event: ReleaseEvent,
    /// Why a person is asked, where that is what happened.
    pub reason: Option<Reason>,
    /// To whom.
    pub destination: String,
    /// How often such an event was told before: a template that is held, or a question to a person, may come back.
    pub again: u32,
    /// How far the message got, and why; opaque to plans, which never change an entry that exists.
    pub state: String,
    /// When it was owed.
    pub at: Option<Timestamp>,
    /// What the destination calls the message that was posted: later ones about the release edit it.
    pub card: Option<String>,
}

impl OutboxEntry {
    /// How far the message got; `None` in words that this version does not know.
    #[must_use]
    pub fn progress(&self) -> Option<MessageState> {
        MessageState::parse(&self.state)
    }

    /// Whether nothing more will become of it. What this version does not know is left alone.
    #[must_use]
    pub fn is_over(&self) -> bool {
        self.progress().is_none_or(MessageState::is_over)
    }
}

/// How far one message got at one destination. The words that records have for it are owned here.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum MessageState {
    /// To be sent. It has not arrived, or may arrive again unharmed.
    Pending,
    /// Handed to the sender. It may have arrived.
    Sending,
    /// The destination has confirmed it.
    Sent,
    /// It did not arrive and is not tried again.
    Failed,
    /// It may have arrived and is not tried again.
    Unknown,
}

impl MessageState {
    const ALL: [Self; 5] = [Self::Pending, Self::Sending, Self::Sent, Self::Failed, Self::Unknown];

    /// The word in a record.
    #[must_use]
    pub fn word(self) -> &'static str {
        match self {
            Self::Pending => "Pending",
            Self::Sending => "Sending",
            Self::Sent => "Sent",
            Self::Failed => "Failed",
            Self::Unknown => "Unknown",
        }
    }

    /// The word with the reason after it, where there is one.
    #[must_use]
    pub fn because(self, why: &str) -> String {
        if why.is_empty() { self.word().to_owned() } else { format!("{}: {why}", self.word()) }
    }

    /// Reads [`Self::because`]. An entry that nobody touched yet has no word: it is pending.
    #[must_use]
    pub fn parse(state: &str) -> Option<Self> {
        let word = state.split(':').next().unwrap_or_default();
        if word.is_empty() {
            return Some(Self::Pending);
        }
        Self::ALL.into_iter().find(|known| known.word() == word)
    }

    /// Whether nothing more will become of the message.
    #[must_use]
    pub fn is_over(self) -> bool {
        !matches!(self, Self::Pending | Self::Sending)
    }
}

/// Things worth telling people.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub enum ReleaseEvent {
    /// A release began.
    Started,
    /// It was kept.
    Kept,
    /// It was rolled back.
    RolledBack,
    /// A rejected template was applied again and is held.
    Held,
    /// Trimtab stopped; a person must decide.
    NeedsHuman,
}

impl ReleaseEvent {
    /// Its reason code.
    #[must_use]
    pub fn reason(self) -> Reason {
        match self {
            Self::Started => Reason::Started,
            Self::Kept => Reason::Kept,
            Self::RolledBack => Reason::RolledBack,
            Self::Held => Reason::Held,
            Self::NeedsHuman => Reason::NeedsHuman,
        }
    }

    /// The word in manifests, events and messages.
    #[must_use]
    pub fn word(self) -> &'static str {
        self.reason().code()
    }

    /// Reads [`Self::word`].
    #[must_use]
    pub fn parse(word: &str) -> Option<Self> {
        [Self::Started, Self::Kept, Self::RolledBack, Self::Held, Self::NeedsHuman]
            .into_iter()
            .find(|event| event.word() == word)
    }
}

/// Where a release stands.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, PartialOrd, Ord)]
pub enum ReleasePhase {
    /// Numbered by a person; the cluster has not shown its template yet.
    #[default]
    Pending,
    /// Its pods are out and judged.
    Judging,
    /// It failed; the previous template is being restored.
    RollingBack,
    /// The previous release runs again. Its template is rejected for a month, or until a person keeps it.
    RolledBack,
    /// It stayed.
    Kept,
    /// A later release replaced it before a verdict.
    Superseded,
}

impl ReleasePhase {
    /// The word in the API.
    #[must_use]
    pub fn word(self) -> &'static str {
        match self {
            Self::Pending => "Pending",
            Self::Judging => "Judging",
            Self::RollingBack => "RollingBack",
            Self::RolledBack => "RolledBack",
            Self::Kept => "Kept",
            Self::Superseded => "Superseded",
        }
    }

    /// Reads [`Self::word`].
    #[must_use]
    pub fn parse(word: &str) -> Option<Self> {
        [Self::Pending, Self::Judging, Self::RollingBack, Self::RolledBack, Self::Kept, Self::Superseded]
            .into_iter()
            .find(|phase| phase.word() == word)
    }

    /// Whether the release is under way.
    #[must_use]
    pub fn in_flight(self) -> bool {
        matches!(self, Self::Judging | Self::RollingBack)
    }
}
