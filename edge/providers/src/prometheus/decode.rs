//! Reads an answer of `/api/v1/query` straight into series: no tree of JSON values in between.

use std::fmt;

use serde::de::{DeserializeSeed, Deserializer, Error as _, IgnoredAny, MapAccess, SeqAccess, Visitor};
use trimtab_promql::{Labels, Sample, Series};

/// Warnings kept of one answer.
const WARNINGS_KEPT: usize = 8;

/// What the `data.result` of an answer holds.
#[derive(Debug, Clone, PartialEq)]
pub(super) enum Found {
    /// A vector (one sample each) or a matrix.
    Series(Vec<Series>),
    /// A scalar: time in Unix milliseconds and value.
    Scalar(Sample),
}

/// The envelope of every answer.
#[derive(Debug, Default)]
pub(super) struct Envelope {
    pub(super) is_success: bool,
    pub(super) error_type: String,
    pub(super) error: String,
    /// As the server wrote them: not fit to show.
    pub(super) warnings: Vec<String>,
    pub(super) found: Option<Found>,
}

/// Why a text is no envelope.
#[derive(Debug, PartialEq, Eq)]
pub(super) enum Unreadable {
    /// More series than allowed.
    TooManySeries,
    /// Anything else, in words.
    Malformed(String),
}

/// Reads one complete answer.
pub(super) fn envelope(body: &[u8], series_at_most: usize) -> Result<Envelope, Unreadable> {
    let mut limit = SeriesLimit { left: series_at_most, is_exceeded: false };
    let mut deserializer = serde_json::Deserializer::from_slice(body);
    let read = EnvelopeSeed(&mut limit)
        .deserialize(&mut deserializer)
        .and_then(|envelope| deserializer.end().map(|()| envelope));
    match read {
        Ok(envelope) => Ok(envelope),
        Err(_) if limit.is_exceeded => Err(Unreadable::TooManySeries),
        Err(error) => Err(Unreadable::Malformed(error.to_string())),
    }
}

struct SeriesLimit {
    left: usize,
    is_exceeded: bool,
}

struct EnvelopeSeed<'a>(&'a mut SeriesLimit);

impl<'de> DeserializeSeed<'de> for EnvelopeSeed<'_> {
    type Value = Envelope;

    fn deserialize<D: Deserializer<'de>>(self, deserializer: D) -> Result<Envelope, D::Error> {
        deserializer.deserialize_map(self)
    }
}

impl<'de> Visitor<'de> for EnvelopeSeed<'_> {
    type Value = Envelope;

    fn expecting(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        formatter.write_str("an object with status and data")
    }

    fn visit_map<A: MapAccess<'de>>(self, mut map: A) -> Result<Envelope, A::Error> {
        let mut envelope = Envelope::default();
        while let Some(key) = map.next_key::<String>()? {
            match key.as_str() {
                "status" => envelope.is_success = map.next_value::<String>()? == "success",
                "errorType" => envelope.error_type = map.next_value()?,
                "error" => envelope.error = map.next_value()?,
                "warnings" => {
                    let warnings: Option<Vec<String>> = map.next_value()?;
                    envelope.warnings = warnings.into_iter().flatten().take(WARNINGS_KEPT).collect();
                }
                "data" => envelope.found = map.next_value_seed(DataSeed(self.0))?,
                _ => {
                    map.next_value::<IgnoredAny>()?;
                }
            }
        }
        Ok(envelope)
    }
}

/// `data`: absent, null, or an object whose `result` is read. Its `resultType` says nothing that the result
/// does not show.
struct DataSeed<'a>(&'a mut SeriesLimit);

impl<'de> DeserializeSeed<'de> for DataSeed<'_> {
    type Value = Option<Found>;

    fn deserialize<D: Deserializer<'de>>(self, deserializer: D) -> Result<Option<Found>, D::Error> {
        deserializer.deserialize_any(self)
    }
}

impl<'de> Visitor<'de> for DataSeed<'_> {
    type Value = Option<Found>;

    fn expecting(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        formatter.write_str("an object with a result")
    }

    fn visit_unit<E>(self) -> Result<Option<Found>, E> {
        Ok(None)
    }

    fn visit_map<A: MapAccess<'de>>(self, mut map: A) -> Result<Option<Found>, A::Error> {
        let mut found = None;
        while let Some(key) = map.next_key::<String>()? {
            if key == "result" {
                found = Some(map.next_value_seed(ResultSeed(&mut *self.0))?);
            } else {
                map.next_value::<IgnoredAny>()?;
            }
        }
        Ok(found)
    }
}

struct ResultSeed<'a>(&'a mut SeriesLimit);

impl<'de> DeserializeSeed<'de> for ResultSeed<'_> {
    type Value = Found;

    fn deserialize<D: Deserializer<'de>>(self, deserializer: D) -> Result<Found, D::Error> {
        deserializer.deserialize_seq(self)
    }
}

