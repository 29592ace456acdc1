//! `AppRelease`s, by namespace and service.

mod wire;

use std::sync::Arc;

use jiff::Timestamp;
use trimtab_api::AppRelease;
use trimtab_delivery::seal::Author;
use trimtab_delivery::snapshot::{Decision, OutboxEntry, Release, ReleaseEvent, ReleasePhase, ReleaseStatus};
use trimtab_plan::Reason;
use trimtab_stats::Verdict;
use trimtab_units::TemplateHash;

pub use self::wire::release;
use super::kind::Kind;
use super::own::{OwnRow, version};
use super::trusted::Trusted;
use crate::intern::{Interner, Told};
use crate::resource::{Key, Resource};
use crate::uid::{Moment, Uid};
use crate::watch::{Project, ProjectError};

/// `AppRelease`.
pub const APP_RELEASES: &Resource = &Resource::of(trimtab_plan::Kind::APP_RELEASE);

/// A release.
pub type ReleaseRow = OwnRow<ReleaseFacts>;

/// A release without its template, and without what was only read until it was over.
#[derive(Clone, Debug)]
pub struct ReleaseFacts {
    /// The service.
    pub app: Arc<str>,
    record: Record,
}

#[derive(Clone, Debug)]
enum Record {
    /// Under way, or it owes somebody a message.
    Open(Box<Release>),
    /// Ours, kept or replaced by a later one, and everybody was told: a service falls back to it by number.
    Ended {
        number: u64,
        template_hash: Option<TemplateHash>,
        target_uid: Option<Arc<Uid>>,
        superseded: bool,
        /// When the last message about it was owed; 1970 where nobody was told.
        told_at: Moment,
        unsure: Option<Box<Unsure>>,
    },
    /// Over, and everybody was told; its status may be written again.
    Over(Box<Over>),
}

/// What is kept of a release that is over: what its template is held by, and everything that a write of its status says
/// again. Times to the second: those that did not change are not written again.
#[derive(Clone, Debug)]
struct Over {
    number: u64,
    template_hash: Option<TemplateHash>,
    target_uid: Option<Arc<Uid>>,
    image: Box<str>,
    rollback_to: Option<u64>,
    created_at: Option<Moment>,
    decision: Option<Box<Decision>>,
    author: Author,
    phase: ReleasePhase,
    verdict: Option<Verdict>,
    low_evidence: bool,
    held: bool,
    needs_human: Option<Reason>,
    restores: u32,
    restored: Option<u64>,
    summary: Box<str>,
    started_at: Option<Moment>,
    ready_at: Option<Moment>,
    decided_at: Option<Moment>,
    recovered_at: Option<Moment>,
    harmed: Option<f64>,
    outbox: Box<[OverEntry]>,
}

/// An entry of the outbox that is over.
#[derive(Clone, Debug)]
struct OverEntry {
    told: Arc<Told>,
    reason: Option<Reason>,
    again: u32,
    at: Option<Moment>,
    card: Option<Box<str>>,
}

impl OverEntry {
    fn new(entry: &OutboxEntry, interner: &Interner) -> Self {
        Self {
            told: shared_told(entry, interner),
            reason: entry.reason,
            again: entry.again,
            at: entry.at.map(Moment::from),
            card: entry.card.as_deref().map(Box::from),
        }
    }

    fn entry(&self) -> OutboxEntry {
        let Told { event, destination, state } = &*self.told;
        OutboxEntry {
            event: *event,
            reason: self.reason,
            destination: destination.to_string(),
            again: self.again,
            state: state.to_string(),
            at: self.at.map(Moment::timestamp),
            card: self.card.as_deref().map(str::to_owned),
        }
    }
}

fn shared_told(entry: &OutboxEntry, interner: &Interner) -> Arc<Told> {
    let OutboxEntry { event, destination, state, .. } = entry;
    interner.told(Told {
        event: *event,
        destination: destination.as_str().into(),
        state: state.as_str().into(),
    })
}

