//! One service as commands see it: raw where it is somebody else's, typed where it is ours.

use serde::de::DeserializeOwned;
use serde_json::Value;
use trimtab_api::condition::Condition;
use trimtab_api::resolve::Policies;
use trimtab_api::{AppRelease, FleetPolicy, ManagedApp};
use trimtab_control::convert;
use trimtab_delivery::command;
use trimtab_delivery::names::{APP_LABEL, release_object, release_word};
use trimtab_delivery::records::sift;
use trimtab_delivery::snapshot::ReleasePhase;
use trimtab_kube::api::Selector;
use trimtab_kube::kinds::{APP_RELEASES, FLEET_POLICIES, MANAGED_APPS};
use trimtab_kube::resource::DEPLOYMENTS;
use trimtab_kube::{Api, ApiError, Resource};
use trimtab_units::template_hash;
use trimtab_workload::service_image;

use super::exit::Failure;
use super::whereabouts;

/// What printed commands say where a person has to write something.
pub(super) const PLACEHOLDER: &str = "...";

/// The reason that a person gave, if it is one: a command that was pasted as it was printed gives none.
pub(super) fn reason(because: Option<&str>) -> Option<&str> {
    because.filter(|text| !["", PLACEHOLDER].contains(&text.trim()))
}

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
    /// Records that do not count as releases.
    pub refused: Vec<Refused>,
}

/// What is recorded of a service.
#[derive(Default)]
pub struct Records {
    /// Its releases, ascending.
    pub counted: Vec<AppRelease>,
    /// Records that do not count as releases.
    pub refused: Vec<Refused>,
}

/// A record that does not count, and is never brought back.
pub struct Refused {
    /// The number that it claims.
    pub number: u64,
    /// Its name, and why it does not count.
    pub why: String,
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
}

impl Service {
    /// Reads a service.
    ///
    /// # Errors
    /// Refuses with the next command when its Deployment does not exist.
    pub async fn read(api: &Api, namespace: &str, name: &str) -> Result<Self, Failure> {
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
        let Records { counted: releases, refused } = records;
        Ok(Self {
            namespace: namespace.to_owned(),
            name: name.to_owned(),
            app,
            deployment,
            releases,
            refused,
        })
    }