impl<'de> Visitor<'de> for ResultSeed<'_> {
    type Value = Found;

    fn expecting(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        formatter.write_str("an array of series, or a time with a value")
    }

    fn visit_seq<A: SeqAccess<'de>>(self, mut seq: A) -> Result<Found, A::Error> {
        let mut all = Vec::new();
        while let Some(element) = seq.next_element_seed(ElementSeed)? {
            match element {
                Element::Series(series) => {
                    let Some(left) = self.0.left.checked_sub(1) else {
                        self.0.is_exceeded = true;
                        return Err(A::Error::custom("too many series"));
                    };
                    self.0.left = left;
                    all.push(series);
                }
                Element::Time(seconds) if all.is_empty() => {
                    let value: Value =
                        seq.next_element()?.ok_or_else(|| A::Error::custom("a time without a value"))?;
                    let end: Option<IgnoredAny> = seq.next_element()?;
                    return match end {
                        None => Ok(Found::Scalar(sample(seconds, value))),
                        Some(_) => Err(A::Error::custom("a scalar of more than two elements")),
                    };
                }
                Element::Time(_) => return Err(A::Error::custom("a number among series")),
            }
        }
        Ok(Found::Series(all))
    }
}

enum Element {
    Series(Series),
    Time(f64),
}

struct ElementSeed;

impl<'de> DeserializeSeed<'de> for ElementSeed {
    type Value = Element;

    fn deserialize<D: Deserializer<'de>>(self, deserializer: D) -> Result<Element, D::Error> {
        deserializer.deserialize_any(self)
    }
}

impl<'de> Visitor<'de> for ElementSeed {
    type Value = Element;

    fn expecting(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        formatter.write_str("a series or a time in seconds")
    }

    fn visit_f64<E>(self, seconds: f64) -> Result<Element, E> {
        Ok(Element::Time(seconds))
    }

    #[expect(clippy::cast_precision_loss, reason = "Unix seconds fit a double for 285 million years")]
    fn visit_u64<E>(self, seconds: u64) -> Result<Element, E> {
        Ok(Element::Time(seconds as f64))
    }

    #[expect(clippy::cast_precision_loss, reason = "Unix seconds fit a double for 285 million years")]
    fn visit_i64<E>(self, seconds: i64) -> Result<Element, E> {
        Ok(Element::Time(seconds as f64))
    }

    fn visit_map<A: MapAccess<'de>>(self, mut map: A) -> Result<Element, A::Error> {
        let mut labels = None;
        let mut samples = Vec::new();
        while let Some(key) = map.next_key::<String>()? {
            match key.as_str() {
                "metric" => labels = Some(map.next_value::<Labels>()?),
                "value" => {
                    let (seconds, value): (f64, Value) = map.next_value()?;
                    samples.push(sample(seconds, value));
                }
                "values" => map.next_value_seed(SamplesSeed(&mut samples))?,
                "histogram" | "histograms" => {
                    return Err(A::Error::custom(
                        "native histograms are not supported, select the classic _bucket, _sum and _count series",
                    ));
                }
                _ => {
                    map.next_value::<IgnoredAny>()?;
                }
            }
        }
        let labels = labels.ok_or_else(|| A::Error::custom("a series without metric labels"))?;
        Ok(Element::Series(Series { labels, samples }))
    }
}

struct SamplesSeed<'a>(&'a mut Vec<Sample>);

impl<'de> DeserializeSeed<'de> for SamplesSeed<'_> {
    type Value = ();

    fn deserialize<D: Deserializer<'de>>(self, deserializer: D) -> Result<(), D::Error> {
        deserializer.deserialize_seq(self)
    }
}

impl<'de> Visitor<'de> for SamplesSeed<'_> {
    type Value = ();

    fn expecting(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        formatter.write_str("an array of times with values")
    }

    fn visit_seq<A: SeqAccess<'de>>(self, mut seq: A) -> Result<(), A::Error> {
        while let Some((seconds, value)) = seq.next_element::<(f64, Value)>()? {
            self.0.push(sample(seconds, value));
        }
        Ok(())
    }
}

/// A sample's value: a number in quotes, since JSON has no NaN and no infinities.
#[derive(Clone, Copy)]
struct Value(f64);

impl<'de> serde::Deserialize<'de> for Value {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        deserializer.deserialize_str(ValueVisitor)
    }
}

struct ValueVisitor;

impl Visitor<'_> for ValueVisitor {
    type Value = Value;

    fn expecting(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        formatter.write_str("a number in quotes")
    }

    fn visit_str<E: serde::de::Error>(self, text: &str) -> Result<Value, E> {
        text.parse().map(Value).map_err(|_| E::custom("a sample's value is no number"))
    }
}

#[expect(
    clippy::cast_possible_truncation,
    reason = "a float cast saturates, and no window holds such a time"
)]
fn sample(seconds: f64, value: Value) -> Sample {
    Sample { at_ms: (seconds * 1000.0).round() as i64, value: value.0 }
}
