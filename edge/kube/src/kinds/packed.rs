//! JSON at rest: the pieces that nearly every one of our objects repeats, in one byte each. That halves a row.

use serde::Serialize;
use serde::de::DeserializeOwned;

/// JSON of a value, packed.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct Packed(Box<str>);

/// What the control characters stand for: JSON escapes them, so a printed text has none. Any pieces are right, these save
/// the most. Those that hold others come first.
const PIECES: [&str; 31] = [
    r#"{"type":"Claimed","status":"True","reason":"Claimed","message":"the Deployment is looked after in place","lastTransitionTime":""#,
    r#"{"type":"Valid","status":"True","reason":"Valid","message":"the spec is valid","lastTransitionTime":""#,
    r#"{"type":"RulesBound","status":"True","reason":"Bound","message":"every rule that needs series finds them","lastTransitionTime":""#,
    r#"","destination":"slack","event":""#,
    r#"","destination":"webhook","event":""#,
    r#""state":"Sent"},{"at":""#,
    r#""state":"Sent"}]}}"#,
    r#""notifications":[{"at":""#,
    r#"{"metadata":{"name":"","creationTimestamp":""#,
    r#""},"spec":{"app":""#,
    r#","number":"#,
    r#","templateHash":""#,
    r#"","image":""#,
    r#"","actor":""#,
    r#""},"status":{"phase":""#,
    r#"","summary":""#,
    r#","verdict":""#,
    r#","startedAt":""#,
    r#","readyAt":""#,
    r#","decidedAt":""#,
    r#","recoveredAt":""#,
    r#"Z","observedGeneration":"#,
    r#"{"metadata":{"name":"","uid":""#,
    r#","generation":"#,
    r#","labels":{""#,
    r#"}},"status":{"observedGeneration":"#,
    r#""delivery":{"strategy":"Guarded","watch":""#,
    r#","targetUid":""#,
    r#","current":"#,
    r#","lastRelease":"#,
    r#","conditions":["#,
];

/// The character that stands for a piece; the first control character is left out, for the sake of whoever prints one.
fn stand_in(index: usize) -> char {
    u8::try_from(index + 1).map(char::from).unwrap_or_default()
}

impl Packed {
    /// Packs what `value` prints.
    pub(crate) fn new(value: &impl Serialize) -> Result<Self, serde_json::Error> {
        let mut text = serde_json::to_string(value)?;
        for (index, piece) in PIECES.iter().enumerate() {
            text = text.replace(piece, stand_in(index).encode_utf8(&mut [0; 4]));
        }
        Ok(Self(text.into()))
    }

    /// What was packed, read as `T`.
    pub(crate) fn read<T: DeserializeOwned>(&self) -> Result<T, serde_json::Error> {
        serde_json::from_str(&self.json())
    }

    fn json(&self) -> String {
        let mut json = String::with_capacity(2 * self.0.len());
        for character in self.0.chars() {
            match (character as usize).checked_sub(1).and_then(|index| PIECES.get(index)) {
                Some(piece) => json.push_str(piece),
                None => json.push(character),
            }
        }
        json
    }
}

#[cfg(test)]
mod tests {
    use serde_json::{Value, json};

    use super::*;

    #[test]
    fn what_is_packed_reads_as_it_was() {
        let check = |value: Value| {
            let packed = Packed::new(&value).unwrap();
            assert_eq!(packed.json(), value.to_string());
            assert_eq!(packed.read::<Value>().unwrap(), value);
        };
        check(Value::Null);
        let characters: String = (0..=0x2ff).filter_map(char::from_u32).collect();
        check(json!({ characters.clone(): [characters, "\u{1f6a2}"] }));
        // Pieces inside of text, and pieces in each other's way.
        let pieces: Vec<Value> = PIECES.iter().map(|piece| json!(piece)).collect();
        check(json!({ PIECES.concat(): pieces }));
        check(json!({"status": {"conditions": [{"type": "Claimed", "status": "True"}], "current": 1}}));
    }

    #[test]
    fn a_piece_stands_for_itself_alone() {
        for (index, piece) in PIECES.iter().enumerate() {
            assert!(stand_in(index) < ' ', "there are as many control characters as pieces");
            assert!(!piece.contains(char::is_control), "{piece}");
        }
    }
}
