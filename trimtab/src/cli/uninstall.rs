//! `trimtab uninstall`: everything goes, every workload keeps running.

use std::time::Duration;

use serde_json::Value;
use trimtab_api::ManagedApp;
use trimtab_control::controllers::unclaim::{NotLetGo, Progress, is_held, unclaim};
use trimtab_delivery::command;
use trimtab_delivery::names::{CLAIM_ANNOTATION, INSTANCE_ANNOTATION, INSTANCE_LABEL};
use trimtab_kube::api::{Preconditions, Propagation, Selector};
use trimtab_kube::intern::Interner;
use trimtab_kube::kinds::Deployments;
use trimtab_kube::kinds::MANAGED_APPS;
use trimtab_kube::resource::{
    CRDS, DEPLOYMENTS, MUTATING_ADMISSION_POLICIES, MUTATING_ADMISSION_POLICY_BINDINGS, PDBS, SECRETS,
};
use trimtab_kube::watch::Project;
use trimtab_kube::{ApiError, Resource};
use trimtab_plan::{Copied, Kind, Object, Sealing};

use super::args::UninstallArgs;
use super::attended::{self, Attended};
use super::deploy::pointer_segment;
use super::exit::{Exit, Failure};
use super::install::{BINDING, BINDING_WITHIN, Choices, NAMESPACE, instance, is_own, objects, workload};
use super::objects::{list, text};
use super::service::Service;
use super::session::Session;

/// How many steps letting go of a Deployment may take: three, and again where it changed meanwhile.
const ATTEMPTS_MAX: usize = 9;

/// How long a manager that was told to stop is waited for: its pods have 30 s, and its lease counts for 60 s more.
const ENDING_SECONDS_MAX: u64 = 120;

const RBAC_GROUP: &str = "rbac.authorization.k8s.io";
const CLUSTER_ROLES: &Resource = &Resource::cluster_scoped(RBAC_GROUP, "v1", "ClusterRole", "clusterroles");
const CLUSTER_ROLE_BINDINGS: &Resource =
    &Resource::cluster_scoped(RBAC_GROUP, "v1", "ClusterRoleBinding", "clusterrolebindings");
const ROLES: &Resource = &Resource::new(RBAC_GROUP, "v1", "Role", "roles");
const ROLE_BINDINGS: &Resource = &Resource::new(RBAC_GROUP, "v1", "RoleBinding", "rolebindings");
const SERVICE_ACCOUNTS: &Resource = &Resource::new("", "v1", "ServiceAccount", "serviceaccounts");

/// What goes with the definitions of our kinds.
const DATA_GOES: &str = "with the definitions go every ManagedApp, FleetPolicy and AppRelease of the cluster";

/// What `uninstall` does with one thing.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Mode {
    /// Says it.
    Rehearse,
    /// Does it.
    Perform,
}

/// Removes Trimtab.
///
/// # Errors
/// Stops before anything is deleted that a claim still needs.
pub async fn uninstall(session: &mut Session<'_>, args: &UninstallArgs) -> Result<Exit, Failure> {
    let mode = if args.yes { Mode::Perform } else { Mode::Rehearse };
    let choices = installed(session).await?;
    if let Some(id) = instance(args.instance.as_deref())? {
        return uninstall_instance(session, Choices { instance: Some(id), ..choices }, mode).await;
    }
    let instances = instances(session, &choices.namespace).await?;
    let namespace = choices.namespace.clone();
    // Rights of the whole cluster may be left of an installation that was narrowed later.
    let wide = objects(&Choices { watched: Vec::new(), ..choices.clone() })?;
    let within =
        objects(&choices)?.into_iter().filter(|object| text(object, "/metadata/name") == BINDING_WITHIN);
    let mut own = Vec::new();
    for id in instances {
        let choices = Choices { instance: Some(id), ..choices.clone() };
        own.extend(objects(&choices)?.into_iter().filter(is_own));
    }
    let all = own.into_iter().rev().chain(within).chain(wide.into_iter().rev());
    let (first, rest): (Vec<Value>, Vec<Value>) =
        all.filter(|object| object["kind"] != "Namespace").partition(acts);
    // A manager without permission can undo nothing, even while its pods are still ending.
    let mut found = 0;
    for object in first.iter().rev() {
        found += delete(session, object, mode).await?;
    }
    found += let_go_of_all(session, mode, None).await?;
    for object in &rest {
        found += delete(session, object, mode).await?;
    }
    if found == 0 {
        session.tell("Trimtab is not installed here: there is nothing to remove");
        return Ok(Exit::Done);
    }
    session.tell(DATA_GOES);
    session.tell(&format!(
        "namespace {namespace} stays: it may hold Secrets of yours; `kubectl delete namespace {namespace}`"
    ));
    if mode == Mode::Rehearse {
        session.hint("nothing was changed; `trimtab uninstall --yes` does it");
    }
    Ok(Exit::Done)
}

