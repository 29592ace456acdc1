//! Pod templates, which stay raw JSON.

use serde_json::Value;

/// Image of the service container of a pod template: the named one, or the first.
#[must_use]
pub fn service_image(template: &Value, container: Option<&str>) -> Option<String> {
    let containers = template.pointer("/spec/containers")?.as_array()?;
    let named = |c: &&Value| container.is_none_or(|name| c.get("name").and_then(Value::as_str) == Some(name));
    containers.iter().find(named)?.get("image")?.as_str().map(str::to_owned)
}
