//! The releases of one Deployment, and the questions that decisions and commands ask of them alike: what is under way, what
//! was kept last, what is remembered as rejected.

use std::time::Duration;

use jiff::Timestamp;

use crate::deadline::after;
use crate::release::{Release, ReleasePhase};

/// How long a rejected template is remembered: Git may bring it back weeks later.
pub const REJECTED_FOR: Duration = Duration::from_secs(30 * 24 * 3600);
/// Rejections remembered at most for one service; an older one is judged anew if it ever comes back.
pub const REJECTED_MAX: usize = 16;

/// The releases of a service as one instant and one Deployment see them.
#[derive(Clone, Copy, Debug)]
pub struct History<'a> {
    now: Timestamp,
    /// Uid of the Deployment; none where there is none.
    uid: Option<&'a str>,
    /// All of the service, ascending by number.
    releases: &'a [Release],
}

impl<'a> History<'a> {
    /// `releases` ascend by number; `uid` is that of the Deployment as it is.
    #[must_use]
    pub fn new(now: Timestamp, uid: Option<&'a str>, releases: &'a [Release]) -> Self {
        Self { now, uid, releases }
    }

    /// Releases of the Deployment as it is. What was released to another one (it was deleted and made again, or the service
    /// names another) says nothing about this one, and is never restored on it.
    pub fn own(self) -> impl DoubleEndedIterator<Item = &'a Release> + Clone + use<'a> {
        self.releases.iter().filter(move |release| self.uid.is_none_or(|uid| !release.is_foreign_to(uid)))
    }

    /// The release that was kept last: what the service falls back to.
    #[must_use]
    pub fn current(self) -> Option<&'a Release> {
        self.own().rev().find(|release| release.status.phase == ReleasePhase::Kept)
    }

    /// The release under way.
    #[must_use]
    pub fn in_flight(self) -> Option<&'a Release> {
        self.own().rev().find(|release| release.status.phase.in_flight())
    }

    /// Whether a release is newer than the one that was kept last.
    #[must_use]
    pub fn is_news(self, release: &Release) -> bool {
        self.current().is_none_or(|kept| release.number > kept.number)
    }

    /// What `release` falls back to: what was kept last beside it. That is a later one where a template that was rejected
    /// long ago came back, and never one whose template was rejected since.
    #[must_use]
    pub fn before(self, release: &Release) -> Option<&'a Release> {
        let rejected: Vec<&Option<String>> = self.rejected().map(|other| &other.template_hash).collect();
        self.own()
            .rev()
            .filter(|other| other.number != release.number && !rejected.contains(&&other.template_hash))
            .find(|other| other.status.phase == ReleasePhase::Kept)
    }

    /// The releases whose templates are held when they are applied again: those that were rolled back and are still
    /// remembered, the newest [`REJECTED_MAX`] of them, ascending.
    pub fn rejected(self) -> impl DoubleEndedIterator<Item = &'a Release> + use<'a> {
        let remembered: Vec<&Release> = self.own().filter(|release| self.is_remembered(release)).collect();
        let surplus = remembered.len().saturating_sub(REJECTED_MAX);
        remembered.into_iter().skip(surplus)
    }

    /// The rejected release whose template the spec holds.
    #[must_use]
    pub fn held(self) -> Option<&'a Release> {
        self.rejected().find(|release| release.status.held)
    }

    /// A rejection is remembered for [`REJECTED_FOR`], and longer where the spec holds its template just now: nothing
    /// ships because a month is over. A person lifts it by keeping the release, or a later one of the same template.
    fn is_remembered(self, release: &Release) -> bool {
        if release.status.phase != ReleasePhase::RolledBack {
            return false;
        }
        let over = forgotten_at(release).is_some_and(|at| at <= self.now);
        !self.is_lifted(release) && (release.status.held || !over)
    }

    /// Whether a later release was kept that lifts the rejection of `release`.
    #[must_use]
    pub fn is_lifted(self, release: &Release) -> bool {
        let wanted = release.keep_decision().is_some();
        let mut kept = self
            .own()
            .filter(|other| other.status.phase == ReleasePhase::Kept && other.number > release.number);
        kept.any(|other| {
            wanted || (other.template_hash.is_some() && other.template_hash == release.template_hash)
        })
    }

    /// Highest number given so far, also where its record is gone: `told` is what the service's status says.
    #[must_use]
    pub fn last_number(self, told: Option<u64>) -> u64 {
        let recorded = self.releases.last().map_or(0, |release| release.number);
        recorded.max(told.unwrap_or_default())
    }

    /// When the next rejection is forgotten.
    #[must_use]
    pub fn forgets_at(self) -> Option<Timestamp> {
        self.rejected().filter_map(forgotten_at).filter(|at| *at > self.now).min()
    }
}

/// When the rejection of `release` is forgotten.
fn forgotten_at(release: &Release) -> Option<Timestamp> {
    release.status.decided_at.or(release.created_at).map(|at| after(at, REJECTED_FOR))
}
