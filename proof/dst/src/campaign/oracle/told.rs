//! Messages: each once, but where its sender died or was cut off before it could say so.

use std::collections::BTreeMap;

use jiff::{SignedDuration, Timestamp};

use super::{Leader, Oracle, Violation, text};
use crate::stage::Stage;

/// Messages by destination and key, with how each came first.
#[derive(Default)]
pub(super) struct Told {
    seen: usize,
    first: BTreeMap<(String, String), First>,
}

struct First {
    at: Timestamp,
    /// How many managers had died by then.
    died: u32,
}

impl Told {
    /// Looks at the messages that came since the last look.
    pub(super) fn look(&mut self, stage: &Stage, leader: &Leader) -> Vec<Violation> {
        let mut found = Vec::new();
        let received = stage.messages.received();
        for message in received.iter().skip(self.seen) {
            let key = text(&message.body, "/key").to_owned();
            let ago = SignedDuration::try_from(message.at.elapsed()).unwrap_or_default();
            let (at, died) = (stage.sim.now() - ago, stage.killed());
            if let Some(before) = self.first.insert((message.url.clone(), key), First { at, died })
                && before.died == died
                && !leader.was_cut_off(before.at, at)
            {
                let (event, release) = (text(&message.body, "/event"), text(&message.body, "/release"));
                let what = format!(
                    "{} {release} {event} was told again, and no manager had died",
                    text(&message.body, "/service")
                );
                found.push(Violation { oracle: Oracle::ToldOnce, at: stage.sim.now(), what });
            }
        }
        self.seen = received.len();
        found
    }
}
