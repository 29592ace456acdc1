//! The story in README.md is the one that the demo tells. `UPDATE_GOLDEN=1` writes it down anew.

use std::path::Path;
use std::process::Command;

const BEGIN: &str = "```text\ntwelve services with traffic";
const END: &str = "```\n";

#[test]
fn the_readme_tells_the_story_of_the_demo() {
    let told = Command::new(env!("CARGO_BIN_EXE_trimtab"))
        .args(["demo", "--once"])
        .env("NO_COLOR", "1")
        .output()
        .expect("the demo runs");
    let told = String::from_utf8(told.stdout).expect("text");
    let path = Path::new(env!("CARGO_MANIFEST_DIR")).join("../README.md");
    let readme = std::fs::read_to_string(&path).expect("there is a README");
    let begin = readme.find(BEGIN).expect("it tells the story") + "```text\n".len();
    let end = begin + readme[begin..].find(END).expect("the story ends");
    if std::env::var_os("UPDATE_GOLDEN").is_some() {
        std::fs::write(&path, [&readme[..begin], &told, &readme[end..]].concat()).expect("writable");
    } else {
        assert_eq!(readme[begin..end], told, "README.md tells another story than `trimtab demo --once`");
    }
}
