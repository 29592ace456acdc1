//! Records what became of messages to people, as soon as it is known: until the record says so, the death of this process has
//! the message sent again. So it reads nothing that it would have to wait for, and its writes meet no other's.

use std::sync::Arc;
use std::time::Duration;

use futures::FutureExt;
use futures::future::BoxFuture;
use jiff::Timestamp;
use trimtab_kube::Key;
use trimtab_kube::kinds::{Apps, Changed, Releases, Stores};
use trimtab_plan::concern::{Concern, DELIVERY};
use trimtab_plan::{Kind, Object, Plan, Report, WRITES_MAX};

use crate::context::Reads;
use crate::controller::{Controller, Gathered};
use crate::observed::{NOTHING_MEASURED, Observed};
use crate::outbox::Outbox;

/// Services recorded at one time: each takes one short write.
const AT_ONCE: usize = 64;
/// How long a process that is to stop waits until everything is recorded: as long as a last attempt may take, and a write.
const LAST_RECORDS: Duration = Duration::from_secs(12);
/// What is to be recorded is tried again after this, until it is seen, and what one plan could not hold follows: the death of
/// this process, or the loss of its lease, would double it.
const RECORD_AGAIN: Duration = Duration::from_secs(1);
/// What nobody takes for this long is tried less often.
const RECORD_SOON: Duration = Duration::from_secs(15);
const RECORD_LATER: Duration = Duration::from_secs(10);
/// How often it looks.
const LOOK: Duration = Duration::from_millis(20);

/// Records what became of messages.
pub struct Messages {
    /// What the cluster looks like.
    pub stores: Stores,
    /// Messages to people.
    pub outbox: Arc<Outbox>,
}

impl Controller for Messages {
    type Key = Key;
    type Seen = (Observed, Timestamp);

    /// It is a part of delivery that has turns of its own.
    fn concern(&self) -> &'static Concern {
        &DELIVERY
    }

    fn at_once(&self) -> usize {
        AT_ONCE
    }

    fn concerned(&self, changed: Changed<'_>) -> Vec<Key> {
        let services = changed.rows::<Releases>().map(|release| release.service());
        services.filter(|service| self.outbox.knows_of(service)).collect()
    }

    fn all(&self) -> Vec<Key> {
        self.outbox.unrecorded()
    }

    fn reads(&self, _service: &Key) -> Vec<Reads> {
        Vec::new()
    }

    fn gather(&self, service: &Key, now: Timestamp) -> Gathered<Self::Seen> {
        let Some(app) = self.stores.of::<Apps>().get(service) else { return Gathered::Nothing };
        Gathered::Seen((Observed::gather(&self.stores, &app), now))
    }

    fn plan(&self, (observed, now): &Self::Seen) -> (Plan, Report) {
        let snapshot = observed.snapshot(*now, &NOTHING_MEASURED);
        let (mut writes, age) = self.outbox.record(observed, &snapshot);
        let about = Object::new(Kind::MANAGED_APP, &observed.app.namespace, observed.app.name.clone());
        let summary = format!("{} messages came to an end", writes.len());
        // A destination that was down for long may give back more than one plan holds.
        writes.truncate(WRITES_MAX);
        let again = if age < RECORD_SOON { RECORD_AGAIN } else { RECORD_LATER };
        let again_at = now.checked_add(again).unwrap_or(Timestamp::MAX);
        let wake_at = (!writes.is_empty()).then_some(again_at);
        (Plan { writes, wake_at }, Report { about, summary, steps: Vec::new() })
    }

    /// What others still hand over has to be recorded as well.
    fn ends_last(&self) -> bool {
        true
    }

    fn last_words(&self) -> BoxFuture<'_, ()> {
        let recorded = async {
            self.outbox.close().await;
            // Whoever looks up where a message goes finds that it is not sent any more.
            while self.outbox.is_recording() {
                tokio::time::sleep(LOOK).await;
            }
        };
        // What is not recorded by then is left to the successor, as after a death.
        tokio::time::timeout(LAST_RECORDS, recorded).map(drop).boxed()
    }
}
