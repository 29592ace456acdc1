//! Carries out writes, in order, and stops at the first that fails.

use jiff::Timestamp;
use serde_json::{Value, json};
use trimtab_delivery::Write;
use trimtab_delivery::names::{APP_LABEL, Claim, MANAGER, PHASE_LABEL, Phase, release_object};
use trimtab_delivery::plan::{AppStatus, NewRelease, Pause};
use trimtab_delivery::snapshot::{Happening, ReleaseStatus};
use trimtab_kube::api::{Patch, Preconditions, Propagation};
use trimtab_kube::resource::{DEPLOYMENTS, EVENTS, PODS};
use trimtab_kube::workload_rows::DeploymentRow;
use trimtab_kube::{Api, ApiError, Key};

use crate::convert;
use crate::deployment::Change;
use crate::expectations::{Expectations, Kind};
use crate::observed::{Observed, service_image};
use crate::resources::{APP_RELEASES, MANAGED_APPS};

/// Where writes go, and the memory of them.
pub struct Writer<'a> {
    /// The API, fenced by the lease.
    pub api: &'a Api,
    /// What was written and not seen yet.
    pub expectations: &'a Expectations,
    /// The service that is written about.
    pub observed: &'a Observed,
    /// The instant that goes into objects.
    pub now: Timestamp,
}

