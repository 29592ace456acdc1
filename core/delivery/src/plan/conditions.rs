//! The conditions of a service: each says one thing that holds, or what is wrong and what to do.

use trimtab_plan::{Condition, Reason};
use trimtab_workload::Target;

use super::claim::Refusal;
use super::roster::Roster;
use crate::snapshot::{Binding, Snapshot};

/// Records that do not count, counted at most.
const REFUSED_COUNTED_MAX: usize = 9;

/// What holds, and what does not.
pub(super) fn conditions(
    snapshot: &Snapshot<'_>,
    roster: &Roster,
    refusal: Option<&Refusal>,
) -> Vec<Condition> {
    let mut conditions = vec![match refusal {
        Some(refusal) => Condition::new(
            "Claimed",
            false,
            refusal.reason,
            format!("{}; waits for {}", refusal.message, refusal.next),
        ),
        None => Condition::new("Claimed", true, Reason::Claimed, "the Deployment is looked after in place"),
    }];
    conditions.push(match problems(snapshot).as_slice() {
        [] => Condition::new("Valid", true, Reason::Valid, "the spec is valid"),
        problems => {
            let wrong = problems.join("; ");
            let rest = if refusal.is_some() {
                ""
            } else {
                "; this is left out, and the rest of the spec, its policies and the defaults are in force"
            };
            Condition::new("Valid", false, Reason::Invalid, format!("{wrong}{rest}"))
        }
    });
    if let Some(condition) = rules_bound(snapshot) {
        conditions.push(condition);
    }
    if let Some(first) = snapshot.refused.first() {
        // Whoever writes thousands does not have each of them told.
        let more = match snapshot.refused.len() - 1 {
            0 => String::new(),
            more @ 1..=REFUSED_COUNTED_MAX => format!(", and {more} more"),
            _ => format!(", and more than {REFUSED_COUNTED_MAX} more"),
        };
        let message = format!("not counted and never restored: {first}{more}; delete what nobody needs");
        conditions.push(Condition::new("RecordsCounted", false, Reason::RecordRefused, message));
    }
    if !snapshot.settings.not_acted_on.is_empty() {
        let message =
            format!("valid, and not acted on by this version: {}", snapshot.settings.not_acted_on.join(", "));
        conditions.push(Condition::new("ActedOn", false, Reason::NotInThisVersion, message));
    }
    if let Some(target) = snapshot.target.filter(|_| refusal.is_none_or(Refusal::looks_after)) {
        conditions.extend(stopped(snapshot, roster, target));
        if target.recreate && refusal.is_none() {
            let message =
                "strategy Recreate replaces all pods at once: releases are judged against history alone";
            conditions.push(Condition::new("Comparable", false, Reason::Recreate, message));
        }
    }
    conditions
}

/// Why nothing goes on before somebody acts, if that is so.
fn stopped(snapshot: &Snapshot<'_>, roster: &Roster, target: &Target) -> Option<Condition> {
    let asked = roster.asked().map(|asked| {
        let explain = snapshot.app.command("explain");
        format!("{asked}; `{explain}` says what was seen and what it waits for")
    });
    let paused = target.paused_by_others().map(|manager| {
        format!("{manager} paused the Deployment; Trimtab does not lift a pause that is not its own")
    });
    let reason = if asked.is_some() { Reason::NeedsHuman } else { Reason::PausedByOther };
    let said: Vec<String> = asked.into_iter().chain(paused).collect();
    (!said.is_empty()).then(|| Condition::new("Progressing", false, reason, said.join("; ")))
}

fn problems(snapshot: &Snapshot<'_>) -> Vec<String> {
    let app = snapshot.app;
    let contested = app.claimed_by.as_ref().map(|other| {
        format!("spec.target: Deployment {} is claimed by ManagedApp {other}", snapshot.settings.target)
    });
    app.problems.iter().cloned().chain(contested).collect()
}

/// Whether every rule finds its series, as it was asked last.
fn rules_bound(snapshot: &Snapshot<'_>) -> Option<Condition> {
    let bound = match snapshot.binding {
        Binding::NotAsked => {
            let known =
                snapshot.app.status.conditions.iter().find(|condition| condition.kind == "RulesBound");
            return known.cloned();
        }
        Binding::Changed => {
            let message =
                "the rules have changed, and whether each of them finds its series is not known yet";
            return Some(Condition::new("RulesBound", false, Reason::MeasurementPending, message));
        }
        Binding::Found(bound) => bound,
    };
    let missed =
        |name: &&String| snapshot.settings.rules.iter().any(|rule| rule.name == **name && rule.is_missed());
    let missed: Vec<&str> = bound.unbound.iter().filter(missed).map(String::as_str).collect();
    Some(if !bound.too_many.is_empty() {
        let message = format!(
            "too many series for {}, even summed up by pod: no release is judged by it; narrow the selectors, or raise --prometheus-max-sums and --prometheus-max-answer-bytes of the manager",
            bound.too_many.join(", "),
        );
        Condition::new("RulesBound", false, Reason::TooManySeries, message)
    } else if missed.is_empty() {
        Condition::new("RulesBound", true, Reason::Bound, "every rule that needs series finds them")
    } else {
        let message = format!(
            "no series for {}; `{}` tells what is looked for",
            missed.join(", "),
            snapshot.app.command("rules")
        );
        Condition::new("RulesBound", false, Reason::RuleUnbound, message)
    })
}
