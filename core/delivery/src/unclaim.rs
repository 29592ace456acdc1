//! Letting go of a Deployment that no service names any more: nothing that was rejected may ship because of it.

use trimtab_workload::{Arm, Pod};

/// A ReplicaSet of the Deployment.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct OldSet {
    /// Hash of its pod template.
    pub template_hash: String,
    /// The Deployment's revision that it stands for; the highest one is the newest.
    pub revision: u64,
    /// Pods wanted. Whether they are available says nothing about what should run.
    pub replicas: u32,
    /// Images of its containers.
    pub images: Vec<String>,
    /// Whether its pods are labelled as those of a release that is judged.
    pub judged: bool,
}

/// A Deployment that is to be let go of.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Leaving {
    /// Whether admission holds the template in its spec.
    pub held: bool,
    /// Hash of that template.
    pub template_hash: String,
    /// Whether our field manager owns fields of the template.
    pub owns_template: bool,
    /// The images that its claim tells admission to hold.
    pub held_images: Vec<String>,
    /// Its ReplicaSets, in any order.
    pub sets: Vec<OldSet>,
    /// Hashes of the templates that were kept, as far as records are left, the newest last.
    pub kept: Vec<String>,
    /// Hashes of the templates that were rejected, as far as records are left.
    pub rejected: Vec<String>,
    /// Hashes of all templates that a record is left of.
    pub recorded: Vec<String>,
}

/// What is to be done next. Each step is seen on the Deployment before the next one follows, and the claim goes last, so
/// whoever finds it finishes the job.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Step {
    /// Put the template with this hash back, and lift admission's pause with it.
    Restore {
        /// Hash of a template of one of the ReplicaSets.
        template_hash: String,
    },
    /// Give up the fields that the restored template left with our field manager.
    ReturnFields,
    /// Remove the claim.
    Release,
    /// Remove the claim and leave the pause: the spec holds a rejected template, and nothing is known that may run instead.
    ReleasePaused,
}

/// The next step. Pure: a function of what is seen.
#[must_use]
pub fn next_step(leaving: &Leaving) -> Step {
    match (leaving.held, safe_template(leaving)) {
        (true, Some(template_hash)) => Step::Restore { template_hash },
        (true, None) => Step::ReleasePaused,
        (false, _) if leaving.owns_template => Step::ReturnFields,
        (false, _) => Step::Release,
    }
}

/// Whether the pods of one ReplicaSet are labelled as those of a release that is judged. Pods that end keep their label, and those
/// of a set that was kept are labelled anew one after the other: the living ones tell, and where there are none, what the others
/// were.
#[must_use]
pub fn is_judged<'a>(pods: impl IntoIterator<Item = &'a Pod>) -> bool {
    let labelled = pods.into_iter().filter(|pod| pod.arm.is_some());
    let (living, ended): (Vec<&Pod>, Vec<&Pod>) = labelled.partition(|pod| !pod.deleting && !pod.ended);
    let those = if living.is_empty() { ended } else { living };
    !those.is_empty() && those.iter().all(|pod| pod.arm == Some(Arm::Canary))
}

/// What should run instead of the held template: what was kept last, else the newest template that has pods and was not
/// rejected. Where records are gone, the claim tells which images were. They go one by one, so what runs and is newer than
/// what was kept, without a record of its own, is what was kept after it, unless it is still judged.
fn safe_template(leaving: &Leaving) -> Option<String> {
    if leaving.kept.last() == Some(&leaving.template_hash) {
        return Some(leaving.template_hash.clone());
    }
    let safe = |hash: &String| *hash != leaving.template_hash && !leaving.rejected.contains(hash);
    let newest_set = |hash: &String| {
        let of = leaving.sets.iter().filter(|set| set.template_hash == *hash);
        of.max_by_key(|set| set.revision)
    };
    let kept = leaving.kept.iter().rev().filter(|hash| safe(hash)).find_map(newest_set);
    let unknown = |set: &&OldSet| !set.images.iter().any(|image| leaving.held_images.contains(image));
    let candidates = leaving.sets.iter().filter(|set| set.replicas > 0 && safe(&set.template_hash));
    let runs = candidates.filter(unknown).max_by_key(|set| (!set.judged, set.revision));
    let follows = |kept: &OldSet, runs: &OldSet| {
        runs.revision > kept.revision && !runs.judged && !leaving.recorded.contains(&runs.template_hash)
    };
    let runs = runs.filter(|runs| kept.is_none_or(|kept| follows(kept, runs)));
    runs.or(kept).map(|set| set.template_hash.clone())
}
