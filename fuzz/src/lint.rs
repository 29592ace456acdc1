//! Files that `trimtab lint` is given.

use trimtab::cli::lint::check;
use trimtab::cli::locate::documents;

/// Any text is checked, with findings in lines that it has; a document that is read has a value.
pub fn lint(data: &[u8]) {
    let text = String::from_utf8_lossy(data);
    // A YAML reader knows line ends that others do not.
    let lines = 1 + text.matches(['\n', '\r', '\u{85}', '\u{2028}', '\u{2029}']).count() as u64;
    for found in check(&text) {
        assert!(found.line <= lines, "{text:?}: {found:?}");
        assert!(!found.cause.is_empty(), "{text:?}: {found:?}");
    }
    for document in documents(&text).unwrap_or_default() {
        let _ = document.value();
        assert!(document.line_of("spec.rules[0]") <= lines, "{text:?}");
    }
}
