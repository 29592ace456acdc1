//! Bugs that are planted on purpose, from the outside, to see that the oracles find them: a manager whose client, whose
//! messages or whose measurements do what a wrong manager would do.

mod client;
mod messages;

use std::sync::{Arc, Mutex, MutexGuard, PoisonError};

use kube::Client;
use trimtab_control::measurements::Measure;
use trimtab_providers::http::HttpTransport;
use trimtab_sim::Actor;

use self::client::Bugged;
use self::messages::{Failed, Failing, Silent, Twice};
use crate::messages::Messages;

/// What is wrong with a manager.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Planted {
    /// Patches carry no precondition.
    NoPreconditions,
    /// The lease is granted to whoever asks: two managers lead.
    EverybodyLeads,
    /// A write that nobody answers is tried again long after it was decided, whoever leads by then.
    WritesOutliveTheLease,
    /// A message is sent again although the first one arrived.
    TellsTwice,
    /// A status that was written is written once more, two minutes later.
    OldStatusAgain,
    /// An event that carries a person's decision is swallowed.
    DeafToDecisions,
    /// A template that comes back after its rejection is not held.
    NeverHolds,
    /// The status of a service is written again and again though nothing changed.
    Restless,
    /// A new leader decides on what it listed first, long ago, and its statuses overwrite newer ones.
    DecidesOnOldLists,
    /// A decision is lost when its event comes before that of the Deployment it is about.
    LosesEarlyDecisions,
    /// While a message cannot be delivered, a release that is judged is not looked at any more.
    ForgetsTheJudged,
}

impl Planted {
    /// Every planted bug.
    pub const ALL: [Self; 11] = [
        Self::NoPreconditions,
        Self::EverybodyLeads,
        Self::WritesOutliveTheLease,
        Self::TellsTwice,
        Self::OldStatusAgain,
        Self::DeafToDecisions,
        Self::NeverHolds,
        Self::Restless,
        Self::DecidesOnOldLists,
        Self::LosesEarlyDecisions,
        Self::ForgetsTheJudged,
    ];

    /// Its name on the command line.
    #[must_use]
    pub fn word(self) -> &'static str {
        match self {
            Self::NoPreconditions => "no-preconditions",
            Self::EverybodyLeads => "everybody-leads",
            Self::WritesOutliveTheLease => "writes-outlive-the-lease",
            Self::TellsTwice => "tells-twice",
            Self::OldStatusAgain => "old-status-again",
            Self::DeafToDecisions => "deaf-to-decisions",
            Self::NeverHolds => "never-holds",
            Self::Restless => "restless",
            Self::DecidesOnOldLists => "decides-on-old-lists",
            Self::LosesEarlyDecisions => "loses-early-decisions",
            Self::ForgetsTheJudged => "forgets-the-judged",
        }
    }
}

/// What a manager talks through.
pub(crate) struct Wrapped {
    /// To the API server.
    pub(crate) client: Client,
    /// To people.
    pub(crate) transport: Arc<dyn HttpTransport>,
    /// To the metrics server.
    pub(crate) measure: Arc<dyn Measure>,
}

/// A manager's client, messages and measurements, with the bug that is planted in them, if any.
pub(crate) fn wrap(
    planted: Option<Planted>,
    actor: &Actor,
    messages: &Messages,
    measure: Arc<dyn Measure>,
) -> Wrapped {
    let (client, transport) = (actor.client.clone(), Arc::new(messages.clone()));
    match planted {
        None => Wrapped { client, transport, measure },
        Some(Planted::TellsTwice) => {
            Wrapped { client, transport: Arc::new(Twice(messages.clone())), measure }
        }
        Some(Planted::ForgetsTheJudged) => {
            let failed = Failed::default();
            let measure = Arc::new(Silent { inner: measure, failed: failed.clone() });
            Wrapped { client, transport: Arc::new(Failing { inner: messages.clone(), failed }), measure }
        }
        Some(bug) => {
            let client = Client::new(Bugged::new(client, bug), "default");
            Wrapped { client, transport, measure }
        }
    }
}

fn locked<T>(mutex: &Mutex<T>) -> MutexGuard<'_, T> {
    mutex.lock().unwrap_or_else(PoisonError::into_inner)
}
