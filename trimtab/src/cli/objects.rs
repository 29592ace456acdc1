//! Objects as the API server gives them, and what is read out of them.

use serde::de::DeserializeOwned;
use serde_json::Value;
use trimtab_kube::api::Selector;
use trimtab_kube::{Api, Resource};

use super::exit::Failure;

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
