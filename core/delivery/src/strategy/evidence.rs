//! What the findings of all rules come to.

use trimtab_judge::finding::{Finding, FindingState};
use trimtab_judge::rule::{Origin, Rule, RuleKind};
use trimtab_stats::Verdict;
use trimtab_workload::Pod;

use super::rollout::short_of_pods;
use super::stage::Stage;

/// The rule that failed the release, and with what: one is enough.
pub(super) fn failed_rule(stage: &Stage<'_>) -> Option<String> {
    stage.findings.iter().find(|finding| finding.verdict == Verdict::Fail).map(line)
}

/// A rule that lost its telemetry.
pub(super) fn telemetry_lost<'a>(stage: &Stage<'a>) -> Option<&'a Finding> {
    stage.findings.iter().find(|finding| matches!(finding.state, FindingState::TelemetryLost(_)))
}

/// The verdict on a release that no rule failed, and why.
pub(super) fn weigh(stage: &Stage<'_>) -> (Verdict, String) {
    let low = |why: String| (Verdict::Undecided, format!("low evidence: {why}"));
    if stage.target.replicas == 0 {
        return low("the Deployment has zero replicas".to_owned());
    }
    if let Some(finding) = telemetry_lost(stage) {
        return low(finding.summary.clone());
    }
    if let Some(why) = unready(stage) {
        return low(why);
    }
    let mut passed: Vec<String> =
        stage.findings.iter().filter(|finding| finding.verdict == Verdict::Pass).map(line).collect();
    match stage.findings.iter().find(|finding| is_missing(stage, finding)) {
        Some(missing) => low(line(missing)),
        None if passed.is_empty() => low(why_nothing_passed(stage)),
        None => {
            passed.extend(short_of_pods(stage));
            (Verdict::Pass, passed.join("; "))
        }
    }
}

/// Pods of the release that run somewhere and are not ready: evidence that is no verdict.
fn unready(stage: &Stage<'_>) -> Option<String> {
    let own: Vec<&Pod> = stage.own_pods().filter(|pod| !pod.deleting && !pod.ended).collect();
    let unready = own.iter().filter(|pod| pod.started_at.is_some() && !pod.ready);
    let (count, why) = (unready.clone().count(), unready.filter_map(|pod| pod.waiting.as_deref()).min());
    let why = why.map(|why| format!(": {why}")).unwrap_or_default();
    (count > 0).then(|| format!("{count} of {} pods are not ready{why}", own.len()))
}

/// Whether a PASS has to wait for this finding: one bad route must not hide behind a good one, and a rule that somebody
/// wrote for this fleet must have found its series. The rules that ship with Trimtab look for what a service may not have.
fn is_missing(stage: &Stage<'_>, finding: &Finding) -> bool {
    let Some(rule) = rule_of(stage, finding) else { return false };
    match &finding.state {
        FindingState::Unbound(_) => rule.origin != Origin::BuiltIn,
        _ => finding.verdict != Verdict::Pass && matches!(rule.kind, RuleKind::Ratio(_)),
    }
}

/// The rule that comes closest to a measurement of the service's requests says why it could not tell.
fn why_nothing_passed(stage: &Stage<'_>) -> String {
    let tells_nothing = |finding: &&Finding| {
        rule_of(stage, finding).is_some_and(|rule| matches!(rule.kind, RuleKind::Crashes(_)))
    };
    let closest = stage.findings.iter().find(|finding| !tells_nothing(finding));
    closest.map_or_else(|| "no rule measures this service's requests".to_owned(), line)
}

fn rule_of<'a>(stage: &Stage<'a>, finding: &Finding) -> Option<&'a Rule> {
    stage.rules.iter().find(|rule| rule.name == finding.rule)
}

fn line(finding: &Finding) -> String {
    format!("{}: {}", finding.rule, finding.summary)
}
