//! The `data` of Prometheus' HTTP API: `{"resultType": "vector", "result": [{"metric": {...}, "value": [1.5, "2"]}]}`.
//!
//! The types of an evaluation are the types of the wire: [`crate::EvalValue`], [`crate::Series`] and
//! [`crate::InstantSample`] read and write this shape. A [`Sample`] reads itself from `[seconds, "number"]`, so a large
//! answer can be folded sample by sample with a `DeserializeSeed` of the caller's, without building the tree.

use std::borrow::Cow;

use serde::de::Error as _;
use serde::ser::SerializeTuple;
use serde::{Deserialize, Deserializer, Serialize, Serializer};

use crate::eval::{ScalarValue, TextValue};
use crate::series::Sample;

/// Latest and earliest time on the wire, in seconds either side of 1970: about 292 million years.
const MAX_SECONDS: f64 = 9.2e15;

/// A number as the API prints it: a text, because JSON knows neither NaN nor infinity.
pub fn format_number(value: f64) -> String {
    match value {
        _ if value.is_nan() => "NaN".to_owned(),
        f64::INFINITY => "+Inf".to_owned(),
        f64::NEG_INFINITY => "-Inf".to_owned(),
        _ => value.to_string(),
    }
}

/// Writes seconds as Prometheus does: whole ones without a fraction.
struct Seconds(i64);

impl Serialize for Seconds {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        match self.0 % 1000 {
            0 => serializer.serialize_i64(self.0 / 1000),
            _ => serializer.serialize_f64(self.0 as f64 / 1000.0),
        }
    }
}

impl<'de> Deserialize<'de> for Seconds {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        let seconds = f64::deserialize(deserializer)?;
        if seconds.abs() > MAX_SECONDS {
            return Err(D::Error::custom("the time of a sample is out of range"));
        }
        Ok(Seconds((seconds * 1000.0).round() as i64))
    }
}

fn write_pair<S: Serializer>(serializer: S, at_ms: i64, text: &str) -> Result<S::Ok, S::Error> {
    let mut pair = serializer.serialize_tuple(2)?;
    pair.serialize_element(&Seconds(at_ms))?;
    pair.serialize_element(text)?;
    pair.end()
}

fn read_pair<'de, D: Deserializer<'de>>(deserializer: D) -> Result<(i64, f64), D::Error> {
    let (Seconds(at_ms), text) = <(Seconds, Cow<'de, str>)>::deserialize(deserializer)?;
    let value =
        text.parse().map_err(|_| D::Error::custom(format!("{text:?} is not the value of a sample")))?;
    Ok((at_ms, value))
}

impl Serialize for Sample {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        write_pair(serializer, self.at_ms, &format_number(self.value))
    }
}

impl<'de> Deserialize<'de> for Sample {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        read_pair(deserializer).map(|(at_ms, value)| Sample { at_ms, value })
    }
}

impl Serialize for ScalarValue {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        write_pair(serializer, self.at_ms, &format_number(self.value))
    }
}

impl<'de> Deserialize<'de> for ScalarValue {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        read_pair(deserializer).map(|(at_ms, value)| ScalarValue { at_ms, value })
    }
}

impl Serialize for TextValue {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        write_pair(serializer, self.at_ms, &self.text)
    }
}

impl<'de> Deserialize<'de> for TextValue {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        let (Seconds(at_ms), text) = Deserialize::deserialize(deserializer)?;
        Ok(TextValue { at_ms, text })
    }
}