impl Writer<'_> {
    /// Carries out `writes` in order.
    pub async fn apply(&self, writes: &[Write]) -> Result<(), ApiError> {
        for write in writes {
            self.one(write).await?;
        }
        Ok(())
    }

    async fn one(&self, write: &Write) -> Result<(), ApiError> {
        match write {
            Write::CreateRelease(release) => self.create_release(release).await,
            Write::AdoptRelease { number, previous, template_hash } => {
                self.adopt_release(*number, *previous, template_hash).await
            }
            Write::ReleaseStatus { number, status } => self.release_status(*number, status).await,
            Write::Claim { claim, pause } => self.claim(*claim, *pause).await,
            Write::Restore { number } => self.restore(*number).await,
            Write::LabelPod { pod, uid, phase } => self.label_pod(pod, uid, *phase).await,
            Write::DeleteRelease { number } => self.delete_release(*number).await,
            Write::Event { number, happening, note } => self.event(*number, *happening, note).await,
        }
    }

    pub(crate) fn namespace(&self) -> Option<&str> {
        Some(&self.observed.app.namespace)
    }

    pub(crate) fn release_name(&self, number: u64) -> String {
        release_object(&self.observed.app.name, number)
    }

    pub(crate) fn wrote(&self, kind: Kind, name: &str, answer: &Value) {
        let key = Key::new(self.observed.app.namespace.as_str(), name);
        self.expectations.wrote_answer(kind, key, answer);
    }

    /// The Deployment that the plan was made on, with the template it was made on.
    fn deployment(&self) -> Result<&DeploymentRow, ApiError> {
        self.observed
            .deployment
            .as_deref()
            .ok_or_else(|| ApiError::missing(DEPLOYMENTS, self.namespace(), &self.observed.settings.target))
    }

    async fn create_release(&self, release: &NewRelease) -> Result<(), ApiError> {
        let deployment = self.deployment()?;
        let app = &self.observed.app;
        let template = deployment.template.value();
        let image = service_image(&template, self.observed.wire.spec.container.as_deref());
        let name = self.release_name(release.number);
        let object = json!({
            "apiVersion": trimtab_api::API_VERSION,
            "kind": "AppRelease",
            "metadata": {
                "name": name,
                "namespace": app.namespace,
                "labels": {APP_LABEL: app.name},
                "ownerReferences": [self.owner_reference()],
            },
            "spec": {
                "app": app.name,
                "number": release.number,
                "previous": release.previous,
                "template": template,
                "templateHash": release.template_hash,
                "targetUid": deployment.identity.uid.to_string(),
                "image": image,
                "actor": release.actor,
                "reason": release.reason,
            },
        });
        let created = self.api.create(APP_RELEASES, self.namespace(), &without_nulls(object)).await?;
        self.wrote(Kind::Release, &name, &created);
        Ok(())
    }

    fn owner_reference(&self) -> Value {
        let meta = &self.observed.wire.metadata;
        json!({"apiVersion": trimtab_api::API_VERSION, "kind": "ManagedApp", "name": meta.name, "uid": meta.uid, "controller": true})
    }

    async fn adopt_release(
        &self,
        number: u64,
        previous: Option<u64>,
        template_hash: &str,
    ) -> Result<(), ApiError> {
        let deployment = self.deployment()?;
        let template = deployment.template.value();
        let image = service_image(&template, self.observed.wire.spec.container.as_deref());
        let patch = json!({"spec": {
            "template": template, "templateHash": template_hash, "targetUid": deployment.identity.uid.to_string(),
            "previous": previous, "image": image,
        }});
        let name = self.release_name(number);
        let answer = self
            .api
            .patch(APP_RELEASES, self.namespace(), &name, &Patch::Merge(without_nulls(patch)))
            .await?;
        self.wrote(Kind::Release, &name, &answer);
        Ok(())
    }

    async fn release_status(&self, number: u64, status: &ReleaseStatus) -> Result<(), ApiError> {
        let name = self.release_name(number);
        let before = self.observed.release_status(number);
        let patch = Patch::Merge(convert::release_status_patch(&before, status));
        let answer =
            self.api.patch_subresource(APP_RELEASES, self.namespace(), &name, "status", &patch).await?;
        self.wrote(Kind::Release, &name, &answer);
        Ok(())
    }

    async fn claim(&self, claim: Claim, pause: Pause) -> Result<(), ApiError> {
        self.change(&Change { claim: Some(claim), template: None, unpause: pause == Pause::Clear }).await
    }

    async fn restore(&self, number: u64) -> Result<(), ApiError> {
        let name = self.release_name(number);
        let record = self.api.get(APP_RELEASES, self.namespace(), &name).await?;
        let template = record.as_ref().and_then(|record| record.pointer("/spec/template"));
        if template.is_none() {
            return Err(ApiError::missing(APP_RELEASES, self.namespace(), &name));
        }
        self.change(&Change { claim: Some(Claim::HoldChanges), template, unpause: true }).await
    }

    async fn change(&self, change: &Change<'_>) -> Result<(), ApiError> {
        let deployment = self.deployment()?;
        let name = &deployment.identity.key.name;
        let answer = self.api.patch(DEPLOYMENTS, self.namespace(), name, &change.patch(deployment)).await?;
        self.wrote(Kind::Deployment, name, &answer);
        Ok(())
    }

    async fn label_pod(&self, pod: &str, uid: &str, phase: Phase) -> Result<(), ApiError> {
        set_phase_label(self.api, self.namespace(), pod, uid, Some(phase)).await
    }

    async fn delete_release(&self, number: u64) -> Result<(), ApiError> {
        let preconditions = Preconditions {
            uid: self.observed.release_uid(number).map(str::to_owned),
            resource_version: None,
        };
        let name = self.release_name(number);
        match self
            .api
            .delete(APP_RELEASES, self.namespace(), &name, &preconditions, Propagation::Background)
            .await
        {
            Ok(()) | Err(ApiError::NotFound { .. } | ApiError::Conflict { .. }) => Ok(()),
            Err(error) => Err(error),
        }
    }

    async fn event(&self, number: u64, happening: Happening, note: &str) -> Result<(), ApiError> {
        let app = &self.observed.app;
        let severity = match happening {
            Happening::Started | Happening::Kept => "Normal",
            Happening::RolledBack | Happening::Held | Happening::NeedsHuman => "Warning",
        };
        let object = json!({
            "apiVersion": "events.k8s.io/v1",
            "kind": "Event",
            "metadata": {
                "name": format!("{}.{}", self.release_name(number), happening.word().to_lowercase()),
                "namespace": app.namespace,
            },
            "eventTime": micro_time(self.now),
            "reportingController": "trimtab.dev/delivery",
            "reportingInstance": MANAGER,
            "action": happening.word(),
            "reason": happening.word(),
            "type": severity,
            "note": trimmed(note, EVENT_NOTE_BYTES_MAX),
            "regarding": {
                "apiVersion": trimtab_api::API_VERSION,
                "kind": "ManagedApp",
                "name": app.name,
                "namespace": app.namespace,
                "uid": self.observed.wire.metadata.uid,
            },
        });
        match self.api.create(EVENTS, self.namespace(), &object).await {
            // Its name follows from the release and what happened: it has been told before.
            Ok(_) | Err(ApiError::AlreadyExists { .. }) => Ok(()),
            Err(error) => Err(error),
        }
    }

    /// Writes the service's status if it is not what it should be.
    pub async fn app_status(&self, status: &AppStatus) -> Result<(), ApiError> {
        if *status == self.observed.app.status {
            return Ok(());
        }
        let old = &self.observed.wire.status;
        let wire = convert::wire_app_status(status, old, self.now);
        let mut patch = serde_json::to_value(wire).unwrap_or_default();
        // In a merge patch a missing field stays: what is unset now must be named.
        for field in ["targetUid", "current", "inFlight", "lastRelease", "rejected", "conditions"] {
            if patch.get(field).is_none() {
                patch[field] = Value::Null;
            }
        }
        let name = self.observed.app.name.clone();
        let patch = Patch::Merge(json!({"status": patch}));
        let answer =
            self.api.patch_subresource(MANAGED_APPS, self.namespace(), &name, "status", &patch).await?;
        self.wrote(Kind::App, &name, &answer);
        Ok(())
    }
}

