//! Links and anchors of Markdown pages.

use std::collections::{BTreeMap, BTreeSet};

/// A link to another place in this repository.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Link {
    /// Line number from 1.
    pub line: usize,
    /// Path as written, relative to the page; empty for the page itself.
    pub path: String,
    /// What follows `#`.
    pub anchor: Option<String>,
}

/// Lines outside of fenced code blocks, with their numbers from 1.
fn prose(text: &str) -> impl Iterator<Item = (usize, &str)> {
    let mut fenced = false;
    text.lines().enumerate().filter_map(move |(index, line)| {
        let fence = line.trim_start().starts_with("```");
        fenced ^= fence;
        (!fenced && !fence).then_some((index + 1, line))
    })
}

/// A line's parts inside and outside of backticks, alternating, the first one outside.
fn by_backticks(line: &str) -> impl Iterator<Item = (bool, &str)> {
    line.split('`').enumerate().map(|(index, part)| (index % 2 == 1, part))
}

/// Links that stay in the repository.
#[must_use]
pub fn links(text: &str) -> Vec<Link> {
    let mut links = Vec::new();
    for (line, content) in prose(text) {
        // A link's words may be code; what follows `](` never is.
        for rest in content.split("](").skip(1) {
            let Some((destination, _)) = rest.split_once(')') else { continue };
            if destination.contains("://") || destination.starts_with("mailto:") {
                continue;
            }
            let (path, anchor) = match destination.split_once('#') {
                Some((path, anchor)) => (path, Some(anchor.to_owned())),
                None => (destination, None),
            };
            links.push(Link { line, path: path.to_owned(), anchor });
        }
    }
    links
}

/// Code spans, with their line numbers.
#[must_use]
pub fn code_spans(text: &str) -> Vec<(usize, &str)> {
    prose(text)
        .flat_map(|(line, content)| by_backticks(content).map(move |(code, part)| (line, code, part)))
        .filter_map(|(line, code, part)| code.then_some((line, part)))
        .collect()
}

/// Words outside of code, in lower case, with their line numbers.
pub fn words(text: &str) -> impl Iterator<Item = (usize, String)> {
    prose(text).flat_map(|(line, content)| {
        let parts = by_backticks(content).filter(|(code, _)| !code);
        parts.flat_map(move |(_, part)| {
            part.split(|c: char| !c.is_alphanumeric()).map(move |word| (line, word.to_lowercase()))
        })
    })
}

/// Anchors of a page's headings, made as the book and code hosts make them.
#[must_use]
pub fn anchors(text: &str) -> BTreeSet<String> {
    let mut seen: BTreeMap<String, usize> = BTreeMap::new();
    let mut anchors = BTreeSet::new();
    for (_, line) in prose(text) {
        let heading = line.trim_start_matches('#');
        if heading.len() == line.len() || !heading.starts_with(' ') {
            continue;
        }
        let anchor = anchor(heading.trim());
        let count = seen.entry(anchor.clone()).or_default();
        anchors.insert(if *count == 0 { anchor } else { format!("{anchor}-{count}") });
        *count += 1;
    }
    anchors
}

fn anchor(heading: &str) -> String {
    let kept = heading.chars().filter(|c| c.is_alphanumeric() || matches!(c, ' ' | '-' | '_'));
    kept.map(|c| if c == ' ' { '-' } else { c.to_ascii_lowercase() }).collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    const PAGE: &str = "# A `b` (c)\n\nSee [one](x.md#y), [`two`](#z) and [web](https://w).\n\n```sh\n# not [a](link)\n```\n\n## A b c\n`p/q` now\n";

    #[test]
    fn a_page_is_read() {
        let link = |path: &str, anchor: &str| Link {
            line: 3,
            path: path.to_owned(),
            anchor: Some(anchor.to_owned()),
        };
        assert_eq!(links(PAGE), [link("x.md", "y"), link("", "z")]);
        assert_eq!(anchors(PAGE), BTreeSet::from(["a-b-c".to_owned(), "a-b-c-1".to_owned()]));
        assert_eq!(code_spans(PAGE), [(1, "b"), (3, "two"), (10, "p/q")]);
        assert!(words(PAGE).any(|(line, word)| (line, word.as_str()) == (10, "now")));
    }
}
