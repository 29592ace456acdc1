//! Structural schemas: pruning, defaulting and validation of custom resources.

use serde_json::{Map, Value};

use crate::failure::Cause;
use crate::json::{at, type_name};

const PRESERVE: &str = "x-kubernetes-preserve-unknown-fields";
const EMBEDDED: &str = "x-kubernetes-embedded-resource";
const INT_OR_STRING: &str = "x-kubernetes-int-or-string";

fn flag(schema: &Value, name: &str) -> bool {
    schema.get(name).and_then(Value::as_bool).unwrap_or(false)
}

/// Removes fields that the schema does not know; returns their paths.
pub(crate) fn prune(object: &mut Value, schema: &Value) -> Vec<String> {
    let mut pruned = Vec::new();
    prune_value(object, schema, "", true, &mut pruned);
    pruned
}

fn prune_value(value: &mut Value, schema: &Value, path: &str, is_resource: bool, pruned: &mut Vec<String>) {
    match value {
        Value::Object(object) => prune_object(object, schema, path, is_resource, pruned),
        Value::Array(items) => {
            let Some(item_schema) = schema.get("items") else { return };
            for (index, item) in items.iter_mut().enumerate() {
                let inner = format!("{path}[{index}]");
                prune_value(item, item_schema, &inner, flag(item_schema, EMBEDDED), pruned);
            }
        }
        _ => {}
    }
}

fn prune_object(
    object: &mut Map<String, Value>,
    schema: &Value,
    path: &str,
    is_resource: bool,
    pruned: &mut Vec<String>,
) {
    let properties = schema.get("properties");
    let additional = schema.get("additionalProperties");
    let names: Vec<String> = object.keys().cloned().collect();
    for name in names {
        let inner_path = if path.is_empty() { name.clone() } else { format!("{path}.{name}") };
        if is_resource && matches!(name.as_str(), "apiVersion" | "kind" | "metadata") {
            continue;
        }
        let known = properties.and_then(|properties| properties.get(&name));
        if let Some(inner) = known.or(additional.filter(|additional| additional.is_object())) {
            if let Some(value) = object.get_mut(&name) {
                prune_value(value, inner, &inner_path, flag(inner, EMBEDDED), pruned);
            }
        } else if !flag(schema, PRESERVE) && additional.and_then(Value::as_bool) != Some(true) {
            object.remove(&name);
            pruned.push(inner_path);
        }
    }
}

/// Fills in defaults, and drops nulls that the schema does not allow where it has one.
pub(crate) fn default(value: &mut Value, schema: &Value) {
    match value {
        Value::Object(object) => {
            for (name, inner) in schema.get("properties").and_then(Value::as_object).into_iter().flatten() {
                let has_default = inner.get("default").is_some();
                let is_null = object.get(name).is_some_and(Value::is_null);
                if is_null && has_default && !flag(inner, "nullable") {
                    object.remove(name);
                }
                if let (None, Some(default)) = (object.get(name), inner.get("default")) {
                    object.insert(name.clone(), default.clone());
                }
                if let Some(field) = object.get_mut(name) {
                    default_nested(field, inner);
                }
            }
            if let Some(additional) = schema.get("additionalProperties").filter(|one| one.is_object()) {
                let known = schema.get("properties").and_then(Value::as_object);
                for (name, field) in object.iter_mut() {
                    if known.is_none_or(|known| !known.contains_key(name)) {
                        default_nested(field, additional);
                    }
                }
            }
        }
        Value::Array(items) => {
            if let Some(item_schema) = schema.get("items") {
                items.iter_mut().for_each(|item| default_nested(item, item_schema));
            }
        }
        _ => {}
    }
}

fn default_nested(value: &mut Value, schema: &Value) {
    default(value, schema);
}

/// What the schema objects to.
pub(crate) fn validate(object: &Value, schema: &Value) -> Vec<Cause> {
    let mut causes = Vec::new();
    validate_value(object, schema, "", &mut causes);
    causes
}

fn validate_value(value: &Value, schema: &Value, path: &str, causes: &mut Vec<Cause>) {
    if value.is_null() && flag(schema, "nullable") {
        return;
    }
    let wanted = schema.get("type").and_then(Value::as_str).unwrap_or_default();
    let fits = if flag(schema, INT_OR_STRING) {
        matches!(type_name(value), "integer" | "string")
    } else {
        has_type(value, wanted)
    };
    if !fits {
        let wanted = if flag(schema, INT_OR_STRING) { "integer,string" } else { wanted };
        causes.push(Cause::wrong_type(shown_path(path), type_name(value), wanted));
        return;
    }
    check_scalar(value, schema, path, causes);
    match value {
        Value::Object(object) => validate_object(object, schema, path, causes),
        Value::Array(items) => validate_list(items, schema, path, causes),
        _ => {}
    }
    check_junctors(value, schema, path, causes);
}

