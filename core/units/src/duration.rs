//! Durations as Go prints them (`metav1.Duration`) and as Prometheus reads them (`[5m]`, `for: 1d`).

use std::fmt;
use std::str::FromStr;
use std::time::Duration;

const NANOSECOND: i64 = 1;
const MICROSECOND: i64 = 1_000;
const MILLISECOND: i64 = 1_000_000;
const SECOND: i64 = 1_000_000_000;
const MINUTE: i64 = 60 * SECOND;
const HOUR: i64 = 60 * MINUTE;
const DAY: i64 = 24 * HOUR;
const WEEK: i64 = 7 * DAY;
/// Prometheus counts a year as 365 days.
const YEAR: i64 = 365 * DAY;

const GO_UNITS: [(&str, i64); 8] = [
    ("ns", NANOSECOND),
    ("us", MICROSECOND),
    ("\u{b5}s", MICROSECOND),
    ("\u{3bc}s", MICROSECOND),
    ("ms", MILLISECOND),
    ("s", SECOND),
    ("m", MINUTE),
    ("h", HOUR),
];

/// In the order in which Prometheus demands them; each may appear once.
const PROMETHEUS_UNITS: [(&str, i64); 7] =
    [("y", YEAR), ("w", WEEK), ("d", DAY), ("h", HOUR), ("m", MINUTE), ("s", SECOND), ("ms", MILLISECOND)];

/// A signed duration in whole nanoseconds, at most about 292 years: Go's `time.Duration`.
///
/// `FromStr`, `Display` and serde use Go's form (`1h2m3.5s`); [`GoDuration::parse_prometheus`] reads the other one.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct GoDuration(i64);

crate::serde_as_text!(GoDuration);

impl GoDuration {
    /// No time at all.
    pub const ZERO: GoDuration = GoDuration(0);

    /// A duration of whole nanoseconds.
    pub const fn from_nanos(nanos: i64) -> Self {
        GoDuration(nanos)
    }

    /// A duration of whole milliseconds, or `None` beyond the range.
    pub const fn from_millis(millis: i64) -> Option<Self> {
        match millis.checked_mul(MILLISECOND) {
            Some(nanos) => Some(GoDuration(nanos)),
            None => None,
        }
    }

    /// A duration of whole seconds, or `None` beyond the range.
    pub const fn from_secs(seconds: i64) -> Option<Self> {
        match seconds.checked_mul(SECOND) {
            Some(nanos) => Some(GoDuration(nanos)),
            None => None,
        }
    }

    /// Whole nanoseconds.
    pub const fn as_nanos(self) -> i64 {
        self.0
    }

    /// Whole milliseconds, rounded towards zero.
    pub const fn as_millis(self) -> i64 {
        self.0 / MILLISECOND
    }

    /// Seconds with their fraction.
    pub fn as_secs_f64(self) -> f64 {
        self.0 as f64 / SECOND as f64
    }

    /// The sum, or `None` beyond the range.
    pub const fn checked_add(self, other: Self) -> Option<Self> {
        match self.0.checked_add(other.0) {
            Some(nanos) => Some(GoDuration(nanos)),
            None => None,
        }
    }

    /// The difference, or `None` beyond the range.
    pub const fn checked_sub(self, other: Self) -> Option<Self> {
        match self.0.checked_sub(other.0) {
            Some(nanos) => Some(GoDuration(nanos)),
            None => None,
        }
    }

    /// The product, or `None` beyond the range.
    pub const fn checked_mul(self, factor: i64) -> Option<Self> {
        match self.0.checked_mul(factor) {
            Some(nanos) => Some(GoDuration(nanos)),
            None => None,
        }
    }

