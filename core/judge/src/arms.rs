//! Which pods are new and which are old, and how series are told apart by it.

use std::collections::BTreeMap;

use jiff::Timestamp;
use trimtab_promql::{Expr, Labels, Matcher};
use trimtab_workload::{Arm, Pod, ReplicaSet};

use crate::rule::ArmLabel;

/// Longest ReplicaSet name that pods' names repeat whole: a generated name is cut to 63 bytes, of which 5 are random.
const PREFIX_BYTES_MAX: usize = 57;

/// The label in which series carry their pod's name, where the arms are told apart by another one.
const POD: &str = "pod";

/// Longest random end of a pod's name that is taken for one; Kubernetes makes five bytes.
const SUFFIX_BYTES_MAX: usize = 10;
/// Longest `instance` that stands for a pod: a host's name and a port.
const INSTANCE_BYTES_MAX: usize = 260;

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
    /// Labels that every pod of the service has and that tell it from other services: what its Deployment selects by.
    pub selector: BTreeMap<String, String>,
}

/// Where a series belongs.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Place<'a> {
    /// To this pod of this arm.
    Of(Arm, &'a str),
    /// To an arm of nobody knows which service.
    Unclaimed,
    /// To something else.
    Elsewhere,
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

impl ArmPod {
    pub(crate) fn is_ready_and_old(&self) -> bool {
        self.ready && self.arm == Arm::Stable
    }
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
            selector: BTreeMap::new(),
        }
    }

    /// The same, of a service whose pods are selected by these labels.
    #[must_use]
    pub fn selected_by(self, selector: &BTreeMap<String, String>) -> Self {
        Self { selector: selector.clone(), ..self }
    }

    pub(crate) fn is_empty(&self) -> bool {
        self.canary_sets.is_empty() && self.stable_sets.is_empty()
    }

    /// Since when any new pod has been running and is ready now.
    pub(crate) fn canary_ready_since_ms(&self) -> Option<i64> {
        self.pods
            .values()
            .filter(|pod| pod.arm == Arm::Canary && pod.ready)
            .filter_map(|pod| pod.started_ms)
            .min()
    }

    pub(crate) fn started_ms(&self, pod: &str) -> Option<i64> {
        self.pods.get(pod).and_then(|pod| pod.started_ms)
    }

    /// `selector` or expression narrowed to one arm, or to both; or why it cannot be.
    pub(crate) fn narrow(&self, promql: &str, label: &ArmLabel, arm: Option<Arm>) -> Result<String, String> {
        let parsed = trimtab_promql::parse(promql).map_err(|error| error.to_string())?;
        inject(&parsed, &self.matchers(label, arm)?)
    }

    /// Whether any pod of `arm` can be asked about; a selector for none of them would mean every series without a pod.
    pub(crate) fn names_any(&self, label: &ArmLabel, arm: Arm) -> bool {
        matches!(label, ArmLabel::Arm(_)) || !self.pod_pattern(Some(arm)).is_empty()
    }

    pub(crate) fn matchers(&self, label: &ArmLabel, arm: Option<Arm>) -> Result<Vec<Matcher>, String> {
        let namespace = Matcher::equal("namespace", &self.namespace);
        match label {
            ArmLabel::Pod(name) => Ok(vec![namespace, regex(name, &self.pod_pattern(arm))?]),
            // Other services have pods in these phases too. A series without a pod may be this service's: see [`Self::place`].
            ArmLabel::Arm(name) => {
                let pods = regex(POD, &format!("{}|", self.pod_pattern(None)))?;
                Ok(vec![namespace, regex(name, phases(arm))?, pods])
            }
        }
    }

    /// Ways in which series can be told to be this service's, the best one first: each a set of matchers that lets nothing
    /// else through. Where a server sums over series before anybody sees them, one of these must do.
    pub(crate) fn claims(&self, label: &ArmLabel, arm: Option<Arm>) -> Result<Vec<Vec<Matcher>>, String> {
        let ArmLabel::Arm(name) = label else { return Ok(vec![self.matchers(label, arm)?]) };
        let phase = [Matcher::equal("namespace", &self.namespace), regex(name, phases(arm))?];
        let with = |matchers: Vec<Matcher>| phase.iter().cloned().chain(matchers).collect();
        let mut claims = vec![with(vec![regex(POD, &self.pod_pattern(None))?])];
        for (label, value) in self.selecting() {
            let mut matchers = vec![Matcher::equal(POD, ""), Matcher::equal(&label, value)];
            for (other, value) in self.selecting().filter(|(other, _)| *other != label) {
                matchers.push(regex(&other, &format!("{}|", escape(value)))?);
            }
            claims.push(with(matchers));
        }
        Ok(claims)
    }

    /// Matchers of whatever has a phase in the namespace, whose ever it is; `None` where the arms are told apart by pod.
    pub(crate) fn phase(&self, label: &ArmLabel) -> Option<Vec<Matcher>> {
        let ArmLabel::Arm(name) = label else { return None };
        Some(vec![Matcher::equal("namespace", &self.namespace), regex(name, phases(None)).ok()?])
    }

    /// The labels of [`Self::selector`] as a metrics server writes them.
    fn selecting(&self) -> impl Iterator<Item = (String, &str)> {
        self.selector.iter().map(|(label, value)| (label_name(label), value.as_str()))
    }

    /// Labels by which a server may sum up series so that they can still be told apart.
    pub(crate) fn kept_labels(&self, label: &ArmLabel) -> Vec<String> {
        match label {
            ArmLabel::Pod(name) => vec![name.clone(), "container".to_owned()],
            ArmLabel::Arm(name) => {
                let own = [name.as_str(), POD, "container", "instance"].map(str::to_owned);
                own.into_iter().chain(self.selecting().map(|(label, _)| label)).collect()
            }
        }
    }

    /// What is wrong with series whose phase is known and whose service is not.
    pub(crate) fn unclaimed(&self, what: &str) -> String {
        let labels: Vec<String> = std::iter::once(POD.to_owned())
            .chain(self.selecting().map(|(label, value)| format!("{label}=\"{value}\"")))
            .collect();
        format!(
            "nothing tells which series of {what} are this service's: they carry a phase, and none of {}",
            labels.join(", ")
        )
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
    pub(crate) fn place<'a>(&self, labels: &'a Labels, label: &ArmLabel) -> Place<'a> {
        match label {
            ArmLabel::Pod(name) => {
                let pod = labels.get(name);
                self.arm_of(pod).map_or(Place::Elsewhere, |arm| Place::Of(arm, pod))
            }
            ArmLabel::Arm(name) => {
                let Some(arm) = Arm::parse(labels.get(name)) else { return Place::Elsewhere };
                match (labels.get(POD), self.is_selected(labels)) {
                    ("", Some(true)) => match labels.get("instance") {
                        instance if instance.len() <= INSTANCE_BYTES_MAX => Place::Of(arm, instance),
                        _ => Place::Elsewhere,
                    },
                    ("", Some(false)) => Place::Elsewhere,
                    ("", None) => Place::Unclaimed,
                    (pod, _) => self.arm_of(pod).map_or(Place::Elsewhere, |_| Place::Of(arm, pod)),
                }
            }
        }
    }

    /// The arm of a pod by its name.
    fn arm_of(&self, pod: &str) -> Option<Arm> {
        let of =
            |sets: &[String]| sets.iter().any(|set| pod.strip_prefix(set.as_str()).is_some_and(is_suffix));
        match self.pods.get(pod) {
            Some(known) => Some(known.arm),
            None if of(&self.canary_sets) => Some(Arm::Canary),
            None if of(&self.stable_sets) => Some(Arm::Stable),
            None => None,
        }
    }

    /// Whether a series carries labels that the service's pods are selected by, with the same values; `None` where it
    /// carries none of them.
    fn is_selected(&self, labels: &Labels) -> Option<bool> {
        let carried: Vec<bool> = self
            .selecting()
            .filter(|(label, _)| !labels.get(label).is_empty())
            .map(|(label, value)| labels.get(&label) == value)
            .collect();
        (!carried.is_empty()).then(|| carried.iter().all(|same| *same))
    }
}

/// `expr` with `matchers` in every selector, or why that says nothing about an arm.
pub(crate) fn inject(expr: &Expr, matchers: &[Matcher]) -> Result<String, String> {
    trimtab_promql::inject(expr, matchers).map(|expr| expr.to_string()).map_err(|error| error.to_string())
}

fn phases(arm: Option<Arm>) -> &'static str {
    arm.map_or("canary|stable", Arm::as_str)
}

fn regex(label: &str, pattern: &str) -> Result<Matcher, String> {
    Matcher::regex(label, pattern).map_err(|error| error.to_string())
}

/// A label of a Kubernetes object as Prometheus writes it: letters, digits and underscores.
fn label_name(label: &str) -> String {
    label.chars().map(|letter| if letter.is_ascii_alphanumeric() { letter } else { '_' }).collect()
}

fn is_suffix(rest: &str) -> bool {
    let is_random = |random: &str| {
        (1..=SUFFIX_BYTES_MAX).contains(&random.len())
            && random.bytes().all(|byte| byte.is_ascii_alphanumeric())
    };
    rest.strip_prefix('-').is_some_and(is_random)
}

/// Object names and label values hold letters, digits, `-`, `_` and `.`; only the dot means something in a pattern.
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
