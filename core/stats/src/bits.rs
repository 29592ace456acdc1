//! Floats as hexadecimal bits on the wire. Decimal floats survive only parsers that round correctly, and evidence that
//! moves by one bit across a restart is no longer a replay.

use serde::{Deserialize, Deserializer, Serializer, de::Error};

const DIGITS: usize = 16;

pub(crate) fn serialize<S: Serializer, const N: usize>(values: &[f64; N], to: S) -> Result<S::Ok, S::Error> {
    to.serialize_str(&values.iter().map(|value| format!("{:016x}", value.to_bits())).collect::<String>())
}

pub(crate) fn deserialize<'de, D: Deserializer<'de>, const N: usize>(from: D) -> Result<[f64; N], D::Error> {
    let text = String::deserialize(from)?;
    if text.len() != N * DIGITS || !text.is_ascii() {
        return Err(D::Error::custom(format!("expected {} hexadecimal digits of evidence", N * DIGITS)));
    }
    let mut values = [0.0; N];
    for (index, value) in values.iter_mut().enumerate() {
        let digits = &text[index * DIGITS..(index + 1) * DIGITS];
        *value = f64::from_bits(u64::from_str_radix(digits, 16).map_err(D::Error::custom)?);
        if !value.is_finite() {
            return Err(D::Error::custom("evidence is not a finite number"));
        }
    }
    Ok(values)
}

/// The same for one float.
pub(crate) mod one {
    use super::{Deserializer, Serializer};

    pub(crate) fn serialize<S: Serializer>(value: &f64, to: S) -> Result<S::Ok, S::Error> {
        super::serialize(&[*value], to)
    }

    pub(crate) fn deserialize<'de, D: Deserializer<'de>>(from: D) -> Result<f64, D::Error> {
        super::deserialize::<D, 1>(from).map(|[value]| value)
    }
}
