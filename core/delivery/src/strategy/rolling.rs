//! Rolling: Kubernetes ships the release, and it is recorded. Nothing is judged; only a person takes it back.

use super::contract::{Next, Strategy};
use super::rollout::{before_out, short_of_pods};
use super::stage::Stage;

/// Recorded, not judged.
#[derive(Clone, Copy, Debug)]
pub struct Rolling;

impl Strategy for Rolling {
    fn word(&self) -> &'static str {
        "Rolling"
    }

    fn judges(&self) -> bool {
        false
    }

    fn next(&self, stage: &Stage<'_>) -> Next {
        before_out(stage).unwrap_or_else(|| kept(stage))
    }

    fn reconsider(&self, stage: &Stage<'_>) -> Next {
        kept(stage)
    }
}

fn kept(stage: &Stage<'_>) -> Next {
    let out = short_of_pods(stage).unwrap_or_else(|| "rolled out".to_owned());
    Next::Keep { verdict: None, summary: format!("{out}; strategy Rolling does not judge") }
}
