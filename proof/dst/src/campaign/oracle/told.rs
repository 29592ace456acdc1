//! Messages: each once.

use std::collections::BTreeMap;

use super::{Oracle, Violation, text};
use crate::stage::Stage;

/// Messages by destination and key, with the number of managers that had died when each came.
#[derive(Default)]
pub(super) struct Told {
    seen: usize,
    first: BTreeMap<(String, String), u32>,
}

impl Told {
    /// Looks at the messages that came since the last look.
    pub(super) fn look(&mut self, stage: &Stage) -> Vec<Violation> {
        let mut found = Vec::new();
        let received = stage.messages.received();
        for message in received.iter().skip(self.seen) {
            let key = text(&message.body, "/key").to_owned();
            let died = stage.killed();
            if let Some(before) = self.first.insert((message.url.clone(), key), died)
                && before == died
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