/// Removes the manager of one instance, and lets go of its services; what the others need stays.
async fn uninstall_instance(
    session: &mut Session<'_>,
    choices: Choices,
    mode: Mode,
) -> Result<Exit, Failure> {
    let id = choices.instance.clone();
    let mut found = 0;
    let own: Vec<Value> = objects(&choices)?.into_iter().filter(is_own).rev().collect();
    let (first, rest): (Vec<Value>, Vec<Value>) = own.into_iter().partition(acts);
    for object in &first {
        found += delete(session, object, mode).await?;
    }
    if mode == Mode::Perform {
        ended(session, id.as_deref()).await?;
    }
    found += let_go_of_all(session, mode, id.as_deref()).await?;
    for object in &rest {
        found += delete(session, object, mode).await?;
    }
    let id = id.unwrap_or_default();
    if found == 0 && !has_services(session, &id).await {
        let namespace = &choices.namespace;
        let message = format!("namespace {namespace} has no manager of instance {id}, and no service is its");
        let instances = command::kubectl(&format!("get deployments -l {INSTANCE_LABEL}"), namespace);
        return Err(Failure::error(message).hint(format!("`{instances}` lists those that there are")));
    }
    session.tell(&format!("ManagedApps of instance {id} stay, and nobody looks after them"));
    session.hint(&match mode {
        Mode::Rehearse => format!("nothing was changed; `trimtab uninstall --instance {id} --yes` does it"),
        Mode::Perform => format!("`kubectl get managedapps -A -l {INSTANCE_LABEL}={id}` lists them"),
    });
    Ok(Exit::Done)
}

/// Whether any `ManagedApp` is of an instance; none where the kind is gone already.
async fn has_services(session: &Session<'_>, id: &str) -> bool {
    let labelled = Selector::all().labels(format!("{INSTANCE_LABEL}={id}"));
    session.api.list(MANAGED_APPS, None, &labelled).await.is_ok_and(|found| !found.is_empty())
}

/// Waits until the manager of an instance stopped acting: its account keeps its rights, and it would claim again.
async fn ended(session: &Session<'_>, instance: Option<&str>) -> Result<(), Failure> {
    for _ in 0..ENDING_SECONDS_MAX {
        match attended::attended(&session.api, instance, session.clock.now()).await {
            Attended::Now => tokio::time::sleep(Duration::from_secs(1)).await,
            Attended::NotSince { .. } | Attended::Never | Attended::Unknown(_) => return Ok(()),
        }
    }
    Err(Failure::error("its manager still acts").hint("run the same command again when its pods are gone"))
}

/// The instances that were installed beside the manager of the whole cluster.
async fn instances(session: &Session<'_>, namespace: &str) -> Result<Vec<String>, Failure> {
    let labelled = Selector::all().labels(INSTANCE_LABEL);
    let found = session.api.list(DEPLOYMENTS, Some(namespace), &labelled).await?;
    let label = format!("/metadata/labels/{}", pointer_segment(INSTANCE_LABEL));
    let id = |deployment: &Value| text(deployment, &label).to_owned();
    let is_manager =
        |deployment: &&Value| text(deployment, "/metadata/name") == workload(Some(&id(deployment)));
    Ok(found.iter().filter(is_manager).map(id).collect())
}

