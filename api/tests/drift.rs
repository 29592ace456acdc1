//! The definitions in `deploy/crds` and the types say the same: every field of one is a field of the other.
//!
//! A maximal example per kind ties them together. It holds every leaf of the schema, so a leaf that the types do not
//! know is lost on the way through them; and while it is read, every struct tells the names of its fields, so a field
//! that the schema does not know is found too.

mod support;

use std::cell::RefCell;
use std::collections::BTreeSet;

use serde::de::value::{MapDeserializer, SeqDeserializer};
use serde::de::{DeserializeOwned, Deserializer, IntoDeserializer, Visitor};
use serde::{Serialize, forward_to_deserialize_any};
use serde_json::{Value, json};
use trimtab_api::{AppRelease, FleetPolicy, ManagedApp};

use support::{path, yaml};

/// The parts of an object that are ours.
const PARTS: [&str; 2] = ["spec", "status"];

fn schema(plural: &str) -> Value {
    let definition = yaml(&path(&format!("../deploy/crds/{plural}.yaml")));
    definition["spec"]["versions"][0]["schema"]["openAPIV3Schema"].clone()
}

fn is_open(schema: &Value) -> bool {
    schema["x-kubernetes-preserve-unknown-fields"] == json!(true)
}

/// Paths of all properties; lists count as one `[]`, maps as one `*`.
fn properties(schema: &Value, path: &str, found: &mut BTreeSet<String>) {
    for (name, inner) in schema["properties"].as_object().into_iter().flatten() {
        let path = format!("{path}.{name}");
        properties(inner, &path, found);
        found.insert(path);
    }
    if schema["items"].is_object() {
        properties(&schema["items"], &format!("{path}[]"), found);
    }
}

/// Paths of what has no parts of its own.
fn leaves(schema: &Value, path: &str, found: &mut BTreeSet<String>) {
    if let Some(properties) = schema["properties"].as_object() {
        for (name, inner) in properties {
            leaves(inner, &format!("{path}.{name}"), found);
        }
    } else if schema["items"].is_object() {
        leaves(&schema["items"], &format!("{path}[]"), found);
    } else if schema["additionalProperties"].is_object() {
        leaves(&schema["additionalProperties"], &format!("{path}.*"), found);
    } else {
        found.insert(path.to_owned());
    }
}

/// The leaves that a value holds, and with `?` what the schema does not know.
fn leaves_held(schema: &Value, value: &Value, path: &str, found: &mut BTreeSet<String>) {
    match value {
        Value::Object(fields) if !is_open(schema) => {
            for (name, inner) in fields {
                let (schema, path) = match (&schema["properties"][name], &schema["additionalProperties"]) {
                    (known @ Value::Object(_), _) => (known, format!("{path}.{name}")),
                    (_, any @ Value::Object(_)) => (any, format!("{path}.*")),
                    _ => (&Value::Null, format!("{path}.{name}?")),
                };
                leaves_held(schema, inner, &path, found);
            }
        }
        Value::Array(items) if !is_open(schema) => {
            for item in items {
                leaves_held(&schema["items"], item, &format!("{path}[]"), found);
            }
        }
        _ => {
            found.insert(path.to_owned());
        }
    }
}

/// `1` and `1.0` are the same number in JSON.
fn plain(value: Value) -> Value {
    match value {
        Value::Number(number) => json!(number.as_f64()),
        Value::Array(items) => items.into_iter().map(plain).collect(),
        Value::Object(fields) => fields.into_iter().map(|(name, value)| (name, plain(value))).collect(),
        other => other,
    }
}

/// Reads a value, and writes down the fields of every struct that is asked for.
#[derive(Clone)]
struct Recorder<'a> {
    value: &'a Value,
    path: String,
    fields: &'a RefCell<BTreeSet<String>>,
}

impl<'a> Recorder<'a> {
    fn inner(&self, value: &'a Value, step: &str) -> Self {
        Recorder { value, path: format!("{}{step}", self.path), fields: self.fields }
    }
}

impl<'de> IntoDeserializer<'de, serde_json::Error> for Recorder<'de> {
    type Deserializer = Self;

    fn into_deserializer(self) -> Self {
        self
    }
}

