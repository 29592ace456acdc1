//! Reading the few objects that kubectl sends as protobuf: those its own generators make (`kubectl create namespace`), access reviews
//! and evictions. Answers are always JSON, which such clients accept.

use serde_json::{Map, Value};

/// Starts every object in Kubernetes' protobuf encoding.
const MAGIC: &[u8] = b"k8s\0";

/// Nesting of messages.
const DEPTH_MAX: usize = 16;

/// How a field is read.
#[derive(Clone, Copy)]
enum Type {
    Text,
    Bytes,
    Flag,
    Integer,
    Message(&'static [Field]),
    TextMap,
    BytesMap,
}

/// Number, JSON name, type.
type Field = (u64, &'static str, Type);

const METADATA: Type = Type::Message(&[
    (1, "name", Type::Text),
    (2, "generateName", Type::Text),
    (3, "namespace", Type::Text),
    (5, "uid", Type::Text),
    (6, "resourceVersion", Type::Text),
    (11, "labels", Type::TextMap),
    (12, "annotations", Type::TextMap),
]);

const RESOURCE_ATTRIBUTES: Type = Type::Message(&[
    (1, "namespace", Type::Text),
    (2, "verb", Type::Text),
    (3, "group", Type::Text),
    (4, "version", Type::Text),
    (5, "resource", Type::Text),
    (6, "subresource", Type::Text),
    (7, "name", Type::Text),
]);

const DELETE_OPTIONS: &[Field] = &[
    (1, "gracePeriodSeconds", Type::Integer),
    (2, "preconditions", Type::Message(&[(1, "uid", Type::Text), (2, "resourceVersion", Type::Text)])),
    (4, "propagationPolicy", Type::Text),
];

fn fields_of(kind: &str) -> Option<&'static [Field]> {
    Some(match kind {
        "ConfigMap" => &[
            (1, "metadata", METADATA),
            (2, "data", Type::TextMap),
            (3, "binaryData", Type::BytesMap),
            (4, "immutable", Type::Flag),
        ],
        "Secret" => &[
            (1, "metadata", METADATA),
            (2, "data", Type::BytesMap),
            (3, "type", Type::Text),
            (4, "stringData", Type::TextMap),
        ],
        "Namespace" | "ServiceAccount" => &[(1, "metadata", METADATA)],
        "SelfSubjectAccessReview" => {
            &[(2, "spec", Type::Message(&[(1, "resourceAttributes", RESOURCE_ATTRIBUTES)]))]
        }
        "SelfSubjectReview" => &[],
        "Eviction" => &[(1, "metadata", METADATA), (2, "deleteOptions", Type::Message(DELETE_OPTIONS))],
        "DeleteOptions" => DELETE_OPTIONS,
        _ => return None,
    })
}

/// The object in a protobuf body; `None` when it is malformed or of a kind that is not read.
pub(crate) fn decode(body: &[u8]) -> Option<Value> {
    let envelope = body.strip_prefix(MAGIC)?;
    let (mut type_of, mut raw) = (Value::Null, &envelope[..0]);
    for (number, payload) in Wire(envelope) {
        match (number, payload?) {
            (1, Payload::Bytes(bytes)) => {
                type_of = message(bytes, &[(1, "apiVersion", Type::Text), (2, "kind", Type::Text)], 0)?;
            }
            (2, Payload::Bytes(bytes)) => raw = bytes,
            _ => {}
        }
    }
    let mut object = message(raw, fields_of(type_of["kind"].as_str()?)?, 0)?;
    object["apiVersion"] = type_of["apiVersion"].clone();
    object["kind"] = type_of["kind"].clone();
    Some(object)
}

fn message(bytes: &[u8], fields: &[Field], depth: usize) -> Option<Value> {
    if depth > DEPTH_MAX {
        return None;
    }
    let mut object = Map::new();
    for (number, payload) in Wire(bytes) {
        let payload = payload?;
        let Some((_, name, kind)) = fields.iter().find(|(known, _, _)| *known == number) else { continue };
        match (kind, payload) {
            (Type::TextMap | Type::BytesMap, Payload::Bytes(entry)) => {
                let value = if matches!(kind, Type::TextMap) { Type::Text } else { Type::Bytes };
                let pair = message(entry, &[(1, "key", Type::Text), (2, "value", value)], depth + 1)?;
                let key = pair["key"].as_str().unwrap_or_default().to_owned();
                let value = pair.get("value").cloned().unwrap_or_else(|| "".into());
                crate::json::as_object_mut(object.entry(*name).or_insert(Value::Null)).insert(key, value);
            }
            (kind, payload) => {
                let value = scalar(*kind, payload, depth)?;
                if value.as_str() != Some("") {
                    object.insert((*name).to_owned(), value);
                }
            }
        }
    }
    Some(Value::Object(object))
}

fn scalar(kind: Type, payload: Payload<'_>, depth: usize) -> Option<Value> {
    use base64::Engine;
    match (kind, payload) {
        (Type::Text, Payload::Bytes(bytes)) => std::str::from_utf8(bytes).ok().map(Value::from),
        (Type::Bytes, Payload::Bytes(bytes)) => {
            Some(base64::engine::general_purpose::STANDARD.encode(bytes).into())
        }
        (Type::Message(fields), Payload::Bytes(bytes)) => message(bytes, fields, depth + 1),
        (Type::Flag, Payload::Number(number)) => Some((number != 0).into()),
        (Type::Integer, Payload::Number(number)) => i64::try_from(number).ok().map(Value::from),
        _ => None,
    }
}

enum Payload<'a> {
    Number(u64),
    Bytes(&'a [u8]),
}

/// The fields of a message, in order; a malformed one ends the iteration with `None`.
struct Wire<'a>(&'a [u8]);

impl<'a> Iterator for Wire<'a> {
    type Item = (u64, Option<Payload<'a>>);

    fn next(&mut self) -> Option<Self::Item> {
        if self.0.is_empty() {
            return None;
        }
        let tag = varint(&mut self.0);
        let payload = tag.and_then(|tag| match tag & 7 {
            0 => varint(&mut self.0).map(Payload::Number),
            2 => {
                let length = usize::try_from(varint(&mut self.0)?).ok()?;
                let (bytes, rest) = self.0.split_at_checked(length)?;
                self.0 = rest;
                Some(Payload::Bytes(bytes))
            }
            _ => None,
        });
        if payload.is_none() {
            self.0 = &[];
        }
        Some((tag.unwrap_or(0) >> 3, payload))
    }
}

fn varint(bytes: &mut &[u8]) -> Option<u64> {
    let mut value = 0_u64;
    for shift in (0..64).step_by(7) {
        let (first, rest) = bytes.split_first()?;
        *bytes = rest;
        value |= u64::from(first & 0x7f).checked_shl(shift)?;
        if first & 0x80 == 0 {
            return Some(value);
        }
    }
    None
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::decode;

    #[test]
    fn objects_are_read_and_garbage_is_refused() {
        let namespace = b"k8s\0\n\x0f\n\x02v1\x12\tNamespace\x12\x05\n\x03\n\x01a";
        let expected = json!({"apiVersion": "v1", "kind": "Namespace", "metadata": {"name": "a"}});
        assert_eq!(decode(namespace), Some(expected));
        for length in 0..namespace.len() {
            let cut = decode(&namespace[..length]);
            assert!(cut.is_none_or(|object| object["metadata"]["name"].is_null()), "{length}");
        }
        assert_eq!(decode(b"k8s\0\xff\xff\xff\xff\xff\xff\xff\xff\xff\xff\xff"), None);
    }
}
