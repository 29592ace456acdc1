//! What the stores keep of our own kinds: little, because a fleet has thousands of services and each remembers many
//! releases. Measured in `tests/memory.rs`.
//!
//! What a decision reads is kept as packed JSON and read anew for each decision: a fraction of the same values in structs,
//! most of whose fields are empty.

use std::sync::Arc;

use serde::Serialize;
use serde::de::DeserializeOwned;
use trimtab_api::{AppRelease, FleetPolicy, ManagedApp, ObjectMeta};
use trimtab_delivery::snapshot::{Release, ReleasePhase, ReleaseStatus};
use trimtab_kube::intern::Interner;
use trimtab_kube::watch::{Project, ProjectError, Row};
use trimtab_kube::{Key, Moment, Uid};
use trimtab_stats::Verdict;

use crate::convert;
use crate::outbox::is_over;
use crate::packed::Packed;

/// An object of one of our kinds as the stores keep it.
#[derive(Clone, Debug)]
pub struct OwnRow<T> {
    key: Key,
    resource_version: u64,
    /// What is kept of the object.
    pub object: T,
}

impl<T: Send + Sync + 'static> Row for OwnRow<T> {
    fn key(&self) -> &Key {
        &self.key
    }

    fn resource_version(&self) -> u64 {
        self.resource_version
    }
}

/// A service.
pub type AppRow = OwnRow<AppFacts>;
/// A policy.
pub type PolicyRow = OwnRow<FleetPolicy>;
/// A release.
pub type ReleaseRow = OwnRow<ReleaseFacts>;

/// A service without annotations, owners and other metadata that nothing reads.
#[derive(Clone, Debug)]
pub struct AppFacts {
    /// Name of the Deployment that it claims.
    pub target: Arc<str>,
    packed: Packed,
}

/// A release without its template, and without what was only read until it was over.
#[derive(Clone, Debug)]
pub struct ReleaseFacts {
    /// The service.
    pub app: Arc<str>,
    record: Record,
}

#[derive(Clone, Debug)]
enum Record {
    /// An [`AppRelease`]: its release is under way, or its status may be written again.
    Whole(Packed),
    /// Kept, and everybody was told: a service falls back to it by number.
    Kept {
        number: u64,
        template_hash: Option<Box<str>>,
        target_uid: Option<Arc<Uid>>,
        unsure: Option<Unsure>,
    },
}

/// What is kept of a release that the evidence could not tell about: it is watched on.
#[derive(Clone, Copy, Debug)]
struct Unsure {
    started_at: Moment,
    decided_at: Moment,
}

impl Unsure {
    fn of(release: &Release) -> Option<Self> {
        let times = release.status.started_at.zip(release.status.decided_at);
        let (started_at, decided_at) = times.filter(|_| release.is_kept_unsure())?;
        Some(Self { started_at: started_at.into(), decided_at: decided_at.into() })
    }
}

impl AppRow {
    /// The service, with the metadata that decisions look at.
    #[must_use]
    pub fn app(&self) -> ManagedApp {
        let mut app: ManagedApp = reread(&self.object.packed);
        app.metadata.namespace = self.key.namespace.to_string();
        app.metadata.name = self.key.name.to_string();
        app
    }
}

impl ReleaseRow {
    /// What a plan looks at, and which object it was read from.
    #[must_use]
    pub fn release(&self) -> Release {
        Release { version: self.resource_version, ..self.object.release() }
    }
}

impl ReleaseFacts {
    /// What a plan looks at. Of a release that was kept and told, no more than it takes to fall back to it, and to watch it
    /// on where it must be.
    fn release(&self) -> Release {
        match &self.record {
            Record::Whole(packed) => convert::release(&reread(packed)),
            Record::Kept { number, template_hash, target_uid, unsure } => Release {
                number: *number,
                target_uid: target_uid.as_ref().map(ToString::to_string),
                template_hash: template_hash.as_deref().map(str::to_owned),
                status: ReleaseStatus {
                    phase: ReleasePhase::Kept,
                    verdict: unsure.map(|_| Verdict::Undecided),
                    low_evidence: unsure.is_some(),
                    started_at: unsure.map(|unsure| unsure.started_at.timestamp()),
                    decided_at: unsure.map(|unsure| unsure.decided_at.timestamp()),
                    ..ReleaseStatus::default()
                },
                ..Release::default()
            },
        }
    }
}

fn reread<T: DeserializeOwned>(packed: &Packed) -> T {
    packed.read().expect("packed by a projection from a value of the same type")
}

