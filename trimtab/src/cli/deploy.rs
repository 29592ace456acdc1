//! `trimtab deploy`: one record, one patch.

use serde_json::{Value, json};
use trimtab_api::{AppRelease, ManagedApp};
use trimtab_delivery::command;
use trimtab_delivery::names::{APP_LABEL, RELEASE_ANNOTATION, release_object, release_word};
use trimtab_kube::api::{Patch, Preconditions, Propagation};
use trimtab_kube::kinds::APP_RELEASES;
use trimtab_kube::resource::DEPLOYMENTS;
use trimtab_kube::{Api, ApiError};
use trimtab_units::template_hash;

use super::args::DeployArgs;
use super::args::values::{named_image, reason};
use super::exit::{Exit, Failure};
use super::objects::{text, typed};
use super::service::{REASON_LOST, Service, Standing};
use super::session::Session;
use super::{attended, wait};

/// Numbers tried when others are deploying the same service at the same moment.
const NUMBERS_TRIED_MAX: u64 = 10;
/// Longest reason that a record keeps, in characters.
const REASON_CHARS_MAX: usize = 1024;

/// Deploys an image.
///
/// # Errors
/// Refuses when nothing would change, or when the template was rejected before.
pub async fn deploy(session: &mut Session<'_>, args: &DeployArgs) -> Result<Exit, Failure> {
    named_image(&args.image)?;
    let service = Service::read(&session.api, session.clock.now(), &session.namespace, &args.service).await?;
    let container = service.container(&session.api, args.container.as_deref()).await?;
    refuse_what_runs(&service, &container, &args.image)?;
    match service.standing() {
        Standing::Claiming => {
            attended::warn(session, service.app.as_ref()).await;
            Err(Failure::refused(format!("{} is being claimed: nothing is recorded yet", service.name)).hint(
                format!(
                    "try again in a moment; without Trimtab: `{}`",
                    command::kubectl(
                        &format!("set image deployment/{} {container}={}", service.target(), args.image),
                        &service.namespace
                    )
                ),
            ))
        }
        Standing::ClaimedBy(other) => Err(service.claimed_by(&other, "deploy", " --image ...")),
        Standing::Claimed => claimed(session, &service, &container, args).await,
        Standing::Unclaimed(why) => {
            if let Some(why) = why {
                session.tell(&format!("{} is not looked after: {why}", service.name));
            }
            unclaimed(session, &service, &container, args).await
        }
    }
}

fn refuse_what_runs(service: &Service, container: &str, image: &str) -> Result<(), Failure> {
    let mut wanted = service.template().clone();
    set_image(&mut wanted, container, image);
    let hash = template_hash(&wanted);
    if let Some(rejected) = service.rejected(hash.as_str()) {
        let word = release_word(rejected.spec.number);
        let message = format!(
            "{word} of {} was rolled back with this template: {}",
            service.name, rejected.status.summary
        );
        let promote = service.command_on("promote", &word);
        let hint = format!("`{promote} --because ...` keeps it all the same");
        return Err(Failure::refused(message).hint(hint));
    }
    let current =
        service.current().filter(|current| current.spec.template_hash.as_deref() == Some(hash.as_str()));
    if let Some((current, under_way)) = current.and_then(|of| Some((of, service.falls_back_to(of)?))) {
        let (kept, word) = (release_word(current.spec.number), release_word(under_way.spec.number));
        let message = format!(
            "this is the template of {kept} of {}, which was kept, and {word} is under way",
            service.name
        );
        let hint = format!("`{}` ends {word} and brings {kept} back", service.command("abort"));
        return Err(Failure::refused(message).hint(hint));
    }
    if service.image(container) == image {
        let message = format!("Deployment {}/{} runs {image} already", service.namespace, service.target());
        return Err(Failure::refused(message).hint(format!("`{}`", service.command("explain"))));
    }
    Ok(())
}

fn set_image(template: &mut Value, container: &str, image: &str) {
    let containers = template.pointer_mut("/spec/containers").and_then(Value::as_array_mut);
    let named = containers.into_iter().flatten().find(|found| text(found, "/name") == container);
    if let Some(named) = named {
        named["image"] = json!(image);
    }
}

async fn claimed(
    session: &mut Session<'_>,
    service: &Service,
    container: &str,
    args: &DeployArgs,
) -> Result<Exit, Failure> {
    // A record tells the image of the service container, whichever one is deployed.
    let own = service.container(&session.api, None).await.unwrap_or_default();
    let record = NewRecord {
        image: if own == container { args.image.clone() } else { service.image(&own) },
        reason: reason(args.because.as_deref()).map(str::to_owned),
        rollback_to: None,
        actor: session.actor().await,
        decision: None,
    };
    let release = number(&session.api, service, &record).await?;
    let word = release_word(release.spec.number);
    let patch = Patch::Strategic(json!({
        "metadata": {"uid": text(&service.deployment, "/metadata/uid"), "annotations": {RELEASE_ANNOTATION: word}},
        "spec": {"template": {"spec": {"containers": [{"name": container, "image": args.image}]}}},
    }));
    let written = session.api.patch(DEPLOYMENTS, Some(&service.namespace), service.target(), &patch).await;
    let shows = |deployment: &Value| {
        text(deployment, &format!("/metadata/annotations/{}", pointer_segment(RELEASE_ANNOTATION))) == word
    };
    settle(session, service, &release, written, shows).await?;
    session.say(&format!("{} {word}", service.name))?;
    if service.deployment.pointer("/spec/paused") == Some(&json!(true)) {
        match service.held() {
            Some(held) => session.tell(&format!(
                "the rejected {} is held; {word} passes once the manager has seen that it is another template",
                release_word(held.spec.number)
            )),
            None => {
                session.tell(&format!("Deployment {}/{} is paused", service.namespace, service.target()));
                session.hint(&format!("`{}`", service.rollout("resume")));
            }
        }
    }
    attended::warn(session, service.app.as_ref()).await;
    match args.wait {
        Some(timeout) => wait::verdict(session, &service.name, release.spec.number, timeout).await,
        None => {
            session.tell(&format!("follow it with `{}`", service.command("explain")));
            Ok(Exit::Done)
        }
    }
}

