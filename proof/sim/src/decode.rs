//! From request bodies to objects.

use serde_json::Value;

use crate::failure::Failure;
use crate::json::{drop_nulls, object_mut, text};
use crate::protobuf;
use crate::route::Call;
use crate::server::Target;

/// The body as JSON, whether it was sent as JSON or YAML.
pub(crate) fn body(call: &Call) -> Result<Value, Failure> {
    let media = call.content_type.split(';').next().unwrap_or_default().trim();
    match media {
        "" | "application/json" | "*/*" => json(&call.body),
        "application/yaml" | "application/apply-patch+yaml" => yaml(&call.body),
        "application/vnd.kubernetes.protobuf" => protobuf::decode(&call.body)
            .ok_or_else(|| Failure::unsupported_media(&["application/json", "application/yaml"])),
        _ => Err(Failure::unsupported_media(&["application/json", "application/yaml"])),
    }
}

pub(crate) fn json(bytes: &[u8]) -> Result<Value, Failure> {
    serde_json::from_slice(bytes).map_err(|error| {
        Failure::bad_request(format!("couldn't get version/kind; json parse error: {error}"))
    })
}

/// YAML, of which JSON is the common case and much faster to read.
pub(crate) fn yaml(bytes: &[u8]) -> Result<Value, Failure> {
    if let Ok(value) = serde_json::from_slice(bytes) {
        return Ok(value);
    }
    let text = std::str::from_utf8(bytes)
        .map_err(|_| Failure::bad_request("error decoding YAML: the body is not UTF-8"))?;
    serde_saphyr::from_str(text)
        .map_err(|error| Failure::bad_request(format!("error decoding YAML: {error}")))
}

/// The object in a request body, checked against where it was sent to.
pub(crate) fn object(call: &Call, target: &Target) -> Result<Value, Failure> {
    conform(body(call)?, target)
}

/// Checks type and namespace, fills in what the path implies, drops nulls.
pub(crate) fn conform(mut value: Value, target: &Target) -> Result<Value, Failure> {
    let kind = &target.kind;
    if !value.is_object() {
        return Err(Failure::bad_request("the body is not an object"));
    }
    let (api_version, named) = (text(&value, "apiVersion").to_owned(), text(&value, "kind").to_owned());
    if kind.custom.is_some() && (api_version.is_empty() || named.is_empty()) {
        return Err(Failure::bad_request("Object 'Kind' is missing"));
    }
    if (!api_version.is_empty() && api_version != kind.api_version())
        || (!named.is_empty() && named != kind.kind)
    {
        return Err(Failure::bad_request(format!(
            "{named} in version \"{api_version}\" cannot be handled as a {}: no kind \"{named}\" is registered \
             for version \"{api_version}\" at {}",
            kind.kind,
            kind.resource()
        )));
    }
    value["apiVersion"] = kind.api_version().into();
    value["kind"] = kind.kind.clone().into();
    if kind.custom.is_none() {
        drop_nulls(&mut value);
    }
    if !value.get("metadata").is_none_or(|metadata| metadata.is_object() || metadata.is_null()) {
        return Err(Failure::bad_request("json: cannot unmarshal metadata into an ObjectMeta"));
    }
    let metadata = object_mut(&mut value, "metadata");
    metadata.retain(|_, inner| !inner.is_null());
    metadata.remove("selfLink");
    if !kind.namespaced {
        metadata.remove("namespace");
        return Ok(value);
    }
    let namespace = metadata.get("namespace").and_then(Value::as_str).unwrap_or_default().to_owned();
    if namespace.is_empty() {
        metadata.insert("namespace".to_owned(), target.route.namespace.clone().into());
    } else if namespace != target.route.namespace {
        return Err(Failure::bad_request(
            "the namespace of the provided object does not match the namespace sent on the request",
        ));
    }
    Ok(value)
}
