//! Putting an earlier template back on a Deployment, whichever command asks for it.

use serde_json::{Map, Value, json};
use trimtab_api::AppRelease;
use trimtab_delivery::names::{POD_TEMPLATE_HASH_LABEL, RELEASE_ANNOTATION, release_word};
use trimtab_delivery::snapshot::ReleasePhase;
use trimtab_kube::ApiError;
use trimtab_kube::api::{Patch, Selector};
use trimtab_kube::resource::{DEPLOYMENTS, REPLICA_SETS};
use trimtab_units::template_hash;

use super::deploy::{NewRecord, number, pointer_segment, settle, take_back};
use super::exit::{Exit, Failure};
use super::objects::text;
use super::service::{REASON_LOST, Service, phase};
use super::session::Session;

/// How often a template is put back again because the Deployment's status changed meanwhile.
const ATTEMPTS_MAX: usize = 5;

/// What stays as it is; people forget it in an incident.
pub(super) const NOT_ROLLED_BACK: &str =
    "not rolled back: databases, feature flags, and the content of ConfigMaps and Secrets that the pods read";

const REVISION_ANNOTATION: &str = "deployment.kubernetes.io/revision";

/// The template that a release's record keeps. A person writes it with rights of their own, so it is that of the record that
/// was looked at, and not of one that came under its name meanwhile.
pub(super) fn template_of(service: &Service, release: &AppRelease) -> Result<Value, Failure> {
    // What came to nothing may have been filled in by anybody since.
    let ran = phase(release) != ReleasePhase::Superseded || release.status.started_at.is_some();
    release.spec.template.clone().filter(|_| ran).ok_or_else(|| {
        Failure::refused(format!(
            "AppRelease {}/{} keeps no template: it never reached the Deployment",
            service.namespace, release.metadata.name
        ))
    })
}

/// Why a template could not be put back.
pub(super) enum PutBackError {
    /// The API said no.
    Api(ApiError),
    /// Somebody changed the template since the person looked.
    Changed(Failure),
}

impl From<PutBackError> for Failure {
    fn from(error: PutBackError) -> Self {
        match error {
            PutBackError::Api(error) => error.into(),
            PutBackError::Changed(failure) => failure,
        }
    }
}

/// Puts a template on the Deployment that the person saw; a template that changed meanwhile is not overwritten.
pub(super) async fn put_back(
    session: &Session<'_>,
    service: &Service,
    template: &Value,
    annotations: &Value,
) -> Result<(), PutBackError> {
    let (namespace, name) = (Some(service.namespace.as_str()), service.target());
    let mut deployment = service.deployment.clone();
    for _ in 0..ATTEMPTS_MAX {
        let patch = Patch::Json(put_back_patch(&deployment, template, annotations));
        let error = match session.api.patch(DEPLOYMENTS, namespace, name, &patch).await {
            Ok(_) => return Ok(()),
            Err(error @ (ApiError::Conflict { .. } | ApiError::Invalid { .. })) => error,
            Err(error) => return Err(PutBackError::Api(error)),
        };
        let again = session.api.get(DEPLOYMENTS, namespace, name).await.map_err(PutBackError::Api)?;
        let Some(again) = again else { return Err(PutBackError::Api(error)) };
        if again["metadata"]["resourceVersion"] == deployment["metadata"]["resourceVersion"] {
            // Nobody interfered, so the patch itself is what the server refuses.
            return Err(PutBackError::Api(error));
        }
        let same = again["metadata"]["uid"] == deployment["metadata"]["uid"]
            && template_hash(&again["spec"]["template"]) == template_hash(service.template());
        if !same {
            let message = format!("Deployment {}/{name} was changed while you looked", service.namespace);
            return Err(PutBackError::Changed(
                Failure::refused(message).hint(format!("`{}`", service.command("explain"))),
            ));
        }
        deployment = again;
    }
    let message = format!("Deployment {}/{name} keeps changing", service.namespace);
    Err(PutBackError::Changed(Failure::error(message).hint("try again")))
}

