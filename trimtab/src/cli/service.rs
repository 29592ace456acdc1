//! One service as commands see it: raw where it is somebody else's, typed where it is ours.

use jiff::Timestamp;
use serde_json::Value;
use trimtab_api::condition::Condition;
use trimtab_api::resolve::Policies;
use trimtab_api::{AppRelease, FleetPolicy, ManagedApp};
use trimtab_control::convert;
use trimtab_control::observed::target_of;
use trimtab_delivery::command;
use trimtab_delivery::history::History;
use trimtab_delivery::names::{CLAIM_ANNOTATION, release_object, release_word};
use trimtab_delivery::release::{Release, ReleasePhase};
use trimtab_kube::api::Selector;
use trimtab_kube::kinds::{FLEET_POLICIES, MANAGED_APPS};
use trimtab_kube::resource::DEPLOYMENTS;
use trimtab_kube::{Api, ApiError};
use trimtab_units::template_hash;
use trimtab_workload::{containers, service_container, service_image};

use super::exit::Failure;
use super::objects::{list, text, typed};
use super::records::{Records, Refused, records};
use super::whereabouts;

/// What is said where a reason was given and has no place.
pub(super) const REASON_LOST: &str =
    "the reason is recorded nowhere: only releases of claimed services have records";

/// What the manager says of records of a service that do not count; only it has the key that tells.
#[must_use]
pub fn uncounted(app: &ManagedApp) -> Option<&Condition> {
    let mut conditions = app.status.conditions.iter();
    conditions.find(|condition| condition.kind == "RecordsCounted" && condition.status == "False")
}

/// A service.
pub struct Service {
    /// Namespace.
    pub namespace: String,
    /// Name.
    pub name: String,
    /// Its `ManagedApp`; none while it is not claimed.
    pub app: Option<ManagedApp>,
    /// Its Deployment, raw.
    pub deployment: Value,
    /// Its releases, ascending.
    pub releases: Vec<AppRelease>,
    /// The same releases, as decisions see them.
    known: Vec<Release>,
    /// Records that do not count as releases.
    pub refused: Vec<Refused>,
    /// Another service that looks after the same Deployment.
    looked_after_by: Option<String>,
    /// When it was read.
    now: Timestamp,
}

/// Where a service stands, as far as commands care.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Standing {
    /// No `ManagedApp`, or one that cannot be claimed; the reason in the second case.
    Unclaimed(Option<String>),
    /// The claim is being taken up: nothing is recorded yet.
    Claiming,
    /// Claimed.
    Claimed,
    /// Another service, of this name, looks after the Deployment.
    ClaimedBy(String),
}

impl Service {
    /// Reads a service.
    ///
    /// # Errors
    /// Refuses with the next command when its Deployment does not exist.
    pub async fn read(api: &Api, now: Timestamp, namespace: &str, name: &str) -> Result<Self, Failure> {
        let app: Option<ManagedApp> = match api.get(MANAGED_APPS, Some(namespace), name).await? {
            Some(found) => Some(typed(found)?),
            None => None,
        };
        let target =
            app.as_ref().and_then(|app| app.spec.target.as_ref()).map_or(name, |target| &target.name);
        let Some(deployment) = api.get(DEPLOYMENTS, Some(namespace), target).await? else {
            return Err(match app {
                Some(_) => gone(namespace, name, target),
                None => whereabouts::missing(api, namespace, name, "explain").await,
            });
        };
        let told = app.as_ref().and_then(|app| app.status.last_release).unwrap_or_default();
        let records =
            if app.is_some() { records(api, namespace, name, told).await? } else { Records::default() };
        let Records { counted: releases, known, refused } = records;
        let looked_after_by = holder(api, namespace, app.as_ref(), &deployment).await;
        Ok(Self {
            namespace: namespace.to_owned(),
            name: name.to_owned(),
            app,
            deployment,
            releases,
            known,
            refused,
            looked_after_by,
            now,
        })
    }

    /// Why a command that changes something has nothing to do here, and which one has.
    #[must_use]
    pub fn claimed_by(&self, other: &str, verb: &str, flags: &str) -> Failure {
        let message = format!(
            "Deployment {}/{} is looked after by the service {other}, not by {}",
            self.namespace,
            self.target(),
            self.name
        );
        Failure::refused(message)
            .hint(format!("`{}{flags}`", command::trimtab(&format!("{verb} {other}"), &self.namespace)))
    }

    /// The failure of a command that needs a release, while the claim is taken up.
    #[must_use]
    pub fn being_claimed(&self) -> Failure {
        Failure::refused(format!(
            "{} is being claimed: nothing is under way, and nothing is recorded yet",
            self.name
        ))
        .hint(format!("`{}`", self.command("explain")))
    }