fn shown_path(path: &str) -> String {
    if path.is_empty() { "<nil>".to_owned() } else { path.to_owned() }
}

fn has_type(value: &Value, wanted: &str) -> bool {
    match wanted {
        "" => true,
        "integer" => {
            value.is_i64() || value.is_u64() || value.as_f64().is_some_and(|number| number.fract() == 0.0)
        }
        "number" => value.is_number(),
        other => type_name(value) == other,
    }
}

fn validate_object(object: &Map<String, Value>, schema: &Value, path: &str, causes: &mut Vec<Cause>) {
    let join = |name: &str| if path.is_empty() { name.to_owned() } else { format!("{path}.{name}") };
    for required in schema.get("required").and_then(Value::as_array).into_iter().flatten() {
        let name = required.as_str().unwrap_or_default();
        if !object.contains_key(name) {
            causes.push(Cause::required(join(name), ""));
        }
    }
    let properties = schema.get("properties");
    let additional = schema.get("additionalProperties").filter(|one| one.is_object());
    for (name, inner) in object {
        if path.is_empty() && matches!(name.as_str(), "apiVersion" | "kind" | "metadata") {
            continue;
        }
        match (properties.and_then(|properties| properties.get(name)), additional) {
            (Some(known), _) => validate_value(inner, known, &join(name), causes),
            (None, Some(additional)) => validate_value(inner, additional, &join(name), causes),
            (None, None) => {}
        }
    }
    let count = object.len() as u64;
    if let Some(most) = schema.get("maxProperties").and_then(Value::as_u64).filter(|most| count > *most) {
        causes.push(Cause {
            reason: "FieldValueTooMany",
            message: format!("Too many: {count}: must have at most {most} items"),
            field: shown_path(path),
        });
    }
    if let Some(least) = schema.get("minProperties").and_then(Value::as_u64).filter(|least| count < *least) {
        let detail = format!("{path} in body should have at least {least} properties");
        causes.push(Cause::invalid(shown_path(path), &count.into(), &detail));
    }
}

fn validate_list(items: &[Value], schema: &Value, path: &str, causes: &mut Vec<Cause>) {
    let count = items.len() as u64;
    if let Some(most) = schema.get("maxItems").and_then(Value::as_u64).filter(|most| count > *most) {
        causes.push(Cause {
            reason: "FieldValueTooMany",
            message: format!("Too many: {count}: must have at most {most} items"),
            field: shown_path(path),
        });
    }
    if let Some(least) = schema.get("minItems").and_then(Value::as_u64).filter(|least| count < *least) {
        let detail = format!("{path} in body should have at least {least} items");
        causes.push(Cause::invalid(shown_path(path), &count.into(), &detail));
    }
    if let Some(item_schema) = schema.get("items") {
        for (index, item) in items.iter().enumerate() {
            validate_value(item, item_schema, &format!("{path}[{index}]"), causes);
        }
    }
    let keys: Vec<&str> = match schema.get("x-kubernetes-list-type").and_then(Value::as_str) {
        Some("set") => Vec::new(),
        Some("map") => {
            crate::json::list(schema, "x-kubernetes-list-map-keys").iter().filter_map(Value::as_str).collect()
        }
        _ => return,
    };
    let identity = |item: &Value| -> Value {
        if keys.is_empty() {
            return item.clone();
        }
        keys.iter()
            .filter_map(|key| item.get(key).map(|value| ((*key).to_owned(), value.clone())))
            .collect::<Map<_, _>>()
            .into()
    };
    for (index, item) in items.iter().enumerate() {
        if items[..index].iter().any(|earlier| identity(earlier) == identity(item)) {
            causes.push(Cause::duplicate(format!("{path}[{index}]"), &identity(item)));
        }
    }
}

