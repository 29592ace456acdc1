//! `trimtab claim` and `trimtab release`: begin and end to look after a Deployment.

use serde_json::{Value, json};
use trimtab_api::ManagedApp;
use trimtab_delivery::command;
use trimtab_delivery::plan::AppPhase;
use trimtab_kube::ApiError;
use trimtab_kube::api::{Preconditions, Propagation, Selector};
use trimtab_kube::kinds::MANAGED_APPS;
use trimtab_kube::resource::DEPLOYMENTS;
use trimtab_units::names::check_label_value;

use super::args::{ClaimArgs, ReleaseArgs, StrategyWord};
use super::exit::{Exit, Failure};
use super::objects::{list, text, typed};
use super::output::{Form, objects};
use super::service::Service;
use super::session::Session;
use super::{attended, whereabouts};

/// Creates the `ManagedApp` of a Deployment.
///
/// # Errors
/// Refuses what the manager would refuse: no such Deployment, one that is managed by another, one that is claimed.
pub async fn claim(session: &mut Session<'_>, args: &ClaimArgs) -> Result<Exit, Failure> {
    let service = Service::read(&session.api, session.clock.now(), &session.namespace, &args.service).await?;
    refuse(session, &service).await?;
    let object = manifest(&service, args.strategy);
    if args.dry_run {
        let form = if session.form == Form::Json { Form::Json } else { Form::Yaml };
        objects(session.out, form, &object)?;
        return Ok(Exit::Done);
    }
    let created = match session.api.create(MANAGED_APPS, Some(&service.namespace), &object).await {
        Ok(created) => typed::<ManagedApp>(created)?,
        Err(ApiError::AlreadyExists { .. }) => return Err(claimed_already(&service)),
        Err(error) => return Err(error.into()),
    };
    session.say(&format!("{} claimed", service.name))?;
    session.tell("what runs now becomes its first release; no pod is touched");
    session.hint(&format!("`{}`, then `{}`", service.command("get"), service.command("rules")));
    attended::warn(session, Some(&created)).await;
    Ok(Exit::Done)
}

fn claimed_already(service: &Service) -> Failure {
    Failure::refused(format!("{}/{} is claimed already", service.namespace, service.name))
        .hint(format!("`{}`", service.command("explain")))
}

async fn refuse(session: &Session<'_>, service: &Service) -> Result<(), Failure> {
    let target = format!("Deployment {}/{}", service.namespace, service.target());
    if service.app.is_some() {
        return Err(claimed_already(service));
    }
    let owners = service.deployment.pointer("/metadata/ownerReferences").and_then(Value::as_array);
    let owner = owners.into_iter().flatten().find(|owner| owner["controller"] == json!(true));
    if let Some(owner) = owner {
        let owner = format!("{} {}", text(owner, "/kind"), text(owner, "/name"));
        return Err(Failure::refused(format!(
            "{target} is managed by {owner}, which would undo a restored template"
        ))
        .hint(format!("claim a Deployment without an owner, or make {owner} let go of it")));
    }
    if let Err(error) = check_label_value(&service.name) {
        return Err(Failure::refused(format!("{target} cannot be claimed: {error}"))
            .hint("releases carry the name of their service as a label value"));
    }
    let apps: Vec<ManagedApp> =
        list(&session.api, MANAGED_APPS, Some(&service.namespace), &Selector::all()).await?;
    let other = apps
        .iter()
        .find(|app| app.spec.target.as_ref().is_some_and(|target| target.name == service.target()));
    match other {
        Some(other) => {
            Err(Failure::refused(format!("{target} is claimed by ManagedApp {}", other.metadata.name)).hint(
                format!(
                    "`{}`",
                    command::trimtab(&format!("explain {}", other.metadata.name), &service.namespace)
                ),
            ))
        }
        None => Ok(()),
    }
}