fn put_back_patch(deployment: &Value, template: &Value, annotations: &Value) -> Value {
    let mut operations = vec![
        json!({"op": "test", "path": "/metadata/uid", "value": deployment["metadata"]["uid"]}),
        json!({"op": "test", "path": "/metadata/resourceVersion", "value": deployment["metadata"]["resourceVersion"]}),
        json!({"op": "replace", "path": "/spec/template", "value": template}),
    ];
    let wanted = annotations.as_object().cloned().unwrap_or_else(Map::new);
    if deployment["metadata"]["annotations"].is_object() {
        operations.extend(wanted.iter().map(|(key, value)| {
            json!({"op": "add", "path": format!("/metadata/annotations/{}", pointer_segment(key)), "value": value})
        }));
    } else if !wanted.is_empty() {
        operations.push(json!({"op": "add", "path": "/metadata/annotations", "value": wanted}));
    }
    Value::Array(operations)
}

/// Numbers a template that is put back, and writes it. What a person wants is recorded first: a template without its record
/// is one that nobody decided about. A record whose template could not be written is taken back.
pub(super) async fn put_back_numbered(
    session: &mut Session<'_>,
    service: &Service,
    record: &NewRecord,
    template: &Value,
) -> Result<AppRelease, Failure> {
    let release = number(&session.api, service, record).await?;
    let word = release_word(release.spec.number);
    let written = put_back(session, service, template, &json!({RELEASE_ANNOTATION: word})).await;
    let shows =
        |deployment: &Value| template_hash(&deployment["spec"]["template"]) == template_hash(template);
    match written {
        Ok(()) => {}
        Err(PutBackError::Api(error)) => settle(session, service, &release, Err(error), shows).await?,
        Err(PutBackError::Changed(failure)) => {
            take_back(session, service, &release).await;
            return Err(failure);
        }
    }
    Ok(release)
}

/// What `kubectl rollout undo` does, for a Deployment that is not claimed.
pub(super) async fn native(
    session: &mut Session<'_>,
    service: &Service,
    because: Option<&str>,
) -> Result<Exit, Failure> {
    let uid = text(&service.deployment, "/metadata/uid");
    let sets = session.api.list(REPLICA_SETS, Some(&service.namespace), &Selector::all()).await?;
    let now = revision(&service.deployment);
    let owned = |set: &&Value| {
        let owners = set.pointer("/metadata/ownerReferences").and_then(Value::as_array);
        owners.into_iter().flatten().any(|owner| text(owner, "/uid") == uid)
    };
    let earlier = sets.iter().filter(owned).filter(|set| revision(set) < now).max_by_key(|set| revision(set));
    let Some(set) = earlier else {
        return Err(Failure::refused(format!(
            "Deployment {}/{} has no earlier revision",
            service.namespace,
            service.target()
        ))
        .hint(format!("`{}`", service.rollout("history"))));
    };
    let mut template = set["spec"]["template"].clone();
    if let Some(labels) = template.pointer_mut("/metadata/labels").and_then(Value::as_object_mut) {
        labels.remove(POD_TEMPLATE_HASH_LABEL);
    }
    put_back(session, service, &template, &json!({})).await?;
    session.say(&format!("{} revision {}", service.name, revision(set)))?;
    session.tell(&format!("{} is not claimed: Kubernetes rolls back, and nothing judges it", service.name));
    if because.is_some() {
        session.tell(REASON_LOST);
    }
    session.tell(NOT_ROLLED_BACK);
    session.hint(&format!("`{}`", service.command("claim")));
    Ok(Exit::Done)
}

fn revision(object: &Value) -> u64 {
    text(object, &format!("/metadata/annotations/{}", pointer_segment(REVISION_ANNOTATION)))
        .parse()
        .unwrap_or_default()
}
