//! `IntOrString` as Deployments use it: `maxSurge: 3` or `maxSurge: 25%`.

use std::fmt;
use std::str::FromStr;

use serde::de::{Deserialize, Deserializer, Error as _, Visitor};
use serde::ser::{Serialize, Serializer};

/// A count of pods, or a share of the desired count. Neither is ever negative.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub enum IntOrPercent {
    /// So many pods, whatever the desired count. On the wire: a number.
    Int(u32),
    /// So many hundredths of the desired count; above 100 is allowed. On the wire: `"25%"`.
    Percent(u32),
}

/// How far a rolling update may stray from the desired count.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Fenceposts {
    /// Pods above the desired count.
    pub surge: u32,
    /// Pods below the desired count that may be unready.
    pub unavailable: u32,
}

impl Fenceposts {
    /// Resolves both limits of a rolling update. Two zeros would never progress, so `unavailable` becomes 1.
    pub fn resolve(max_surge: IntOrPercent, max_unavailable: IntOrPercent, desired: u32) -> Self {
        let surge = max_surge.resolve_surge(desired);
        let unavailable = max_unavailable.resolve_unavailable(desired);
        if surge == 0 && unavailable == 0 {
            return Fenceposts { surge: 0, unavailable: 1 };
        }
        Fenceposts { surge, unavailable }
    }
}

impl IntOrPercent {
    /// Pods above `desired`: a percentage rounds up, so that 25 % of one pod is one pod.
    pub fn resolve_surge(self, desired: u32) -> u32 {
        match self {
            IntOrPercent::Int(count) => count,
            IntOrPercent::Percent(share) => saturate((u64::from(share) * u64::from(desired)).div_ceil(100)),
        }
    }

    /// Pods below `desired`: a percentage rounds down, so that 25 % of one pod is none.
    pub fn resolve_unavailable(self, desired: u32) -> u32 {
        match self {
            IntOrPercent::Int(count) => count,
            IntOrPercent::Percent(share) => saturate(u64::from(share) * u64::from(desired) / 100),
        }
    }
}

fn saturate(count: u64) -> u32 {
    u32::try_from(count).unwrap_or(u32::MAX)
}

impl fmt::Display for IntOrPercent {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            IntOrPercent::Int(count) => write!(formatter, "{count}"),
            IntOrPercent::Percent(share) => write!(formatter, "{share}%"),
        }
    }
}

impl FromStr for IntOrPercent {
    type Err = IntOrPercentError;

    fn from_str(text: &str) -> Result<Self, IntOrPercentError> {
        let (digits, make): (&str, fn(u32) -> IntOrPercent) = match text.strip_suffix('%') {
            Some(digits) => (digits, IntOrPercent::Percent),
            None => (text, IntOrPercent::Int),
        };
        let whole = digits.bytes().all(|byte| byte.is_ascii_digit());
        // Kubernetes stores an int32.
        match digits.parse::<u32>() {
            Ok(number) if whole && i32::try_from(number).is_ok() => Ok(make(number)),
            _ => Err(IntOrPercentError { text: crate::names::excerpt(text) }),
        }
    }
}

impl Serialize for IntOrPercent {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        match self {
            IntOrPercent::Int(count) => serializer.serialize_u32(*count),
            IntOrPercent::Percent(_) => serializer.collect_str(self),
        }
    }
}

impl<'de> Deserialize<'de> for IntOrPercent {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        struct Reader;

        impl Visitor<'_> for Reader {
            type Value = IntOrPercent;

            fn expecting(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
                formatter.write_str("a number of pods or a percentage such as \"25%\"")
            }

            fn visit_i64<E: serde::de::Error>(self, number: i64) -> Result<IntOrPercent, E> {
                number.to_string().parse().map_err(E::custom)
            }

            fn visit_u64<E: serde::de::Error>(self, number: u64) -> Result<IntOrPercent, E> {
                number.to_string().parse().map_err(E::custom)
            }

            fn visit_str<E: serde::de::Error>(self, text: &str) -> Result<IntOrPercent, E> {
                text.parse().map_err(E::custom)
            }
        }

        let value = deserializer.deserialize_any(Reader);
        value.map_err(D::Error::custom)
    }
}

/// The text is neither a count nor a percentage.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct IntOrPercentError {
    text: String,
}

impl fmt::Display for IntOrPercentError {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(
            formatter,
            "{:?} is neither a number of pods nor a percentage; write 3 or 25%, at most 2147483647",
            self.text
        )
    }
}

impl std::error::Error for IntOrPercentError {}
