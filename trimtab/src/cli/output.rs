//! Rendering: plain data in, text out. Data goes to stdout, talk to stderr, and colour only repeats what words say.

use std::io::Write;

use clap::ValueEnum;
use jiff::Timestamp;
use serde_json::Value;
use trimtab_delivery::snapshot::ReleasePhase;
use trimtab_units::line::is_unsafe;

use super::exit::Failure;

/// Widest cell that a table prints whole outside `-o wide`, in characters. The last column is never cut.
const CELL_CHARS_MAX: usize = 60;

/// Form of the data on stdout.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, ValueEnum)]
pub enum Form {
    /// A table.
    #[default]
    #[value(skip)]
    Table,
    /// A table with more columns.
    Wide,
    /// The objects, as JSON.
    Json,
    /// The objects, as YAML.
    Yaml,
}

/// Whether words may be coloured.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Paint {
    /// Never.
    Plain,
    /// On a terminal that wants it.
    Colour,
}

/// What a word says about a service.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Mood {
    /// All is well.
    Good,
    /// Under way.
    Busy,
    /// Went wrong.
    Bad,
    /// Waits for somebody.
    Waiting,
    /// Nobody looks after it, so what was written last may be wrong by now.
    Unknown,
    /// Nothing to say.
    Still,
}

impl Mood {
    /// A sign that goes before the word, so that colour is never alone.
    #[must_use]
    pub fn glyph(self) -> char {
        match self {
            Self::Good => '✔',
            Self::Busy => '●',
            Self::Bad => '✖',
            Self::Waiting => '‖',
            Self::Unknown => '?',
            Self::Still => '○',
        }
    }

    fn colour(self) -> &'static str {
        match self {
            Self::Good => "\x1b[32m",
            Self::Busy => "\x1b[36m",
            Self::Bad => "\x1b[31m",
            Self::Waiting | Self::Unknown => "\x1b[33m",
            Self::Still => "\x1b[2m",
        }
    }

    /// The mood of a service's phase.
    #[must_use]
    pub fn of_app(phase: &str) -> Self {
        match phase {
            "Healthy" => Self::Good,
            "Releasing" => Self::Busy,
            "RollingBack" | "Degraded" => Self::Bad,
            "Held" => Self::Waiting,
            _ => Self::Still,
        }
    }

    /// The mood of a release's phase.
    #[must_use]
    pub fn of_release(phase: ReleasePhase) -> Self {
        match phase {
            ReleasePhase::Kept => Self::Good,
            ReleasePhase::Judging => Self::Busy,
            ReleasePhase::RollingBack | ReleasePhase::RolledBack => Self::Bad,
            ReleasePhase::Pending => Self::Waiting,
            ReleasePhase::Superseded => Self::Still,
        }
    }
}

impl Paint {
    /// `glyph words`, coloured where that is wanted.
    #[must_use]
    pub fn say(self, mood: Mood, words: &str) -> String {
        let plain = format!("{} {}", mood.glyph(), printable(words));
        match self {
            Self::Plain => plain,
            Self::Colour => format!("{}{plain}\x1b[0m", mood.colour()),
        }
    }
}

/// Text from the cluster in one line, without what would move a terminal's cursor, turn its direction or change its
/// state.
#[must_use]
pub fn printable(text: &str) -> String {
    trimtab_units::line::one_line(text)
}

/// One cell of a table.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Cell {
    text: String,
    mood: Option<Mood>,
}

impl Cell {
    /// Plain words.
    #[must_use]
    pub fn text(text: impl Into<String>) -> Self {
        Self { text: printable(&text.into()), mood: None }
    }

    /// Words with a sign.
    #[must_use]
    pub fn mood(mood: Mood, text: &str) -> Self {
        Self { mood: Some(mood), ..Self::text(format!("{} {text}", mood.glyph())) }
    }
}

/// A table: columns as wide as their widest cell, two blanks between them, nothing after the last.
#[must_use]
pub fn table(header: &[&str], rows: &[Vec<Cell>], form: Form, paint: Paint) -> String {
    let last = header.len().saturating_sub(1);
    let shown = |(column, cell): (usize, &Cell)| {
        let whole = form == Form::Wide || column == last;
        (if whole { cell.text.clone() } else { shortened(&cell.text) }, cell.mood)
    };
    let mut lines: Vec<Vec<(String, Option<Mood>)>> =
        vec![header.iter().map(|name| ((*name).to_owned(), None)).collect()];
    lines.extend(rows.iter().map(|row| row.iter().enumerate().map(shown).collect()));
    let width = |column: usize| {
        lines.iter().filter_map(|line| line.get(column)).map(|(text, _)| text.chars().count()).max()
    };
    let widths: Vec<usize> = (0..header.len()).map(|column| width(column).unwrap_or_default()).collect();
    let mut text = String::new();
    for line in &lines {
        for (column, (words, mood)) in line.iter().enumerate() {
            let padding = if column == last { 0 } else { widths[column] - words.chars().count() + 2 };
            match (mood, paint) {
                (Some(mood), Paint::Colour) => text.push_str(&format!("{}{words}\x1b[0m", mood.colour())),
                _ => text.push_str(words),
            }
            text.extend(std::iter::repeat_n(' ', padding));
        }
        text.push('\n');
    }
    text
}