/// Sets or removes the phase label of the pod with `uid`.
pub(crate) async fn set_phase_label(
    api: &Api,
    namespace: Option<&str>,
    pod: &str,
    uid: &str,
    phase: Option<Phase>,
) -> Result<(), ApiError> {
    let patch = json!({"metadata": {"uid": uid, "labels": {PHASE_LABEL: phase.map(Phase::as_str)}}});
    match api.patch(PODS, namespace, pod, &Patch::Merge(patch)).await {
        // A pod that is gone, or came back as another one, needs no label.
        Ok(_) | Err(ApiError::NotFound { .. } | ApiError::Conflict { .. } | ApiError::Invalid { .. }) => {
            Ok(())
        }
        Err(error) => Err(error),
    }
}

/// Longest note that the API accepts.
const EVENT_NOTE_BYTES_MAX: usize = 1024;

fn trimmed(text: &str, bytes_max: usize) -> &str {
    let end = (0..=bytes_max.min(text.len())).rev().find(|end| text.is_char_boundary(*end));
    text.get(..end.unwrap_or_default()).unwrap_or_default()
}

/// `MicroTime` wants exactly six digits.
fn micro_time(at: Timestamp) -> String {
    format!("{at:.6}")
}

/// Drops members that are null: the API server would prune or reject them.
fn without_nulls(mut value: Value) -> Value {
    if let Some(spec) = value.get_mut("spec").and_then(Value::as_object_mut) {
        spec.retain(|_, member| !member.is_null());
    }
    value
}

/// Removes the claim from a Deployment that no service names any more. `template` is what must run when the spec holds a
/// rejected template: letting go must not ship it.
pub async fn unclaim(
    api: &Api,
    deployment: &DeploymentRow,
    template: Option<Value>,
) -> Result<Value, ApiError> {
    let key = &deployment.identity.key;
    let unpause = deployment.paused_manager.as_deref().is_none_or(|manager| manager == MANAGER);
    let change = Change { claim: None, template: template.as_ref(), unpause };
    api.patch(DEPLOYMENTS, key.namespace(), &key.name, &change.patch(deployment)).await
}