async fn unclaimed(
    session: &mut Session<'_>,
    service: &Service,
    container: &str,
    args: &DeployArgs,
) -> Result<Exit, Failure> {
    let patch = Patch::Strategic(json!({
        "metadata": {"uid": text(&service.deployment, "/metadata/uid")},
        "spec": {"template": {"spec": {"containers": [{"name": container, "image": args.image}]}}},
    }));
    session.api.patch(DEPLOYMENTS, Some(&service.namespace), service.target(), &patch).await?;
    session.say(&format!("{} {}", service.name, args.image))?;
    session.tell(&format!("{} is not claimed: this deploy is not judged", service.name));
    if args.because.is_some() {
        session.tell(REASON_LOST);
    }
    session.hint(&format!("`{}`", service.command("claim")));
    match args.wait {
        Some(timeout) => wait::rolled_out(session, service.target(), timeout).await,
        None => Ok(Exit::Done),
    }
}

/// What a person says about a release that the cluster has not shown yet.
pub(super) struct NewRecord {
    pub(super) image: String,
    pub(super) reason: Option<String>,
    pub(super) rollback_to: Option<u64>,
    pub(super) actor: String,
    /// What a person decided about it beforehand.
    pub(super) decision: Option<Value>,
}

impl NewRecord {
    fn object(&self, service: &Service, app: &ManagedApp, number: u64) -> Value {
        let mut spec = json!({"app": service.name, "number": number, "actor": self.actor});
        // What is left out is filled in when the template is seen, and does not change afterwards.
        if !self.image.is_empty() {
            spec["image"] = json!(self.image);
        }
        let previous = service.current().map(|release| release.spec.number);
        for (field, value) in [("previous", previous), ("rollbackTo", self.rollback_to)] {
            if let Some(value) = value {
                spec[field] = json!(value);
            }
        }
        if let Some(reason) = &self.reason {
            spec["reason"] = json!(reason.chars().take(REASON_CHARS_MAX).collect::<String>());
        }
        if let Some(decision) = &self.decision {
            spec["decision"] = decision.clone();
        }
        let owner = json!({
            "apiVersion": trimtab_api::API_VERSION, "kind": "ManagedApp", "name": app.metadata.name,
            "uid": app.metadata.uid, "controller": true,
        });
        json!({
            "apiVersion": trimtab_api::API_VERSION,
            "kind": "AppRelease",
            "metadata": {
                "name": release_object(&service.name, number),
                "namespace": service.namespace,
                "labels": {APP_LABEL: service.name},
                "ownerReferences": [owner],
            },
            "spec": spec,
        })
    }
}

/// Creates the record under the next free number.
pub(super) async fn number(api: &Api, service: &Service, record: &NewRecord) -> Result<AppRelease, Failure> {
    let app =
        service.app.as_ref().ok_or_else(|| Failure::error(format!("{} is not claimed", service.name)))?;
    let first = service.next_number();
    for number in first..first + NUMBERS_TRIED_MAX {
        match api.create(APP_RELEASES, Some(&service.namespace), &record.object(service, app, number)).await {
            Ok(created) => return typed(created),
            Err(ApiError::AlreadyExists { .. }) => {}
            Err(error) => return Err(error.into()),
        }
    }
    let last = release_word(first + NUMBERS_TRIED_MAX - 1);
    Err(Failure::error(format!("every number of {} up to {last} is taken", service.name))
        .hint("others deploy it now; try again"))
}

/// Makes sure that a record without a template on the Deployment does not stay behind.
pub(super) async fn settle(
    session: &mut Session<'_>,
    service: &Service,
    release: &AppRelease,
    written: Result<Value, ApiError>,
    shows: impl Fn(&Value) -> bool,
) -> Result<(), Failure> {
    let Err(error) = written else { return Ok(()) };
    if error.outcome_unknown() {
        let seen = session.api.get(DEPLOYMENTS, Some(&service.namespace), service.target()).await;
        if seen.ok().flatten().is_some_and(|deployment| shows(&deployment)) {
            return Ok(());
        }
    }
    take_back(session, service, release).await;
    Err(error.into())
}

/// Deletes a record whose template never reached the Deployment, as far as that is possible.
pub(super) async fn take_back(session: &mut Session<'_>, service: &Service, release: &AppRelease) {
    let preconditions = Preconditions::uid(release.metadata.uid.clone());
    let namespace = Some(service.namespace.as_str());
    let name = &release.metadata.name;
    match session.api.delete(APP_RELEASES, namespace, name, &preconditions, Propagation::Background).await {
        Ok(()) => session.tell(&format!(
            "took {} back: the Deployment was not changed",
            release_word(release.spec.number)
        )),
        Err(left) => session.tell(&format!("AppRelease {name} is left without a template: {left}")),
    }
}

pub(super) fn pointer_segment(key: &str) -> String {
    key.replace('~', "~0").replace('/', "~1")
}
