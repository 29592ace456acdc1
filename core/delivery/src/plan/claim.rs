//! May this Deployment be claimed at all?

use trimtab_plan::Reason;
use trimtab_workload::Target;

use crate::app::App;
use crate::command;
use crate::snapshot::Snapshot;

/// Why a Deployment is left alone.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) struct Refusal {
    /// Why, for machines.
    pub(super) reason: Reason,
    /// The cause, naming the object.
    pub(super) message: String,
    /// What a person can do.
    pub(super) next: String,
}

impl Refusal {
    /// Whether the Deployment is looked after although its template is not judged.
    pub(super) fn looks_after(&self) -> bool {
        self.reason == Reason::TemplateTooLarge
    }
}

fn edit(app: &App) -> String {
    command::kubectl(&format!("edit managedapp {}", app.name), &app.namespace)
}

/// The Deployment to look after, or why it is left alone.
pub(super) fn claimable<'a>(snapshot: &Snapshot<'a>) -> Result<&'a Target, Refusal> {
    let app = snapshot.app;
    if let Some(other) = &app.claimed_by {
        return Err(Refusal {
            reason: Reason::Invalid,
            message: format!(
                "ManagedApp {}/{} is invalid: spec.target: Deployment {} is claimed by ManagedApp {other}",
                app.namespace, app.name, snapshot.settings.target
            ),
            next: format!("`spec.target` to name another Deployment: `{}`", edit(app)),
        });
    }
    // Once a Deployment is claimed, a typo must not leave it unguarded, nor leave a good release behind what is held: what
    // is valid stays in force. A fresh claim waits for a spec that says what its author meant.
    let claimed = snapshot.target.is_some_and(|target| target.hold.is_some());
    if let Some(problem) = app.problems.first().filter(|_| !claimed) {
        return Err(Refusal {
            reason: Reason::Invalid,
            message: format!("ManagedApp {}/{} is invalid: {problem}", app.namespace, app.name),
            next: format!("a valid spec: `{}`, and `trimtab lint FILE` checks a file of it", edit(app)),
        });
    }
    let Some(target) = snapshot.target else {
        return Err(Refusal {
            reason: Reason::TargetNotFound,
            message: format!("Deployment {}/{} does not exist", app.namespace, snapshot.settings.target),
            next: "the Deployment to be created, or `spec.target.name` to name another".to_owned(),
        });
    };
    if let Some(owner) = &target.owner {
        return Err(Refusal {
            reason: Reason::TargetOwned,
            message: format!(
                "Deployment {}/{} is managed by {owner}, which would undo a restored template",
                app.namespace, target.name
            ),
            next: format!("`spec.target` to name a Deployment without an owner, or {owner} to let go of it"),
        });
    }
    Ok(target)
}
