//! What the tree must look like.

use xtask::{markdown, source, workspace};

/// Lines of a file, whether it ships or tests.
const MODULE_LINES_MAX: usize = 400;
/// Files that are longer, and how long they are. The number may only fall; whoever makes it fall writes the lower one here.
const LONG_MODULES: [(&str, usize); 0] = [];

/// Traces of one person's machine. Each is written in two parts, so that this file is not one of them.
const MACHINE_WORDS: [(&str, &str); 8] = [
    ("/wo", "rk/"),
    ("/ro", "ot/"),
    ("/tmp", "/t/"),
    ("/ho", "me/"),
    ("/Use", "rs/"),
    ("GOPROXY", "="),
    ("index-", "url"),
    ("replace-", "with ="),
];
/// Words that talk down to a reader.
const BANNED_WORDS: [&str; 2] = ["simply", "obviously"];

fn read(file: &str) -> String {
    let bytes = std::fs::read(workspace::root().join(file)).expect("a listed file can be read");
    String::from_utf8_lossy(&bytes).into_owned()
}

fn files(of: impl Fn(&str) -> bool) -> Vec<String> {
    let mut files = workspace::files().expect("git tells the files");
    files.retain(|file| of(file));
    assert!(!files.is_empty(), "there is something to look at");
    files
}

fn check(complaints: &[String]) {
    assert!(complaints.is_empty(), "\n{}\n", complaints.join("\n"));
}

#[test]
fn modules_fit_in_a_head() {
    let mut complaints = Vec::new();
    for file in files(|file| file.ends_with(".rs")) {
        let lines = read(&file).lines().count();
        let known = LONG_MODULES.iter().find(|(long, _)| *long == file).map(|(_, lines)| *lines);
        match known {
            Some(known) if lines < known => {
                complaints.push(format!("{file}: {lines} lines by now; write that into LONG_MODULES"));
            }
            _ if lines > known.unwrap_or(MODULE_LINES_MAX) => {
                complaints
                    .push(format!("{file}: {lines} lines; at most {}", known.unwrap_or(MODULE_LINES_MAX)));
            }
            _ => {}
        }
    }
    check(&complaints);
}

#[test]
fn nothing_tells_of_one_machine() {
    let mut complaints = Vec::new();
    for file in files(|_| true) {
        for (index, line) in read(&file).lines().enumerate() {
            let named = MACHINE_WORDS.iter().map(|(first, rest)| format!("{first}{rest}"));
            let named = named.filter(|word| line.contains(word.as_str()));
            complaints.extend(named.map(|word| format!("{file}:{}: {word}", index + 1)));
        }
    }
    check(&complaints);
}

#[test]
fn every_crate_comes_from_the_public_registry() {
    let lock = read("Cargo.lock");
    let sources = lock.lines().filter(|line| line.starts_with("source = "));
    let others =
        sources.filter(|line| *line != "source = \"registry+https://github.com/rust-lang/crates.io-index\"");
    check(&others.map(str::to_owned).collect::<Vec<_>>());
}

#[test]
fn lints_bind_every_crate() {
    let root = read("Cargo.toml");
    assert!(root.contains("unsafe_code = \"forbid\""), "the workspace forbids unsafe code");
    let manifests = files(|file| file.ends_with("/Cargo.toml"));
    let free = manifests.iter().filter(|file| !read(file).contains("[lints]\nworkspace = true"));
    check(&free.map(|file| format!("{file} lacks `[lints] workspace = true`")).collect::<Vec<_>>());
}

#[test]
fn words_respect_the_reader() {
    let mut complaints = Vec::new();
    for file in files(|file| file.ends_with(".md")) {
        let text = read(&file);
        let banned = markdown::words(&text).filter(|(_, word)| BANNED_WORDS.contains(&word.as_str()));
        complaints.extend(banned.map(|(line, word)| format!("{file}:{line}: \"{word}\"")));
    }
    check(&complaints);
}

/// A script without a transcript shows nothing, and a transcript without a script is never read.
#[test]
fn scenarios_have_transcripts() {
    let here = files(|file| file.starts_with("scenarios/"));
    let partner = |file: &str| match file.rsplit_once('.') {
        Some((stem, "txt")) => Some(format!("{stem}.out")),
        Some((stem, "out")) => Some(format!("{stem}.txt")),
        _ => None,
    };
    let lonely = here.iter().filter(|file| partner(file).is_some_and(|partner| !here.contains(&partner)));
    check(&lonely.map(|file| format!("{file} has no partner")).collect::<Vec<_>>());
}

/// Of several branches that are ready, one is taken by chance: what ships must do the same under the same seed.
#[test]
fn nothing_that_ships_chooses_by_chance() {
    let ships = |file: &str| {
        let proof = ["proof/", "fuzz/", "xtask/"];
        file.ends_with(".rs")
            && !source::is_test_file(file)
            && !proof.iter().any(|folder| file.starts_with(folder))
    };
    let (mut complaints, mut biased) = (Vec::new(), 0);
    for file in files(ships) {
        let text = read(&file);
        let mut lines = source::code_lines(source::without_tests(&text));
        while let Some((number, line)) = lines.next() {
            if !line.contains("select!") {
                continue;
            }
            match lines.next() {
                Some((_, next)) if next.trim() == "biased;" => biased += 1,
                _ => {
                    complaints
                        .push(format!("{file}:{number}: `select!` without `biased;` in its first line"));
                }
            }
        }
    }
    check(&complaints);
    assert!(biased > 0, "there is something to look at");
}
