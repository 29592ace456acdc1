//! What the findings of all rules come to.

use trimtab_stats::verdict::Verdict;

use crate::finding::{Finding, FindingState};
use crate::rule::{Origin, Rule, RuleKind};
use crate::snapshot::{Pod, Snapshot, Target};

/// The rule that failed the release, and with what: one is enough.
pub(super) fn failed_rule(snapshot: &Snapshot<'_>) -> Option<String> {
    snapshot.findings.iter().find(|finding| finding.verdict == Verdict::Fail).map(line)
}

/// A rule that lost its telemetry.
pub(super) fn telemetry_lost<'a>(snapshot: &Snapshot<'a>) -> Option<&'a Finding> {
    snapshot.findings.iter().find(|finding| matches!(finding.state, FindingState::TelemetryLost(_)))
}

/// The verdict on a release that no rule failed, and why. `None` where the strategy does not judge.
pub(super) fn weigh(snapshot: &Snapshot<'_>, target: &Target) -> (Option<Verdict>, String) {
    if !snapshot.settings.strategy.judges() {
        return (None, "rolled out; strategy Rolling does not judge".to_owned());
    }
    let low = |why: String| (Some(Verdict::Undecided), format!("low evidence: {why}"));
    if target.replicas == 0 {
        return low("the Deployment has zero replicas".to_owned());
    }
    if let Some(finding) = telemetry_lost(snapshot) {
        return low(finding.summary.clone());
    }
    if let Some(why) = unready(snapshot, target) {
        return low(why);
    }
    let mut passed: Vec<String> =
        snapshot.findings.iter().filter(|finding| finding.verdict == Verdict::Pass).map(line).collect();
    match snapshot.findings.iter().find(|finding| is_missing(snapshot, finding)) {
        Some(missing) => low(line(missing)),
        None if passed.is_empty() => low(why_nothing_passed(snapshot)),
        None => {
            passed.extend(short_of_pods(snapshot, target));
            (Some(Verdict::Pass), passed.join("; "))
        }
    }
}

/// Pods of the template in the spec that run somewhere and are not ready: evidence that is no verdict.
fn unready(snapshot: &Snapshot<'_>, target: &Target) -> Option<String> {
    let own: Vec<&Pod> = snapshot
        .pods
        .iter()
        .filter(|pod| !pod.deleting && !pod.ended)
        .filter(|pod| snapshot.template_hash(pod) == Some(target.template_hash.as_str()))
        .collect();
    let unready = own.iter().filter(|pod| pod.started_at.is_some() && !pod.ready);
    let (count, why) = (unready.clone().count(), unready.filter_map(|pod| pod.waiting.as_deref()).min());
    let why = why.map(|why| format!(": {why}")).unwrap_or_default();
    (count > 0).then(|| format!("{count} of {} pods are not ready{why}", own.len()))
}

/// How many pods of the template in the spec are available, where it is fewer than wanted.
pub(super) fn short_of_pods(snapshot: &Snapshot<'_>, target: &Target) -> Option<String> {
    let own = snapshot.replica_sets.iter().filter(|set| set.template_hash == target.template_hash);
    let available: i32 = own.map(|set| set.available).sum();
    (available < target.replicas).then(|| format!("{available} of {} pods are available", target.replicas))
}

/// Whether a PASS has to wait for this finding: one bad route must not hide behind a good one, and a rule that somebody
/// wrote for this fleet must have found its series. The rules that ship with Trimtab look for what a service may not have.
fn is_missing(snapshot: &Snapshot<'_>, finding: &Finding) -> bool {
    let Some(rule) = rule_of(snapshot, finding) else { return false };
    match &finding.state {
        FindingState::Unbound(_) => rule.origin != Origin::BuiltIn,
        _ => finding.verdict != Verdict::Pass && matches!(rule.kind, RuleKind::Ratio(_)),
    }
}

/// The rule that comes closest to a measurement of the service's requests says why it could not tell.
fn why_nothing_passed(snapshot: &Snapshot<'_>) -> String {
    let tells_nothing = |finding: &&Finding| {
        rule_of(snapshot, finding).is_some_and(|rule| matches!(rule.kind, RuleKind::Crashes(_)))
    };
    let closest = snapshot.findings.iter().find(|finding| !tells_nothing(finding));
    closest.map_or_else(|| "no rule measures this service's requests".to_owned(), line)
}

fn rule_of<'a>(snapshot: &Snapshot<'a>, finding: &Finding) -> Option<&'a Rule> {
    snapshot.settings.rules.iter().find(|rule| rule.name == finding.rule)
}

fn line(finding: &Finding) -> String {
    format!("{}: {}", finding.rule, finding.summary)
}