fn shortened(text: &str) -> String {
    match text.char_indices().nth(CELL_CHARS_MAX) {
        Some((end, _)) => format!("{}…", &text[..end]),
        None => text.to_owned(),
    }
}

/// Time since `then` as kubectl says it: `45s`, `12m`, `3h`, `9d`.
#[must_use]
pub fn age(now: Timestamp, then: Option<Timestamp>) -> String {
    let Some(then) = then else { return "-".to_owned() };
    let seconds = now.duration_since(then).as_secs().max(0);
    match seconds {
        0..120 => format!("{seconds}s"),
        120..7200 => format!("{}m", seconds / 60),
        7200..172_800 => format!("{}h", seconds / 3600),
        _ => format!("{}d", seconds / 86_400),
    }
}

/// Writes objects as they are in the API.
///
/// # Errors
/// When the stream is closed or the value cannot be written as YAML.
pub fn objects(out: &mut dyn Write, form: Form, value: &Value) -> Result<(), Failure> {
    match form {
        Form::Yaml => write!(out, "{}", yaml(value)?)?,
        _ => writeln!(out, "{}", json(value))?,
    }
    Ok(())
}

/// A value as JSON, without characters that do something to a terminal: JSON has another way to write them.
fn json(value: &Value) -> String {
    let mut text = String::new();
    for character in format!("{value:#}").chars() {
        if character == '\n' || !is_unsafe(character) {
            text.push(character);
        } else {
            let mut units = [0; 2];
            text.extend(character.encode_utf16(&mut units).iter().map(|unit| format!("\\u{unit:04x}")));
        }
    }
    text
}

/// A value as one YAML document.
///
/// # Errors
/// When the value cannot be written as YAML.
pub fn yaml(value: &Value) -> Result<String, Failure> {
    let text = serde_saphyr::to_string(value)
        .map_err(|error| Failure::error(format!("cannot write YAML: {error}")))?;
    // JSON is YAML too, and can say what may not be printed.
    let is_plain = text.chars().all(|character| character == '\n' || !is_unsafe(character));
    Ok(if is_plain { text } else { json(value) + "\n" })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn data_steers_no_terminal_and_says_the_same() {
        let value = serde_json::json!({"because": "evil \u{1b}[31m\n\u{202e}drow \u{e0041} é"});
        for form in [Form::Json, Form::Yaml] {
            let mut out = Vec::new();
            objects(&mut out, form, &value).unwrap();
            let text = String::from_utf8(out).unwrap();
            assert!(!text.contains(|found| found != '\n' && is_unsafe(found)), "{text}");
            assert_eq!(serde_saphyr::from_str::<Value>(&text).unwrap(), value, "{text}");
        }
    }

    #[test]
    fn ages() {
        let then: Timestamp = "2026-01-01T00:00:00Z".parse().unwrap();
        let check = |seconds, expect: &str| {
            let now = then.checked_add(jiff::SignedDuration::from_secs(seconds)).unwrap();
            assert_eq!(age(now, Some(then)), expect, "{seconds}");
        };
        check(-5, "0s");
        check(119, "119s");
        check(120, "2m");
        check(7199, "119m");
        check(7200, "2h");
        check(172_800, "2d");
        assert_eq!(age(then, None), "-");
    }

    #[test]
    fn cluster_text_cannot_steer_the_terminal() {
        assert_eq!(printable("a\x1b[2Jb\rc\nhealthy\u{202e}1v"), "a\u{fffd}[2Jb c healthy\u{fffd}1v");
        assert_eq!(Cell::text("two\nlines"), Cell::text("two lines"));
    }

    #[test]
    fn tables_align_by_characters_and_colour_does_not_widen() {
        let rows = vec![
            vec![Cell::text("a"), Cell::mood(Mood::Good, "Healthy"), Cell::text("x")],
            vec![Cell::text("longer"), Cell::mood(Mood::Bad, "Ill"), Cell::text("y")],
        ];
        let plain = table(&["NAME", "STATE", "LAST"], &rows, Form::Table, Paint::Plain);
        assert_eq!(plain, "NAME    STATE      LAST\na       ✔ Healthy  x\nlonger  ✖ Ill      y\n");
        let coloured = table(&["NAME", "STATE", "LAST"], &rows, Form::Table, Paint::Colour);
        let stripped =
            ["\x1b[32m", "\x1b[31m", "\x1b[0m"].iter().fold(coloured, |text, code| text.replace(code, ""));
        assert_eq!(stripped, plain);
    }

    #[test]
    fn yaml_keeps_what_looks_like_something_else() {
        let value = serde_json::json!({"a": "true", "b": "1", "c": "0x10", "d": "null", "e": "~", "f": "- x", "g": ": y", "h": "a\nb\n",
            "i": "", "j": "yes", "k": "1e3", "l": "#no", "m": ["on", {"n": {}}], "o": "'", "p": "2026-01-01", "q": " edge ", "r": "a: b"});
        let back: Value = serde_saphyr::from_str(&yaml(&value).unwrap()).unwrap();
        assert_eq!(back, value);
    }
}
