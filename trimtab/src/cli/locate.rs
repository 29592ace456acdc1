//! YAML with the line of everything, so that a problem's path becomes a place in a file.

use std::fmt;

use serde::Deserialize;
use serde::de::{Deserializer, MapAccess, SeqAccess, Visitor};
use serde_json::{Map, Value};
use serde_saphyr::Spanned;

/// A value and the line that it begins on.
#[derive(Clone, Debug, PartialEq)]
pub struct Located {
    /// One-based; 0 where it is not known.
    pub line: u64,
    /// What is there.
    pub node: Node,
}

/// A value whose parts know their lines.
#[derive(Clone, Debug, PartialEq)]
pub enum Node {
    /// Null, a boolean, a number or text.
    Scalar(Value),
    /// A list.
    List(Vec<Located>),
    /// Fields in the order in which they were written, each with the line of its name.
    Fields(Vec<(String, u64, Located)>),
}

/// The documents of a YAML stream; empty ones are left out.
///
/// # Errors
/// What is wrong with the text, with the line.
pub fn documents(text: &str) -> Result<Vec<Located>, (u64, String)> {
    let found: Vec<Located> = serde_saphyr::from_multiple(text).map_err(|error| {
        let line = error.location().map_or(0, |location| location.line());
        let words = error.without_snippet().to_string();
        (line, words.lines().next().unwrap_or_default().to_owned())
    })?;
    Ok(found.into_iter().filter(|document| document.node != Node::Scalar(Value::Null)).collect())
}

impl Located {
    /// The value without its lines.
    #[must_use]
    pub fn value(&self) -> Value {
        match &self.node {
            Node::Scalar(value) => value.clone(),
            Node::List(items) => items.iter().map(Self::value).collect(),
            Node::Fields(fields) => Value::Object(
                fields.iter().map(|(name, _, inner)| (name.clone(), inner.value())).collect::<Map<_, _>>(),
            ),
        }
    }

    /// The field of a name.
    #[must_use]
    pub fn field(&self, name: &str) -> Option<&Located> {
        match &self.node {
            Node::Fields(fields) => {
                fields.iter().find(|(other, _, _)| other == name).map(|(_, _, inner)| inner)
            }
            _ => None,
        }
    }

    /// The line of a problem's path, such as `spec.rules[0].ratio.bad`, or of the nearest thing around it.
    #[must_use]
    pub fn line_of(&self, path: &str) -> u64 {
        let (mut line, mut here) = (self.line, self);
        for step in steps(path) {
            let next = match (&here.node, step) {
                (Node::Fields(fields), Step::Field(name)) => {
                    fields.iter().find(|(other, _, _)| other == name).map(|(_, line, inner)| (*line, inner))
                }
                (Node::List(items), Step::Item(index)) => items.get(index).map(|inner| (inner.line, inner)),
                _ => None,
            };
            let Some(found) = next else { break };
            (line, here) = found;
        }
        line
    }
}

enum Step<'a> {
    Field(&'a str),
    Item(usize),
}

fn steps(path: &str) -> impl Iterator<Item = Step<'_>> {
    path.split(['.', '[']).filter(|part| !part.is_empty()).map(|part| {
        let index = part.strip_suffix(']').and_then(|digits| digits.parse().ok());
        index.map_or(Step::Field(part), Step::Item)
    })
}

impl<'de> Deserialize<'de> for Located {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        let spanned = Spanned::<Node>::deserialize(deserializer)?;
        Ok(Self { line: spanned.referenced.line(), node: spanned.value })
    }
}

impl<'de> Deserialize<'de> for Node {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        deserializer.deserialize_any(NodeVisitor)
    }
}

struct NodeVisitor;

impl<'de> Visitor<'de> for NodeVisitor {
    type Value = Node;

    fn expecting(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        formatter.write_str("YAML")
    }

    fn visit_bool<E>(self, value: bool) -> Result<Node, E> {
        Ok(Node::Scalar(value.into()))
    }

    fn visit_i64<E>(self, value: i64) -> Result<Node, E> {
        Ok(Node::Scalar(value.into()))
    }

    fn visit_u64<E>(self, value: u64) -> Result<Node, E> {
        Ok(Node::Scalar(value.into()))
    }

    fn visit_f64<E>(self, value: f64) -> Result<Node, E> {
        Ok(Node::Scalar(value.into()))
    }

    fn visit_str<E>(self, value: &str) -> Result<Node, E> {
        Ok(Node::Scalar(value.into()))
    }

    fn visit_unit<E>(self) -> Result<Node, E> {
        Ok(Node::Scalar(Value::Null))
    }

    fn visit_none<E>(self) -> Result<Node, E> {
        Ok(Node::Scalar(Value::Null))
    }

    fn visit_some<D: Deserializer<'de>>(self, deserializer: D) -> Result<Node, D::Error> {
        Node::deserialize(deserializer)
    }

    fn visit_seq<A: SeqAccess<'de>>(self, mut items: A) -> Result<Node, A::Error> {
        let mut list = Vec::new();
        while let Some(item) = items.next_element()? {
            list.push(item);
        }
        Ok(Node::List(list))
    }

    fn visit_map<A: MapAccess<'de>>(self, mut entries: A) -> Result<Node, A::Error> {
        let mut fields = Vec::new();
        while let Some(name) = entries.next_key::<Spanned<String>>()? {
            let line = name.referenced.line();
            fields.push((name.value, line, entries.next_value()?));
        }
        Ok(Node::Fields(fields))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const TEXT: &str = "\
# a comment
kind: ManagedApp
spec:
  tier: 9
  delivery:
    rules:
    - name: a
      ratio: {bad: x,
        total: y}
    - name: b
---
kind: FleetPolicy
spec: {alpha: 1}
";

    #[test]
    fn paths_have_lines() {
        let documents = documents(TEXT).unwrap();
        let check = |document: usize, path: &str, line: u64| {
            assert_eq!(documents[document].line_of(path), line, "{path}");
        };
        check(0, "kind", 2);
        check(0, "spec.tier", 4);
        check(0, "spec.delivery.rules[0]", 7);
        check(0, "spec.delivery.rules[0].ratio.bad", 8);
        check(0, "spec.delivery.rules[0].ratio.total", 9);
        check(0, "spec.delivery.rules[1].name", 10);
        check(0, "spec.delivery.rules[1].events.counter", 10);
        check(0, "spec.scaling.mode", 3);
        check(1, "spec.alpha", 13);
    }

    #[test]
    fn values_are_the_same_without_lines() {
        let plain: Vec<Value> = serde_saphyr::from_multiple(TEXT).unwrap();
        let located: Vec<Value> = documents(TEXT).unwrap().iter().map(Located::value).collect();
        assert_eq!(located, plain);
    }

    #[test]
    fn broken_text_is_told_with_its_line() {
        let (line, words) = documents("a: 1\nb: [2\nc: 3\n").unwrap_err();
        assert!(line >= 2 && !words.is_empty(), "{line} {words}");
    }
}
