//! Rust source as the tidy tests read it: by line, with tests and comments told apart.

/// The part of a source file that ships: everything above its test module.
#[must_use]
pub fn without_tests(text: &str) -> &str {
    text.find("#[cfg(test)]").map_or(text, |start| &text[..start])
}

/// Whether the file holds nothing but tests.
#[must_use]
pub fn is_test_file(path: &str) -> bool {
    let folders = ["/tests/", "/examples/", "/benches/"];
    folders.iter().any(|folder| path.contains(folder))
        || path.ends_with("/tests.rs")
        || path.ends_with("_tests.rs")
}

/// Lines that are not comments, with their numbers from 1.
pub fn code_lines(text: &str) -> impl Iterator<Item = (usize, &str)> {
    let numbered = text.lines().enumerate().map(|(index, line)| (index + 1, line));
    numbered.filter(|(_, line)| !line.trim_start().starts_with("//"))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn tests_and_comments_do_not_count() {
        let text = "//! std::fs\nuse a;\n#[cfg(test)]\nmod tests {}\n";
        assert_eq!(without_tests(text), "//! std::fs\nuse a;\n");
        assert_eq!(code_lines(without_tests(text)).collect::<Vec<_>>(), [(2, "use a;")]);
        assert!(is_test_file("proof/world/src/kubelet/tests.rs"));
        assert!(is_test_file("core/units/tests/text.rs"));
        assert!(!is_test_file("core/units/src/text.rs"));
    }
}
