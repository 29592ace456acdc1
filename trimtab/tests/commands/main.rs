//! Commands against a simulated API server: what they change, what they say, and how they end.

mod claims;
mod decisions;
mod deploy;
mod going_back;
mod mistakes;
mod reading;
mod rollback;
mod standing;
#[path = "../support/mod.rs"]
mod support;

use serde_json::Value;
use trimtab_sim::{Effect, Fault};

use support::PERSON;

pub(crate) fn image(deployment: &Value) -> &str {
    deployment["spec"]["template"]["spec"]["containers"][0]["image"].as_str().unwrap_or_default()
}

pub(crate) fn strike(verb: &str, resource: &str, effect: Effect) -> Fault {
    Fault {
        user: Some(PERSON.to_owned()),
        verbs: vec![verb.to_owned()],
        resource: Some(resource.to_owned()),
        times: Some(1),
        ..Fault::always(effect)
    }
}
