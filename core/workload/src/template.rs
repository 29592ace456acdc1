//! Pod templates, which stay raw JSON.

use serde_json::Value;

/// The containers of a pod template, in its order.
pub fn containers(template: &Value) -> impl Iterator<Item = &Value> {
    template.pointer("/spec/containers").and_then(Value::as_array).into_iter().flatten()
}

/// The service container of a pod template: the named one, or the first.
#[must_use]
pub fn service_container<'a>(template: &'a Value, name: Option<&str>) -> Option<&'a Value> {
    containers(template).find(|container| name.is_none_or(|name| container["name"] == name))
}

/// Image of the service container.
#[must_use]
pub fn service_image(template: &Value, container: Option<&str>) -> Option<String> {
    image(service_container(template, container)?)
}

/// Images of all its containers.
#[must_use]
pub fn images(template: &Value) -> Vec<String> {
    containers(template).filter_map(image).collect()
}

fn image(container: &Value) -> Option<String> {
    container["image"].as_str().map(str::to_owned)
}