/// The manager's own means to act.
fn acts(object: &Value) -> bool {
    let name = text(object, "/metadata/name");
    let kind = text(object, "/kind");
    matches!(
        (kind, name),
        ("ClusterRoleBinding", BINDING) | ("RoleBinding", BINDING_WITHIN) | ("Deployment", _)
    )
}

/// Where the manager is, and what it looks after: what the bindings of its rights say.
async fn installed(session: &Session<'_>) -> Result<Choices, Failure> {
    let of_cluster = session.api.get(CLUSTER_ROLE_BINDINGS, None, BINDING).await?;
    let all = session.api.list(ROLE_BINDINGS, None, &Selector::all()).await?;
    let within: Vec<Value> =
        all.into_iter().filter(|binding| text(binding, "/metadata/name") == BINDING_WITHIN).collect();
    let subjects = of_cluster.iter().chain(&within).map(|binding| text(binding, "/subjects/0/namespace"));
    let named = subjects.filter(|namespace| !namespace.is_empty()).map(str::to_owned).next();
    let watched = within.iter().map(|binding| text(binding, "/metadata/namespace").to_owned());
    Ok(Choices {
        namespace: named.unwrap_or_else(|| NAMESPACE.to_owned()),
        watched: watched.collect(),
        ..Choices::default()
    })
}

fn resource(kind: &str) -> Result<&'static Resource, Failure> {
    Ok(match kind {
        "CustomResourceDefinition" => CRDS,
        "ClusterRole" => CLUSTER_ROLES,
        "ClusterRoleBinding" => CLUSTER_ROLE_BINDINGS,
        "Role" => ROLES,
        "RoleBinding" => ROLE_BINDINGS,
        "ServiceAccount" => SERVICE_ACCOUNTS,
        "Secret" => SECRETS,
        "Deployment" => DEPLOYMENTS,
        "PodDisruptionBudget" => PDBS,
        "MutatingAdmissionPolicy" => MUTATING_ADMISSION_POLICIES,
        "MutatingAdmissionPolicyBinding" => MUTATING_ADMISSION_POLICY_BINDINGS,
        other => return Err(Failure::error(format!("kind {other} is installed and cannot be removed"))),
    })
}

/// Deletes an object; returns how many there were.
async fn delete(session: &mut Session<'_>, object: &Value, mode: Mode) -> Result<usize, Failure> {
    let (kind, name) = (text(object, "/kind"), text(object, "/metadata/name"));
    let namespace = Some(text(object, "/metadata/namespace")).filter(|namespace| !namespace.is_empty());
    let resource = resource(kind)?;
    if session.api.get(resource, namespace, name).await?.is_none() {
        return Ok(0);
    }
    if mode == Mode::Perform {
        match session
            .api
            .delete(resource, namespace, name, &Preconditions::default(), Propagation::Background)
            .await
        {
            Ok(()) | Err(ApiError::NotFound { .. }) => {}
            Err(error) => return Err(error.into()),
        }
    }
    say(session, mode, &format!("{} {kind} {name}", done(mode, "deleted", "would delete")))?;
    Ok(1)
}

/// Says what is done. Whoever stops reading does not stop a removal half way.
fn say(session: &mut Session<'_>, mode: Mode, line: &str) -> Result<(), Failure> {
    match (session.say(line), mode) {
        (_, Mode::Perform) => Ok(()),
        (said, Mode::Rehearse) => said,
    }
}

fn done(mode: Mode, past: &'static str, would: &'static str) -> &'static str {
    match mode {
        Mode::Perform => past,
        Mode::Rehearse => would,
    }
}

