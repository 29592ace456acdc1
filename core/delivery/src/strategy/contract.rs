//! What a strategy decides, and in which words.

use std::fmt;

use jiff::Timestamp;
use trimtab_plan::Reason;
use trimtab_stats::Verdict;
use trimtab_workload::{Arm, ReplicaSet};

use super::stage::Stage;
use crate::release::Release;

/// How a service ships its releases.
///
/// It decides; the plan writes. What a person decided, what was rejected before and who paused the Deployment is looked at
/// before a strategy is asked, for it is the same under all of them.
pub trait Strategy: fmt::Debug + Send + Sync {
    /// The word in manifests.
    fn word(&self) -> &'static str;

    /// Whether releases are compared with what was before them. Then the metrics server is asked about a release under way,
    /// and pods carry the label of their arm.
    fn judges(&self) -> bool;

    /// The ReplicaSets whose pods are compared, and as which arm. Pods of a release that was rejected or overtaken are no
    /// measure of what is normal.
    fn arms<'a>(
        &self,
        release: &Release,
        previous: Option<&Release>,
        sets: &'a [ReplicaSet],
    ) -> Vec<(Arm, &'a ReplicaSet)> {
        let of = |arm: Arm, hash: Option<&str>| {
            let own = sets.iter().filter(move |set| Some(set.template_hash.as_str()) == hash);
            own.map(|set| (arm, set)).collect::<Vec<_>>()
        };
        let stable = previous.and_then(|previous| previous.template_hash.as_deref());
        [of(Arm::Canary, release.template_hash.as_deref()), of(Arm::Stable, stable)].concat()
    }

    /// What becomes of a release whose template is let through and about which no person decided.
    fn next(&self, stage: &Stage<'_>) -> Next;

    /// The same for a release that was kept on too little evidence and is watched on. It is asked where [`Self::judges`].
    fn reconsider(&self, stage: &Stage<'_>) -> Next;
}

/// Two are the same where manifests call them the same.
impl PartialEq for dyn Strategy {
    fn eq(&self, other: &Self) -> bool {
        self.word() == other.word()
    }
}

/// What becomes of a release now.
#[derive(Clone, Debug, PartialEq)]
pub enum Next {
    /// It failed: what was kept before comes back.
    Fail {
        /// Why, for people.
        summary: String,
    },
    /// All that there will be of it is out. The time of its watch begins.
    Out {
        /// What was seen.
        saw: String,
    },
    /// Nothing yet.
    Wait {
        /// What is waited for.
        waits: Vec<Wait>,
        /// When to look again although nothing happened.
        until: Option<Timestamp>,
    },
    /// It stays.
    Keep {
        /// How it was judged; `None` where nobody did.
        verdict: Option<Verdict>,
        /// Why, for people.
        summary: String,
    },
}

/// One thing that a release waits for.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Wait {
    /// Why, for machines.
    pub code: Reason,
    /// What was seen.
    pub saw: String,
    /// What is done meanwhile.
    pub decided: String,
    /// What has to happen.
    pub waits_for: String,
}