fn check_scalar(value: &Value, schema: &Value, path: &str, causes: &mut Vec<Cause>) {
    let body = |detail: String| format!("{path} in body {detail}");
    if let Some(allowed) = schema.get("enum").and_then(Value::as_array)
        && !allowed.contains(value)
    {
        let supported: Vec<String> =
            allowed.iter().map(|one| one.as_str().map_or_else(|| one.to_string(), str::to_owned)).collect();
        causes.push(Cause::unsupported(shown_path(path), value, &supported));
    }
    if let Some(number) = value.as_f64() {
        check_number(value, number, schema, path, causes);
    }
    let Some(text) = value.as_str() else { return };
    let length = text.chars().count() as u64;
    if let Some(most) = schema.get("maxLength").and_then(Value::as_u64).filter(|most| length > *most) {
        causes.push(Cause {
            reason: "FieldValueTooLong",
            message: format!("Too long: may not be more than {most} bytes"),
            field: shown_path(path),
        });
    }
    if let Some(least) = schema.get("minLength").and_then(Value::as_u64).filter(|least| length < *least) {
        let detail = body(format!("should be at least {least} chars long"));
        causes.push(Cause::invalid(shown_path(path), value, &detail));
    }
    if let Some(pattern) = schema.get("pattern").and_then(Value::as_str)
        && !pattern_matches(pattern, text)
    {
        let detail = body(format!("should match '{pattern}'"));
        causes.push(Cause::invalid(shown_path(path), value, &detail));
    }
    if schema.get("format").and_then(Value::as_str) == Some("date-time")
        && text.parse::<jiff::Timestamp>().is_err()
    {
        let detail = body(format!("must be of type date-time: \"{text}\""));
        causes.push(Cause::invalid(shown_path(path), value, &detail));
    }
}

fn check_number(value: &Value, number: f64, schema: &Value, path: &str, causes: &mut Vec<Cause>) {
    let bound = |name: &str| schema.get(name).and_then(Value::as_f64);
    if let Some(least) = bound("minimum") {
        let exclusive = flag(schema, "exclusiveMinimum");
        if number < least || (exclusive && number <= least) {
            let than =
                if exclusive { "should be greater than" } else { "should be greater than or equal to" };
            let detail = format!("{path} in body {than} {least}");
            causes.push(Cause::invalid(shown_path(path), value, &detail));
        }
    }
    if let Some(most) = bound("maximum") {
        let exclusive = flag(schema, "exclusiveMaximum");
        if number > most || (exclusive && number >= most) {
            let than = if exclusive { "should be less than" } else { "should be less than or equal to" };
            let detail = format!("{path} in body {than} {most}");
            causes.push(Cause::invalid(shown_path(path), value, &detail));
        }
    }
    if let Some(step) = bound("multipleOf").filter(|step| *step > 0.0)
        && (number / step).fract() != 0.0
    {
        let detail = format!("{path} in body should be a multiple of {step}");
        causes.push(Cause::invalid(shown_path(path), value, &detail));
    }
}

fn check_junctors(value: &Value, schema: &Value, path: &str, causes: &mut Vec<Cause>) {
    let holds = |branch: &Value| {
        let mut inner = Vec::new();
        validate_value(value, branch, path, &mut inner);
        inner.is_empty()
    };
    let branches = |name: &str| schema.get(name).and_then(Value::as_array);
    if flag(schema, INT_OR_STRING) {
        return;
    }
    let mut refuse = |detail: &str| {
        causes.push(Cause::invalid(shown_path(path), value, &format!("{path} in body {detail}")));
    };
    if branches("anyOf").is_some_and(|all| !all.iter().any(holds)) {
        refuse("must validate at least one schema (anyOf)");
    }
    if branches("oneOf").is_some_and(|all| all.iter().filter(|one| holds(one)).count() != 1) {
        refuse("must validate one and only one schema (oneOf)");
    }
    if branches("allOf").is_some_and(|all| !all.iter().all(holds)) {
        refuse("must validate all the schemas (allOf)");
    }
    if schema.get("not").is_some_and(holds) {
        refuse("must not validate the schema (not)");
    }
}

/// Whether the text matches, by way of CEL's regular expressions; a pattern that cannot be compiled matches everything.
fn pattern_matches(pattern: &str, text: &str) -> bool {
    use kube_cel::cel::{Context, Program, Value as Cel};
    let Ok(program) = Program::compile("text.matches(pattern)") else { return true };
    let mut context = Context::default();
    context.add_variable_from_value("text", text.to_owned());
    context.add_variable_from_value("pattern", pattern.to_owned());
    !matches!(program.execute(&context), Ok(Cel::Bool(false)))
}

/// The value at a path such as `spec.items[0].name`, as error messages show it.
pub(crate) fn shown_at(object: &Value, path: &str) -> String {
    let dotted = path.replace('[', ".").replace(']', "");
    let mut value = object;
    for part in dotted.split('.').filter(|part| !part.is_empty()) {
        value = match (value, part.parse::<usize>()) {
            (Value::Array(items), Ok(index)) => items.get(index).unwrap_or(&Value::Null),
            (other, _) => at(other, part),
        };
    }
    match value {
        Value::Object(_) => "\"object\"".to_owned(),
        Value::Array(_) => "\"array\"".to_owned(),
        other => other.to_string(),
    }
}
