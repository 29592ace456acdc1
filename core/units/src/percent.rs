//! Shares that people write: `20%` or `0.2`.

use std::fmt;
use std::str::FromStr;

use serde::de::{Deserialize, Deserializer, Visitor};

/// A share of at least zero. `20%` and the bare number `0.2` are the same share; a bare number above 1 is refused,
/// because `20` could mean either. Prints as `20%`.
#[derive(Clone, Copy, Debug, PartialEq, PartialOrd)]
pub struct Percent {
    /// Hundredths, finite and not negative. Kept instead of the ratio so that what was typed prints back exactly.
    hundredths: f64,
}

impl Percent {
    /// The share of `ratio` (0.2 is 20 %).
    ///
    /// # Errors
    /// When `ratio` is negative, above 1 or not a number.
    pub fn from_ratio(ratio: f64) -> Result<Self, PercentError> {
        // Rounds away the noise of multiplying: 0.29 * 100 is 28.999999999999996.
        const GRAIN: f64 = 1e10;
        if !(0.0..=1.0).contains(&ratio) {
            return Err(PercentError { text: ratio.to_string() });
        }
        // JSON has a minus zero, which would print with its sign and not be read again.
        Ok(Percent { hundredths: (ratio.abs() * 100.0 * GRAIN).round() / GRAIN })
    }

    /// The share as a ratio: `20%` is 0.2.
    pub fn ratio(self) -> f64 {
        self.hundredths / 100.0
    }
}

impl fmt::Display for Percent {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(formatter, "{}%", self.hundredths)
    }
}

impl FromStr for Percent {
    type Err = PercentError;

    fn from_str(text: &str) -> Result<Self, PercentError> {
        let fail = || PercentError { text: crate::names::excerpt(text) };
        let (number, is_percent) = match text.strip_suffix('%') {
            Some(number) => (number.trim_end(), true),
            None => (text, false),
        };
        // Rust also reads `inf`, `nan` and signs; people who write a share do not.
        if !number.starts_with(|first: char| first.is_ascii_digit() || first == '.') {
            return Err(fail());
        }
        let value: f64 = number.parse().map_err(|_| fail())?;
        match is_percent {
            true if value.is_finite() => Ok(Percent { hundredths: value }),
            true => Err(fail()),
            false => Percent::from_ratio(value).map_err(|_| fail()),
        }
    }
}

impl serde::Serialize for Percent {
    fn serialize<S: serde::Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        serializer.collect_str(self)
    }
}

impl<'de> Deserialize<'de> for Percent {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        struct Reader;

        impl Visitor<'_> for Reader {
            type Value = Percent;

            fn expecting(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
                formatter.write_str("a share such as \"20%\" or 0.2")
            }

            fn visit_f64<E: serde::de::Error>(self, number: f64) -> Result<Percent, E> {
                Percent::from_ratio(number).map_err(E::custom)
            }

            fn visit_i64<E: serde::de::Error>(self, number: i64) -> Result<Percent, E> {
                self.visit_f64(number as f64)
            }

            fn visit_u64<E: serde::de::Error>(self, number: u64) -> Result<Percent, E> {
                self.visit_f64(number as f64)
            }

            fn visit_str<E: serde::de::Error>(self, text: &str) -> Result<Percent, E> {
                text.parse().map_err(E::custom)
            }
        }

        deserializer.deserialize_any(Reader)
    }
}

/// The text is not a share.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct PercentError {
    text: String,
}

impl fmt::Display for PercentError {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(formatter, "{:?} is not a share; write 20% or a ratio between 0 and 1 such as 0.2", self.text)
    }
}

impl std::error::Error for PercentError {}
