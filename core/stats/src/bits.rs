//! Floats as hexadecimal bits on the wire. Decimal floats survive only parsers that round correctly, and evidence that
//! moves by one bit across a restart is no longer a replay.

use serde::{Deserialize, Deserializer, Serializer, de::Error};

const DIGITS: usize = 16;

pub(crate) fn serialize<S: Serializer, const N: usize>(values: &[f64; N], to: S) -> Result<S::Ok, S::Error> {
    to.serialize_str(&values.iter().map(|value| format!("{:016x}", value.to_bits())).collect::<String>())
}

/// Accumulated evidence is finite by construction; anything else was damaged on the way.
pub(crate) fn deserialize<'de, D: Deserializer<'de>, const N: usize>(from: D) -> Result<[f64; N], D::Error> {
    let values = parse::<D, N>(from)?;
    if values.iter().all(|value| value.is_finite()) {
        Ok(values)
    } else {
        Err(D::Error::custom("evidence is not a finite number"))
    }
}

fn parse<'de, D: Deserializer<'de>, const N: usize>(from: D) -> Result<[f64; N], D::Error> {
    let text = String::deserialize(from)?;
    if text.len() != N * DIGITS || !text.is_ascii() {
        return Err(D::Error::custom(format!("expected {} hexadecimal digits of evidence", N * DIGITS)));
    }
    let mut values = [0.0; N];
    for (index, value) in values.iter_mut().enumerate() {
        let digits = &text[index * DIGITS..(index + 1) * DIGITS];
        *value = f64::from_bits(u64::from_str_radix(digits, 16).map_err(D::Error::custom)?);
    }
    Ok(values)
}

/// The same for one float, which may be a setting of any value.
pub(crate) mod one {
    use super::{Deserializer, Serializer};

    pub(crate) fn serialize<S: Serializer>(value: &f64, to: S) -> Result<S::Ok, S::Error> {
        super::serialize(&[*value], to)
    }

    pub(crate) fn deserialize<'de, D: Deserializer<'de>>(from: D) -> Result<f64, D::Error> {
        super::parse::<D, 1>(from).map(|[value]| value)
    }
}

/// The same for one float that may be absent.
pub(crate) mod optional {
    use super::{Deserialize, Deserializer, Serializer, one};

    #[derive(Deserialize)]
    struct One(#[serde(with = "one")] f64);

    pub(crate) fn serialize<S: Serializer>(value: &Option<f64>, to: S) -> Result<S::Ok, S::Error> {
        match value {
            Some(value) => one::serialize(value, to),
            None => to.serialize_none(),
        }
    }

    pub(crate) fn deserialize<'de, D: Deserializer<'de>>(from: D) -> Result<Option<f64>, D::Error> {
        Option::<One>::deserialize(from).map(|value| value.map(|One(value)| value))
    }
}