impl Over {
    fn new(
        release: Release,
        template_hash: Option<TemplateHash>,
        target_uid: Option<Arc<Uid>>,
        interner: &Interner,
    ) -> Self {
        let Release { number, author, image, rollback_to, created_at, decision, status, .. } = release;
        let outbox = status.outbox.iter().map(|entry| OverEntry::new(entry, interner)).collect();
        Self {
            number,
            template_hash,
            target_uid,
            image: image.into(),
            rollback_to,
            created_at: created_at.map(Moment::from),
            decision: decision.map(Box::new),
            author,
            phase: status.phase,
            verdict: status.verdict,
            low_evidence: status.low_evidence,
            held: status.held,
            needs_human: status.needs_human,
            restores: status.restores,
            restored: status.restored,
            summary: status.summary.into(),
            started_at: status.started_at.map(Moment::from),
            ready_at: status.ready_at.map(Moment::from),
            decided_at: status.decided_at.map(Moment::from),
            recovered_at: status.recovered_at.map(Moment::from),
            harmed: status.harmed,
            outbox,
        }
    }

    fn status(&self) -> ReleaseStatus {
        ReleaseStatus {
            phase: self.phase,
            summary: self.summary.to_string(),
            verdict: self.verdict,
            low_evidence: self.low_evidence,
            held: self.held,
            started_at: self.started_at.map(Moment::timestamp),
            ready_at: self.ready_at.map(Moment::timestamp),
            decided_at: self.decided_at.map(Moment::timestamp),
            recovered_at: self.recovered_at.map(Moment::timestamp),
            restores: self.restores,
            restored: self.restored,
            needs_human: self.needs_human,
            // An empty list leaves the record's own as they are.
            findings: Vec::new(),
            harmed: self.harmed,
            outbox: self.outbox.iter().map(OverEntry::entry).collect(),
        }
    }
}

/// What is kept of a release that the evidence could not tell about: it is watched on, and may be rolled back yet. Then what
/// was told is told no second time.
#[derive(Clone, Debug)]
struct Unsure {
    started_at: Moment,
    decided_at: Moment,
    /// Nearly all releases of a fleet share a few such lists, because a message is owed when its release starts or is
    /// decided.
    told: Arc<[Arc<Told>]>,
}

impl Unsure {
    /// `None` where that is not all there is to keep.
    fn of(release: &Release, interner: &Interner) -> Option<Box<Self>> {
        if release.rollback_to.is_some() {
            return None;
        }
        let status = &release.status;
        let (started_at, decided_at) = status.started_at.zip(status.decided_at)?;
        let (started_at, decided_at) = (Moment::from(started_at), Moment::from(decided_at));
        let plain = |entry: &OutboxEntry| {
            let OutboxEntry { event, reason, destination: _, again, state: _, at, card } = entry;
            let usual = at.map(Moment::from) == Some(owed_at(*event, started_at, decided_at));
            usual && card.is_none() && reason.is_none() && *again == 0
        };
        if !status.outbox.iter().all(plain) {
            return None;
        }
        let list: Vec<Arc<Told>> = status.outbox.iter().map(|entry| shared_told(entry, interner)).collect();
        Some(Box::new(Self { started_at, decided_at, told: interner.told_list(&list) }))
    }

    fn outbox(&self) -> Vec<OutboxEntry> {
        let entry = |told: &Arc<Told>| {
            let at = Some(owed_at(told.event, self.started_at, self.decided_at));
            OverEntry { told: told.clone(), reason: None, again: 0, at, card: None }.entry()
        };
        self.told.iter().map(entry).collect()
    }
}

/// When a message about `event` was owed.
fn owed_at(event: ReleaseEvent, started_at: Moment, decided_at: Moment) -> Moment {
    if event == ReleaseEvent::Started { started_at } else { decided_at }
}

impl ReleaseRow {
    /// The service that it is a release of.
    #[must_use]
    pub fn service(&self) -> Key {
        Key::new(self.key.namespace.clone(), self.object.app.clone())
    }

    /// What a plan looks at, and which object it was read from.
    #[must_use]
    pub fn release(&self) -> Release {
        Release { version: self.resource_version, ..self.object.release() }
    }
}

