//! The objects of a service, by name.

use trimtab_plan::{Kind, Object};

use crate::app::App;
use crate::names::release_object;

/// The `ManagedApp` of the service.
pub(crate) fn service(app: &App) -> Object {
    Object::new(Kind::MANAGED_APP, &app.namespace, app.name.clone())
}

/// The Deployment `name` in the namespace of the service.
pub(crate) fn deployment(app: &App, name: &str) -> Object {
    Object::new(Kind::DEPLOYMENT, &app.namespace, name)
}

/// The record of release `number`.
pub(crate) fn record(app: &App, number: u64) -> Object {
    Object::new(Kind::APP_RELEASE, &app.namespace, release_object(&app.name, number))
}