fn manifest(service: &Service, strategy: Option<StrategyWord>) -> Value {
    let spec = match strategy {
        Some(StrategyWord::Rolling) => json!({"delivery": {"strategy": "Rolling"}}),
        Some(StrategyWord::Guarded) => json!({"delivery": {"strategy": "Guarded"}}),
        None => json!({}),
    };
    json!({
        "apiVersion": trimtab_api::API_VERSION,
        "kind": "ManagedApp",
        "metadata": {"name": service.name, "namespace": service.namespace},
        "spec": spec,
    })
}

/// What `release` deletes beside the service.
const RECORDS_GO: &str =
    "the records of its releases go with the service, and what they remember as rejected ships unjudged";

/// Deletes the `ManagedApp` of a service; the manager takes its annotations off the Deployment.
///
/// # Errors
/// Refuses while a rejected template is held, unless forced.
pub async fn release(session: &mut Session<'_>, args: &ReleaseArgs) -> Result<Exit, Failure> {
    let name = &args.service;
    let namespace = session.namespace.clone();
    let Some(found) = session.api.get(MANAGED_APPS, Some(&namespace), name).await? else {
        let failure = whereabouts::unclaimed(&session.api, &namespace, name, "release").await;
        let there = session.api.get(DEPLOYMENTS, Some(&namespace), name).await?.is_some();
        return Err(Failure { exit: if there { Exit::Refused } else { failure.exit }, ..failure });
    };
    let app: ManagedApp = typed(found)?;
    let phase = AppPhase::parse(&app.status.phase);
    let command = |verb: &str| command::trimtab(&format!("{verb} {name}"), &namespace);
    let target = app.spec.target.as_ref().map_or(name, |target| &target.name);
    if session.api.get(DEPLOYMENTS, Some(&namespace), target).await?.is_none() {
        // Whatever was held or under way, there is nothing left that it could reach.
        delete(session, &namespace, &app).await?;
        session.say(&format!("{name} released"))?;
        session.tell(&format!(
            "Deployment {namespace}/{target} does not exist, so nothing else changes; {RECORDS_GO}"
        ));
        let claim = command::trimtab(&format!("claim {target}"), &namespace);
        session.hint(&format!("when it is applied, `{claim}` begins anew"));
        return Ok(Exit::Done);
    }
    if phase == AppPhase::Held && !args.force {
        let message =
            format!("{name} is held: {}; letting go must not ship the rejected template", app.status.summary);
        let hint = format!(
            "`{} --force` puts the template that runs back on the Deployment and lets go",
            command("release")
        );
        return Err(Failure::refused(message).hint(hint));
    }
    let under_way =
        app.status.in_flight.is_some() || matches!(phase, AppPhase::Releasing | AppPhase::RollingBack);
    if under_way && !args.force {
        let message = format!("{name} is under way: {}", app.status.summary);
        return Err(Failure::refused(message).hint(format!(
            "`{} --because ...` or `{}` first, or `{} --force`",
            command("promote"),
            command("abort"),
            command("release")
        )));
    }
    delete(session, &namespace, &app).await?;
    session.say(&format!("{name} released"))?;
    session.tell("its pods stay as they are; the manager takes its annotations off the Deployment");
    session.tell(RECORDS_GO);
    let (own, now) = (attended::instance(&app), session.clock.now());
    let attended = attended::attended(&session.api, own, now).await;
    if let Some(words) = attended.words(own, now).filter(|_| attended.by_nobody()) {
        session.tell(&format!("{words}: the annotations stay until one does"));
    }
    Ok(Exit::Done)
}

/// Deletes the very `ManagedApp` that was looked at.
async fn delete(session: &Session<'_>, namespace: &str, app: &ManagedApp) -> Result<(), Failure> {
    let preconditions = Preconditions::uid(app.metadata.uid.clone());
    let (name, background) = (&app.metadata.name, Propagation::Background);
    session.api.delete(MANAGED_APPS, Some(namespace), name, &preconditions, background).await?;
    Ok(())
}
