//! Reason codes are promised: the page that documents them lists each of them, and nothing else.

use trimtab_plan::Reason;

/// The rows of the page's table: code and meaning.
fn documented() -> Vec<(String, String)> {
    let page = concat!(env!("CARGO_MANIFEST_DIR"), "/../../docs/reference/reasons.md");
    let text = std::fs::read_to_string(page).expect("the page exists");
    let rows =
        text.lines().filter_map(|line| line.strip_prefix("| `")?.strip_suffix(" |")?.split_once("` | "));
    rows.map(|(code, meaning)| (code.to_owned(), meaning.to_owned())).collect()
}

#[test]
fn the_page_lists_every_code_and_no_other() {
    let promised: Vec<(String, String)> =
        Reason::ALL.iter().map(|reason| (reason.code().to_owned(), reason.meaning().to_owned())).collect();
    assert_eq!(documented(), promised, "left: docs/reference/reasons.md, right: core/plan/src/reason.rs");
}

#[test]
fn codes_are_words_that_kubernetes_accepts() {
    for reason in Reason::ALL {
        let code = reason.code();
        assert!(code.starts_with(|first: char| first.is_ascii_uppercase()), "{code}");
        assert!(code.chars().all(|c| c.is_ascii_alphanumeric()) && code.len() <= 64, "{code}");
        assert!(!reason.meaning().is_empty() && !reason.meaning().contains('|'), "{code}");
    }
    let mut codes: Vec<&str> = Reason::ALL.iter().map(|reason| reason.code()).collect();
    codes.sort_unstable();
    let listed: Vec<&str> = Reason::ALL.iter().map(|reason| reason.code()).collect();
    assert_eq!(listed, codes, "in the order of the alphabet, as the page is read");
}
