//! Text of others in one line: what somebody named an image must not look like a second message, or steer a terminal.

/// What stands in place of a character that may not be shown.
pub const REPLACEMENT: char = '\u{fffd}';

/// Whether a character ends or steers a line instead of being read in it: control characters, line and paragraph
/// separators, marks that turn the direction of text, characters without width that hide in a word, and tags.
/// The joiners of scripts and of emoji are none of these.
#[must_use]
pub fn is_unsafe(character: char) -> bool {
    character.is_control()
        || matches!(character,
            '\u{ad}' | '\u{61c}' | '\u{180e}' | '\u{200b}' | '\u{200e}' | '\u{200f}'
            | '\u{2028}'..='\u{202e}' | '\u{2060}'..='\u{206f}'
            | '\u{feff}' | '\u{fff9}'..='\u{fffb}' | '\u{e0000}'..='\u{e007f}')
}

/// `text` in one line: white space that moves a cursor becomes a blank, every other unsafe character [`REPLACEMENT`].
///
/// ```
/// assert_eq!(trimtab_units::line::one_line("v2\nhealthy\u{1b}[2J"), "v2 healthy\u{fffd}[2J");
/// ```
#[must_use]
pub fn one_line(text: &str) -> String {
    let shown = |character: char| match character {
        _ if !is_unsafe(character) => character,
        '\u{2028}' | '\u{2029}' => ' ',
        _ if character.is_whitespace() => ' ',
        _ => REPLACEMENT,
    };
    text.chars().map(shown).collect()
}

/// `text` in one line, as [`one_line`] gives it; what is one already is not copied.
#[must_use]
pub fn in_one_line(text: String) -> String {
    if text.contains(is_unsafe) { one_line(&text) } else { text }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn hostile_texts() {
        let check = |text: &str, expect: &str| {
            assert_eq!(one_line(text), expect, "{text:?}");
            assert_eq!(in_one_line(text.to_owned()), expect, "{text:?}");
        };
        check("shop/payments:v2", "shop/payments:v2");
        check("a\r\nb\tc\u{85}d\u{2028}e\u{2029}f", "a  b c d e f");
        check("\u{1b}[31mred\u{7}", "\u{fffd}[31mred\u{fffd}");
        check("\u{9b}2J", "\u{fffd}2J");
        check("payments\u{202e}1v", "payments\u{fffd}1v");
        check("\u{2066}a\u{2069}\u{200f}b\u{61c}", "\u{fffd}a\u{fffd}\u{fffd}b\u{fffd}");
        check("pay\u{200b}ments\u{feff}", "pay\u{fffd}ments\u{fffd}");
        check("\u{e0041}", "\u{fffd}");
        // What people write stays: accents, scripts, emoji with their joiners, narrow blanks.
        check(
            "é ع \u{202f}👩\u{200d}💻 ⚠\u{fe0f} می\u{200c}خواهم",
            "é ع \u{202f}👩\u{200d}💻 ⚠\u{fe0f} می\u{200c}خواهم",
        );
    }

    #[test]
    fn one_line_is_one_line() {
        let all: String = (0..=0x0010_ffff).filter_map(char::from_u32).collect();
        let line = one_line(&all);
        assert!(!line.contains(is_unsafe) && line.lines().count() == 1);
        assert_eq!(one_line(&line), line);
    }
}
