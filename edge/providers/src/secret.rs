//! Text that must never be printed, and masking of such text in what others print.

use std::fmt;

use trimtab_units::line::is_unsafe;
use zeroize::Zeroizing;

/// What stands in place of a secret.
pub const MASK: &str = "[redacted]";

/// Shortest secret that is masked by value, in bytes: masking shorter ones would shred ordinary words.
const MASKABLE_BYTES: usize = 4;

/// A secret: wiped from memory when dropped, masked when printed, absent from any serialised form.
#[derive(Clone, PartialEq, Eq)]
pub struct SecretText(Zeroizing<String>);

impl SecretText {
    /// Takes the text over.
    #[must_use]
    pub fn new(text: String) -> Self {
        Self(Zeroizing::new(text))
    }

    /// The text itself, for the one place that sends it.
    #[must_use]
    pub fn expose(&self) -> &str {
        &self.0
    }

    /// `text` with every occurrence of this secret masked.
    #[must_use]
    pub fn mask_in(&self, text: &str) -> String {
        if self.0.len() < MASKABLE_BYTES { text.to_owned() } else { text.replace(self.0.as_str(), MASK) }
    }
}

impl fmt::Debug for SecretText {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        formatter.write_str(MASK)
    }
}

impl fmt::Display for SecretText {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        formatter.write_str(MASK)
    }
}

/// Makes text of a foreign server fit to show: no control characters or marks of direction, no URL user names, paths or queries, no
/// `Authorization` values, at most `limit_bytes` long.
#[must_use]
pub fn printable(text: &str, limit_bytes: usize) -> String {
    let mut words = Vec::new();
    let mut after_scheme = false;
    for word in text.split(|character: char| character.is_whitespace() || is_unsafe(character)) {
        if word.is_empty() {
            continue;
        }
        words.push(if after_scheme { MASK.to_owned() } else { mask_url(word) });
        let bare = word.trim_matches(|character: char| !character.is_ascii_alphanumeric());
        after_scheme = bare.eq_ignore_ascii_case("bearer") || bare.eq_ignore_ascii_case("basic");
    }
    shorten(&words.join(" "), limit_bytes)
}

/// The first `limit_bytes` of `text` at most, cut between characters, with an ellipsis where something is
/// missing.
#[must_use]
pub fn shorten(text: &str, limit_bytes: usize) -> String {
    const ELLIPSIS: char = '…';
    if text.len() <= limit_bytes {
        return text.to_owned();
    }
    let end = text.floor_char_boundary(limit_bytes.saturating_sub(ELLIPSIS.len_utf8()));
    format!("{}{ELLIPSIS}", &text[..end])
}

fn mask_url(word: &str) -> String {
    let Some(start) = word.find("://") else { return word.to_owned() };
    let (scheme, rest) = word.split_at(start + "://".len());
    let authority_end = rest.find(['/', '?', '#', '"', '\'', ')']).unwrap_or(rest.len());
    let (authority, tail) = rest.split_at(authority_end);
    let host = authority.rsplit_once('@').map_or(authority, |(_, host)| host);
    let masked_tail = if tail.len() > 1 && !tail.starts_with(['"', '\'', ')']) { "/…" } else { tail };
    format!("{scheme}{host}{masked_tail}")
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_secret_prints_as_a_mask() {
        let secret = SecretText::new("hunter2".to_owned());
        assert_eq!(format!("{secret} {secret:?}"), "[redacted] [redacted]");
        assert_eq!(secret.mask_in("no hunter2 here"), "no [redacted] here");
        assert_eq!(SecretText::new(String::new()).mask_in("abc"), "abc");
    }

    #[test]
    fn foreign_text_is_made_printable() {
        let table: &[(&str, usize, &str)] = &[
            ("parse error at char 5", 100, "parse error at char 5"),
            ("a\n\tb\u{7}c\u{202e}d", 100, "a b c d"),
            ("got Authorization: Bearer abc.def end", 100, "got Authorization: Bearer [redacted] end"),
            ("header \"basic dXNlcg==\"", 100, "header \"basic [redacted]"),
            ("Post \"http://u:p@h:9/x?token=1\": refused", 100, "Post \"http://h:9/… refused"),
            ("see https://h.example/", 100, "see https://h.example/"),
            ("éééé", 6, "é…"),
            ("abcdef", 6, "abcdef"),
            ("abcdefg", 6, "abc…"),
        ];
        for (input, limit, expect) in table {
            assert_eq!(&printable(input, *limit), expect, "{input:?}");
        }
    }
}