    /// Reads Prometheus' form: `5m`, `1d`, `1h30m`, `500ms`, `0`. Units in falling order, whole numbers, no sign.
    ///
    /// # Errors
    /// When the text is empty, a unit is unknown, repeated or out of order, or the sum exceeds the range.
    pub fn parse_prometheus(text: &str) -> Result<Self, DurationError> {
        let fail = |reason| DurationError::new(text, reason, "5m, 1h30m or 1d");
        if text == "0" {
            return Ok(GoDuration::ZERO);
        }
        let (mut rest, mut next_unit, mut total) = (text, 0, 0_i64);
        while !rest.is_empty() {
            let (digits, after) = split_while(rest, |byte| byte.is_ascii_digit());
            let (unit, after) = split_while(after, |byte| byte.is_ascii_alphabetic());
            let Some(place) = PROMETHEUS_UNITS.iter().position(|(name, _)| *name == unit) else {
                return Err(fail("a whole number must be followed by one of y, w, d, h, m, s, ms"));
            };
            if place < next_unit {
                return Err(fail("units must go from large to small, each once"));
            }
            let count: i64 = digits.parse().map_err(|_| fail("a unit must follow a whole number"))?;
            total = count
                .checked_mul(PROMETHEUS_UNITS[place].1)
                .and_then(|part| total.checked_add(part))
                .ok_or_else(|| fail("it is longer than 292 years"))?;
            (rest, next_unit) = (after, place + 1);
        }
        if text.is_empty() { Err(fail("it is empty")) } else { Ok(GoDuration(total)) }
    }

    /// Prints Prometheus' form, as needed inside `[5m]`; `None` for a negative duration or one finer than a millisecond.
    pub fn to_prometheus(self) -> Option<String> {
        if self.0 < 0 || self.0 % MILLISECOND != 0 {
            return None;
        }
        let (mut rest, mut text) = (self.0, String::new());
        // Years and weeks only when nothing is left over: `90d` reads better than `12w6d`.
        for (unit, size) in PROMETHEUS_UNITS {
            let exact_only = size > DAY;
            if rest >= size && (!exact_only || rest % size == 0) {
                text.push_str(&format!("{}{unit}", rest / size));
                rest %= size;
            }
        }
        Some(if text.is_empty() { "0s".to_owned() } else { text })
    }
}

impl FromStr for GoDuration {
    type Err = DurationError;

    fn from_str(text: &str) -> Result<Self, DurationError> {
        let fail = |reason| DurationError::new(text, reason, "300ms, 1h30m or 1.5s");
        let (negative, unsigned) = match text.strip_prefix('-') {
            Some(rest) => (true, rest),
            None => (false, text.strip_prefix('+').unwrap_or(text)),
        };
        if unsigned == "0" {
            return Ok(GoDuration::ZERO);
        }
        if unsigned.is_empty() {
            return Err(fail("it is empty"));
        }
        let (mut rest, mut total) = (unsigned, 0_u64);
        while !rest.is_empty() {
            let (nanos, after) = go_part(rest).map_err(fail)?;
            total = total.checked_add(nanos).ok_or_else(|| fail("it is longer than 292 years"))?;
            rest = after;
        }
        // The range is one wider on the negative side, as in Go.
        let signed = if negative { 0_i64.checked_sub_unsigned(total) } else { i64::try_from(total).ok() };
        signed.map(GoDuration).ok_or_else(|| fail("it is longer than 292 years"))
    }
}

/// One `number unit` of Go's form at the start of `text`: its nanoseconds and the text after it.
fn go_part(text: &str) -> Result<(u64, &str), &'static str> {
    let (whole, after) = split_while(text, |byte| byte.is_ascii_digit());
    let (fraction, after) = match after.strip_prefix('.') {
        Some(after) => split_while(after, |byte| byte.is_ascii_digit()),
        None => ("", after),
    };
    if whole.is_empty() && fraction.is_empty() {
        return Err("a unit must follow a number");
    }
    let (unit, after) = split_while(after, |byte| byte != b'.' && !byte.is_ascii_digit());
    let Some((_, size)) = GO_UNITS.iter().find(|(name, _)| *name == unit) else {
        return Err("a number must be followed by one of h, m, s, ms, us, ns");
    };
    let size = size.unsigned_abs();
    let too_long = "it is longer than 292 years";
    let whole: u64 = if whole.is_empty() { 0 } else { whole.parse().map_err(|_| too_long)? };
    let nanos = whole.checked_mul(size).ok_or(too_long)?;
    Ok((nanos.checked_add(fraction_of(fraction, size)).ok_or(too_long)?, after))
}

