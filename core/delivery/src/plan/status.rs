//! The service's status: state words tell health, not bookkeeping. Nothing in it changes with time alone, so a settled
//! service is never written.

use trimtab_plan::Reason;
use trimtab_workload::Target;

use super::asked::Asked;
use super::claim::Refusal;
use crate::app::{AppPhase, AppStatus, Condition, Rejected};
use crate::command;
use crate::names::release_word;
use crate::snapshot::{Binding, Release, ReleasePhase, ReleaseStatus, Snapshot};

/// Records that do not count, counted at most.
const REFUSED_COUNTED_MAX: usize = 9;

/// Where the releases stand, counting what the plan itself is about to write.
#[derive(Clone, Debug, Default)]
pub(super) struct Standing {
    current: Option<u64>,
    /// What was kept before it.
    previous: Option<u64>,
    in_flight: Option<(u64, ReleasePhase)>,
    rejected: Vec<Rejected>,
    /// The rejected release whose template the spec holds.
    held: Option<u64>,
    /// Releases about which a person is asked.
    asked: Vec<Asked>,
}

impl Standing {
    pub(super) fn of(snapshot: &Snapshot<'_>) -> Self {
        let current = snapshot.current();
        let previous = current.and_then(|current| snapshot.before(current));
        Self {
            current: current.map(|release| release.number),
            previous: previous.map(|release| release.number),
            in_flight: snapshot.in_flight().map(|release| (release.number, release.status.phase)),
            rejected: snapshot.rejected().map(remember).collect(),
            held: snapshot.rejected().find(|release| release.status.held).map(|release| release.number),
            asked: snapshot.own_releases().filter_map(|of| Asked::about(of.number, &of.status)).collect(),
        }
    }

    /// Where the release under way stands.
    pub(super) fn phase_in_flight(&self) -> Option<ReleasePhase> {
        self.in_flight.map(|(_, phase)| phase)
    }

    /// Counts a release as moved to where `status` says.
    pub(super) fn moved(&mut self, snapshot: &Snapshot<'_>, release: &Release, status: &ReleaseStatus) {
        if self.in_flight.is_some_and(|(number, _)| number == release.number) {
            self.in_flight = None;
        }
        self.asked.retain(|asked| asked.number != release.number);
        self.asked.extend(Asked::about(release.number, status));
        match status.phase {
            ReleasePhase::Kept if release.status.phase == ReleasePhase::Kept => {}
            ReleasePhase::Judging | ReleasePhase::RollingBack => {
                self.in_flight = Some((release.number, status.phase));
                if self.current == Some(release.number) {
                    self.current = self.previous;
                }
                self.rejected.retain(|rejected| rejected.number != release.number);
            }
            ReleasePhase::Kept => {
                self.current = self.current.max(Some(release.number));
                let hash = release.template_hash.as_deref().unwrap_or_default();
                self.rejected.retain(|other| other.number != release.number && other.template_hash != hash);
                self.held = None;
            }
            ReleasePhase::RolledBack => {
                let known = self.rejected.iter().any(|rejected| rejected.number == release.number);
                if !known && !snapshot.is_lifted(release) {
                    self.rejected.push(Rejected { at: status.decided_at, ..remember(release) });
                    self.rejected.sort_by_key(|rejected| rejected.number);
                }
                self.held = status.held.then_some(release.number);
            }
            ReleasePhase::Pending | ReleasePhase::Superseded => {}
        }
    }
}

impl Standing {
    /// What a person is asked: about the release under way, and where there is none, about the one that runs.
    fn asked(&self) -> Option<String> {
        let about = self.in_flight.map(|(number, _)| number).or(self.current);
        let asked = self.asked.iter().find(|asked| Some(asked.number) == about)?;
        Some(asked.words(&self.current_word()))
    }

    fn current_word(&self) -> String {
        self.current.map_or_else(|| "nothing yet".to_owned(), release_word)
    }
}

fn remember(release: &Release) -> Rejected {
    Rejected {
        number: release.number,
        template_hash: release.template_hash.clone().unwrap_or_default(),
        at: release.status.decided_at,
    }
}

/// Renders the status of a service.
pub(super) fn render(snapshot: &Snapshot<'_>, standing: &Standing, refusal: Option<&Refusal>) -> AppStatus {
    let (phase, summary) = match refusal {
        Some(refusal) => (AppPhase::Unclaimed, refusal.message.clone()),
        None => words(standing),
    };
    let last = snapshot.last_number();
    AppStatus {
        observed_generation: snapshot.app.generation,
        phase,
        summary,
        target_uid: snapshot.target.filter(|_| refusal.is_none()).map(|target| target.uid.clone()),
        current: standing.current,
        in_flight: standing.in_flight.map(|(number, _)| number),
        last_release: (last > 0).then_some(last),
        rejected: standing.rejected.clone(),
        conditions: conditions(snapshot, standing, refusal),
    }
}

fn words(standing: &Standing) -> (AppPhase, String) {
    if let Some(asked) = standing.asked() {
        return (AppPhase::Degraded, format!("Needs a person: {asked}"));
    }
    let current = standing.current_word();
    // What was rejected before the current release is history, unless the spec holds it.
    let news = |rejected: &&Rejected| {
        Some(rejected.number) > standing.current || Some(rejected.number) == standing.held
    };
    let rejected: Vec<String> =
        standing.rejected.iter().filter(news).map(|rejected| release_word(rejected.number)).collect();
    let aside =
        if rejected.is_empty() { String::new() } else { format!(" ({} rejected)", rejected.join(", ")) };
    match standing.in_flight {
        Some((number, ReleasePhase::RollingBack)) => {
            (AppPhase::RollingBack, format!("Rolling back {} to {current}", release_word(number)))
        }
        Some((number, _)) => (
            AppPhase::Releasing,
            format!("Releasing {}, judged against {current}{aside}", release_word(number)),
        ),
        None if standing.current.is_none() => (AppPhase::Unclaimed, "Claiming".to_owned()),
        None if standing.held.is_some() => (AppPhase::Held, format!("Healthy on {current}{aside}")),
        None => (AppPhase::Healthy, format!("Healthy on {current}{aside}")),
    }
}

fn conditions(snapshot: &Snapshot<'_>, standing: &Standing, refusal: Option<&Refusal>) -> Vec<Condition> {
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
    if let Some(target) = snapshot.target.filter(|_| refusal.is_none()) {
        conditions.extend(stopped(snapshot, standing, target));
        if target.recreate {
            let message =
                "strategy Recreate replaces all pods at once: releases are judged against history alone";
            conditions.push(Condition::new("Comparable", false, Reason::Recreate, message));
        }
    }
    conditions
}

/// Why nothing goes on before somebody acts, if that is so.
fn stopped(snapshot: &Snapshot<'_>, standing: &Standing, target: &Target) -> Option<Condition> {
    if let Some(asked) = standing.asked() {
        let app = snapshot.app;
        let explain = command::trimtab(&format!("explain {}", app.name), &app.namespace);
        let message = format!("{asked}; `{explain}` says what was seen and what it waits for");
        return Some(Condition::new("Progressing", false, Reason::NeedsHuman, message));
    }
    let manager = target.paused_by_others()?;
    let message =
        format!("{manager} paused the Deployment; Trimtab does not lift a pause that is not its own");
    Some(Condition::new("Progressing", false, Reason::PausedByOther, message))
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
            command::trimtab(&format!("rules {}", snapshot.app.name), &snapshot.app.namespace)
        );
        Condition::new("RulesBound", false, Reason::RuleUnbound, message)
    })
}
