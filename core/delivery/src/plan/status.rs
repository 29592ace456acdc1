//! The service's status: state words tell health, not bookkeeping. Nothing in it changes with time alone, so a settled
//! service is never written.

use super::claim::Refusal;
use super::conditions::conditions;
use super::roster::Roster;
use crate::app::{AppPhase, AppStatus, Rejected};
use crate::names::release_word;
use crate::snapshot::{ReleasePhase, Snapshot};

/// Renders the status of a service.
pub(super) fn render(snapshot: &Snapshot<'_>, roster: &Roster, refusal: Option<&Refusal>) -> AppStatus {
    let (phase, summary) = match refusal {
        // A question about a release comes first, also where the template over it cannot be judged.
        Some(refusal) if !(refusal.looks_after() && roster.asked().is_some()) => {
            (AppPhase::Unclaimed, refusal.message.clone())
        }
        _ => words(roster),
    };
    let last = snapshot.last_number();
    AppStatus {
        observed_generation: snapshot.app.generation,
        phase,
        summary,
        target_uid: snapshot
            .target
            .filter(|_| refusal.is_none_or(Refusal::looks_after))
            .map(|target| target.uid.clone()),
        current: roster.current,
        in_flight: roster.in_flight.map(|(number, _)| number),
        last_release: (last > 0).then_some(last),
        rejected: roster.rejected.clone(),
        conditions: conditions(snapshot, roster, refusal),
    }
}

fn words(roster: &Roster) -> (AppPhase, String) {
    let current = roster.current_word();
    // What was rejected before the current release is history, unless the spec holds it.
    let news =
        |rejected: &&Rejected| Some(rejected.number) > roster.current || Some(rejected.number) == roster.held;
    let rejected: Vec<String> =
        roster.rejected.iter().filter(news).map(|rejected| release_word(rejected.number)).collect();
    let aside =
        if rejected.is_empty() { String::new() } else { format!(" ({} rejected)", rejected.join(", ")) };
    let holds = roster.held_unrecorded || (roster.in_flight.is_none() && roster.held.is_some());
    if let Some(asked) = roster.asked() {
        let phase = if holds { AppPhase::Held } else { AppPhase::Degraded };
        return (phase, format!("Needs a person: {asked}{aside}"));
    }
    match roster.in_flight {
        Some((number, ReleasePhase::RollingBack)) => {
            (AppPhase::RollingBack, format!("Rolling back {} to {current}", release_word(number)))
        }
        Some((number, _)) => (
            AppPhase::Releasing,
            format!("Releasing {}, judged against {current}{aside}", release_word(number)),
        ),
        None if roster.current.is_none() => (AppPhase::Unclaimed, "Claiming".to_owned()),
        None if holds => (AppPhase::Held, format!("Healthy on {current}{aside}")),
        None => (AppPhase::Healthy, format!("Healthy on {current}{aside}")),
    }
}
