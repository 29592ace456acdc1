//! From the stored form of an object to what a client asked to see: a version, and full, metadata-only or tabular.

use std::borrow::Cow;

use bytes::Bytes;
use serde_json::{Value, json};

use crate::config::Clock;
use crate::failure::Failure;
use crate::json::{as_object_mut, at, text};
use crate::kinds::Kind;
use crate::store::{ChangeType, Stored, bare};
use crate::table::{self, Include};
use crate::watch::line_of;

/// The form of objects in an answer.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Form {
    Full,
    MetadataOnly,
    Table,
}

/// Chooses the form that an `Accept` header asks for: the first entry that can be served.
pub(crate) fn negotiate(accept: &str) -> Result<Form, Failure> {
    if accept.trim().is_empty() {
        return Ok(Form::Full);
    }
    accept.split(',').find_map(form_of).ok_or_else(Failure::not_acceptable)
}

fn form_of(entry: &str) -> Option<Form> {
    let mut parts = entry.split(';').map(str::trim);
    let media = parts.next()?;
    if !matches!(media, "application/json" | "*/*" | "application/*") {
        return None;
    }
    let parameter = |wanted: &str| {
        entry.split(';').map(str::trim).find_map(|part| part.strip_prefix(wanted)).unwrap_or_default()
    };
    match (parameter("as="), parameter("g=")) {
        ("", _) => Some(Form::Full),
        ("Table", "meta.k8s.io") => Some(Form::Table),
        ("PartialObjectMetadata" | "PartialObjectMetadataList", "meta.k8s.io") => Some(Form::MetadataOnly),
        _ => None,
    }
}

/// The stored object in the version of `kind`.
pub(crate) fn convert<'a>(kind: &Kind, stored: &'a Value) -> Cow<'a, Value> {
    let api_version = kind.api_version();
    if text(stored, "apiVersion") == api_version {
        return Cow::Borrowed(stored);
    }
    let mut value = stored.clone();
    if kind.is_event() {
        rename_event_fields(&mut value, |(core, modern)| (core, modern));
    }
    if kind.group == "autoscaling" && kind.version == "v1" {
        autoscaler_to_v1(&mut value);
    }
    value["apiVersion"] = api_version.into();
    Cow::Owned(value)
}

/// What a client sent, in the version that is stored.
pub(crate) fn to_storage(kind: &Kind, storage_version: &str, mut value: Value) -> Value {
    if kind.is_event() && kind.group == "events.k8s.io" {
        rename_event_fields(&mut value, |(core, modern)| (modern, core));
    }
    if kind.group == "autoscaling" && kind.version == "v1" {
        autoscaler_to_v2(&mut value);
    }
    value["apiVersion"] = storage_version.into();
    value["kind"] = kind.kind.clone().into();
    value
}

/// Names of the same field in core/v1 (stored) and events.k8s.io/v1.
const EVENT_FIELDS: &[(&str, &str)] = &[
    ("involvedObject", "regarding"),
    ("message", "note"),
    ("source", "deprecatedSource"),
    ("firstTimestamp", "deprecatedFirstTimestamp"),
    ("lastTimestamp", "deprecatedLastTimestamp"),
    ("count", "deprecatedCount"),
    ("reportingComponent", "reportingController"),
];

type Rename = fn((&'static str, &'static str)) -> (&'static str, &'static str);

fn rename_event_fields(value: &mut Value, direction: Rename) {
    let object = as_object_mut(value);
    for pair in EVENT_FIELDS {
        let (from, to) = direction(*pair);
        if let Some(field) = object.remove(from) {
            object.insert(to.to_owned(), field);
        }
    }
}

fn autoscaler_to_v2(value: &mut Value) {
    let spec = crate::json::object_mut(value, "spec");
    if let Some(target) = spec.remove("targetCPUUtilizationPercentage") {
        let target = json!({"type": "Utilization", "averageUtilization": target});
        let metric = json!({"type": "Resource", "resource": {"name": "cpu", "target": target}});
        spec.insert("metrics".to_owned(), json!([metric]));
    }
}

fn autoscaler_to_v1(value: &mut Value) {
    let spec = crate::json::object_mut(value, "spec");
    let metrics = spec.remove("metrics").unwrap_or_default();
    let target = metrics.as_array().into_iter().flatten().find_map(|metric| {
        let resource = at(metric, "resource");
        (text(resource, "name") == "cpu").then(|| at(resource, "target.averageUtilization").clone())
    });
    if let Some(target) = target.filter(|target| !target.is_null()) {
        spec.insert("targetCPUUtilizationPercentage".to_owned(), target);
    }
}

/// Renders objects, lists and watch events in one form.
pub(crate) struct Presenter {
    pub(crate) form: Form,
    pub(crate) include: Include,
    clock: Clock,
    headers_sent: bool,
}

impl Presenter {
    pub(crate) fn new(form: Form, include: Include, clock: Clock) -> Self {
        Presenter { form, include, clock, headers_sent: false }
    }

    /// One object as the body of an answer.
    pub(crate) fn object(&self, kind: &Kind, stored: &Stored) -> Bytes {
        match self.form {
            Form::Full if is_stored_version(kind, &stored.value) => stored.bytes().clone(),
            _ => Bytes::from(self.value(kind, &stored.value).to_string()),
        }
    }

