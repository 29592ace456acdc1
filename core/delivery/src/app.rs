//! The service: what its `ManagedApp` says, and the status that it is given.

use jiff::Timestamp;
use trimtab_plan::{Condition, Transition};

use crate::command;
use crate::names::release_word;

/// The service as its `ManagedApp` says.
#[derive(Clone, Debug, Default, PartialEq)]
pub struct App {
    /// Namespace.
    pub namespace: String,
    /// Name.
    pub name: String,
    /// Generation of the spec.
    pub generation: i64,
    /// What is wrong with its spec, with field and cause. The settings are what is left without it.
    pub problems: Vec<String>,
    /// The manager that looks after it, where several share a cluster.
    pub instance: Option<String>,
    /// The `ManagedApp` that has the claim on the same Deployment.
    pub claimed_by: Option<String>,
    /// Its status as it stands in the API.
    pub status: AppStatus,
    /// Unique for all time.
    pub uid: String,
    /// Version of the object that this was read from.
    pub version: u64,
    /// Since when each condition says what it says.
    pub transitions: Vec<Transition>,
}

/// The status of a service.
#[derive(Clone, Debug, Default, PartialEq)]
pub struct AppStatus {
    /// Generation of the spec that this speaks of.
    pub observed_generation: i64,
    /// One word.
    pub phase: AppPhase,
    /// One line for people.
    pub summary: String,
    /// Uid of the claimed Deployment.
    pub target_uid: Option<String>,
    /// The release that was kept last.
    pub current: Option<u64>,
    /// The release under way.
    pub in_flight: Option<u64>,
    /// Highest number given so far.
    pub last_release: Option<u64>,
    /// Releases whose templates are held at admission.
    pub rejected: Vec<Rejected>,
    /// Conditions, without their transition times.
    pub conditions: Vec<Condition>,
}

impl App {
    /// A command of `trimtab` about the service, such as `promote`; flags may follow it.
    pub(crate) fn command(&self, verb: &str) -> String {
        command::trimtab(&format!("{verb} {}", self.name), &self.namespace)
    }

    /// The same about one of its releases.
    pub(crate) fn command_on(&self, verb: &str, number: u64) -> String {
        command::trimtab(&format!("{verb} {} {}", self.name, release_word(number)), &self.namespace)
    }
}

/// One word for the state of a service.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub enum AppPhase {
    /// Nothing is claimed.
    #[default]
    Unclaimed,
    /// Runs what was kept.
    Healthy,
    /// A release is judged.
    Releasing,
    /// The previous release is being restored.
    RollingBack,
    /// Runs what was kept, while a rejected template waits in the spec.
    Held,
    /// Trimtab cannot go on alone, and a person must decide.
    Degraded,
}

impl AppPhase {
    /// The word in the API.
    #[must_use]
    pub fn word(self) -> &'static str {
        match self {
            Self::Unclaimed => "Unclaimed",
            Self::Healthy => "Healthy",
            Self::Releasing => "Releasing",
            Self::RollingBack => "RollingBack",
            Self::Held => "Held",
            Self::Degraded => "Degraded",
        }
    }

    /// Reads [`Self::word`]; an unknown word is [`AppPhase::Unclaimed`].
    #[must_use]
    pub fn parse(word: &str) -> Self {
        [Self::Healthy, Self::Releasing, Self::RollingBack, Self::Held, Self::Degraded]
            .into_iter()
            .find(|phase| phase.word() == word)
            .unwrap_or_default()
    }
}

/// A rejected release.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Rejected {
    /// Its number.
    pub number: u64,
    /// Hash of its template.
    pub template_hash: String,
    /// When it was rejected.
    pub at: Option<Timestamp>,
}