    /// Where it stands.
    #[must_use]
    pub fn standing(&self) -> Standing {
        let Some(app) = &self.app else { return Standing::Unclaimed(None) };
        let refused = app
            .status
            .conditions
            .iter()
            .find(|condition| condition.kind == "Claimed" && condition.status == "False");
        match (refused, app.status.current) {
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

    /// Whether `release` was released to the Deployment as it is, as far as its record tells.
    #[must_use]
    pub fn is_own(&self, release: &AppRelease) -> bool {
        let uid = text(&self.deployment, "/metadata/uid");
        release.spec.target_uid.as_deref().is_none_or(|own| own == uid)
    }

    fn own(&self) -> impl DoubleEndedIterator<Item = &AppRelease> {
        self.releases.iter().filter(|release| self.is_own(release))
    }

    /// The release under way.
    #[must_use]
    pub fn in_flight(&self) -> Option<&AppRelease> {
        self.own().rev().find(|release| phase(release).in_flight())
    }

    /// The release that was kept last.
    #[must_use]
    pub fn current(&self) -> Option<&AppRelease> {
        self.own().rev().find(|release| phase(release) == ReleasePhase::Kept)
    }

    /// The release under way that going back to `release` ends: it is what that one falls back to.
    #[must_use]
    pub fn falls_back_to(&self, release: &AppRelease) -> Option<&AppRelease> {
        let is_current =
            self.current().is_some_and(|current| current.spec.template_hash == release.spec.template_hash);
        self.in_flight().filter(|_| is_current)
    }

    /// Releases whose templates are remembered as rejected, ascending: those that the manager says, and those that were
    /// rolled back since the current one was kept.
    pub fn rejected(&self) -> impl DoubleEndedIterator<Item = &AppRelease> {
        let told = self.app.iter().flat_map(|app| &app.status.rejected);
        let told: Vec<u64> = told.map(|rejected| rejected.number).collect();
        self.own().filter(move |release| {
            let remembered = self.is_news(release) || told.contains(&release.spec.number);
            remembered && phase(release) == ReleasePhase::RolledBack
        })
    }

    /// The rejected release whose template is held.
    #[must_use]
    pub fn held(&self) -> Option<&AppRelease> {
        self.rejected().find(|release| release.status.held == Some(true))
    }

    /// Whether a release is newer than the one that was kept last.
    #[must_use]
    pub fn is_news(&self, release: &AppRelease) -> bool {
        self.current().is_none_or(|kept| release.spec.number > kept.spec.number)
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
        let listed = self.releases.last().map_or(0, |release| release.spec.number);
        let told = self.app.as_ref().and_then(|app| app.status.last_release).unwrap_or_default();
        listed.max(told) + 1
    }

    /// Whether the Deployment holds the template of `release`.
    #[must_use]
    pub fn shows(&self, release: &AppRelease) -> bool {
        release.spec.template_hash.as_deref() == Some(template_hash(self.template()).as_str())
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
        let containers = self.template().pointer("/spec/containers").and_then(Value::as_array);
        let names: Vec<&str> =
            containers.into_iter().flatten().map(|container| text(container, "/name")).collect();
        let found = match &wanted {
            Some(wanted) => names.iter().find(|name| *name == wanted),
            None => names.first(),
        };
        found.map(|name| (*name).to_owned()).ok_or_else(|| {
            let wanted = wanted.unwrap_or_default();
            Failure::refused(format!(
                "Deployment {}/{} has no container {wanted}",
                self.namespace,
                self.target()
            ))
            .hint(format!("it has {}; choose one with --container", names.join(", ")))
        })
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

/// What is recorded of a service. `told` is the highest number that its status speaks of.
///
/// # Errors
/// When they cannot be listed.
pub async fn records(api: &Api, namespace: &str, service: &str, told: u64) -> Result<Records, Failure> {
    let of_service = Selector::all().labels(format!("{APP_LABEL}={service}"));
    let mut found: Vec<AppRelease> = list(api, APP_RELEASES, Some(namespace), &of_service).await?;
    // A label is anybody's to write.
    found.retain(|release| release.spec.app == service);
    found.sort_by_key(|release| release.spec.number);
    let (mut records, mut reached) = (Records::default(), told);
    for record in found {
        let (number, name) = (record.spec.number, record.metadata.name.clone());
        match sift(service, reached, vec![(name, convert::release(&record))]).refused.pop() {
            Some(why) => records.refused.push(Refused { number, why }),
            None => {
                reached = reached.max(number);
                records.counted.push(record);
            }
        }
    }
    Ok(records)
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

/// Objects of one of our kinds.
///
/// # Errors
/// When they cannot be listed or read.
pub async fn list<T: DeserializeOwned>(
    api: &Api,
    resource: &Resource,
    namespace: Option<&str>,
    selector: &Selector,
) -> Result<Vec<T>, Failure> {
    api.list(resource, namespace, selector).await?.into_iter().map(typed).collect()
}

/// An object of one of our kinds.
///
/// # Errors
/// Names the object that cannot be read.
pub fn typed<T: DeserializeOwned>(object: Value) -> Result<T, Failure> {
    let name = format!("{} {}", text(&object, "/kind"), text(&object, "/metadata/name"));
    serde_json::from_value(object).map_err(|error| Failure::error(format!("{name} cannot be read: {error}")))
}

/// The text at a JSON pointer, or nothing.
#[must_use]
pub fn text<'a>(value: &'a Value, pointer: &str) -> &'a str {
    value.pointer(pointer).and_then(Value::as_str).unwrap_or_default()
}
