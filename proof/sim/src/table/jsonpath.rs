//! The JSONPath that printer columns use: fields, indexes and equality filters.

use serde_json::Value;

/// Steps of one path.
const STEPS_MAX: usize = 64;

/// The first value at a path such as `.status.conditions[?(@.type=="Ready")].status`.
pub(crate) fn first(object: &Value, path: &str) -> Option<Value> {
    let mut values = vec![object];
    let mut rest = path.trim();
    for _ in 0..STEPS_MAX {
        if rest.is_empty() {
            return values.first().map(|value| (*value).clone());
        }
        let (next, remaining) = step(&values, rest)?;
        values = next;
        rest = remaining;
    }
    None
}

fn step<'a, 'p>(values: &[&'a Value], path: &'p str) -> Option<(Vec<&'a Value>, &'p str)> {
    if let Some(rest) = path.strip_prefix('[') {
        let end = rest.find(']')?;
        let inner = &rest[..end];
        let found = values.iter().flat_map(|value| bracket(value, inner)).collect();
        return Some((found, &rest[end + 1..]));
    }
    let rest = path.strip_prefix('.').unwrap_or(path);
    let (name, remaining) = field_name(rest);
    if name.is_empty() {
        return None;
    }
    let found = values.iter().filter_map(|value| value.get(&name)).collect();
    Some((found, remaining))
}

/// A field name up to the next dot or bracket; `\.` is a dot within it.
fn field_name(text: &str) -> (String, &str) {
    let mut name = String::new();
    let mut characters = text.char_indices().peekable();
    while let Some((index, character)) = characters.next() {
        match character {
            '\\' => {
                if let Some((_, escaped)) = characters.next() {
                    name.push(escaped);
                }
            }
            '.' | '[' => return (name, &text[index..]),
            other => name.push(other),
        }
    }
    (name, "")
}

fn bracket<'a>(value: &'a Value, inner: &str) -> Vec<&'a Value> {
    let items = value.as_array();
    if inner == "*" {
        return items.into_iter().flatten().collect();
    }
    if let Some(filter) = inner.strip_prefix("?(").and_then(|filter| filter.strip_suffix(')')) {
        return items.into_iter().flatten().filter(|item| filter_holds(item, filter)).collect();
    }
    let quoted = inner.trim_matches(|c| c == '\'' || c == '"');
    if quoted.len() != inner.len() {
        return value.get(quoted).into_iter().collect();
    }
    let index = match inner.parse::<i64>() {
        Ok(index) if index >= 0 => usize::try_from(index).ok(),
        Ok(back) => items.and_then(|items| items.len().checked_sub(usize::try_from(-back).ok()?)),
        Err(_) => None,
    };
    index.and_then(|index| items?.get(index)).into_iter().collect()
}

fn filter_holds(item: &Value, filter: &str) -> bool {
    let Some((path, wanted)) = filter.split_once("==") else { return false };
    let path = path.trim().trim_start_matches('@');
    let wanted = wanted.trim().trim_matches(|c| c == '\'' || c == '"');
    first(item, path).is_some_and(|value| super::shown(&value) == wanted)
}
