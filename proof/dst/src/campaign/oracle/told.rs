//! Messages: each once, but where its sender died or was cut off before it could say so.

use std::collections::BTreeMap;

use jiff::{SignedDuration, Timestamp};
use trimtab_sim::StoreChange;

use super::{Leader, Oracle, Violation, text};
use crate::stage::Stage;

/// Messages by destination and key, with how each came first.
#[derive(Default)]
pub(super) struct Told {
    seen: usize,
    first: BTreeMap<(String, String), First>,
    /// Since when a record said that it was told: service, release, event, and which time this came to pass.
    recorded: BTreeMap<String, Timestamp>,
}

struct First {
    at: Timestamp,
    /// How many managers had died by then.
    died: u32,
}

impl Told {
    /// Notes what a record says was told.
    pub(super) fn see_release(&mut self, change: &StoreChange) {
        let Some(record) = change.after() else { return };
        let (service, number) = (text(record, "/spec/app"), &record["spec"]["number"]);
        for entry in record["status"]["notifications"].as_array().into_iter().flatten() {
            if entry["state"] == "Sent" {
                let again = entry["again"].as_u64().map(|again| format!(":{again}")).unwrap_or_default();
                let told = format!("{service}:v{number}:{}{again}", text(entry, "/event"));
                self.recorded.entry(told).or_insert(change.at);
            }
        }
    }

    /// Looks at the messages that came since the last look.
    pub(super) fn look(&mut self, stage: &Stage, leader: &Leader) -> Vec<Violation> {
        let mut found = Vec::new();
        let received = stage.messages.received();
        for message in received.iter().skip(self.seen) {
            let key = text(&message.body, "/key").to_owned();
            let ago = SignedDuration::try_from(message.at.elapsed()).unwrap_or_default();
            let (at, died) = (stage.sim.now() - ago, stage.killed());
            let (event, release) = (text(&message.body, "/event"), text(&message.body, "/release"));
            let service = text(&message.body, "/service");
            let again = key.rsplit_once(event).map_or("", |(_, again)| again);
            let recorded = self.recorded.get(&format!("{service}:{release}:{event}{again}"));
            let was_recorded = recorded.is_some_and(|recorded_at| *recorded_at < at);
            if let Some(before) = self.first.insert((message.url.clone(), key), First { at, died })
                && before.died == died
                && (was_recorded || !leader.was_cut_off(before.at, at))
            {
                let what = format!("{service} {release} {event} was told again, and no manager had died");
                found.push(Violation { oracle: Oracle::ToldOnce, at: stage.sim.now(), what });
            }
        }
        self.seen = received.len();
        found
    }
}
