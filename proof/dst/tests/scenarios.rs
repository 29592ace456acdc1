//! Every `scenarios/*.txt`, against the transcript beside it; and every crash point of every one of them.
//!
//! `UPDATE_SCENARIOS=1 cargo test -p trimtab-dst --test scenarios` writes the transcripts anew.

use std::path::{Path, PathBuf};

use trimtab_dst::{crash, in_virtual_time};

/// One seed for all: a transcript is a fact about one world.
const SEED: u64 = 7;

fn folder() -> PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR")).join("../../scenarios")
}

fn scenarios() -> Vec<PathBuf> {
    let entries = std::fs::read_dir(folder()).expect("the folder of scenarios exists");
    let mut files: Vec<PathBuf> = entries.map(|entry| entry.expect("readable").path()).collect();
    files.retain(|path| path.extension().is_some_and(|extension| extension == "txt"));
    let wanted = std::env::var("SCENARIO").unwrap_or_default();
    files.retain(|path| path.to_string_lossy().contains(&wanted));
    files.sort();
    files
}

/// Runs in virtual time on a thread of its own.
fn run(text: &str, dies_after: Option<u64>) -> crash::End {
    in_virtual_time(crash::run(text, SEED, dies_after))
}

#[test]
fn transcripts_are_as_written() {
    let _ = tracing_subscriber::fmt()
        .with_env_filter(tracing_subscriber::EnvFilter::from_default_env())
        .without_time()
        .try_init();
    let mut wrong = Vec::new();
    let files = scenarios();
    assert!(!files.is_empty(), "no scenario was found");
    for file in files {
        let text = std::fs::read_to_string(&file).expect("readable");
        let shown = run(&text, None).transcript;
        let expected = file.with_extension("out");
        if std::env::var_os("UPDATE_SCENARIOS").is_some() {
            std::fs::write(&expected, &shown).expect("writable");
        } else if std::fs::read_to_string(&expected).unwrap_or_default() != shown {
            wrong.push(format!("--- {}\n{shown}", file.display()));
        }
    }
    assert!(wrong.is_empty(), "transcripts differ; they are now:\n{}", wrong.join("\n"));
}
