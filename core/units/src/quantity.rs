//! Kubernetes quantities: `100m`, `1536Mi`, `1e3`.

use std::cmp::Ordering;
use std::fmt;
use std::hash::{Hash, Hasher};
use std::str::FromStr;

use serde::de::{Deserialize, Deserializer, Visitor};

/// Nano-units in one unit. Nothing finer exists: Kubernetes rounds smaller amounts away from zero.
const NANOS: i128 = 1_000_000_000;
/// Nano-units in one thousandth.
const NANOS_PER_MILLI: i128 = 1_000_000;
/// The largest amount in nano-units, either side of zero: Kubernetes caps at 2^63 - 1 units.
const MAX_NANOS: i128 = i64::MAX as i128 * NANOS;
/// Longest text that is read, in bytes. Far above any amount; it bounds the work on hostile input.
const MAX_TEXT_BYTES: usize = 128;

const BINARY_SUFFIXES: [&str; 7] = ["", "Ki", "Mi", "Gi", "Ti", "Pi", "Ei"];
/// The first is 10^-9; each is a thousand times the one before.
const DECIMAL_SUFFIXES: [&str; 10] = ["n", "u", "m", "", "k", "M", "G", "T", "P", "E"];

/// The family of suffixes a quantity prints with.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum QuantityFormat {
    /// `100m`, `2k`: powers of a thousand.
    DecimalSi,
    /// `64Mi`: powers of 1024. Fractions, and amounts below 1024, print as decimals.
    BinarySi,
    /// `1e3`.
    DecimalExponent,
}

/// An amount of CPU, memory or anything else, exact to a billionth, and the suffix family it was written with.
///
/// Comparison and hashing look at the amount only: `1024Mi == 1Gi == 1073741824`.
/// Amounts finer than a billionth round away from zero; amounts beyond 2^63 - 1 are capped, whatever the notation
/// (Go's implementation caps only some notations).
#[derive(Clone, Copy, Debug)]
pub struct Quantity {
    /// Never beyond `MAX_NANOS` either side of zero.
    nanos: i128,
    format: QuantityFormat,
}

impl Quantity {
    /// Nothing, in decimal format.
    pub const ZERO: Quantity = Quantity { nanos: 0, format: QuantityFormat::DecimalSi };

    /// So many thousandths (`250` is `250m`), in decimal format: CPU.
    pub const fn from_millis(millis: i64) -> Self {
        Quantity { nanos: millis as i128 * NANOS_PER_MILLI, format: QuantityFormat::DecimalSi }
    }

    /// So many whole units, in decimal format: replicas, counts.
    pub fn from_units(units: i64) -> Self {
        Quantity { nanos: cap(i128::from(units) * NANOS), format: QuantityFormat::DecimalSi }
    }

    /// So many bytes, in binary format: memory.
    pub fn from_bytes(bytes: i64) -> Self {
        Quantity { format: QuantityFormat::BinarySi, ..Quantity::from_units(bytes) }
    }

    /// The suffix family.
    pub fn format(self) -> QuantityFormat {
        self.format
    }

    /// Whole units (bytes, for memory), rounded away from zero.
    pub fn value(self) -> i64 {
        round_away(self.nanos, NANOS)
    }

    /// Thousandths (millicores, for CPU), rounded away from zero; capped at the range of `i64`.
    pub fn millis(self) -> i64 {
        round_away(self.nanos, NANOS_PER_MILLI)
    }

    /// The amount as the nearest float.
    pub fn as_f64(self) -> f64 {
        self.nanos as f64 / NANOS as f64
    }

    /// Is there nothing?
    pub fn is_zero(self) -> bool {
        self.nanos == 0
    }

    /// The sum, in the format of `self` unless `self` is zero; `None` beyond the range.
    pub fn checked_add(self, other: Self) -> Option<Self> {
        let nanos = self.nanos + other.nanos;
        let format = if self.is_zero() { other.format } else { self.format };
        (nanos.abs() <= MAX_NANOS).then_some(Quantity { nanos, format })
    }

    /// The difference, in the format of `self` unless `self` is zero; `None` beyond the range.
    pub fn checked_sub(self, other: Self) -> Option<Self> {
        self.checked_add(Quantity { nanos: -other.nanos, format: other.format })
    }
}

