//! Which fields a write touches, as JSON pointers.

use serde_json::Value;

use crate::write::{Patch, Sealing, Write};

/// Members that name an object or state a precondition, and change nothing.
const IDENTITY: [&str; 7] = [
    "/apiVersion",
    "/kind",
    "/metadata/name",
    "/metadata/namespace",
    "/metadata/uid",
    "/metadata/resourceVersion",
    "/metadata/generation",
];

/// JSON pointers of the fields that `write` changes; nothing for writes of a whole object.
pub(crate) fn touched(write: &Write) -> Vec<String> {
    let Write::Patch { patch, copy, .. } = write else { return Vec::new() };
    let mut pointers = match patch {
        Patch::Merge(value) | Patch::Apply(value) => leaves(value),
        Patch::Json(operations) => operations.iter().flat_map(changed).collect(),
    };
    if let Some(copy) = copy {
        pointers.push(copy.into.to_owned());
        if let Sealing::Write { into, .. } = &copy.seal {
            pointers.push((*into).to_owned());
        }
    }
    pointers.retain(|pointer| !IDENTITY.contains(&pointer.as_str()));
    pointers.sort();
    pointers.dedup();
    pointers
}

/// What one JSON patch operation changes: a move takes away as well, and a test changes nothing. What cannot be read counts as
/// the whole object.
fn changed(operation: &Value) -> Vec<String> {
    let text = |member: &str| operation.get(member).and_then(Value::as_str);
    let pointer = |member: &str| text(member).unwrap_or_default().to_owned();
    match text("op") {
        Some("test") => Vec::new(),
        Some("move") => vec![pointer("from"), pointer("path")],
        _ => vec![pointer("path")],
    }
}

fn leaves(value: &Value) -> Vec<String> {
    let mut found = Vec::new();
    descend(value, &mut String::new(), &mut found);
    found
}

fn descend(value: &Value, pointer: &mut String, found: &mut Vec<String>) {
    match value {
        Value::Object(members) if !members.is_empty() => {
            for (name, member) in members {
                let length = pointer.len();
                pointer.push('/');
                pointer.push_str(&escaped(name));
                descend(member, pointer, found);
                pointer.truncate(length);
            }
        }
        _ => found.push(pointer.clone()),
    }
}

/// A name as a step of a JSON pointer.
#[must_use]
pub fn escaped(name: &str) -> String {
    name.replace('~', "~0").replace('/', "~1")
}
