//! The documents keep up with the code.

use std::collections::BTreeSet;
use std::path::{Component, Path, PathBuf};

use xtask::{markdown, reference, source, workspace};

/// Top-level folders whose paths, where a document names one, must exist.
const FOLDERS: [&str; 11] = [
    "core/",
    "api/",
    "edge/",
    "control/",
    "trimtab/",
    "proof/",
    "fuzz/",
    "xtask/",
    "docs/",
    "deploy/",
    "scenarios/",
];

fn pages() -> Vec<(String, String)> {
    let files = workspace::files().expect("git tells the files");
    let pages = files.into_iter().filter(|file| file.ends_with(".md"));
    let pages: Vec<_> = pages
        .map(|file| (read(&file).expect("a listed file can be read"), file))
        .map(|(text, file)| (file, text))
        .collect();
    assert!(pages.iter().any(|(file, _)| file == "README.md"), "the pages are found");
    pages
}

fn read(file: &str) -> std::io::Result<String> {
    std::fs::read_to_string(workspace::root().join(file))
}

/// `path` as seen from the folder of `page`, both relative to the root.
fn resolve(page: &str, path: &str) -> String {
    let mut resolved = PathBuf::from(page).parent().unwrap_or(Path::new("")).to_owned();
    for part in Path::new(path).components() {
        match part {
            Component::ParentDir => drop(resolved.pop()),
            Component::CurDir => {}
            other => resolved.push(other),
        }
    }
    resolved.to_string_lossy().into_owned()
}

#[test]
fn links_lead_somewhere() {
    let mut complaints = Vec::new();
    for (page, text) in pages() {
        for markdown::Link { line, path, anchor } in markdown::links(&text) {
            let target = if path.is_empty() { page.clone() } else { resolve(&page, &path) };
            if !workspace::root().join(&target).exists() {
                complaints.push(format!("{page}:{line}: {target} does not exist"));
            } else if let Some(anchor) = anchor {
                let found = read(&target).is_ok_and(|text| markdown::anchors(&text).contains(&anchor));
                if !found {
                    complaints.push(format!("{page}:{line}: {target} has no heading #{anchor}"));
                }
            }
        }
    }
    assert!(complaints.is_empty(), "\n{}\n", complaints.join("\n"));
}

/// A span such as `core/delivery/src/plan/mod.rs` or `xtask/tests/layers.rs::core_is_pure` names what exists.
#[test]
fn paths_and_tests_exist() {
    let mut complaints = Vec::new();
    for (page, text) in pages() {
        for (line, span) in markdown::code_spans(&text) {
            let path_like =
                FOLDERS.iter().any(|folder| span.starts_with(folder)) && !span.contains([' ', '*', '<', '{']);
            if !path_like {
                continue;
            }
            let (path, test) = match span.split_once("::") {
                Some((path, test)) => (path, Some(test)),
                None => (span, None),
            };
            if !workspace::root().join(path).exists() {
                complaints.push(format!("{page}:{line}: {path} does not exist"));
            } else if let Some(test) = test
                && !read(path).is_ok_and(|source| source.contains(&format!("fn {test}(")))
            {
                complaints.push(format!("{page}:{line}: {path} has no test {test}"));
            }
        }
    }
    assert!(complaints.is_empty(), "\n{}\n", complaints.join("\n"));
}

/// Every page is in the book's table of contents.
#[test]
fn the_book_lists_every_page() {
    let summary = read("docs/SUMMARY.md").expect("the book has a table of contents");
    let linked: Vec<String> =
        markdown::links(&summary).into_iter().map(|link| resolve("docs/SUMMARY.md", &link.path)).collect();
    let missing: Vec<String> = pages()
        .into_iter()
        .map(|(page, _)| page)
        .filter(|page| page.starts_with("docs/") && page != "docs/SUMMARY.md" && !linked.contains(page))
        .collect();
    assert!(missing.is_empty(), "not in docs/SUMMARY.md: {missing:?}");
}

#[test]
fn the_page_about_kinds_is_up_to_date() {
    let expected = reference::crd_page(workspace::root()).expect("the schemas can be read");
    let page = read(reference::CRD_PAGE).unwrap_or_default();
    assert!(
        page == expected,
        "{} is out of date; write it with `cargo xtask reference`",
        reference::CRD_PAGE
    );
}

/// The page about exit codes says what `--help` says, which the page about the command line repeats.
#[test]
fn the_page_about_exit_codes_is_up_to_date() {
    let help = read(reference::CLI_PAGE).expect("the page exists");
    let page = read("docs/reference/exit-codes.md").expect("the page exists");
    let told = help
        .lines()
        .skip_while(|line| *line != "Exit codes:")
        .skip(1)
        .take_while(|line| line.starts_with("  "));
    let rows: Vec<String> = told
        .filter_map(|line| line.trim().split_once(' '))
        .map(|(code, meaning)| format!("| {code} | {} |", meaning.trim()))
        .collect();
    assert!(!rows.is_empty(), "{} tells the exit codes", reference::CLI_PAGE);
    let documented: Vec<&str> =
        page.lines().filter(|line| line.starts_with("| ") && !line.starts_with("| code")).collect();
    assert_eq!(documented, rows, "left: the page, right: `--help`");
}

/// Names of the series that the manager exposes, without the suffixes that the exposition format adds.
#[test]
fn the_page_about_metrics_is_complete() {
    let page = read("docs/reference/metrics.md").expect("the page exists");
    let table = page.lines().filter(|line| line.starts_with("| `trimtab_"));
    let told: BTreeSet<String> = table
        .filter_map(|line| line.split('`').nth(1))
        .map(|name| name.trim_end_matches("_total").trim_end_matches("_info").to_owned())
        .collect();
    let files = workspace::files().expect("git tells the files");
    let sources =
        files.iter().filter(|file| file.starts_with("edge/kube/src/") || file.starts_with("control/src/"));
    let mut exposed = BTreeSet::new();
    for file in sources {
        let text = read(file).expect("a listed file can be read");
        let literals = source::without_tests(&text).split('"').skip(1).step_by(2);
        exposed.extend(literals.filter(|literal| is_series(literal)).map(str::to_owned));
    }
    assert_eq!(told, exposed, "left: the page, right: the code");
}

fn is_series(literal: &str) -> bool {
    literal.starts_with("trimtab_") && literal.chars().all(|c| c.is_ascii_lowercase() || c == '_')
}
