//! Where the releases stand once the plan is carried out: what the service's status is rendered from.

use crate::app::Rejected;
use crate::asked::Asked;
use crate::history::REJECTED_MAX;
use crate::names::release_word;
use crate::snapshot::{Release, ReleasePhase, ReleaseStatus, Snapshot};

/// Where the releases stand, counting what the plan itself is about to write.
#[derive(Clone, Debug, Default)]
pub(super) struct Roster {
    pub(super) current: Option<u64>,
    /// What was kept before it.
    previous: Option<u64>,
    pub(super) in_flight: Option<(u64, ReleasePhase)>,
    pub(super) rejected: Vec<Rejected>,
    /// The rejected release whose template the spec holds.
    pub(super) held: Option<u64>,
    /// A rejected template is held, and no release that counts tells what runs instead.
    pub(super) held_unrecorded: bool,
    /// Releases about which a person is asked.
    asked: Vec<Asked>,
}

impl Roster {
    pub(super) fn of(snapshot: &Snapshot<'_>) -> Self {
        let current = snapshot.history().current();
        let previous = current.and_then(|current| snapshot.history().before(current));
        Self {
            current: current.map(|release| release.number),
            previous: previous.map(|release| release.number),
            in_flight: snapshot.history().in_flight().map(|release| (release.number, release.status.phase)),
            rejected: snapshot.history().rejected().map(remember).collect(),
            held: snapshot.history().held().map(|release| release.number),
            held_unrecorded: false,
            asked: snapshot.history().own().filter_map(|of| Asked::about(of.number, &of.status)).collect(),
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
                if !known && !snapshot.history().is_lifted(release) {
                    self.rejected.push(Rejected { at: status.decided_at, ..remember(release) });
                    self.rejected.sort_by_key(|rejected| rejected.number);
                    let surplus = self.rejected.len().saturating_sub(REJECTED_MAX);
                    self.rejected.drain(..surplus);
                }
                self.held = status.held.then_some(release.number);
            }
            ReleasePhase::Pending | ReleasePhase::Superseded => {}
        }
    }

    /// What a person is asked: about the release under way, and where there is none, about the one that runs.
    pub(super) fn asked(&self) -> Option<String> {
        if self.held_unrecorded {
            return Some(
                "a rejected template is held, and no release that counts tells what runs instead".to_owned(),
            );
        }
        let about = self.in_flight.map(|(number, _)| number).or(self.current);
        let asked = self.asked.iter().find(|asked| Some(asked.number) == about)?;
        Some(asked.words(&self.current_word()))
    }

    /// What runs, or would run.
    pub(super) fn current_word(&self) -> String {
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