    /// Where it stands.
    #[must_use]
    pub fn standing(&self) -> Standing {
        if let Some(other) = &self.looked_after_by {
            return Standing::ClaimedBy(other.clone());
        }
        let Some(app) = &self.app else { return Standing::Unclaimed(None) };
        match (not_claimed(app), app.status.current) {
            (Some(refused), _) => Standing::Unclaimed(Some(refused.message.clone())),
            (None, None) => Standing::Claiming,
            (None, Some(_)) => Standing::Claimed,
        }
    }

    /// A command of `trimtab` about it: `trimtab explain payments -n shop`.
    #[must_use]
    pub fn command(&self, verb: &str) -> String {
        command::trimtab(&format!("{verb} {}", self.name), &self.namespace)
    }

    /// A command of `trimtab` about one of its releases: `trimtab promote payments v2 -n shop`.
    #[must_use]
    pub fn command_on(&self, verb: &str, release: &str) -> String {
        command::trimtab(&format!("{verb} {} {release}", self.name), &self.namespace)
    }

    /// A command of `kubectl rollout` about its Deployment.
    #[must_use]
    pub fn rollout(&self, verb: &str) -> String {
        command::kubectl(&format!("rollout {verb} deployment/{}", self.target()), &self.namespace)
    }

    /// Whether a person or a tool paused its Deployment, as the manager sees it.
    #[must_use]
    pub fn is_paused_by_others(&self) -> bool {
        target_of(&self.deployment).is_some_and(|target| target.paused_by_others().is_some())
    }

    /// Name of its Deployment.
    #[must_use]
    pub fn target(&self) -> &str {
        text(&self.deployment, "/metadata/name")
    }

    /// The pod template in its Deployment.
    #[must_use]
    pub fn template(&self) -> &Value {
        &self.deployment["spec"]["template"]
    }

    /// What the manager would make of its releases.
    #[must_use]
    pub fn history(&self) -> History<'_> {
        History::new(self.now, Some(text(&self.deployment, "/metadata/uid")), &self.known)
    }

    /// The record of a release out of [`Self::history`].
    fn record(&self, known: &Release) -> Option<&AppRelease> {
        self.releases.iter().find(|release| release.spec.number == known.number)
    }

    /// Whether `release` was released to the Deployment as it is, as far as its record tells.
    #[must_use]
    pub fn is_own(&self, release: &AppRelease) -> bool {
        self.history().own().any(|own| own.number == release.spec.number)
    }

    /// The release under way.
    #[must_use]
    pub fn in_flight(&self) -> Option<&AppRelease> {
        self.record(self.history().in_flight()?)
    }

    /// The release that was kept last.
    #[must_use]
    pub fn current(&self) -> Option<&AppRelease> {
        self.record(self.history().current()?)
    }

    /// The kept release before the current one whose template the Deployment does not hold.
    #[must_use]
    pub fn earlier(&self) -> Option<&AppRelease> {
        let history = self.history();
        let shown = template_hash(self.template()).as_str().to_owned();
        let mut earlier = history.own().rev().filter(|release| {
            release.status.phase == ReleasePhase::Kept && release.template_hash.as_ref() != Some(&shown)
        });
        self.record(earlier.find(|release| !history.is_news(release))?)
    }

    /// The release under way that going back to `release` ends: it is what that one falls back to.
    #[must_use]
    pub fn falls_back_to(&self, release: &AppRelease) -> Option<&AppRelease> {
        let under_way = self.history().in_flight()?;
        let is_before = self
            .history()
            .before(under_way)
            .is_some_and(|back| back.template_hash == release.spec.template_hash);
        self.record(under_way).filter(|_| is_before)
    }

    /// The newest release with the template of `hash` that is remembered as rejected.
    #[must_use]
    pub fn rejected(&self, hash: &str) -> Option<&AppRelease> {
        let mut newest_first = self.history().rejected().rev();
        self.record(newest_first.find(|release| release.template_hash.as_deref() == Some(hash))?)
    }

    /// The release that was rejected last, if it is newer than what was kept last.
    #[must_use]
    pub fn last_rejected(&self) -> Option<&AppRelease> {
        let history = self.history();
        self.record(history.rejected().rfind(|release| history.is_news(release))?)
    }

    /// The rejected release whose template is held.
    #[must_use]
    pub fn held(&self) -> Option<&AppRelease> {
        self.record(self.history().held()?)
    }

    /// Whether a release is newer than the one that was kept last.
    #[must_use]
    pub fn is_news(&self, release: &AppRelease) -> bool {
        self.history().is_news(&convert::release(release))
    }

    /// The release of a number.
    ///
    /// # Errors
    /// Refuses when there is none, and says where to look.
    pub fn release(&self, number: u64) -> Result<&AppRelease, Failure> {
        self.releases.iter().find(|release| release.spec.number == number).ok_or_else(|| {
            if let Some(refused) = self.refused.iter().find(|refused| refused.number == number) {
                let message = format!("not counted, and never brought back: {}", refused.why);
                let get = format!("get apprelease {} -o yaml", release_object(&self.name, number));
                let get = command::kubectl(&get, &self.namespace);
                return Failure::refused(message)
                    .hint(format!("`{get}` shows it; delete it if nobody needs it"));
            }
            Failure::refused(format!("{} has no release {}", self.name, release_word(number)))
                .hint(format!("`{}` lists what is remembered", self.command("history")))
        })
    }

    /// The number that the next release gets.
    #[must_use]
    pub fn next_number(&self) -> u64 {
        let told = self.app.as_ref().and_then(|app| app.status.last_release);
        self.history().last_number(told).saturating_add(1)
    }

    /// Whether the Deployment holds the template of `release`.
    #[must_use]
    pub fn shows(&self, release: &AppRelease) -> bool {
        release.spec.template_hash.as_deref() == Some(template_hash(self.template()).as_str())
    }

    /// Whether its Deployment holds another template than `release`, which takes over from it as soon as the manager sees it and
    /// no pause keeps it back: one that is neither what the release falls back to, nor rejected.
    #[must_use]
    pub fn is_replaced(&self, release: &AppRelease) -> bool {
        let shown = template_hash(self.template());
        let holds = |release: &AppRelease| release.spec.template_hash.as_deref() == Some(shown.as_str());
        !holds(release) && !self.current().is_some_and(holds) && self.rejected(shown.as_str()).is_none()
    }

    /// The name of the service container: what a person says, or the service's spec, or a policy's default, or the first.
    ///
    /// # Errors
    /// Refuses when the Deployment has no such container, and names those it has.
    pub async fn container(&self, api: &Api, asked: Option<&str>) -> Result<String, Failure> {
        let own = self.app.as_ref().and_then(|app| app.spec.container.clone());
        let wanted = match asked.map(str::to_owned).or(own) {
            Some(name) => Some(name),
            None => self.default_container(api).await?,
        };
        if let Some(found) = service_container(self.template(), wanted.as_deref()) {
            return Ok(text(found, "/name").to_owned());
        }
        let wanted = wanted.as_deref().unwrap_or_default();
        let message = format!("Deployment {}/{} has no container {wanted}", self.namespace, self.target());
        let names: Vec<&str> = containers(self.template()).map(|found| text(found, "/name")).collect();
        Err(Failure::refused(message)
            .hint(format!("it has {}; choose one with --container", names.join(", "))))
    }

    async fn default_container(&self, api: &Api) -> Result<Option<String>, Failure> {
        let Some(app) = &self.app else { return Ok(None) };
        let policies = policies(api).await?;
        let picked = Policies::matching(&policies, app).pick(&app.spec, |spec| spec.container.clone());
        Ok(picked.map(|(name, _)| name))
    }

    /// The image of a container in the Deployment.
    #[must_use]
    pub fn image(&self, container: &str) -> String {
        service_image(self.template(), Some(container)).unwrap_or_default()
    }
}