/// Projects services.
#[derive(Clone)]
pub struct Apps(Interner);
/// Projects policies.
#[derive(Clone, Copy, Debug, Default)]
pub struct PoliciesOf;
/// Projects releases.
#[derive(Clone)]
pub struct Releases(Interner);

impl Apps {
    /// Shares names through `interner`.
    #[must_use]
    pub fn new(interner: Interner) -> Self {
        Self(interner)
    }
}

impl Releases {
    /// Shares names through `interner`.
    #[must_use]
    pub fn new(interner: Interner) -> Self {
        Self(interner)
    }
}

fn version(meta: &ObjectMeta) -> Result<u64, ProjectError> {
    let version = &meta.resource_version;
    version.parse().map_err(|_| ProjectError(format!("resource version {version:?} is not a number")))
}

/// The parts of an object that are kept: it is read from them as it was, without what its metadata leaves out.
fn pack(
    metadata: &ObjectMeta,
    spec: &impl Serialize,
    status: &impl Serialize,
) -> Result<Packed, ProjectError> {
    #[derive(Serialize)]
    struct Parts<'a, S, T> {
        metadata: &'a ObjectMeta,
        spec: &'a S,
        status: &'a T,
    }
    Ok(Packed::new(&Parts { metadata, spec, status })?)
}

impl Project for Apps {
    type Row = AppRow;

    fn project(&self, object: &[u8]) -> Result<AppRow, ProjectError> {
        let ManagedApp { metadata, spec, status, .. } = serde_json::from_slice(object)?;
        let key = Key::new(self.0.text(&metadata.namespace), self.0.text(&metadata.name));
        let resource_version = version(&metadata)?;
        let named = spec.target.as_ref().map(|target| target.name.as_str()).filter(|name| !name.is_empty());
        let target = self.0.text(named.unwrap_or(&metadata.name));
        let ObjectMeta { uid, generation, labels, .. } = metadata;
        let kept = ObjectMeta { uid, generation, labels, ..ObjectMeta::default() };
        let packed = pack(&kept, &spec, &status)?;
        Ok(OwnRow { key, resource_version, object: AppFacts { target, packed } })
    }
}

impl Project for PoliciesOf {
    type Row = PolicyRow;

    fn project(&self, object: &[u8]) -> Result<PolicyRow, ProjectError> {
        let mut policy: FleetPolicy = serde_json::from_slice(object)?;
        policy.metadata.annotations.clear();
        let meta = &policy.metadata;
        let key = Key::new(meta.namespace.as_str(), meta.name.as_str());
        Ok(OwnRow { key, resource_version: version(meta)?, object: policy })
    }
}

impl Project for Releases {
    type Row = ReleaseRow;

    fn project(&self, object: &[u8]) -> Result<ReleaseRow, ProjectError> {
        let wire: AppRelease = serde_json::from_slice(object)?;
        let meta = &wire.metadata;
        let key = Key::new(self.0.text(&meta.namespace), meta.name.as_str());
        let app = self.0.text(&wire.spec.app);
        let resource_version = version(meta)?;
        Ok(OwnRow { key, resource_version, object: ReleaseFacts { app, record: record(wire, &self.0)? } })
    }
}

fn record(mut wire: AppRelease, interner: &Interner) -> Result<Record, ProjectError> {
    let release = convert::release(&wire);
    let status = &release.status;
    let told = status.outbox.iter().all(|told| is_over(&told.state));
    // What is no uid is kept as it is written.
    let target_uid = release.target_uid.as_deref().map(str::parse::<Uid>).transpose();
    if told
        && status.phase == ReleasePhase::Kept
        && !status.held
        && !status.needs_human
        && let Ok(target_uid) = target_uid
    {
        let unsure = Unsure::of(&release);
        let template_hash = release.template_hash.map(String::into_boxed_str);
        // All releases of a service were released to one Deployment, nearly always.
        let target_uid = target_uid.map(|uid| interner.uid(uid));
        return Ok(Record::Kept { number: release.number, template_hash, target_uid, unsure });
    }
    wire.spec.template = None;
    wire.spec.previous = None;
    wire.spec.reason = None;
    // A message that is still owed tells what the rules saw.
    if !status.phase.in_flight() && told {
        wire.status.rules.clear();
    }
    let created = wire.metadata.creation_timestamp;
    let uid = std::mem::take(&mut wire.metadata.uid);
    let metadata = ObjectMeta { uid, creation_timestamp: created, ..ObjectMeta::default() };
    Ok(Record::Whole(pack(&metadata, &wire.spec, &wire.status)?))
}