impl ReleaseFacts {
    /// What a plan looks at. Of a release that was kept or replaced, and told, no more than it takes to fall back to it, and
    /// to watch it on where it must be.
    fn release(&self) -> Release {
        match &self.record {
            Record::Open(release) => Release::clone(release),
            Record::Ended { number, template_hash, target_uid, superseded, told_at, unsure } => Release {
                number: *number,
                author: Author::Manager,
                target_uid: target_uid.as_ref().map(ToString::to_string),
                template_hash: template_hash.as_ref().map(ToString::to_string),
                told_at: Some(told_at.timestamp()).filter(|at| *at > Timestamp::UNIX_EPOCH),
                status: ReleaseStatus {
                    phase: if *superseded { ReleasePhase::Superseded } else { ReleasePhase::Kept },
                    verdict: unsure.as_ref().map(|_| Verdict::Undecided),
                    low_evidence: unsure.is_some(),
                    started_at: unsure.as_ref().map(|unsure| unsure.started_at.timestamp()),
                    decided_at: unsure.as_ref().map(|unsure| unsure.decided_at.timestamp()),
                    outbox: unsure.as_ref().map(|unsure| unsure.outbox()).unwrap_or_default(),
                    ..ReleaseStatus::default()
                },
                ..Release::default()
            },
            Record::Over(over) => Release {
                number: over.number,
                target_uid: over.target_uid.as_ref().map(ToString::to_string),
                template_hash: over.template_hash.as_ref().map(ToString::to_string),
                image: over.image.to_string(),
                rollback_to: over.rollback_to,
                created_at: over.created_at.map(Moment::timestamp),
                decision: over.decision.as_deref().cloned(),
                author: over.author,
                status: over.status(),
                ..Release::default()
            },
        }
    }
}

/// Projects releases.
#[derive(Clone)]
pub struct Releases {
    interner: Interner,
    trust: Trusted,
}

impl Releases {
    /// Shares names through `interner`, and tells the manager's own records by `trust`.
    #[must_use]
    pub fn new(interner: Interner, trust: Trusted) -> Self {
        Self { interner, trust }
    }
}

impl Kind for Releases {
    const RESOURCE: &'static Resource = APP_RELEASES;

    type Index = Key;

    fn new(interner: &Interner) -> Releases {
        Releases::new(interner.clone(), Trusted::default())
    }

    fn trusting(self, trust: &Trusted) -> Self {
        Releases { trust: trust.clone(), ..self }
    }

    fn index(row: &ReleaseRow, out: &mut Vec<Key>) {
        out.push(row.service());
    }
}

impl Project for Releases {
    type Row = ReleaseRow;

    fn project(&self, object: &[u8]) -> Result<ReleaseRow, ProjectError> {
        let wire: AppRelease = serde_json::from_slice(object)?;
        let meta = &wire.metadata;
        let key = Key::new(self.interner.text(&meta.namespace), meta.name.as_str());
        let app = self.interner.text(&wire.spec.app);
        let resource_version = version(meta)?;
        let release = self.trust.with(|trust| release(&wire, trust));
        let object = ReleaseFacts { app, record: record(release, &self.interner) };
        Ok(OwnRow { key, resource_version, object })
    }
}

fn record(release: Release, interner: &Interner) -> Record {
    let status = &release.status;
    let kept = status.phase == ReleasePhase::Kept;
    let superseded = status.phase == ReleasePhase::Superseded;
    let over = kept || superseded || status.phase == ReleasePhase::RolledBack;
    let told = status.outbox.iter().all(OutboxEntry::is_over);
    // Where they are not written as the manager writes them, the record is kept as it is.
    let template_hash = release.template_hash.as_deref().map(str::parse).transpose();
    let target_uid = release.target_uid.as_deref().map(str::parse::<Uid>).transpose();
    let (Ok(template_hash), Ok(target_uid), true) = (template_hash, target_uid, over && told) else {
        return Record::Open(Box::new(release));
    };
    // All releases of a service were released to one Deployment, nearly always.
    let target_uid = target_uid.map(|uid| interner.uid(uid));
    let watched = release.is_kept_unsure();
    let unsure = watched.then(|| Unsure::of(&release, interner)).flatten();
    let is_all =
        (kept || superseded) && !status.held && status.needs_human.is_none() && watched == unsure.is_some();
    if release.author == Author::Manager && is_all {
        let told_at = status.outbox.iter().filter_map(|told| told.at).max().unwrap_or(Timestamp::UNIX_EPOCH);
        let (number, told_at) = (release.number, Moment::from(told_at));
        return Record::Ended { number, template_hash, target_uid, superseded, told_at, unsure };
    }
    Record::Over(Box::new(Over::new(release, template_hash, target_uid, interner)))
}
