//! How much work a regular expression is before anybody matches anything: the grammar compiles each one that it reads, and
//! a short text can stand for a large machine.

use regex_syntax::hir::{Class, Hir, HirKind};

/// Most that the patterns of one expression may come to, in states of the machine that matches them; a letter of some
/// alphabet is a few hundred. Compiling this many takes some hundredths of a second.
pub const MAX_PATTERN_STATES: u64 = 150_000;

/// States of the patterns that stand for one of these ranges of characters.
const STATES_PER_RANGE: u64 = 4;

/// The states of `pattern`, roughly; `None` where it is no regular expression, which the grammar says.
fn states(pattern: &str) -> Option<u64> {
    let parsed = |pattern: &str| regex_syntax::parse(pattern).ok();
    parsed(pattern).or_else(|| parsed(&braces_escaped(pattern))).map(|hir| count(&hir))
}

fn count(hir: &Hir) -> u64 {
    let sum = |parts: &[Hir]| parts.iter().map(count).fold(1, u64::saturating_add);
    match hir.kind() {
        HirKind::Empty | HirKind::Look(_) => 1,
        HirKind::Literal(literal) => literal.0.len() as u64,
        HirKind::Class(Class::Unicode(class)) => class.ranges().len() as u64 * STATES_PER_RANGE,
        HirKind::Class(Class::Bytes(class)) => class.ranges().len() as u64,
        HirKind::Repetition(repeated) => {
            let times = repeated.max.unwrap_or(repeated.min.saturating_add(1)).max(1);
            count(&repeated.sub).saturating_add(1).saturating_mul(u64::from(times))
        }
        HirKind::Capture(capture) => count(&capture.sub).saturating_add(2),
        HirKind::Concat(parts) | HirKind::Alternation(parts) => sum(parts),
    }
}

/// The grammar takes braces that repeat nothing for themselves.
fn braces_escaped(pattern: &str) -> String {
    let mut escaped = String::with_capacity(pattern.len());
    let mut rest = pattern;
    while let Some(place) = rest.find('{') {
        let (before, after) = rest.split_at(place);
        let inside = after[1..].split('}').next().unwrap_or_default();
        let repeats = inside.starts_with(|c: char| c.is_ascii_digit())
            && inside.chars().all(|c| c.is_ascii_digit() || c == ',');
        escaped.push_str(before);
        escaped.push_str(if repeats { "{" } else { "\\{" });
        rest = &after[1..];
    }
    escaped.push_str(rest);
    escaped
}

/// The states of the pattern in a quoted token; of whatever it is more with or without its escapes read, for servers and
/// grammars do not agree on them between backticks.
pub(crate) fn states_of(token: &str) -> u64 {
    let inner = token.get(1..token.len().saturating_sub(1)).unwrap_or_default();
    let written = states(inner).unwrap_or_default();
    written.max(states(&unescaped(inner)).unwrap_or_default())
}

/// Escapes that the language does not have are left as they are.
fn unescaped(inner: &str) -> String {
    let mut text = String::with_capacity(inner.len());
    let mut letters = inner.chars();
    while let Some(letter) = letters.next() {
        if letter != '\\' {
            text.push(letter);
            continue;
        }
        let Some(escaped) = letters.next() else { break };
        let (digits, radix) = match escaped {
            'x' => (2, 16),
            'u' => (4, 16),
            'U' => (8, 16),
            '0'..='7' => (2, 8),
            _ => (0, 0),
        };
        let told: String = letters.clone().take(digits).collect();
        let told = if radix == 8 { format!("{escaped}{told}") } else { told };
        match (radix, u32::from_str_radix(&told, radix.max(2)).ok().and_then(char::from_u32)) {
            (8 | 16, Some(character)) => {
                letters.by_ref().take(digits).for_each(drop);
                text.push(character);
            }
            _ => match escaped {
                'n' => text.push('\n'),
                't' => text.push('\t'),
                'r' => text.push('\r'),
                '\\' | '"' | '\'' => text.push(escaped),
                other => text.extend(['\\', other]),
            },
        }
    }
    text
}
