//! Which pods are new and which are old, and how series are told apart by it.

use std::collections::BTreeMap;

use jiff::Timestamp;
use trimtab_promql::{Labels, Matcher};
use trimtab_workload::{Arm, Pod, ReplicaSet};

use crate::rule::ArmLabel;

/// Longest ReplicaSet name that pods' names repeat whole: a generated name is cut to 63 bytes, of which 5 are random.
const PREFIX_BYTES_MAX: usize = 57;

/// The two arms of a comparison.
#[derive(Clone, Debug, Default, PartialEq)]
pub struct Arms {
    /// Namespace of the service.
    pub namespace: String,
    /// ReplicaSets whose pods are judged.
    pub canary_sets: Vec<String>,
    /// ReplicaSets whose pods tell what is normal.
    pub stable_sets: Vec<String>,
    /// Pods by name, those that are gone included while anybody remembers them.
    pub pods: BTreeMap<String, ArmPod>,
}

/// A pod as the judge sees it.
#[derive(Clone, Debug, PartialEq)]
pub struct ArmPod {
    /// Its arm.
    pub arm: Arm,
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
    /// The arms that `sets` make of `pods` at `now`, whoever owns the sets. A pod belongs to the arm of the first pair that
    /// names its ReplicaSet, and to none where no pair does. Pods of `before` that are gone are remembered.
    #[must_use]
    pub fn new<'a>(
        namespace: &str,
        sets: &[(Arm, &ReplicaSet)],
        pods: impl IntoIterator<Item = &'a Pod>,
        before: &Arms,
        now: Timestamp,
    ) -> Self {
        let names = |arm: Arm| {
            let of = sets.iter().filter(|(of, _)| *of == arm);
            let mut names: Vec<String> = of.map(|(_, set)| set.name.clone()).collect();
            names.sort();
            names
        };
        let gone = |pod: &ArmPod| {
            let gone_ms = pod.gone_ms.or(Some(now.as_millisecond()));
            ArmPod { ready: false, gone_ms, ..pod.clone() }
        };
        let mut seen: BTreeMap<String, ArmPod> =
            before.pods.iter().map(|(name, pod)| (name.clone(), gone(pod))).collect();
        for pod in pods.into_iter().filter(|pod| !pod.ended) {
            if let Some((arm, _)) = sets.iter().find(|(_, set)| set.uid == pod.replica_set) {
                seen.insert(pod.name.clone(), arm_pod(pod, *arm));
            }
        }
        Self {
            namespace: namespace.to_owned(),
            canary_sets: names(Arm::Canary),
            stable_sets: names(Arm::Stable),
            pods: seen,
        }
    }

    pub(super) fn is_empty(&self) -> bool {
        self.canary_sets.is_empty() && self.stable_sets.is_empty()
    }

    /// Since when any new pod has been running and is ready now.
    pub(super) fn canary_ready_since_ms(&self) -> Option<i64> {
        self.pods
            .values()
            .filter(|pod| pod.arm == Arm::Canary && pod.ready)
            .filter_map(|pod| pod.started_ms)
            .min()
    }

    pub(super) fn started_ms(&self, pod: &str) -> Option<i64> {
        self.pods.get(pod).and_then(|pod| pod.started_ms)
    }

    /// `selector` or expression narrowed to one arm, or to both; or why it cannot be.
    pub(super) fn narrow(&self, promql: &str, label: &ArmLabel, arm: Option<Arm>) -> Result<String, String> {
        let parsed = trimtab_promql::parse(promql).map_err(|error| error.to_string())?;
        let matchers = self.matchers(label, arm)?;
        trimtab_promql::inject(&parsed, &matchers)
            .map(|expr| expr.to_string())
            .map_err(|error| error.to_string())
    }

    /// Whether any pod of `arm` can be asked about; a selector for none of them would mean every series without a pod.
    pub(super) fn names_any(&self, label: &ArmLabel, arm: Arm) -> bool {
        matches!(label, ArmLabel::Arm(_)) || !self.pod_pattern(Some(arm)).is_empty()
    }

    fn matchers(&self, label: &ArmLabel, arm: Option<Arm>) -> Result<Vec<Matcher>, String> {
        let value = match label {
            ArmLabel::Arm(_) => arm.map_or_else(|| "canary|stable".to_owned(), |arm| arm.as_str().to_owned()),
            ArmLabel::Pod(_) => self.pod_pattern(arm),
        };
        let (ArmLabel::Arm(name) | ArmLabel::Pod(name)) = label;
        let arms = Matcher::regex(name, &value).map_err(|error| error.to_string())?;
        Ok(vec![Matcher::equal("namespace", &self.namespace), arms])
    }

    /// A pattern of pod names. ReplicaSet names stand in for their pods, so that pods born or gone between two looks are
    /// covered; where a name is too long to be repeated in its pods' names, the pods are listed.
    fn pod_pattern(&self, arm: Option<Arm>) -> String {
        let wanted = |of: Arm| arm.is_none_or(|arm| arm == of);
        let mut alternatives = Vec::new();
        for (phase, sets) in [(Arm::Canary, &self.canary_sets), (Arm::Stable, &self.stable_sets)] {
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
    pub(super) fn locate<'a>(&self, labels: &'a Labels, label: &ArmLabel) -> Option<(Arm, &'a str)> {
        match label {
            ArmLabel::Arm(name) => {
                let phase = Arm::parse(labels.get(name))?;
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
                    None if of(&self.canary_sets) => Some((Arm::Canary, pod)),
                    None if of(&self.stable_sets) => Some((Arm::Stable, pod)),
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

fn arm_pod(pod: &Pod, arm: Arm) -> ArmPod {
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
