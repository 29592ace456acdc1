//! The identity of a series.

use std::collections::BTreeMap;
use std::fmt;

use serde::{Deserialize, Serialize};

/// The label that holds the metric's name.
pub const METRIC_NAME: &str = "__name__";

/// Names and values, sorted by name, each name once. A label with an empty value is the same as no label, so none is kept.
///
/// On the wire: a JSON object of strings.
#[derive(Clone, Debug, Default, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
#[serde(from = "BTreeMap<String, String>", into = "BTreeMap<String, String>")]
pub struct Labels(Vec<(String, String)>);

impl Labels {
    /// No labels.
    pub fn new() -> Self {
        Labels::default()
    }

    /// The value of `name`; the empty text when there is no such label, as matchers see it.
    pub fn get(&self, name: &str) -> &str {
        self.position(name).map_or("", |index| &self.0[index].1)
    }

    /// The metric's name, if there is one.
    pub fn metric(&self) -> Option<&str> {
        let name = self.get(METRIC_NAME);
        (!name.is_empty()).then_some(name)
    }

    /// Sets `name` to `value`; an empty value removes it.
    pub fn set(&mut self, name: &str, value: &str) {
        match (self.position(name), value.is_empty()) {
            (Ok(index), true) => {
                self.0.remove(index);
            }
            (Ok(index), false) => value.clone_into(&mut self.0[index].1),
            (Err(_), true) => {}
            (Err(index), false) => self.0.insert(index, (name.to_owned(), value.to_owned())),
        }
    }

    /// Removes `name`.
    pub fn remove(&mut self, name: &str) {
        self.set(name, "");
    }

    /// These labels without the metric's name.
    pub fn without_metric(&self) -> Labels {
        self.filtered(|name| name != METRIC_NAME)
    }

    /// The labels whose name passes `keep`.
    pub fn filtered(&self, keep: impl Fn(&str) -> bool) -> Labels {
        Labels(self.0.iter().filter(|(name, _)| keep(name)).cloned().collect())
    }

    /// Names and values in order of name.
    pub fn iter(&self) -> impl Iterator<Item = (&str, &str)> {
        self.0.iter().map(|(name, value)| (name.as_str(), value.as_str()))
    }

    /// Is there no label at all?
    pub fn is_empty(&self) -> bool {
        self.0.is_empty()
    }

    fn position(&self, name: &str) -> Result<usize, usize> {
        self.0.binary_search_by(|(known, _)| known.as_str().cmp(name))
    }
}

impl<N: Into<String>, V: Into<String>> FromIterator<(N, V)> for Labels {
    /// The last value of a repeated name wins.
    fn from_iter<I: IntoIterator<Item = (N, V)>>(pairs: I) -> Self {
        let map: BTreeMap<String, String> =
            pairs.into_iter().map(|(name, value)| (name.into(), value.into())).collect();
        map.into()
    }
}

impl From<BTreeMap<String, String>> for Labels {
    fn from(map: BTreeMap<String, String>) -> Self {
        Labels(map.into_iter().filter(|(_, value)| !value.is_empty()).collect())
    }
}

impl From<Labels> for BTreeMap<String, String> {
    fn from(labels: Labels) -> Self {
        labels.0.into_iter().collect()
    }
}

impl fmt::Display for Labels {
    /// As Prometheus prints a series: `name{a="b"}`.
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        formatter.write_str(self.get(METRIC_NAME))?;
        let rest: Vec<String> = self
            .iter()
            .filter(|(name, _)| *name != METRIC_NAME)
            .map(|(name, value)| format!("{name}={value:?}"))
            .collect();
        if rest.is_empty() && !self.is_empty() {
            Ok(())
        } else {
            write!(formatter, "{{{}}}", rest.join(", "))
        }
    }
}