    /// One object, not necessarily stored, as the body of an answer.
    pub(crate) fn value(&self, kind: &Kind, stored: &Value) -> Value {
        let value = convert(kind, stored);
        match self.form {
            Form::Full => value.into_owned(),
            Form::MetadataOnly => metadata_only(&value),
            Form::Table => {
                let mut table = table::of(kind, &[&value], self.include, self.clock.now());
                table["metadata"] = json!({"resourceVersion": text(&value, "metadata.resourceVersion")});
                table
            }
        }
    }

    /// A list; `metadata` is the list's.
    pub(crate) fn list(&self, kind: &Kind, metadata: &Value, items: &[&std::sync::Arc<Stored>]) -> Bytes {
        match self.form {
            Form::Full => self.full_list(kind, metadata, items),
            Form::MetadataOnly => {
                let items: Vec<Value> =
                    items.iter().map(|stored| metadata_only(&convert(kind, &stored.value))).collect();
                let list = json!({
                    "kind": "PartialObjectMetadataList", "apiVersion": "meta.k8s.io/v1",
                    "metadata": metadata, "items": items,
                });
                Bytes::from(list.to_string())
            }
            Form::Table => {
                let values: Vec<Cow<'_, Value>> =
                    items.iter().map(|stored| convert(kind, &stored.value)).collect();
                let values: Vec<&Value> = values.iter().map(AsRef::as_ref).collect();
                let mut table = table::of(kind, &values, self.include, self.clock.now());
                table["metadata"] = metadata.clone();
                Bytes::from(table.to_string())
            }
        }
    }

    /// Concatenates the cached forms of the items instead of building one tree.
    fn full_list(&self, kind: &Kind, metadata: &Value, items: &[&std::sync::Arc<Stored>]) -> Bytes {
        let mut body = Vec::new();
        let head = format!(
            "{{\"kind\":\"{}\",\"apiVersion\":\"{}\",\"metadata\":{metadata},\"items\":[",
            kind.list_kind,
            kind.api_version()
        );
        body.extend_from_slice(head.as_bytes());
        for (index, stored) in items.iter().enumerate() {
            if index > 0 {
                body.push(b',');
            }
            match (is_stored_version(kind, &stored.value), kind.custom.is_some()) {
                (true, true) => body.extend_from_slice(stored.bytes()),
                (true, false) => body.extend_from_slice(stored.bare_bytes()),
                (false, true) => body.extend_from_slice(convert(kind, &stored.value).to_string().as_bytes()),
                (false, false) => {
                    body.extend_from_slice(bare(&convert(kind, &stored.value)).to_string().as_bytes());
                }
            }
        }
        body.extend_from_slice(b"]}\n");
        Bytes::from(body)
    }

    /// One line of a watch.
    pub(crate) fn event(&mut self, kind: &Kind, change: ChangeType, stored: &Stored) -> Bytes {
        if self.form == Form::Full && is_stored_version(kind, &stored.value) {
            let mut line = Vec::with_capacity(stored.bytes().len() + 32);
            line.extend_from_slice(format!("{{\"type\":\"{}\",\"object\":", change.name()).as_bytes());
            line.extend_from_slice(stored.bytes());
            line.extend_from_slice(b"}\n");
            return Bytes::from(line);
        }
        let object = self.watched(kind, &stored.value);
        line_of(&json!({"type": change.name(), "object": object}))
    }

    /// The line for an object that no longer matches the selector: its last matching state at the new revision.
    pub(crate) fn left_view(&mut self, kind: &Kind, previous: &Value, revision: u64) -> Bytes {
        let mut value = previous.clone();
        value["metadata"]["resourceVersion"] = revision.to_string().into();
        let object = self.watched(kind, &value);
        line_of(&json!({"type": "DELETED", "object": object}))
    }

    fn watched(&mut self, kind: &Kind, stored: &Value) -> Value {
        let mut object = self.value(kind, stored);
        if self.form == Form::Table {
            if self.headers_sent {
                object["columnDefinitions"] = Value::Null;
            }
            self.headers_sent = true;
        }
        object
    }

    pub(crate) fn bookmark(&self, kind: &Kind, revision: u64, annotations: Option<Value>) -> Bytes {
        let mut metadata = json!({"resourceVersion": revision.to_string(), "creationTimestamp": null});
        if let Some(annotations) = annotations {
            metadata["annotations"] = annotations;
        }
        let object = match self.form {
            Form::Full => {
                let mut object =
                    json!({"kind": kind.kind, "apiVersion": kind.api_version(), "metadata": metadata});
                if kind.custom.is_none() && kind.plural == "pods" {
                    object["spec"] = json!({"containers": null});
                    object["status"] = json!({});
                }
                object
            }
            Form::MetadataOnly => {
                json!({"kind": "PartialObjectMetadata", "apiVersion": "meta.k8s.io/v1", "metadata": metadata})
            }
            Form::Table => json!({
                "kind": "Table", "apiVersion": "meta.k8s.io/v1", "metadata": metadata,
                "columnDefinitions": null, "rows": [],
            }),
        };
        line_of(&json!({"type": "BOOKMARK", "object": object}))
    }
}

fn is_stored_version(kind: &Kind, stored: &Value) -> bool {
    let stored = text(stored, "apiVersion");
    match stored.split_once('/') {
        Some((group, version)) => group == kind.group && version == kind.version,
        None => kind.group.is_empty() && stored == kind.version,
    }
}

/// `PartialObjectMetadata` of an object.
pub(crate) fn metadata_only(value: &Value) -> Value {
    json!({"kind": "PartialObjectMetadata", "apiVersion": "meta.k8s.io/v1", "metadata": at(value, "metadata")})
}
