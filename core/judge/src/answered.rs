//! Whether a rule gets answers, and since when not.

use crate::arms::Arms;
use crate::finding::FindingState;
use crate::question::Failure;

/// New pods that are ready this long without a single sample have lost their telemetry.
const TELEMETRY_PATIENCE_MS: i64 = 45_000;

/// Whether a rule's questions are answered.
#[derive(Clone, Debug, Default)]
pub(crate) struct Answered {
    ever: bool,
    failing: Option<(i64, Failure)>,
}

impl Answered {
    pub(crate) fn succeeded(&mut self) {
        *self = Self { ever: true, failing: None };
    }

    pub(crate) fn failed(&mut self, at_ms: i64, why: Failure) {
        let since_ms = self.failing.as_ref().map_or(at_ms, |(since_ms, _)| *since_ms);
        self.failing = Some((since_ms, why));
    }

    /// Telemetry is lost when there was no answer for a while, or none at all: a manager that has just started must not
    /// conclude before it has looked. Where there never will be an answer the rule is bound to nothing.
    pub(crate) fn lost(&self, now_ms: i64) -> Option<FindingState> {
        let (since_ms, why) = self.failing.as_ref()?;
        let patient = self.ever && now_ms - since_ms <= TELEMETRY_PATIENCE_MS;
        let lasting = matches!(why, Failure::Lasting(_) | Failure::TooLarge(_));
        (lasting || !patient).then(|| unanswered(*since_ms, why, now_ms))
    }

    /// Telemetry is lost, too, when new pods are ready and were not scraped for a while, for rules whose series exist.
    pub(crate) fn unscraped(
        &self,
        arms: &Arms,
        last_canary_ms: Option<i64>,
        now_ms: i64,
    ) -> Option<FindingState> {
        let ready_ms = arms.canary_ready_since_ms()?;
        let silent_ms = now_ms - last_canary_ms.map_or(ready_ms, |last| last.max(ready_ms));
        let silent = || format!("the new pods are ready and were not scraped for {} s", silent_ms / 1000);
        (silent_ms > TELEMETRY_PATIENCE_MS).then(|| match &self.failing {
            Some((since_ms, why)) => unanswered(*since_ms, why, now_ms),
            None => FindingState::TelemetryLost(silent()),
        })
    }
}

fn unanswered(since_ms: i64, why: &Failure, now_ms: i64) -> FindingState {
    match why {
        Failure::Passing(why) => {
            FindingState::TelemetryLost(format!("no answer for {} s: {why}", (now_ms - since_ms) / 1000))
        }
        Failure::Lasting(why) | Failure::TooLarge(why) => FindingState::Unbound(why.clone()),
    }
}
