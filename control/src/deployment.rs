//! Every write of a Deployment is one patch of one shape: the claim, and with it the template and the pause where a plan
//! says so.

use serde_json::{Value, json};
use trimtab_delivery::names::{CLAIM_ANNOTATION, Claim, RELEASE_ANNOTATION};
use trimtab_kube::api::Patch;
use trimtab_kube::workload_rows::DeploymentRow;

/// What is written.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Change<'a> {
    /// The claim to set; `None` lets go of the Deployment.
    pub(crate) claim: Option<Claim>,
    /// The template to put back.
    pub(crate) template: Option<&'a Value>,
    /// Whether a pause, if there is one, is lifted.
    pub(crate) unpause: bool,
}

impl Change<'_> {
    /// The patch, which fails when the Deployment is another one by now, or when anybody changed the spec since `deployment` was read. The status is written several
    /// times a second while pods come and go, so the generation is looked at and not the resource version.
    pub(crate) fn patch(&self, deployment: &DeploymentRow) -> Patch {
        let identity = &deployment.identity;
        let test = |field: &str, value: Value| json!({"op": "test", "path": field, "value": value});
        let mut operations = vec![
            test("/metadata/uid", identity.uid.to_string().into()),
            test("/metadata/generation", identity.generation.into()),
        ];
        match self.claim {
            Some(claim) if identity.has_annotations => {
                let path = annotation(CLAIM_ANNOTATION);
                operations.push(json!({"op": "add", "path": path, "value": claim.as_str()}));
            }
            // Seldom: one that was created paused, which the Deployment controller has not given a revision. Annotations
            // do not count as a generation, so the version is looked at, lest somebody's be lost.
            Some(claim) => {
                let all = json!({CLAIM_ANNOTATION: claim.as_str()});
                operations
                    .push(test("/metadata/resourceVersion", identity.resource_version.to_string().into()));
                operations.push(json!({"op": "add", "path": "/metadata/annotations", "value": all}));
            }
            None => {
                let ours = [CLAIM_ANNOTATION, RELEASE_ANNOTATION].into_iter();
                let there = ours.filter(|name| identity.annotation(name).is_some());
                operations.extend(there.map(|name| json!({"op": "remove", "path": annotation(name)})));
            }
        }
        if let Some(template) = self.template {
            operations.push(json!({"op": "replace", "path": "/spec/template", "value": template}));
        }
        if self.unpause && deployment.paused {
            operations.push(json!({"op": "remove", "path": "/spec/paused"}));
        }
        Patch::Json(Value::Array(operations))
    }
}

/// The JSON pointer of an annotation.
fn annotation(name: &str) -> String {
    format!("/metadata/annotations/{}", name.replace('~', "~0").replace('/', "~1"))
}