/// The condition that says why a service is left alone, if it is.
fn not_claimed(app: &ManagedApp) -> Option<&Condition> {
    app.status.conditions.iter().find(|condition| condition.kind == "Claimed" && condition.status == "False")
}

/// The other service that looks after a Deployment: a claim that is not that of `app` is somebody's. None where a person may
/// not list them.
async fn holder(api: &Api, namespace: &str, app: Option<&ManagedApp>, deployment: &Value) -> Option<String> {
    let claim = &deployment["metadata"]["annotations"][CLAIM_ANNOTATION];
    if claim.is_null() || app.is_some_and(|app| not_claimed(app).is_none()) {
        return None;
    }
    let all: Vec<ManagedApp> = list(api, MANAGED_APPS, Some(namespace), &Selector::all()).await.ok()?;
    let uid = text(deployment, "/metadata/uid");
    let other = all.into_iter().find(|other| other.status.target_uid.as_deref() == Some(uid))?;
    Some(other.metadata.name)
}

/// The failure of a command on a service whose Deployment was deleted.
fn gone(namespace: &str, name: &str, target: &str) -> Failure {
    let release = command::trimtab(&format!("release {name}"), namespace);
    Failure::error(format!("Deployment {namespace}/{target} is gone, and ManagedApp {name} still claims it"))
        .hint(format!("apply its manifest again, or let go of the service: `{release}`"))
}

/// Where a release stands.
#[must_use]
pub fn phase(release: &AppRelease) -> ReleasePhase {
    convert::release(release).status.phase
}

/// All policies; none where a person may not read them.
///
/// # Errors
/// When they cannot be listed for another reason.
pub async fn policies(api: &Api) -> Result<Vec<FleetPolicy>, Failure> {
    match api.list(FLEET_POLICIES, None, &Selector::all()).await {
        Ok(found) => found.into_iter().map(typed).collect(),
        Err(ApiError::Forbidden { .. } | ApiError::NotFound { .. }) => Ok(Vec::new()),
        Err(error) => Err(error.into()),
    }
}
