//! Samples, and the series they belong to.

use serde::{Deserialize, Serialize};

use crate::labels::Labels;

/// The bits of the NaN by which Prometheus marks the end of a series.
pub const STALE_MARKER_BITS: u64 = 0x7ff0_0000_0000_0002;

/// Does this value say that the series ended, rather than give a number? An ordinary NaN does not.
pub fn is_stale_marker(value: f64) -> bool {
    value.to_bits() == STALE_MARKER_BITS
}

/// One number at one time.
#[derive(Clone, Copy, Debug, PartialEq)]
pub struct Sample {
    /// Milliseconds since 1970.
    pub at_ms: i64,
    /// The number; see [`is_stale_marker`].
    pub value: f64,
}

/// The samples of one identity, in rising order of time, each time once.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct Series {
    /// The identity, with the metric's name.
    #[serde(rename = "metric")]
    pub labels: Labels,
    /// The samples.
    #[serde(rename = "values", default)]
    pub samples: Vec<Sample>,
}
