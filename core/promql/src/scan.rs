//! A first look at the text, before the grammar: it bounds the work, finds faults the grammar would not locate, and
//! refuses numbers on which the grammar's actions would panic or silently overflow.

use trimtab_units::GoDuration;

use crate::parse_error::ParseError;
use crate::pattern::{self, MAX_PATTERN_STATES};

/// Longest expression, in bytes.
pub const MAX_SOURCE_BYTES: usize = 4096;
/// Most tokens in an expression. Bounds the depth of `- - - x` and of long operator chains.
pub const MAX_TOKENS: usize = 512;
/// Deepest nesting of brackets.
pub const MAX_NESTING: usize = 32;
/// Longest run of digits in a duration: what fits 32 bits, the grammar's own limit.
const MAX_DURATION_DIGITS: usize = 9;
/// Longest range or offset given as a bare number of seconds: about 31 years.
const MAX_BARE_SECONDS: f64 = 1e9;
/// Shortest such range or offset: Prometheus counts milliseconds.
const MIN_BARE_SECONDS: f64 = 1e-3;

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Kind {
    Word,
    /// A number or a duration.
    Number,
    Text,
    Operator,
    Open,
    Close,
    Comma,
    Colon,
}

#[derive(Clone, Copy, Debug)]
pub(crate) struct Token<'a> {
    pub(crate) kind: Kind,
    pub(crate) start: usize,
    pub(crate) text: &'a str,
}

/// Splits `source` into tokens, and refuses what would be too much for the grammar.
pub(crate) fn scan(source: &str) -> Result<Vec<Token<'_>>, ParseError> {
    let tokens = split(source)?;
    check_patterns(&tokens)?;
    Ok(tokens)
}

fn split(source: &str) -> Result<Vec<Token<'_>>, ParseError> {
    if source.len() > MAX_SOURCE_BYTES {
        return Err(ParseError::at(0, format!("the expression is longer than {MAX_SOURCE_BYTES} bytes")));
    }
    let (mut tokens, mut open, mut start) = (Vec::new(), Vec::<(usize, char)>::new(), 0);
    while let Some(first) = source[start..].chars().next() {
        let rest = &source[start..];
        if first.is_ascii_whitespace() {
            start += 1;
            continue;
        }
        if first == '#' {
            start += rest.find(['\n', '\r']).unwrap_or(rest.len());
            continue;
        }
        let inside = open.last().map(|(_, bracket)| *bracket);
        let (kind, length) = token_at(rest, first, inside, start)?;
        let token = Token { kind, start, text: &rest[..length] };
        track_brackets(&mut open, token, first)?;
        check_number(&tokens, token)?;
        tokens.push(token);
        if tokens.len() > MAX_TOKENS {
            return Err(ParseError::at(start, format!("the expression has more than {MAX_TOKENS} parts")));
        }
        start += length;
    }
    match open.pop() {
        Some((place, bracket)) => Err(ParseError::at(place, format!("'{bracket}' is never closed"))),
        None => Ok(tokens),
    }
}

