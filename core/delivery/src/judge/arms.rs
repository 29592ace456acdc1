//! Which pods are new and which are old, and how series are told apart by it.

use std::collections::BTreeMap;

use jiff::Timestamp;
use trimtab_promql::{Labels, Matcher};

use crate::names::Phase;
use crate::rule::ArmLabel;
use crate::snapshot::{Pod, Release, Snapshot};

/// Longest ReplicaSet name that pods' names repeat whole: a generated name is cut to 63 bytes, of which 5 are random.
const PREFIX_BYTES_MAX: usize = 57;

/// The two arms of a release.
#[derive(Clone, Debug, Default, PartialEq)]
pub struct Arms {
    /// Namespace of the service.
    pub namespace: String,
    /// ReplicaSets of the release being judged.
    pub canary_sets: Vec<String>,
    /// ReplicaSets of earlier releases.
    pub stable_sets: Vec<String>,
    /// Pods by name, those that are gone included while anybody remembers them.
    pub pods: BTreeMap<String, ArmPod>,
}

/// A pod as the judge sees it.
#[derive(Clone, Debug, PartialEq)]
pub struct ArmPod {
    /// Its arm.
    pub arm: Phase,
    /// When its containers first started, in milliseconds since the epoch.
    pub started_ms: Option<i64>,
    /// Whether it is ready and not being deleted.
    pub ready: bool,
    /// When it was found gone, in milliseconds since the epoch; from then on it is exposed to nothing.
    pub gone_ms: Option<i64>,
    /// Restarts by container, one added for a container that lies crashed.
    pub crashes: BTreeMap<String, u32>,
    /// Reason of the last crash.
    pub last_crash: Option<String>,
}

impl Arms {
    /// The arms of `release` in `snapshot`; pods of `before` that are gone are remembered.
    #[must_use]
    pub fn of(snapshot: &Snapshot<'_>, release: &Release, before: &Arms) -> Self {
        let canary = release.template_hash.as_deref();
        // Pods of a release that was rejected or overtaken are no measure of what is normal.
        let stable = snapshot.before(release).and_then(|before| before.template_hash.as_deref());
        let sets = |hash: Option<&str>| {
            let mut names: Vec<String> = snapshot
                .replica_sets
                .iter()
                .filter(|set| Some(set.template_hash.as_str()) == hash)
                .map(|set| set.name.clone())
                .collect();
            names.sort();
            names
        };
        let arm = |pod: &Pod| {
            let hash = Some(snapshot.template_hash(pod)?);
            let phases = [(canary, Phase::Canary), (stable, Phase::Stable)];
            phases.into_iter().find(|(of, _)| *of == hash).map(|(_, phase)| phase)
        };
        let gone = |pod: &ArmPod| {
            let gone_ms = pod.gone_ms.or(Some(snapshot.now.as_millisecond()));
            ArmPod { ready: false, gone_ms, ..pod.clone() }
        };
        let mut pods: BTreeMap<String, ArmPod> =
            before.pods.iter().map(|(name, pod)| (name.clone(), gone(pod))).collect();
        let counted = snapshot.pods.iter().filter(|pod| !pod.ended);
        for (pod, arm) in counted.filter_map(|pod| arm(pod).map(|arm| (pod, arm))) {
            pods.insert(pod.name.clone(), arm_pod(pod, arm));
        }
        Self {
            namespace: snapshot.app.namespace.clone(),
            canary_sets: sets(canary),
            stable_sets: sets(stable),
            pods,
        }
    }

    pub(super) fn is_empty(&self) -> bool {
        self.canary_sets.is_empty() && self.stable_sets.is_empty()
    }

    /// Since when any new pod has been running and is ready now.
    pub(super) fn canary_ready_since_ms(&self) -> Option<i64> {
        self.pods
            .values()
            .filter(|pod| pod.arm == Phase::Canary && pod.ready)
            .filter_map(|pod| pod.started_ms)
            .min()
    }

    pub(super) fn started_ms(&self, pod: &str) -> Option<i64> {
        self.pods.get(pod).and_then(|pod| pod.started_ms)
    }

