//! The `data` of Prometheus' HTTP API: `{"resultType": "vector", "result": [{"metric": {...}, "value": [1.5, "2"]}]}`.
//!
//! [`crate::Series`] reads and writes this shape. A [`Sample`] reads itself from `[seconds, "number"]`, so a large
//! answer can be folded sample by sample with a `DeserializeSeed` of the caller's, without building the tree.

use std::borrow::Cow;

use serde::de::Error as _;
use serde::{Deserialize, Deserializer, Serialize, Serializer};

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

/// A time in milliseconds since 1970, which crosses as seconds, as Prometheus writes them: whole ones without a fraction.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Seconds(pub i64);

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

impl Serialize for Sample {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        (Seconds(self.at_ms), format_number(self.value)).serialize(serializer)
    }
}

impl<'de> Deserialize<'de> for Sample {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        let (Seconds(at_ms), text) = <(Seconds, Cow<'de, str>)>::deserialize(deserializer)?;
        let value =
            text.parse().map_err(|_| D::Error::custom(format!("{text:?} is not the value of a sample")))?;
        Ok(Sample { at_ms, value })
    }
}