/// Regular expressions, quoted.
fn patterns<'t, 'a>(tokens: &'t [Token<'a>]) -> impl Iterator<Item = &'t Token<'a>> {
    let is_pattern = |pair: &[Token<'_>]| matches!(pair[0].text, "=~" | "!~") && pair[1].kind == Kind::Text;
    tokens.windows(2).filter(move |pair| is_pattern(pair)).map(|pair| &pair[1])
}

/// How large the regular expressions of `source` are, together: about the states of the machines that match them. Zero where
/// it is no expression at all; more than [`MAX_PATTERN_STATES`] are never compiled.
#[must_use]
pub fn pattern_states(source: &str) -> u64 {
    let states = |token: &Token<'_>| pattern::states_of(token.text);
    split(source).map_or(0, |tokens| patterns(&tokens).map(states).fold(0, u64::saturating_add))
}

/// Refuses regular expressions that would be too much to compile, together.
fn check_patterns(tokens: &[Token<'_>]) -> Result<(), ParseError> {
    let mut left = MAX_PATTERN_STATES;
    for token in patterns(tokens) {
        left = left.checked_sub(pattern::states_of(token.text)).ok_or_else(|| {
            let message = "the regular expressions up to here are too large: repeat less, or shorter parts";
            ParseError::at(token.start, message)
        })?;
    }
    Ok(())
}

/// The kind and length in bytes of the token at the start of `rest`.
fn token_at(
    rest: &str,
    first: char,
    inside: Option<char>,
    start: usize,
) -> Result<(Kind, usize), ParseError> {
    let word_length = |extra: &str| {
        rest.find(|c: char| !(c.is_ascii_alphanumeric() || c == '_' || extra.contains(c)))
            .unwrap_or(rest.len())
    };
    let second = rest[first.len_utf8()..].chars().next();
    Ok(match first {
        '(' | '{' | '[' => (Kind::Open, 1),
        ')' | '}' | ']' => (Kind::Close, 1),
        ',' => (Kind::Comma, 1),
        '"' | '\'' | '`' => (Kind::Text, text_length(rest, first, start)?),
        ':' if inside == Some('[') => (Kind::Colon, 1),
        '0'..='9' => (Kind::Number, number_length(rest)),
        '.' if second.is_some_and(|c| c.is_ascii_digit()) => (Kind::Number, number_length(rest)),
        'a'..='z' | 'A'..='Z' | '_' | ':' => (Kind::Word, word_length(":")),
        '=' | '!' | '<' | '>' if second == Some('=') => (Kind::Operator, 2),
        '=' | '!' if second == Some('~') => (Kind::Operator, 2),
        '=' | '<' | '>' | '+' | '-' | '*' | '/' | '%' | '^' | '@' => (Kind::Operator, 1),
        other => return Err(ParseError::at(start, format!("unexpected character {other:?}"))),
    })
}

fn text_length(rest: &str, quote: char, start: usize) -> Result<usize, ParseError> {
    let mut escaped = false;
    for (place, character) in rest.char_indices().skip(1) {
        match character {
            _ if escaped => escaped = false,
            '\\' if quote != '`' => escaped = true,
            _ if character == quote => return Ok(place + 1),
            _ => {}
        }
    }
    Err(ParseError::at(start, format!("the text that starts with {quote} never ends")))
}

fn number_length(rest: &str) -> usize {
    let hexadecimal = rest.starts_with("0x") || rest.starts_with("0X");
    let mut previous = ' ';
    let ends = |c: char| {
        let sign_of_exponent = !hexadecimal && matches!(previous, 'e' | 'E') && matches!(c, '+' | '-');
        previous = c;
        !(c.is_ascii_alphanumeric() || c == '.' || c == '_' || sign_of_exponent)
    };
    rest.find(ends).unwrap_or(rest.len())
}

fn track_brackets(open: &mut Vec<(usize, char)>, token: Token<'_>, first: char) -> Result<(), ParseError> {
    match token.kind {
        Kind::Open if open.len() == MAX_NESTING => {
            Err(ParseError::at(token.start, format!("brackets nest deeper than {MAX_NESTING}")))
        }
        Kind::Open => {
            open.push((token.start, first));
            Ok(())
        }
        Kind::Close => match open.pop() {
            Some((_, '(')) if first == ')' => Ok(()),
            Some((_, '{')) if first == '}' => Ok(()),
            Some((_, '[')) if first == ']' => Ok(()),
            Some((_, bracket)) => Err(ParseError::at(token.start, format!("'{first}' closes a '{bracket}'"))),
            None => Err(ParseError::at(token.start, format!("'{first}' closes nothing"))),
        },
        _ => Ok(()),
    }
}

/// Refuses durations that overflow, and bare numbers that cannot be a range or an offset.
fn check_number(before: &[Token<'_>], token: Token<'_>) -> Result<(), ParseError> {
    let as_duration = means_duration(before);
    let lower = token.text.to_ascii_lowercase();
    match token.kind {
        Kind::Word if as_duration && matches!(lower.as_str(), "inf" | "nan") => {
            Err(ParseError::at(token.start, "a duration such as 5m is expected"))
        }
        Kind::Number if !lower.starts_with("0x") && lower.contains(['s', 'm', 'h', 'd', 'w', 'y']) => {
            let too_long =
                token.text.split(|c: char| !c.is_ascii_digit()).any(|run| run.len() > MAX_DURATION_DIGITS);
            match GoDuration::parse_prometheus(token.text) {
                Ok(_) if !too_long => Ok(()),
                Ok(_) => Err(ParseError::at(token.start, "the duration is too long")),
                Err(error) => Err(ParseError::at(token.start, error.to_string())),
            }
        }
        Kind::Number if as_duration => {
            // A leading zero means octal or hexadecimal: no sensible way to write a duration.
            let decimal = !lower.starts_with('0') || lower.starts_with("0.");
            let seconds: f64 = lower.parse().unwrap_or(f64::NAN);
            match decimal && (MIN_BARE_SECONDS..=MAX_BARE_SECONDS).contains(&seconds) {
                true => Ok(()),
                false => Err(ParseError::at(token.start, "a duration such as 5m is expected")),
            }
        }
        _ => Ok(()),
    }
}

/// Is the next number a range, a resolution or an offset?
fn means_duration(before: &[Token<'_>]) -> bool {
    let mut back = before.iter().rev();
    let Some(last) = back.next() else { return false };
    let opens_range = last.text == "[" || last.kind == Kind::Colon;
    let previous = if matches!(last.text, "+" | "-") { back.next() } else { Some(last) };
    opens_range || previous.is_some_and(|token| token.text.eq_ignore_ascii_case("offset"))
}

/// Words that are neither a value nor an operator, or that may be a metric as well: they prove no fault.
const NEUTRAL_WORDS: [&str; 16] = [
    "and",
    "or",
    "unless",
    "atan2",
    "by",
    "without",
    "on",
    "ignoring",
    "group_left",
    "group_right",
    "bool",
    "offset",
    "fill",
    "fill_left",
    "fill_right",
    "start",
];

/// Finds the first place where two neighbours cannot both be right. Only asked once the grammar has refused the text.
pub(crate) fn locate_fault(source: &str, tokens: &[Token<'_>]) -> ParseError {
    let neutral = |token: &Token<'_>| {
        token.kind == Kind::Word && NEUTRAL_WORDS.iter().any(|word| token.text.eq_ignore_ascii_case(word))
    };
    let ends_value = |token: &Token<'_>| {
        matches!(token.kind, Kind::Number | Kind::Text | Kind::Close)
            || token.kind == Kind::Word && !neutral(token)
    };
    let starts_value = |token: &Token<'_>| {
        matches!(token.kind, Kind::Number | Kind::Text) || token.kind == Kind::Word && !neutral(token)
    };
    let wants_value = |token: &Token<'_>| matches!(token.kind, Kind::Operator | Kind::Comma | Kind::Open);
    let sign = |token: &Token<'_>| matches!(token.text, "+" | "-");
    for pair in tokens.windows(2) {
        let (left, right) = (&pair[0], &pair[1]);
        if ends_value(left) && starts_value(right) && !tokens_label(tokens, left) {
            return ParseError::at(
                right.start,
                format!("an operator or a comma is missing before {}", right.text),
            );
        }
        let binary = right.kind == Kind::Operator && !sign(right);
        let empty_brackets = left.kind == Kind::Open && right.kind == Kind::Close;
        if wants_value(left) && (binary || matches!(right.kind, Kind::Close | Kind::Comma)) && !empty_brackets
        {
            return ParseError::at(right.start, format!("a value is missing before {}", right.text));
        }
    }
    match tokens.last() {
        Some(last) if wants_value(last) || neutral(last) => {
            ParseError::at(source.len(), format!("the expression ends where {} needs a value", last.text))
        }
        _ => ParseError::at(0, "this is not PromQL"),
    }
}

/// Does `token` close the labels of `by (...)`, after which the aggregated value follows without an operator?
fn tokens_label(tokens: &[Token<'_>], token: &Token<'_>) -> bool {
    if token.text != ")" {
        return false;
    }
    let before = tokens.iter().take_while(|other| other.start < token.start);
    let opener = before.clone().filter(|other| other.text == "(").last();
    let Some(opener) = opener else { return false };
    let word = before.take_while(|other| other.start < opener.start).last();
    word.is_some_and(|word| NEUTRAL_WORDS.iter().any(|known| word.text.eq_ignore_ascii_case(known)))
}
