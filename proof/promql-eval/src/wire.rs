//! The results without labels on the wire: `[seconds, "text"]`.

use serde::{Deserialize, Deserializer, Serialize, Serializer};
use trimtab_promql::Sample;
use trimtab_promql::json::Seconds;

use crate::value::{ScalarValue, TextValue};

impl Serialize for ScalarValue {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        Sample { at_ms: self.at_ms, value: self.value }.serialize(serializer)
    }
}

impl<'de> Deserialize<'de> for ScalarValue {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        Sample::deserialize(deserializer).map(|Sample { at_ms, value }| ScalarValue { at_ms, value })
    }
}

impl Serialize for TextValue {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        (Seconds(self.at_ms), &self.text).serialize(serializer)
    }
}

impl<'de> Deserialize<'de> for TextValue {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        let (Seconds(at_ms), text) = Deserialize::deserialize(deserializer)?;
        Ok(TextValue { at_ms, text })
    }
}
