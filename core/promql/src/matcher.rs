//! Conditions on one label.

use std::fmt;

use promql_parser::label;
use promql_parser::parser::token::{T_EQL_REGEX, T_NEQ_REGEX, TokenId};

use crate::labels::{Labels, METRIC_NAME};
use crate::printed::write_printed;

/// How a matcher compares.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum MatchOp {
    /// `=`
    Equal,
    /// `!=`
    NotEqual,
    /// `=~`, fully anchored
    Regex,
    /// `!~`, fully anchored
    NotRegex,
}

/// A condition on the value of one label. An absent label has the empty value.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Matcher(pub(crate) label::Matcher);

impl Matcher {
    /// `name="value"`
    pub fn equal(name: &str, value: &str) -> Self {
        Matcher(label::Matcher::new(label::MatchOp::Equal, name, value))
    }

    /// `name!="value"`
    pub fn not_equal(name: &str, value: &str) -> Self {
        Matcher(label::Matcher::new(label::MatchOp::NotEqual, name, value))
    }

    /// `name=~"pattern"`, fully anchored.
    ///
    /// # Errors
    /// When `pattern` is not a regular expression.
    pub fn regex(name: &str, pattern: &str) -> Result<Self, PatternError> {
        Matcher::with_pattern(T_EQL_REGEX, name, pattern)
    }

    /// `name!~"pattern"`, fully anchored.
    ///
    /// # Errors
    /// When `pattern` is not a regular expression.
    pub fn not_regex(name: &str, pattern: &str) -> Result<Self, PatternError> {
        Matcher::with_pattern(T_NEQ_REGEX, name, pattern)
    }

    fn with_pattern(token: TokenId, name: &str, pattern: &str) -> Result<Self, PatternError> {
        let fail = || PatternError { pattern: pattern.to_owned() };
        if !is_closed_pattern(pattern) {
            return Err(fail());
        }
        let built = label::Matcher::new_matcher(token, name.to_owned(), pattern.to_owned());
        built.map(Matcher).map_err(|_| fail())
    }

    /// The label.
    pub fn name(&self) -> &str {
        &self.0.name
    }

    /// The text or pattern that the label's value is compared with.
    pub fn value(&self) -> &str {
        &self.0.value
    }

    /// The comparison.
    pub fn op(&self) -> MatchOp {
        match self.0.op {
            label::MatchOp::Equal => MatchOp::Equal,
            label::MatchOp::NotEqual => MatchOp::NotEqual,
            label::MatchOp::Re(_) => MatchOp::Regex,
            label::MatchOp::NotRe(_) => MatchOp::NotRegex,
        }
    }

    /// Does a label with this value pass?
    pub fn is_match(&self, value: &str) -> bool {
        self.0.is_match(value)
    }
}

/// The matchers of a parsed selector; see [`crate::Expr::syntax`].
impl From<label::Matcher> for Matcher {
    fn from(parsed: label::Matcher) -> Self {
        Matcher(parsed)
    }
}

impl fmt::Display for Matcher {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        write_printed(&self.0.to_string(), formatter)
    }
}

/// Does a series with these labels pass every matcher?
pub fn matches(matchers: &[Matcher], labels: &Labels) -> bool {
    matchers.iter().all(|matcher| matcher.is_match(labels.get(matcher.name())))
}

/// Does the text of a selector's own matchers name the metric, and which one?
pub(crate) fn pinned_metric(matchers: &[Matcher]) -> Option<&str> {
    let names = |matcher: &&Matcher| matcher.name() == METRIC_NAME && matcher.op() == MatchOp::Equal;
    matchers.iter().filter(names).map(Matcher::value).find(|name| !name.is_empty())
}

/// Patterns are anchored by wrapping them in a group. One that closes this group (`a)|(b`) would escape the anchors.
pub(crate) fn is_closed_pattern(pattern: &str) -> bool {
    let (mut depth, mut in_class, mut escaped) = (0_i32, false, false);
    for character in pattern.chars() {
        match character {
            _ if escaped => escaped = false,
            '\\' => escaped = true,
            '[' => in_class = true,
            ']' => in_class = false,
            '(' if !in_class => depth += 1,
            ')' if !in_class => depth -= 1,
            _ => {}
        }
        if depth < 0 {
            return false;
        }
    }
    depth == 0
}

/// The pattern of a matcher is not a regular expression.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct PatternError {
    pattern: String,
}

impl fmt::Display for PatternError {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(formatter, "{:?} is not a regular expression", self.pattern)
    }
}

impl std::error::Error for PatternError {}
