//! Identity and time in as few bytes as they need, because every row holds several.

use std::fmt;
use std::str::FromStr;

use jiff::Timestamp;
use serde::{Deserialize, Deserializer};

/// The UID of an object: a UUID, in 16 bytes instead of 36 and a pointer, and in a row wherever there is room for them.
#[derive(Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct Uid([u8; 16]);

/// The text is not a UUID in its usual form.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
#[error("uid is not a UUID of 36 characters")]
pub struct UidError;

/// Where the dashes of a UUID are.
const DASHES: [usize; 4] = [8, 13, 18, 23];

impl FromStr for Uid {
    type Err = UidError;

    fn from_str(text: &str) -> Result<Uid, UidError> {
        if text.len() != 36 {
            return Err(UidError);
        }
        let mut value = 0_u128;
        for (index, byte) in text.bytes().enumerate() {
            if DASHES.contains(&index) {
                if byte != b'-' {
                    return Err(UidError);
                }
            } else {
                let digit = char::from(byte).to_digit(16).ok_or(UidError)?;
                value = value << 4 | u128::from(digit);
            }
        }
        Ok(Uid(value.to_be_bytes()))
    }
}

impl fmt::Display for Uid {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let value = u128::from_be_bytes(self.0);
        let part = |shift: u32, bits: u32| (value >> shift) & ((1 << bits) - 1);
        write!(
            f,
            "{:08x}-{:04x}-{:04x}-{:04x}-{:012x}",
            part(96, 32),
            part(80, 16),
            part(64, 16),
            part(48, 16),
            part(0, 48)
        )
    }
}

impl From<Uid> for String {
    fn from(uid: Uid) -> String {
        uid.to_string()
    }
}

impl fmt::Debug for Uid {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        fmt::Display::fmt(self, f)
    }
}

impl<'de> Deserialize<'de> for Uid {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Uid, D::Error> {
        let text = <std::borrow::Cow<'de, str>>::deserialize(deserializer)?;
        text.parse().map_err(serde::de::Error::custom)
    }
}

/// A whole second between 1970 and 2106: the resolution of Kubernetes' own timestamps, in 4 bytes.
#[derive(Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct Moment(u32);

impl Moment {
    /// The same instant as a timestamp.
    pub fn timestamp(self) -> Timestamp {
        Timestamp::from_second(i64::from(self.0)).expect("32-bit seconds are within range")
    }
}

/// Cuts fractions off; instants out of range become the nearest one in range.
impl From<Timestamp> for Moment {
    fn from(instant: Timestamp) -> Moment {
        let seconds = instant.as_second().clamp(0, i64::from(u32::MAX));
        Moment(u32::try_from(seconds).expect("clamped to range"))
    }
}

impl fmt::Debug for Moment {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        fmt::Display::fmt(&self.timestamp(), f)
    }
}

impl<'de> Deserialize<'de> for Moment {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Moment, D::Error> {
        Timestamp::deserialize(deserializer).map(Moment::from)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn uids_print_as_they_were_read() {
        for text in ["00000000-0000-0000-0000-000000000000", "9f3b2c1d-4e5f-4a6b-8c7d-0123456789ab"] {
            assert_eq!(text.parse::<Uid>().unwrap().to_string(), text);
        }
    }

    #[test]
    fn what_is_no_uuid_is_refused() {
        for text in
            ["", "uid-1", "9f3b2c1d-4e5f-4a6b-8c7d-0123456789a", "9f3b2c1d04e5f-4a6b-8c7d-0123456789ab", "é"]
        {
            assert_eq!(text.parse::<Uid>(), Err(UidError), "{text}");
        }
    }

    #[test]
    fn moments_keep_seconds_and_saturate() {
        let check = |text: &str, expect: &str| {
            let moment = Moment::from(text.parse::<Timestamp>().unwrap());
            assert_eq!(moment.timestamp().to_string(), expect);
        };
        check("2026-01-01T00:00:07.9Z", "2026-01-01T00:00:07Z");
        check("1960-01-01T00:00:00Z", "1970-01-01T00:00:00Z");
        check("2200-01-01T00:00:00Z", "2106-02-07T06:28:15Z");
    }
}
