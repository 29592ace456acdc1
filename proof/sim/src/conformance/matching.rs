//! Comparing an answer with what a case expects of it.

use serde_json::Value;

/// Any value that is not null.
const PRESENT: &str = "<present>";
/// Nothing, or null.
const ABSENT: &str = "<absent>";
/// Prefix of a string that must be contained.
const CONTAINS: &str = "<contains>";
/// Field of an expected object that stands for a list in which each of these has a match.
const INCLUDES: &str = "<includes>";

/// The first place at which `actual` lacks something expected. Objects may have more fields; lists must have the same length.
pub(super) fn difference(expected: &Value, actual: &Value, path: &str) -> Option<String> {
    match expected {
        Value::String(marker) if marker == PRESENT => {
            actual.is_null().then(|| format!("{path}: expected a value, got none"))
        }
        Value::String(marker) if marker == ABSENT => {
            (!actual.is_null()).then(|| format!("{path}: expected nothing, got {actual}"))
        }
        Value::String(marker) if marker.starts_with(CONTAINS) => {
            let wanted = &marker[CONTAINS.len()..];
            let found = actual.as_str().is_some_and(|text| text.contains(wanted));
            (!found).then(|| format!("{path}: expected text with {wanted:?}, got {actual}"))
        }
        Value::Object(fields) => match fields.get(INCLUDES).and_then(Value::as_array) {
            Some(wanted) => wanted.iter().find_map(|one| missing_from(one, actual, path)),
            None if !actual.is_object() && !fields.is_empty() => {
                Some(format!("{path}: expected {expected}, got {actual}"))
            }
            None => fields.iter().find_map(|(name, inner)| {
                difference(inner, actual.get(name).unwrap_or(&Value::Null), &format!("{path}.{name}"))
            }),
        },
        Value::Array(items) => {
            let Some(others) = actual.as_array() else {
                return Some(format!("{path}: expected a list, got {actual}"));
            };
            if items.len() != others.len() {
                return Some(format!(
                    "{path}: expected {} items, got {}: {actual}",
                    items.len(),
                    others.len()
                ));
            }
            items
                .iter()
                .zip(others)
                .enumerate()
                .find_map(|(index, (item, other))| difference(item, other, &format!("{path}[{index}]")))
        }
        scalar => (scalar != actual).then(|| format!("{path}: expected {scalar}, got {actual}")),
    }
}

fn missing_from(wanted: &Value, actual: &Value, path: &str) -> Option<String> {
    let found = actual.as_array().into_iter().flatten().any(|item| difference(wanted, item, path).is_none());
    (!found).then(|| format!("{path}: no item like {wanted} in {actual}"))
}