/// `0.digits` of `size`, rounded down; digits below a nanosecond cannot matter and are skipped.
fn fraction_of(digits: &str, size: u64) -> u64 {
    // An hour has 3.6e12 ns, so 13 digits decide every nanosecond.
    const DECISIVE_DIGITS: usize = 18;
    let (mut numerator, mut denominator) = (0_u128, 1_u128);
    for digit in digits.bytes().take(DECISIVE_DIGITS) {
        numerator = numerator * 10 + u128::from(digit - b'0');
        denominator *= 10;
    }
    u64::try_from(numerator * u128::from(size) / denominator).expect("a proper fraction of a u64 is a u64")
}

/// Splits at the first byte that `keep` refuses; `keep` must treat all bytes of a multi-byte character alike.
fn split_while(text: &str, keep: impl Fn(u8) -> bool) -> (&str, &str) {
    text.split_at(text.bytes().position(|byte| !keep(byte)).unwrap_or(text.len()))
}

impl fmt::Display for GoDuration {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        let nanos = self.0.unsigned_abs();
        if self.0 < 0 {
            formatter.write_str("-")?;
        }
        let (second, minute, hour) = (SECOND as u64, MINUTE as u64, HOUR as u64);
        match nanos {
            0 => return formatter.write_str("0s"),
            1..1_000 => return write!(formatter, "{nanos}ns"),
            1_000..1_000_000 => return write_decimal(formatter, nanos, 1_000, "\u{b5}s"),
            1_000_000..1_000_000_000 => return write_decimal(formatter, nanos, 1_000_000, "ms"),
            _ => {}
        }
        if nanos >= hour {
            write!(formatter, "{}h", nanos / hour)?;
        }
        if nanos >= minute {
            write!(formatter, "{}m", nanos % hour / minute)?;
        }
        write_decimal(formatter, nanos % minute, second, "s")
    }
}

/// Writes `nanos / size` exactly, with no trailing zeros. `size` is a power of ten.
fn write_decimal(formatter: &mut fmt::Formatter<'_>, nanos: u64, size: u64, unit: &str) -> fmt::Result {
    write!(formatter, "{}", nanos / size)?;
    let rest = nanos % size;
    if rest != 0 {
        let width = size.ilog10() as usize;
        write!(formatter, ".{}", format!("{rest:0width$}").trim_end_matches('0'))?;
    }
    formatter.write_str(unit)
}

impl TryFrom<Duration> for GoDuration {
    type Error = DurationError;

    fn try_from(duration: Duration) -> Result<Self, DurationError> {
        i64::try_from(duration.as_nanos()).map(GoDuration).map_err(|_| {
            DurationError::new(&format!("{duration:?}"), "it is longer than 292 years", "a shorter one")
        })
    }
}

impl TryFrom<GoDuration> for Duration {
    type Error = DurationError;

    fn try_from(duration: GoDuration) -> Result<Self, DurationError> {
        u64::try_from(duration.0)
            .map(Duration::from_nanos)
            .map_err(|_| DurationError::new(&duration.to_string(), "it is negative", "30s"))
    }
}

/// A duration as people say it: `5m`, `1h30m`, `45s`.
#[must_use]
pub fn duration_words(duration: Duration) -> String {
    let seconds = duration.as_secs();
    let (hours, minutes, rest) = (seconds / 3600, seconds % 3600 / 60, seconds % 60);
    let mut words = String::new();
    for (count, unit) in [(hours, 'h'), (minutes, 'm'), (rest, 's')] {
        if count > 0 {
            words.push_str(&format!("{count}{unit}"));
        }
    }
    if words.is_empty() { "0s".to_owned() } else { words }
}

/// Why a text is not a duration.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct DurationError {
    text: String,
    reason: &'static str,
    example: &'static str,
}

impl DurationError {
    fn new(text: &str, reason: &'static str, example: &'static str) -> Self {
        DurationError { text: crate::names::excerpt(text), reason, example }
    }
}

impl fmt::Display for DurationError {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(formatter, "{:?} is not a duration: {}; write {}", self.text, self.reason, self.example)
    }
}

impl std::error::Error for DurationError {}
