//! Custom resource definitions: from the stored definition to served kinds.

pub(crate) mod schema;

use std::sync::Arc;

use kube_cel::{CompiledSchema, Validator, compile_schema};
use serde_json::{Value, json};

use crate::config::wire_time;
use crate::failure::Cause;
use crate::json::{at, list, object_mut, text};
use crate::kinds::{Features, Kind, Registry};
use crate::server::Server;

/// JSON paths of the scale subresource, with leading dots.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct ScalePaths {
    pub(crate) replicas: String,
    pub(crate) status_replicas: String,
    pub(crate) selector: Option<String>,
}

/// What a definition says about one version.
#[derive(Debug)]
pub(crate) struct CustomVersion {
    pub(crate) schema: Option<Value>,
    pub(crate) rules: Option<CompiledSchema>,
    pub(crate) columns: Vec<Value>,
    pub(crate) selectable_fields: Vec<String>,
    pub(crate) scale: Option<ScalePaths>,
}

impl CustomVersion {
    fn of(version: &Value) -> Self {
        let schema = version.get("schema").and_then(|schema| schema.get("openAPIV3Schema")).cloned();
        let rules = schema.as_ref().filter(|schema| mentions_rules(schema)).map(compile_schema);
        let scale = version.get("subresources").and_then(|all| all.get("scale")).map(|scale| ScalePaths {
            replicas: text(scale, "specReplicasPath").to_owned(),
            status_replicas: text(scale, "statusReplicasPath").to_owned(),
            selector: Some(text(scale, "labelSelectorPath").to_owned()).filter(|path| !path.is_empty()),
        });
        CustomVersion {
            schema,
            rules,
            columns: list(version, "additionalPrinterColumns").to_vec(),
            selectable_fields: list(version, "selectableFields")
                .iter()
                .map(|field| text(field, "jsonPath").to_owned())
                .collect(),
            scale,
        }
    }

    /// What the `x-kubernetes-validations` rules object to.
    pub(crate) fn check_rules(&self, old: Option<&Value>, new: &Value) -> Vec<Cause> {
        let Some(rules) = &self.rules else { return Vec::new() };
        let Err(errors) = Validator::new().validate_compiled(rules, new, old) else { return Vec::new() };
        errors
            .into_vec()
            .into_iter()
            .map(|error| {
                let shown = schema::shown_at(new, &error.field_path);
                let field = if error.field_path.is_empty() { "<nil>".to_owned() } else { error.field_path };
                let message = error.message.trim_start_matches("failed rule: ").to_owned();
                match error.reason.as_deref() {
                    Some("FieldValueForbidden") => Cause::forbidden(field, &message),
                    Some("FieldValueRequired") => Cause::required(field, &message),
                    Some("FieldValueDuplicate") => Cause {
                        reason: "FieldValueDuplicate",
                        message: format!("Duplicate value: {shown}"),
                        field,
                    },
                    _ => Cause {
                        reason: "FieldValueInvalid",
                        message: format!("Invalid value: {shown}: {message}"),
                        field,
                    },
                }
            })
            .collect()
    }
}

fn mentions_rules(schema: &Value) -> bool {
    match schema {
        Value::Object(object) => {
            object.contains_key("x-kubernetes-validations") || object.values().any(mentions_rules)
        }
        Value::Array(items) => items.iter().any(mentions_rules),
        _ => false,
    }
}

/// The kinds that a definition serves.
fn kinds_of(definition: &Value) -> Vec<Kind> {
    let spec = &definition["spec"];
    let names = &spec["names"];
    let strings = |field: &str| {
        list(names, field).iter().filter_map(Value::as_str).map(str::to_owned).collect::<Vec<String>>()
    };
    let kind = text(names, "kind").to_owned();
    let or_default = |field: &str, default: String| match text(names, field) {
        "" => default,
        given => given.to_owned(),
    };
    let (group, plural) = (text(spec, "group"), text(names, "plural"));
    list(spec, "versions")
        .iter()
        .filter(|version| version["served"].as_bool().unwrap_or(false))
        .map(|version| Kind {
            group: group.to_owned(),
            version: text(version, "name").to_owned(),
            kind: kind.clone(),
            plural: plural.to_owned(),
            singular: or_default("singular", kind.to_lowercase()),
            list_kind: or_default("listKind", format!("{kind}List")),
            short_names: strings("shortNames"),
            categories: strings("categories"),
            namespaced: text(spec, "scope") == "Namespaced",
            features: Features {
                status: !at(version, "subresources.status").is_null(),
                scale: !at(version, "subresources.scale").is_null(),
                generation: true,
            },
            storage: format!("{plural}.{group}").into(),
            custom: Some(Arc::new(CustomVersion::of(version))),
        })
        .collect()
}