    /// `selector` or expression narrowed to one arm, or to both; or why it cannot be.
    pub(super) fn narrow(
        &self,
        promql: &str,
        label: &ArmLabel,
        arm: Option<Phase>,
    ) -> Result<String, String> {
        let parsed = trimtab_promql::parse(promql).map_err(|error| error.to_string())?;
        let matchers = self.matchers(label, arm)?;
        trimtab_promql::inject(&parsed, &matchers)
            .map(|expr| expr.to_string())
            .map_err(|error| error.to_string())
    }

    /// Whether any pod of `arm` can be asked about; a selector for none of them would mean every series without a pod.
    pub(super) fn names_any(&self, label: &ArmLabel, arm: Phase) -> bool {
        matches!(label, ArmLabel::Phase(_)) || !self.pod_pattern(Some(arm)).is_empty()
    }

    fn matchers(&self, label: &ArmLabel, arm: Option<Phase>) -> Result<Vec<Matcher>, String> {
        let value = match label {
            ArmLabel::Phase(_) => {
                arm.map_or_else(|| "canary|stable".to_owned(), |arm| arm.as_str().to_owned())
            }
            ArmLabel::Pod(_) => self.pod_pattern(arm),
        };
        let (ArmLabel::Phase(name) | ArmLabel::Pod(name)) = label;
        let arms = Matcher::regex(name, &value).map_err(|error| error.to_string())?;
        Ok(vec![Matcher::equal("namespace", &self.namespace), arms])
    }

    /// A pattern of pod names. ReplicaSet names stand in for their pods, so that pods born or gone between two looks are
    /// covered; where a name is too long to be repeated in its pods' names, the pods are listed.
    fn pod_pattern(&self, arm: Option<Phase>) -> String {
        let wanted = |phase: Phase| arm.is_none_or(|arm| arm == phase);
        let mut alternatives = Vec::new();
        for (phase, sets) in [(Phase::Canary, &self.canary_sets), (Phase::Stable, &self.stable_sets)] {
            let short = sets.iter().filter(|set| wanted(phase) && set.len() <= PREFIX_BYTES_MAX);
            alternatives.extend(short.map(|set| format!("{}-[a-z0-9]+", escape(set))));
        }
        let long = |set: &String| set.len() > PREFIX_BYTES_MAX;
        if self.canary_sets.iter().any(long) || self.stable_sets.iter().any(long) {
            alternatives
                .extend(self.pods.iter().filter(|(_, pod)| wanted(pod.arm)).map(|(name, _)| escape(name)));
        }
        alternatives.join("|")
    }

    /// The arm and the pod that a series speaks of.
    pub(super) fn locate<'a>(&self, labels: &'a Labels, label: &ArmLabel) -> Option<(Phase, &'a str)> {
        match label {
            ArmLabel::Phase(name) => {
                let phase = Phase::parse(labels.get(name))?;
                let pod =
                    Some(labels.get("pod")).filter(|pod| !pod.is_empty()).unwrap_or(labels.get("instance"));
                Some((phase, pod))
            }
            ArmLabel::Pod(name) => {
                let pod = Some(labels.get(name)).filter(|pod| !pod.is_empty())?;
                let of = |sets: &[String]| {
                    sets.iter().any(|set| pod.strip_prefix(set.as_str()).is_some_and(is_suffix))
                };
                match self.pods.get(pod) {
                    Some(known) => Some((known.arm, pod)),
                    None if of(&self.canary_sets) => Some((Phase::Canary, pod)),
                    None if of(&self.stable_sets) => Some((Phase::Stable, pod)),
                    None => None,
                }
            }
        }
    }
}

fn is_suffix(rest: &str) -> bool {
    rest.strip_prefix('-').is_some_and(|random| !random.is_empty() && !random.contains('-'))
}

/// Object names hold letters, digits, `-` and `.`; only the dot means something in a pattern.
fn escape(name: &str) -> String {
    name.replace('.', "\\.")
}

fn arm_pod(pod: &Pod, arm: Phase) -> ArmPod {
    let mut crashes = pod.restarts.clone();
    for container in &pod.terminated {
        let count: &mut u32 = crashes.entry(container.clone()).or_default();
        *count = count.saturating_add(1);
    }
    ArmPod {
        arm,
        started_ms: pod.started_at.map(Timestamp::as_millisecond),
        ready: pod.ready && !pod.deleting,
        gone_ms: None,
        crashes,
        last_crash: pod.last_crash.clone(),
    }
}
