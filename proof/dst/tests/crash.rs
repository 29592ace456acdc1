//! The manager dies after every one of its writes, in every scenario; a second one takes over and comes to the same end.

use std::collections::BTreeSet;
use std::path::{Path, PathBuf};
use std::sync::Mutex;
use std::sync::atomic::{AtomicUsize, Ordering};

use trimtab_dst::crash::{self, End};
use trimtab_dst::in_virtual_time;

const SEED: u64 = 7;
/// Worlds that run at one time.
const THREADS: usize = 2;

fn run(text: &str, dies_after: Option<u64>) -> End {
    in_virtual_time(crash::run(text, SEED, dies_after))
}

fn scenarios() -> Vec<(String, String)> {
    let folder = Path::new(env!("CARGO_MANIFEST_DIR")).join("../../scenarios");
    let entries = std::fs::read_dir(folder).expect("the folder of scenarios exists");
    let mut files: Vec<PathBuf> = entries.map(|entry| entry.expect("readable").path()).collect();
    files.retain(|path| path.extension().is_some_and(|extension| extension == "txt"));
    let wanted = std::env::var("SCENARIO").unwrap_or_default();
    files.retain(|path| path.to_string_lossy().contains(&wanted));
    files.sort();
    let name = |path: &PathBuf| path.file_stem().unwrap_or_default().to_string_lossy().into_owned();
    files.iter().map(|path| (name(path), std::fs::read_to_string(path).expect("readable"))).collect()
}

/// What is wrong with the end of a run that crashed.
fn difference(name: &str, point: u64, reference: &End, end: &End) -> Option<String> {
    let keys = reference.objects.keys().chain(end.objects.keys());
    let differing = keys.filter(|key| reference.objects.get(*key) != end.objects.get(*key));
    let told: Vec<String> = differing
        .map(|key| {
            format!(
                "  {key}\n    without: {:?}\n    crashed: {:?}",
                reference.objects.get(key),
                end.objects.get(key)
            )
        })
        .collect();
    let stuck = end.transcript.contains("within an hour") || end.transcript.contains("not settled");
    (stuck || !told.is_empty()).then(|| {
        format!(
            "{name}, dead after write {point}:\n{}\n{}",
            told.join("\n"),
            if stuck { &end.transcript } else { "" }
        )
    })
}

/// What a scenario does until it has settled for the first time. Where another one began with the same words, its writes were
/// died after there, each of them, and one is enough here: the rest of the story is then a successor's.
fn prologue(text: &str) -> String {
    let mut begin: Vec<&str> = Vec::new();
    for line in text.lines().filter(|line| !line.starts_with('#')) {
        begin.push(line);
        if line == "settle" {
            break;
        }
    }
    begin.join("\n")
}

#[test]
fn every_crash_point_comes_to_the_same_end() {
    let scenarios = scenarios();
    let mut begun = BTreeSet::new();
    let mut points = Vec::new();
    for (name, text) in &scenarios {
        let reference = run(text, None);
        assert!(!reference.crash_points.is_empty(), "{name} writes nothing, so it shows nothing");
        let prologue = prologue(text);
        let mut known =
            if begun.contains(&prologue) { run(&prologue, None).crash_points } else { Vec::new() };
        known.pop();
        begun.insert(prologue);
        let fresh = reference.crash_points.iter().copied().filter(|point| !known.contains(point));
        points.extend(fresh.map(|point| (name, text, point, reference.clone())));
    }
    let (next, wrong) = (AtomicUsize::new(0), Mutex::new(Vec::new()));
    std::thread::scope(|scope| {
        for _ in 0..THREADS {
            scope.spawn(|| {
                while let Some((name, text, point, reference)) =
                    points.get(next.fetch_add(1, Ordering::Relaxed))
                {
                    let end = run(text, Some(*point));
                    wrong.lock().expect("no panic").extend(difference(name, *point, reference, &end));
                }
            });
        }
    });
    let wrong = wrong.into_inner().expect("no panic");
    println!("{} crash points in {} scenarios", points.len(), scenarios.len());
    assert!(
        wrong.is_empty(),
        "{} of {} crash points end differently:\n{}",
        wrong.len(),
        points.len(),
        wrong.join("\n")
    );
}