/// Serves what a definition says, and nothing else of that resource.
fn register(registry: &mut Registry, definition: &Value) {
    registry.remove(text(definition, "spec.group"), text(definition, "spec.names.plural"));
    for kind in kinds_of(definition) {
        registry.add(Arc::new(kind));
    }
}

/// Name of the collection that holds the definitions.
pub(crate) const DEFINITIONS: &str = "customresourcedefinitions.apiextensions.k8s.io";

/// Holds back the deletion of a definition until its objects are gone.
pub(crate) const CLEANUP_FINALIZER: &str = "customresourcecleanup.apiextensions.k8s.io";

impl Server<'_> {
    /// Serves new and changed definitions and tells so in their status.
    pub(crate) fn establish_definitions(&mut self) {
        let definitions: Vec<_> = self
            .state
            .store
            .in_collection(DEFINITIONS)
            .filter(|(_, stored)| at(&stored.value, "metadata.deletionTimestamp").is_null())
            .map(|(key, stored)| (key.clone(), stored.clone()))
            .collect();
        for (key, stored) in definitions {
            let observed = self.state.background.definition_generation(&key);
            let generation = at(&stored.value, "metadata.generation").as_i64().unwrap_or(0);
            let uid = text(&stored.value, "metadata.uid").to_owned();
            if observed == Some((uid.clone(), generation)) {
                continue;
            }
            register(&mut self.state.registry, &stored.value);
            self.state.background.remember_definition(&key, uid, generation);
            let mut value = stored.value.clone();
            accept(&mut value, &wire_time(self.now));
            if value != stored.value {
                self.state.store.put(&DEFINITIONS.into(), &key, value);
            }
        }
    }

    /// Stops serving a definition that is gone.
    pub(crate) fn withdraw_definition(&mut self, definition: &Value) {
        self.state.registry.remove(text(definition, "spec.group"), text(definition, "spec.names.plural"));
        self.state.background.forget_definition(text(definition, "metadata.name"));
    }
}

fn accept(definition: &mut Value, now: &str) {
    let names = definition["spec"]["names"].clone();
    let stored: Vec<Value> = list(&definition["spec"], "versions")
        .iter()
        .filter(|version| version["storage"].as_bool().unwrap_or(false))
        .map(|version| version["name"].clone())
        .collect();
    let condition = |kind: &str, reason: &str, message: &str| json!({"type": kind, "status": "True", "reason": reason, "message": message, "lastTransitionTime": now});
    let established = list(definition, "status.conditions").len() >= 2;
    let status = object_mut(definition, "status");
    status.insert("acceptedNames".to_owned(), names);
    let versions = status.entry("storedVersions").or_insert_with(|| json!([]));
    if let Some(versions) = versions.as_array_mut() {
        for version in stored {
            if !versions.contains(&version) {
                versions.push(version);
            }
        }
    }
    if !established {
        let conditions = json!([
            condition("NamesAccepted", "NoConflicts", "no conflicts found"),
            condition("Established", "InitialNamesAccepted", "the initial names have been accepted"),
        ]);
        status.insert("conditions".to_owned(), conditions);
    }
}

/// Defaults of a definition itself.
pub(crate) fn default_definition(definition: &mut Value) {
    let kind = text(definition, "spec.names.kind").to_owned();
    let spec = object_mut(definition, "spec");
    let names = crate::json::as_object_mut(spec.entry("names").or_insert(Value::Null));
    crate::json::default_field(names, "singular", kind.to_lowercase());
    crate::json::default_field(names, "listKind", format!("{kind}List"));
    crate::json::default_field(spec, "conversion", json!({"strategy": "None"}));
    if !at(definition, "metadata.deletionTimestamp").is_null() {
        return;
    }
    let finalizers = object_mut(definition, "metadata").entry("finalizers").or_insert_with(|| json!([]));
    if let Some(finalizers) = finalizers.as_array_mut()
        && !finalizers.contains(&CLEANUP_FINALIZER.into())
    {
        finalizers.push(CLEANUP_FINALIZER.into());
    }
}
