//! The HorizontalPodAutoscaler controller: a size that keeps the CPU near its target.

use std::collections::BTreeMap;
use std::sync::Arc;

use jiff::{SignedDuration, Timestamp};
use serde_json::{Value, json};
use trimtab_kube::Key;
use trimtab_kube::resource::{DEPLOYMENTS, HPAS};

use super::cluster::{Cluster, PodRow, workload_selector};
use super::write::{Plan, Write};
use crate::object::{count, generation, list, stamp, text};

/// How often every autoscaler is looked at.
pub const PERIOD: SignedDuration = SignedDuration::from_secs(15);
/// How far usage may be from the target without anything happening.
const TOLERANCE: f64 = 0.1;
/// How long the highest recommendation keeps a size up, unless the autoscaler says otherwise, in seconds.
const SCALE_DOWN_WINDOW_SECONDS: u32 = 300;
/// Recommendations remembered per autoscaler: an hour of them.
const MOST_RECOMMENDATIONS: usize = 240;
/// A scale-up goes to at most this many times the present size, or [`SCALE_UP_AT_LEAST`] if that is more.
const SCALE_UP_FACTOR: u32 = 2;
/// A scale-up to this size is never held back.
const SCALE_UP_AT_LEAST: u32 = 4;

/// CPU in use by pods, in thousandths of a core, by uid: what the metrics server would say.
pub type CpuUsage = BTreeMap<Arc<str>, u64>;

/// What was recommended when: for each autoscaler, oldest first.
pub type Recommendations = BTreeMap<Key, Vec<(Timestamp, u32)>>;

/// What to do about one autoscaler of a Deployment's CPU utilisation.
pub fn plan(
    cluster: &Cluster,
    key: &Key,
    usage: &CpuUsage,
    memory: &mut Recommendations,
    now: Timestamp,
) -> Plan {
    let Some(row) = cluster.autoscalers.get(key) else {
        memory.remove(key);
        return Plan::nothing();
    };
    let autoscaler = &*row.object;
    let again = Some(now + PERIOD);
    let target = Key::new(key.namespace.clone(), text(autoscaler, "/spec/scaleTargetRef/name"));
    let Some(deployment) = cluster.deployments.get(&target) else {
        return Plan { writes: Vec::new(), wake_at: again };
    };
    let deployment = &*deployment.object;
    let current = count(deployment, "/spec/replicas", 1);
    let pods = cluster.selected_pods(key, &workload_selector(deployment));
    let pods: Vec<&Arc<PodRow>> = pods.into_iter().filter(|pod| cluster.is_active(pod)).collect();
    let measured = utilisation(&pods, usage);
    let wanted = target_utilisation(autoscaler);
    // Nobody scales what was scaled to nothing on purpose, nor what cannot be measured.
    let desired = match (measured, wanted) {
        (Some(measured), Some(wanted)) if current > 0 => {
            let raw = recommend(current, pods.len(), measured, wanted);
            stabilise(autoscaler, memory.entry(key.clone()).or_default(), current, raw, now)
        }
        _ => current,
    };
    let mut writes = Vec::new();
    if desired != current {
        let body = json!({"spec": {"replicas": desired}});
        let scale = Write::Merge { resource: DEPLOYMENTS, key: target, subresource: Some("scale"), body };
        writes.push(scale);
    }
    let status = status(autoscaler, current, desired, measured, now);
    writes.extend(Write::status(HPAS, autoscaler, &status));
    Plan { writes, wake_at: again }
}

/// The target, in percent of the request.
fn target_utilisation(autoscaler: &Value) -> Option<f64> {
    let metrics = list(autoscaler, "/spec/metrics");
    let cpu = metrics.iter().find(|metric| text(metric, "/resource/name") == "cpu")?;
    let percent = count(cpu, "/resource/target/averageUtilization", 0);
    (percent > 0).then_some(f64::from(percent))
}

/// CPU in use by the measured, ready pods in percent of what they request.
fn utilisation(pods: &[&Arc<PodRow>], usage: &CpuUsage) -> Option<f64> {
    let ready = pods.iter().filter(|pod| pod.ready_since.is_some());
    let known = ready.filter_map(|pod| Some((*usage.get(&pod.uid)?, pod.cpu_request)));
    let (used, requested) = known.fold((0, 0), |sum, pod| (sum.0 + pod.0, sum.1 + pod.1));
    (requested > 0).then(|| used as f64 * 100.0 / requested as f64)
}

fn recommend(current: u32, pods: usize, measured: f64, wanted: f64) -> u32 {
    let ratio = measured / wanted;
    if (ratio - 1.0).abs() <= TOLERANCE {
        return current;
    }
    (ratio * pods as f64).ceil().clamp(0.0, f64::from(u32::MAX)) as u32
}

/// Holds a size up as long as any recommendation of the window asks for it, and growth within bounds.
fn stabilise(
    autoscaler: &Value,
    history: &mut Vec<(Timestamp, u32)>,
    current: u32,
    raw: u32,
    now: Timestamp,
) -> u32 {
    let window =
        count(autoscaler, "/spec/behavior/scaleDown/stabilizationWindowSeconds", SCALE_DOWN_WINDOW_SECONDS);
    let from = now - SignedDuration::from_secs(i64::from(window));
    history.retain(|(at, _)| *at >= from);
    if history.len() >= MOST_RECOMMENDATIONS {
        history.remove(0);
    }
    history.push((now, raw));
    let highest = history.iter().map(|(_, replicas)| *replicas).max().unwrap_or(raw);
    let held = if raw < current { highest.min(current) } else { raw };
    let least = count(autoscaler, "/spec/minReplicas", 1);
    let most = count(autoscaler, "/spec/maxReplicas", u32::MAX);
    let fast = current.saturating_mul(SCALE_UP_FACTOR).max(SCALE_UP_AT_LEAST);
    held.min(fast).clamp(least, most.max(least))
}

fn status(autoscaler: &Value, current: u32, desired: u32, measured: Option<f64>, now: Timestamp) -> Value {
    let mut status =
        autoscaler.get("status").filter(|status| status.is_object()).cloned().unwrap_or_else(|| json!({}));
    status["currentReplicas"] = json!(current);
    status["desiredReplicas"] = json!(desired);
    status["observedGeneration"] = json!(generation(autoscaler));
    if desired != current {
        status["lastScaleTime"] = stamp(now);
    }
    if let Some(measured) = measured {
        let percent = measured.round() as u64;
        status["currentMetrics"] = json!([{"type": "Resource", "resource": {"name": "cpu", "current": {"averageUtilization": percent}}}]);
    }
    status
}