fn cap(nanos: i128) -> i128 {
    nanos.clamp(-MAX_NANOS, MAX_NANOS)
}

fn round_away(nanos: i128, size: i128) -> i64 {
    let rounded = (nanos.abs() + size - 1) / size * nanos.signum();
    i64::try_from(rounded).unwrap_or(if nanos < 0 { i64::MIN } else { i64::MAX })
}

impl PartialEq for Quantity {
    fn eq(&self, other: &Self) -> bool {
        self.nanos == other.nanos
    }
}

impl Eq for Quantity {}

impl PartialOrd for Quantity {
    fn partial_cmp(&self, other: &Self) -> Option<Ordering> {
        Some(self.cmp(other))
    }
}

impl Ord for Quantity {
    fn cmp(&self, other: &Self) -> Ordering {
        self.nanos.cmp(&other.nanos)
    }
}

impl Hash for Quantity {
    fn hash<H: Hasher>(&self, state: &mut H) {
        self.nanos.hash(state);
    }
}

impl fmt::Display for Quantity {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        let whole = self.nanos % NANOS == 0;
        match self.format {
            _ if self.nanos == 0 => formatter.write_str("0"),
            QuantityFormat::BinarySi if whole && self.nanos.abs() >= 1024 * NANOS => {
                let (mantissa, power) = strip_factor(self.nanos / NANOS, 1024, BINARY_SUFFIXES.len() - 1);
                write!(formatter, "{mantissa}{}", BINARY_SUFFIXES[power])
            }
            QuantityFormat::DecimalExponent => {
                let (mantissa, power) = strip_factor(self.nanos, 1000, DECIMAL_SUFFIXES.len() - 1);
                match power as i32 * 3 - 9 {
                    0 => write!(formatter, "{mantissa}"),
                    exponent => write!(formatter, "{mantissa}e{exponent}"),
                }
            }
            QuantityFormat::DecimalSi | QuantityFormat::BinarySi => {
                let (mantissa, power) = strip_factor(self.nanos, 1000, DECIMAL_SUFFIXES.len() - 1);
                write!(formatter, "{mantissa}{}", DECIMAL_SUFFIXES[power])
            }
        }
    }
}

/// Divides `number` by `factor` while nothing is left over, at most `most` times: what remains, and how often.
fn strip_factor(mut number: i128, factor: i128, most: usize) -> (i128, usize) {
    let mut times = 0;
    while times < most && number % factor == 0 {
        number /= factor;
        times += 1;
    }
    (number, times)
}

impl FromStr for Quantity {
    type Err = QuantityError;

    fn from_str(text: &str) -> Result<Self, QuantityError> {
        let fail = |reason| QuantityError { text: crate::names::excerpt(text), reason };
        if text.len() > MAX_TEXT_BYTES {
            return Err(fail("it is longer than 128 characters"));
        }
        let (sign, unsigned) = match text.strip_prefix('-') {
            Some(rest) => (-1, rest),
            None => (1, text.strip_prefix('+').unwrap_or(text)),
        };
        let number_end = unsigned.find(|c: char| !c.is_ascii_digit() && c != '.').unwrap_or(unsigned.len());
        let (number, suffix) = unsigned.split_at(number_end);
        let (whole, fraction) = number.split_once('.').unwrap_or((number, ""));
        if (whole.is_empty() && fraction.is_empty()) || fraction.contains('.') {
            return Err(fail("it does not start with a number"));
        }
        let Some(scale) = Suffix::parse(suffix) else {
            return Err(fail("its suffix is not one of n u m k M G T P E, Ki Mi Gi Ti Pi Ei, or e3"));
        };
        let digits = whole.bytes().chain(fraction.bytes()).map(|byte| byte - b'0').collect();
        let nanos = cap(scale.nanos(digits, fraction.len() as i64));
        let fractional_binary = scale.format == QuantityFormat::BinarySi && nanos < NANOS && nanos > 0;
        let format = if fractional_binary { QuantityFormat::DecimalSi } else { scale.format };
        Ok(Quantity { nanos: sign * nanos, format })
    }
}