/// Lets go of every claimed Deployment, or of those of one instance; returns how many there were.
async fn let_go_of_all(
    session: &mut Session<'_>,
    mode: Mode,
    instance: Option<&str>,
) -> Result<usize, Failure> {
    let mut found = 0;
    let deployments = session.api.list(DEPLOYMENTS, None, &Selector::all()).await?;
    let annotation = |name| format!("/metadata/annotations/{}", pointer_segment(name));
    let (claim, claimed_by) = (annotation(CLAIM_ANNOTATION), annotation(INSTANCE_ANNOTATION));
    let apps = match list::<ManagedApp>(&session.api, MANAGED_APPS, None, &Selector::all()).await {
        Ok(apps) => apps,
        // The definitions may be gone already: an interrupted removal is finished by the next one.
        Err(_) if session.api.get(CRDS, None, "managedapps.trimtab.dev").await?.is_none() => Vec::new(),
        Err(error) => return Err(error),
    };
    for deployment in deployments.iter().filter(|deployment| deployment.pointer(&claim).is_some()) {
        let (namespace, name) = (text(deployment, "/metadata/namespace"), text(deployment, "/metadata/name"));
        let app = apps.iter().find(|app| {
            let target = app.spec.target.as_ref().map_or(&app.metadata.name, |target| &target.name);
            app.metadata.namespace == namespace && target == name
        });
        // Where no service names the Deployment any more, the claim tells whose it was.
        let of = match app {
            Some(app) => attended::instance(app),
            None => deployment.pointer(&claimed_by).and_then(Value::as_str),
        };
        if instance.is_some() && of != instance {
            continue;
        }
        let restored = let_go(session, namespace, name, app, mode).await?;
        let how = if restored { ", and the template that runs put back" } else { "" };
        let line =
            format!("{} Deployment {namespace}/{name}{how}", done(mode, "let go of", "would let go of"));
        say(session, mode, &line)?;
        found += 1;
    }
    Ok(found)
}

/// Removes the claim; whether a rejected template was replaced by the one that runs.
async fn let_go(
    session: &Session<'_>,
    namespace: &str,
    name: &str,
    app: Option<&ManagedApp>,
    mode: Mode,
) -> Result<bool, Failure> {
    let projection = Deployments::new(Interner::new());
    let mut restored = false;
    let mut last = ApiError::missing(DEPLOYMENTS, Some(namespace), name);
    for _ in 0..ATTEMPTS_MAX {
        let Some(deployment) = session.api.get(DEPLOYMENTS, Some(namespace), name).await? else {
            return Ok(false);
        };
        let row = projection.project(deployment.to_string().as_bytes()).map_err(|error| {
            Failure::error(format!("Deployment {namespace}/{name} cannot be read: {error}"))
        })?;
        let held = is_held(&row);
        let template = if held { kept_template(session, namespace, name, app).await? } else { None };
        restored |= template.is_some();
        if mode == Mode::Rehearse {
            return Ok(restored);
        }
        // One step at a time, and the claim last: an interrupted removal is finished by the next one.
        match unclaim(&session.api, &row, template).await {
            Ok(Progress::Gone) => return Ok(restored),
            Ok(Progress::Going) => {}
            Err(NotLetGo::Api(error @ (ApiError::Conflict { .. } | ApiError::Invalid { .. }))) => {
                last = error;
            }
            Err(NotLetGo::Api(error)) => return Err(error.into()),
            Err(NotLetGo::Breach(breach)) => return Err(Failure::error(breach.to_string())),
        }
    }
    Err(last.into())
}

/// The template that must run once nothing holds the Deployment; none when it is the one in the spec.
async fn kept_template(
    session: &Session<'_>,
    namespace: &str,
    name: &str,
    app: Option<&ManagedApp>,
) -> Result<Option<Copied>, Failure> {
    let lost = || {
        Failure::error(format!("Deployment {namespace}/{name} is held, and no kept release is recorded: it would ship what was rejected"))
            .hint(format!("put the template that should run on it, then `{}`", command::kubectl(&format!("annotate deployment {name} {CLAIM_ANNOTATION}-"), namespace)))
    };
    let Some(app) = app else { return Err(lost()) };
    let service = Service::read(&session.api, session.clock.now(), namespace, &app.metadata.name).await?;
    let kept = service.current().ok_or_else(lost)?;
    if service.shows(kept) {
        return Ok(None);
    }
    let template_hash = kept.spec.template_hash.clone().ok_or_else(lost)?;
    let from = Object::new(Kind::APP_RELEASE, namespace, kept.metadata.name.clone());
    Ok(Some(Copied {
        from,
        pointer: "/spec/template",
        into: "/spec/template",
        template_hash,
        seal: Sealing::Unsealed,
    }))
}
