//! Rolling: Kubernetes ships the release, and it is recorded. Nothing is judged; only a person takes it back.

use super::contract::{Next, Strategy};
use super::rollout::before_out;
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
        before_out(stage).unwrap_or_else(kept)
    }

    fn reconsider(&self, _: &Stage<'_>) -> Next {
        kept()
    }
}

fn kept() -> Next {
    Next::Keep { verdict: None, summary: "rolled out; strategy Rolling does not judge".to_owned() }
}
