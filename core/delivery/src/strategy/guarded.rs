//! Guarded: let through at once, judged against the pods before it and the service's own past, and for a while after the
//! last pod is ready. What failed is taken back.

use jiff::Timestamp;
use trimtab_judge::finding::finding_line;
use trimtab_plan::Reason;
use trimtab_units::duration_words;

use super::contract::{Next, Strategy, Wait};
use super::evidence::{failed_rule, telemetry_lost, weigh};
use super::rollout::{before_out, came_to_nothing, is_given_up, short_of_pods};
use super::stage::Stage;
use crate::deadline::after;

/// Let through, judged, restored on FAIL.
#[derive(Clone, Copy, Debug)]
pub struct Guarded;

impl Strategy for Guarded {
    fn word(&self) -> &'static str {
        "Guarded"
    }

    fn judges(&self) -> bool {
        true
    }

    fn next(&self, stage: &Stage<'_>) -> Next {
        if let Some(summary) = failed_rule(stage).or_else(|| stuck(stage)).or_else(|| came_to_nothing(stage))
        {
            return Next::Fail { summary };
        }
        if let Some(next) = before_out(stage) {
            return next;
        }
        let ready_at = stage.release.status.ready_at.unwrap_or(stage.now);
        watching(stage, ready_at).unwrap_or_else(|| conclusion(stage))
    }

    fn reconsider(&self, stage: &Stage<'_>) -> Next {
        match failed_rule(stage) {
            Some(summary) => Next::Fail { summary },
            None => conclusion(stage),
        }
    }
}

/// Why Kubernetes gave up on the rollout, if it did.
fn stuck(stage: &Stage<'_>) -> Option<String> {
    let stuck = stage.target.progress_deadline_exceeded.as_ref().filter(|_| is_given_up(stage))?;
    let why = stage.pods.iter().filter(|pod| !pod.ended).filter_map(|pod| pod.waiting.as_deref()).min();
    Some(match why {
        Some(why) => format!("progress: {why}; {stuck}"),
        None => format!("progress: {stuck}"),
    })
}

/// Why a release that is out since `ready_at` is not decided yet; `None` where it is time.
fn watching(stage: &Stage<'_>, ready_at: Timestamp) -> Option<Next> {
    if stage.target.replicas <= 0 {
        return None;
    }
    // Telemetry that was lost may come back: such a release is judged twice as long.
    let patience = if telemetry_lost(stage).is_some() { 2 } else { 1 };
    let deadline = after(ready_at, stage.watch.saturating_mul(patience));
    if stage.now < deadline {
        return Some(Next::Wait { waits: judging_on(stage), until: Some(deadline) });
    }
    // A verdict that an answer under way could change is not given before it: every question ends, if only in a failure.
    let since = stage.measuring_since?;
    let asked = stage.now.duration_since(since).as_secs();
    let wait = Wait {
        code: Reason::MeasurementPending,
        saw: format!("the watch is over, and the metrics server was asked {asked} s ago"),
        decided: "decides when it answers".to_owned(),
        waits_for: "the answer, or the end of its timeout".to_owned(),
    };
    Some(Next::Wait { waits: vec![wait], until: None })
}

fn judging_on(stage: &Stage<'_>) -> Vec<Wait> {
    let wait = |code: Reason, saw: String, decided: &str| Wait {
        code,
        saw,
        decided: decided.to_owned(),
        waits_for: format!("{} after the last pod became ready", duration_words(stage.watch)),
    };
    let short =
        short_of_pods(stage).map(|short| wait(Reason::PodsUnavailable, short, "judges by the others"));
    let found =
        stage.findings.iter().map(|finding| wait(Reason::Judging, finding_line(finding), "goes on judging"));
    short.into_iter().chain(found).collect()
}

/// What the findings come to. Where they cannot tell, the release stays, marked, and is watched on.
fn conclusion(stage: &Stage<'_>) -> Next {
    let (verdict, summary) = weigh(stage);
    Next::Keep { verdict: Some(verdict), summary }
}
