//! No import circle between the modules of a crate that ships: a reader starts at what needs nothing, and each further
//! module rests on what was read.
//!
//! A parent that declares children and passes their items on needs none of them. A parent that calls a child, while the
//! child imports what the parent's own file defines, makes a circle with it: what both need belongs into a sibling.

mod graph;

use graph::Crate;
use xtask::{source, workspace};

/// The folders of what ships.
const SHIPPED: [&str; 5] = ["core/", "api/", "edge/", "control/", "trimtab/"];

fn shipped_crates() -> Vec<String> {
    let files = workspace::files().expect("git tells the files");
    let manifests = files.iter().filter_map(|file| file.strip_suffix("/Cargo.toml"));
    let crates =
        manifests.filter(|folder| SHIPPED.iter().any(|layer| format!("{folder}/").starts_with(layer)));
    crates.map(str::to_owned).collect()
}

fn read(folder: &str) -> Crate {
    let files = workspace::files().expect("git tells the files");
    let sources = files.iter().filter(|file| file.ends_with(".rs") && !source::is_test_file(file));
    let texts: Vec<(String, String)> = sources
        .filter_map(|file| Some((file, file.strip_prefix(folder)?.strip_prefix("/src/")?)))
        // A binary's main file is a crate of its own.
        .filter(|(_, within)| *within != "main.rs")
        .map(|(file, within)| {
            let text = std::fs::read_to_string(workspace::root().join(file));
            (within.to_owned(), text.expect("a listed file can be read"))
        })
        .collect();
    assert!(texts.iter().any(|(within, _)| within == "lib.rs"), "{folder} has a library");
    Crate::read(texts.iter().map(|(within, text)| (within.as_str(), text.as_str())))
        .expect("cargo compiles it")
}

#[test]
fn no_module_needs_itself_in_a_circle() {
    let mut complaints = Vec::new();
    for folder in shipped_crates() {
        let circles = read(&folder).circles();
        complaints
            .extend(circles.iter().map(|circle| format!("{folder}: {} form a circle", circle.join(", "))));
    }
    assert!(complaints.is_empty(), "\n{}\n", complaints.join("\n"));
}

#[test]
fn circles_are_found() {
    let check = |files: &[(&str, &str)], expect: &[&[&str]]| {
        let found = Crate::read(files.iter().copied()).expect("valid sources").circles();
        assert_eq!(found, expect, "{files:?}");
    };
    check(&[("lib.rs", "mod a; pub use a::X;"), ("a.rs", "pub struct X; use crate::Y;")], &[]);
    check(
        &[("lib.rs", "mod a; mod b;"), ("a.rs", "use crate::b::f;"), ("b.rs", "fn g() { crate::a::h() }")],
        &[&["a", "b"]],
    );
    check(
        &[
            ("lib.rs", "mod a; mod b;"),
            ("a.rs", "use crate::b;"),
            ("b.rs", "fn g() { say!(x, super::a::h()) }"),
        ],
        &[&["a", "b"]],
    );
    // A test may need anything.
    check(
        &[
            ("lib.rs", "mod a; mod b;"),
            ("a.rs", "use crate::b;"),
            ("b.rs", "#[cfg(test)] mod tests { use crate::a; }"),
        ],
        &[],
    );
    // Who passes an item on is not who defines it.
    check(
        &[
            ("lib.rs", "mod a; mod b;"),
            ("a/mod.rs", "mod x; mod y; pub(crate) use x::X; fn f() { y::g() }"),
            ("a/x.rs", "pub(crate) struct X;"),
            ("a/y.rs", "use super::X; use crate::b::B;"),
            ("b.rs", "pub(crate) struct B(crate::a::X);"),
        ],
        &[],
    );
    check(
        &[
            ("lib.rs", "mod a;"),
            ("a/mod.rs", "mod x; pub struct S; fn f() { x::g() }"),
            ("a/x.rs", "use super::S;"),
        ],
        &[&["a", "a::x"]],
    );
}