/// What a suffix multiplies by: `1024^powers_of_1024 * 10^power_of_ten`.
struct Suffix {
    powers_of_1024: usize,
    power_of_ten: i64,
    format: QuantityFormat,
}

impl Suffix {
    fn parse(text: &str) -> Option<Self> {
        if let Some(power) = DECIMAL_SUFFIXES.iter().position(|suffix| *suffix == text) {
            let power_of_ten = power as i64 * 3 - 9;
            return Some(Suffix { powers_of_1024: 0, power_of_ten, format: QuantityFormat::DecimalSi });
        }
        if let Some(powers_of_1024) = BINARY_SUFFIXES.iter().position(|suffix| *suffix == text) {
            return Some(Suffix { powers_of_1024, power_of_ten: 0, format: QuantityFormat::BinarySi });
        }
        let exponent: i32 = text.strip_prefix(['e', 'E'])?.parse().ok()?;
        let format = QuantityFormat::DecimalExponent;
        Some(Suffix { powers_of_1024: 0, power_of_ten: i64::from(exponent), format })
    }

    /// `digits` (most significant first, the last `fraction_digits` behind the point) times this suffix, in
    /// nano-units rounded up. Works on decimal digits, so that nothing overflows before the cap.
    fn nanos(&self, mut digits: Vec<u8>, fraction_digits: i64) -> i128 {
        // 39 digits overflow `i128`; the cap has 28.
        const CAPPED_DIGITS: i64 = 38;
        for _ in 0..self.powers_of_1024 {
            multiply(&mut digits, 1024);
        }
        let leading_zeros = digits.iter().take_while(|digit| **digit == 0).count();
        digits.drain(..leading_zeros);
        if digits.is_empty() {
            return 0;
        }
        let shift = self.power_of_ten - fraction_digits + 9;
        let length = digits.len() as i64 + shift;
        if length > CAPPED_DIGITS {
            return MAX_NANOS;
        }
        let kept = usize::try_from(length.max(0)).expect("between 0 and 38");
        let dropped_any = digits.iter().skip(kept).any(|digit| *digit != 0);
        digits.resize(kept, 0);
        let floor = digits.iter().fold(0_i128, |number, digit| number * 10 + i128::from(*digit));
        floor + i128::from(dropped_any)
    }
}

/// Schoolbook multiplication of decimal digits, most significant first.
fn multiply(digits: &mut Vec<u8>, factor: u32) {
    let mut carry = 0;
    for digit in digits.iter_mut().rev() {
        let product = u32::from(*digit) * factor + carry;
        *digit = (product % 10) as u8;
        carry = product / 10;
    }
    while carry > 0 {
        digits.insert(0, (carry % 10) as u8);
        carry /= 10;
    }
}

impl serde::Serialize for Quantity {
    fn serialize<S: serde::Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        serializer.collect_str(self)
    }
}

/// The API accepts a bare number where it prints a string, so both are read.
impl<'de> Deserialize<'de> for Quantity {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        struct Reader;

        impl Visitor<'_> for Reader {
            type Value = Quantity;

            fn expecting(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
                formatter.write_str("a quantity such as \"100m\", \"64Mi\" or 2")
            }

            fn visit_i64<E: serde::de::Error>(self, number: i64) -> Result<Quantity, E> {
                Ok(Quantity::from_units(number))
            }

            fn visit_u64<E: serde::de::Error>(self, number: u64) -> Result<Quantity, E> {
                self.visit_str(&number.to_string())
            }

            fn visit_f64<E: serde::de::Error>(self, number: f64) -> Result<Quantity, E> {
                self.visit_str(&number.to_string())
            }

            fn visit_str<E: serde::de::Error>(self, text: &str) -> Result<Quantity, E> {
                text.parse().map_err(E::custom)
            }
        }

        deserializer.deserialize_any(Reader)
    }
}

/// Why a text is not a quantity.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct QuantityError {
    text: String,
    reason: &'static str,
}

impl fmt::Display for QuantityError {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(formatter, "{:?} is not a quantity: {}; write 250m, 1.5 or 64Mi", self.text, self.reason)
    }
}

impl std::error::Error for QuantityError {}
