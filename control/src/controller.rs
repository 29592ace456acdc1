//! What a controller is: it says what it is about, and the [host](crate::host) does everything that two of them would do
//! alike.

use std::fmt::Debug;
use std::future::ready;

use futures::FutureExt;
use futures::future::BoxFuture;
use jiff::Timestamp;
use trimtab_kube::kinds::Changed;
use trimtab_kube::queue::QueueKey;
use trimtab_plan::{Concern, Plan, Report};

use crate::context::Reads;

/// A controller: what it decides about, on what, and what it decides.
pub trait Controller: Send + Sync + 'static {
    /// What it decides about at one time, by name.
    type Key: QueueKey + Debug;

    /// What a plan is made on.
    type Seen: Send + Sync;

    /// Who it is to everybody else, and what its plans may write.
    fn concern(&self) -> &'static Concern;

    /// Keys decided at one time.
    fn at_once(&self) -> usize {
        1
    }

    /// The keys that a change concerns.
    fn concerned(&self, changed: Changed<'_>) -> Vec<Self::Key>;

    /// Every key that there may be something to decide about: a new leader looks at all of them once.
    fn all(&self) -> Vec<Self::Key>;

    /// A term begins: what is remembered of an earlier one may be wrong by now.
    fn begin_term(&self) {}

    /// The objects that a plan for `key` is made on.
    fn reads(&self, key: &Self::Key) -> Vec<Reads>;

    /// What there is to see of `key` now. Never waits.
    fn gather(&self, key: &Self::Key, now: Timestamp) -> Gathered<Self::Seen>;

    /// What is due, and why. Decides on `seen` alone.
    fn plan(&self, seen: &Self::Seen) -> (Plan, Report);

    /// Takes a message that a plan hands over: the key of its outbox entry, and the destination.
    fn notify(&self, _seen: &Self::Seen, _key: &str, _destination: &str) {}

    /// Whether it goes on until every other controller has ended: it records what they leave behind.
    fn ends_last(&self) -> bool {
        false
    }

    /// The process is to stop. What is enqueued before this is done is still decided about; it must end soon.
    fn last_words(&self) -> BoxFuture<'_, ()> {
        ready(()).boxed()
    }
}

/// What there is to see of a key.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Gathered<S> {
    /// Nothing to decide about until something changes.
    Nothing,
    /// Nothing that could be decided on before that time.
    Later(Timestamp),
    /// What a plan is made on.
    Seen(S),
}
