//! Which of the few situations a claimed service is in: a pure reading of the snapshot, on which everything else branches.

use trimtab_workload::Target;

use crate::snapshot::{Release, ReleasePhase, Snapshot};

/// Where a claimed service stands.
#[derive(Clone, Copy, Debug, PartialEq)]
pub(super) enum Situation<'a> {
    /// Nothing was ever kept or announced: what runs now becomes the first release that was kept.
    Unknown,
    /// The Deployment holds the template that was kept last, and nothing is under way.
    Settled(&'a Release),
    /// The Deployment holds a template that no record speaks of.
    Fresh,
    /// The Deployment holds the template that is being judged.
    Judging(&'a Release),
    /// The Deployment holds the previous template although the release under way did not fail: somebody put it back.
    Reverted(&'a Release),
    /// The Deployment still, or again, holds a template that failed.
    RollingBack(&'a Release),
    /// The previous template is back; its pods are not all there yet.
    Recovering(&'a Release),
    /// The Deployment holds a rejected template, and the service runs on the previous one.
    Rejected(&'a Release),
    /// A person decided to keep a rejected template under a new number and wrote it; it was taken away again before the
    /// decision was seen.
    Promised(Promise<'a>),
}

/// A number that a person gave to a rejected template together with the decision to keep it.
#[derive(Clone, Copy, Debug, PartialEq)]
pub(super) struct Promise<'a> {
    /// The new number; its record has no template yet.
    pub(super) numbered: &'a Release,
    /// The release whose template is kept.
    pub(super) of: &'a Release,
}

/// The promise that the Deployment's annotation names: its record may be seen before the template, or after it.
fn promise<'a>(snapshot: &Snapshot<'a>, target: &Target) -> Option<Promise<'a>> {
    let number = target.release_annotation?;
    let numbered = snapshot.awaited(number).filter(|release| release.keep_decision().is_some())?;
    let of = snapshot.history().own().find(|release| Some(release.number) == numbered.rollback_to)?;
    of.template_hash.as_ref().map(|_| Promise { numbered, of })
}

/// Reads the situation.
pub(super) fn situation<'a>(snapshot: &Snapshot<'a>, target: &Target) -> Situation<'a> {
    let shows = |release: &Release| release.template_hash.as_deref() == Some(target.template_hash.as_str());
    let Some(current) = snapshot.history().current() else {
        // A record that was never announced is the first one, created a moment ago: it is kept, not judged.
        let announced = snapshot.history().in_flight().filter(|release| release.status.started_at.is_some());
        return match announced {
            Some(release) if shows(release) && release.status.phase == ReleasePhase::RollingBack => {
                Situation::RollingBack(release)
            }
            Some(release) if shows(release) => Situation::Judging(release),
            Some(_) => Situation::Fresh,
            None => Situation::Unknown,
        };
    };
    if let Some(promise) = promise(snapshot, target) {
        let other = snapshot.history().in_flight().is_some_and(|release| release.number != promise.of.number);
        match (shows(promise.of), shows(current), other) {
            (true, _, _) => return Situation::Fresh,
            (false, true, false) => return Situation::Promised(promise),
            _ => {}
        }
    }
    if let Some(release) = snapshot.history().in_flight() {
        let failed = release.status.phase == ReleasePhase::RollingBack;
        match (shows(release), shows(current), failed) {
            (true, _, false) => return Situation::Judging(release),
            (true, _, true) => return Situation::RollingBack(release),
            (false, true, false) => return Situation::Reverted(release),
            (false, true, true) => return Situation::Recovering(release),
            (false, false, _) => {}
        }
    } else if shows(current) {
        return Situation::Settled(current);
    }
    let rejected = snapshot.history().rejected().rfind(|release| shows(release));
    rejected.map_or(Situation::Fresh, Situation::Rejected)
}
