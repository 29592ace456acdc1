//! Why a text is not an expression.

use std::fmt;

use trimtab_units::line::is_unsafe;

/// Longest message about a text that is no expression, in characters.
const MAX_MESSAGE_CHARS: usize = 300;

/// Why a text is not an expression, and where.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct ParseError {
    position: usize,
    message: String,
}

impl ParseError {
    pub(crate) fn at(position: usize, message: impl AsRef<str>) -> Self {
        ParseError { position, message: one_line(message.as_ref()) }
    }

    /// The byte of the source at which the fault was noticed.
    pub fn position(&self) -> usize {
        self.position
    }

    /// What is wrong, in one line.
    pub fn message(&self) -> &str {
        &self.message
    }
}

impl fmt::Display for ParseError {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(formatter, "invalid PromQL at byte {}: {}", self.position, self.message)
    }
}

impl std::error::Error for ParseError {}

/// A message in one line: what it quotes of the source may hold line breaks, and be as long as the source.
fn one_line(message: &str) -> String {
    let blank = |character: char| character.is_whitespace() || is_unsafe(character);
    let words: Vec<&str> = message.split(blank).filter(|word| !word.is_empty()).collect();
    let line = words.join(" ");
    match line.char_indices().nth(MAX_MESSAGE_CHARS) {
        Some((end, _)) => format!("{}...", &line[..end]),
        None => line,
    }
}