impl<'de> Deserializer<'de> for Recorder<'de> {
    type Error = serde_json::Error;

    fn deserialize_any<V: Visitor<'de>>(self, visitor: V) -> Result<V::Value, Self::Error> {
        match self.value {
            Value::Array(items) => {
                visitor.visit_seq(SeqDeserializer::new(items.iter().map(|item| self.inner(item, "[]"))))
            }
            Value::Object(fields) => visitor.visit_map(MapDeserializer::new(
                fields.iter().map(|(name, value)| (name.as_str(), self.inner(value, &format!(".{name}")))),
            )),
            scalar => scalar.deserialize_any(visitor),
        }
    }

    fn deserialize_option<V: Visitor<'de>>(self, visitor: V) -> Result<V::Value, Self::Error> {
        if self.value.is_null() { visitor.visit_none() } else { visitor.visit_some(self) }
    }

    fn deserialize_struct<V: Visitor<'de>>(
        self,
        _name: &'static str,
        fields: &'static [&'static str],
        visitor: V,
    ) -> Result<V::Value, Self::Error> {
        self.fields.borrow_mut().extend(fields.iter().map(|field| format!("{}.{field}", self.path)));
        self.deserialize_any(visitor)
    }

    forward_to_deserialize_any! {
        bool i8 i16 i32 i64 u8 u16 u32 u64 f32 f64 char str string bytes byte_buf unit unit_struct newtype_struct seq
        tuple tuple_struct map enum identifier ignored_any
    }
}

fn in_our_parts(paths: BTreeSet<String>) -> BTreeSet<String> {
    let ours = |path: &String| PARTS.iter().any(|part| path.starts_with(&format!(".{part}.")));
    paths.into_iter().filter(ours).collect()
}

fn check<T: DeserializeOwned + Serialize>(plural: &str, example: &str) {
    let (schema, example) = (schema(plural), yaml(&path(&format!("tests/examples/{example}.yaml"))));
    let (mut declared, mut shown, mut survived) = (BTreeSet::new(), BTreeSet::new(), BTreeSet::new());
    let typed: T = serde_json::from_value(example.clone()).expect("the example is readable");
    let written = serde_json::to_value(&typed).expect("what was read can be written");
    for part in PARTS {
        let path = format!(".{part}");
        leaves(&schema["properties"][part], &path, &mut declared);
        leaves_held(&schema["properties"][part], &example[part], &path, &mut shown);
        leaves_held(&schema["properties"][part], &written[part], &path, &mut survived);
        assert_eq!(
            plain(written[part].clone()),
            plain(example[part].clone()),
            "{plural}: {part} changed on its way through the types"
        );
    }
    assert_eq!(
        declared, shown,
        "{plural}: the example (right) must hold exactly the leaves of the schema (left)"
    );
    assert_eq!(
        declared, survived,
        "{plural}: the types (right) must keep exactly the leaves of the schema (left)"
    );

    let (fields, mut known) = (RefCell::default(), BTreeSet::new());
    T::deserialize(Recorder { value: &example, path: String::new(), fields: &fields })
        .expect("the example is readable");
    properties(&schema, "", &mut known);
    let (fields, known) = (in_our_parts(fields.into_inner()), in_our_parts(known));
    assert_eq!(fields, known, "{plural}: fields of the types (left), properties of the schema (right)");
}

#[test]
fn managed_app() {
    check::<ManagedApp>("managedapps", "managedapp");
}

#[test]
fn fleet_policy() {
    check::<FleetPolicy>("fleetpolicies", "fleetpolicy");
}

#[test]
fn app_release() {
    check::<AppRelease>("appreleases", "apprelease");
}

#[test]
fn defaults_of_a_policy_are_the_spec_of_an_app() {
    let mut spec = schema("managedapps")["properties"]["spec"].clone();
    let mut defaults = schema("fleetpolicies")["properties"]["spec"]["properties"]["defaults"].clone();
    spec["description"] = Value::Null;
    defaults["description"] = Value::Null;
    assert_eq!(spec, defaults);
}

/// What the API server demands of a definition and of rules that it runs on every write.
#[test]
fn definitions_are_documented_and_bounded() {
    fn walk(schema: &Value, path: &str, in_spec: bool, faults: &mut Vec<String>) {
        let described = schema["description"].is_string();
        for (name, inner) in schema["properties"].as_object().into_iter().flatten() {
            let path = format!("{path}.{name}");
            if !inner["description"].is_string()
                && !["apiVersion", "kind", "metadata"].contains(&name.as_str())
            {
                faults.push(format!("{path} has no description"));
            }
            walk(inner, &path, in_spec || name == "spec", faults);
        }
        let bound = match schema["type"].as_str() {
            Some("array") => "maxItems",
            Some("string") if schema["enum"].is_null() && schema["format"].is_null() => "maxLength",
            Some("object") if schema["additionalProperties"].is_object() => "maxProperties",
            _ => "type",
        };
        if in_spec && schema[bound].is_null() && bound != "type" {
            faults.push(format!("{path} has no {bound}"));
        }
        for (step, inner) in [("[]", &schema["items"]), (".*", &schema["additionalProperties"])] {
            if inner.is_object() && described {
                walk(inner, &format!("{path}{step}"), in_spec, faults);
            }
        }
    }
    let mut faults = Vec::new();
    for plural in ["managedapps", "fleetpolicies", "appreleases"] {
        walk(&schema(plural), plural, false, &mut faults);
    }
    assert_eq!(faults, Vec::<String>::new());
}
