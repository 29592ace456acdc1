//! Drawn stories with faults, a bounded number of them; and planted bugs, each found by the seed that is written here.
//!
//! More of them: `cargo run -p trimtab-dst --bin campaign -- --seeds 10000`.

use std::sync::Mutex;
use std::sync::atomic::{AtomicU64, Ordering};

use trimtab_dst::campaign::{Case, Menu, Oracle, Outcome, run, shrink};
use trimtab_dst::planted::Planted;

/// Seeds that every change is tried on.
const SEEDS: u64 = 60;
/// Worlds that run at one time.
const THREADS: usize = 2;
/// A bug must be found within so many seeds.
const FOUND_WITHIN: u64 = 1000;

fn told(seed: u64, outcome: &Outcome) -> String {
    let said: Vec<String> =
        outcome.violations.iter().map(|v| format!("  {:?} at {}: {}\n", v.oracle, v.at, v.what)).collect();
    format!(
        "seed {seed}:\n{}  replay: cargo run -p trimtab-dst --bin campaign -- --only {seed} --shrink seed-{seed}.txt\n",
        said.concat()
    )
}

/// Runs every case on a few threads and returns what each came to, in order.
fn all(cases: &[(Case, Option<Planted>)]) -> Vec<Outcome> {
    let (next, outcomes) = (AtomicU64::new(0), Mutex::new(Vec::new()));
    std::thread::scope(|scope| {
        for _ in 0..THREADS {
            scope.spawn(|| {
                loop {
                    let index = next.fetch_add(1, Ordering::Relaxed);
                    let Some((case, planted)) = cases.get(usize::try_from(index).expect("few cases")) else {
                        break;
                    };
                    let outcome = run(case, *planted);
                    outcomes.lock().expect("no panic").push((index, outcome));
                }
            });
        }
    });
    let mut outcomes = outcomes.into_inner().expect("no panic");
    outcomes.sort_by_key(|(index, _)| *index);
    outcomes.into_iter().map(|(_, outcome)| outcome).collect()
}

#[test]
fn drawn_stories_keep_every_promise() {
    let cases: Vec<_> = (0..SEEDS).map(|seed| (Case::drawn(seed, &Menu::mended()), None)).collect();
    let outcomes = all(&cases);
    let broken: Vec<String> = (0..)
        .zip(&outcomes)
        .filter(|(_, outcome)| !outcome.violations.is_empty())
        .map(|(seed, outcome)| told(seed, outcome))
        .collect();
    assert!(broken.is_empty(), "{} of {SEEDS} seeds:\n{}", broken.len(), broken.concat());
}

#[test]
fn a_seed_gives_the_same_bytes_and_a_script_the_same_story() {
    let case = Case::drawn(3, &Menu::everything());
    let read = Case::read(&case.script("a story"));
    assert_eq!(case, read);
    let outcomes = all(&[(case.clone(), None), (read, None), (case, None)]);
    assert!(outcomes.windows(2).all(|pair| pair[0] == pair[1]), "{outcomes:#?}");
}

/// Bugs, the promise that each breaks, and the first seed that shows it.
const PLANTED: [(Planted, Oracle, u64); 8] = [
    (Planted::TellsTwice, Oracle::ToldOnce, 1),
    (Planted::Restless, Oracle::QuietAtRest, 1),
    (Planted::DeafToDecisions, Oracle::DecisionsCount, 130),
    (Planted::WritesOutliveTheLease, Oracle::OneWriter, 7),
    (Planted::DecidesOnOldLists, Oracle::QuietAtRest, 17),
    (Planted::LosesEarlyDecisions, Oracle::EveryReleaseEnds, 2),
    (Planted::ForgetsTheJudged, Oracle::EveryReleaseEnds, 4),
    (Planted::NeverHolds, Oracle::QuietAtRest, 26),
];

#[test]
fn the_docs_name_the_seeds() {
    let page = concat!(env!("CARGO_MANIFEST_DIR"), "/../../docs/testing.md");
    let text = std::fs::read_to_string(page).expect("the page exists");
    let section = text.split("\n## ").find(|section| section.starts_with("Planted bugs\n"));
    let rows = section.unwrap_or_default().lines().filter(|line| line.starts_with("| `"));
    let mut documented: Vec<[String; 3]> = rows
        .map(|row| {
            let cells: Vec<&str> = row.split('|').map(|cell| cell.trim().trim_matches('`')).collect();
            let [_, bug, _, oracle, seed, _] = cells[..] else { panic!("{row} has four cells") };
            [bug, oracle, seed].map(str::to_owned)
        })
        .collect();
    let mut planted = PLANTED
        .map(|(bug, oracle, seed)| [bug.word().to_owned(), format!("{oracle:?}"), seed.to_string()])
        .to_vec();
    documented.sort();
    planted.sort();
    assert_eq!(documented, planted, "left: docs/testing.md, right: PLANTED");
}

#[test]
fn planted_bugs_are_found() {
    let mut cases = Vec::new();
    for (bug, _, seed) in PLANTED {
        assert!(seed < FOUND_WITHIN, "{bug:?}");
        let case = Case::drawn(seed, &Menu::mended());
        cases.extend([(case.clone(), Some(bug)), (case, None)]);
    }
    for ((bug, oracle, seed), pair) in PLANTED.iter().zip(all(&cases).chunks(2)) {
        let found = pair[0].violations.iter().any(|violation| violation.oracle == *oracle);
        assert!(found, "{bug:?} is not seen by {oracle:?}; {}", told(*seed, &pair[0]));
        assert!(pair[1].violations.is_empty(), "without {bug:?}: {}", told(*seed, &pair[1]));
    }
}

/// Of two services, of which one is told about twice, and a fault that has nothing to do with it.
const LONG: &str = "# seed 7
object <<
apiVersion: trimtab.dev/v1alpha1
kind: FleetPolicy
metadata: {name: everyone}
spec: {notify: {webhook: {url: \"https://hooks.example/releases\"}}}
.
service web replicas=2 rps=10 image=shop/web:v1
service mail replicas=2 rps=10 image=shop/mail:v1
start manager
claim web watch=1m
claim mail watch=1m
advance 40s
fault no-bookmarks for=60s
apply web shop/web:v2 by argocd-controller
advance 80s
";

#[test]
fn what_has_nothing_to_do_with_a_failure_is_left_out_of_its_story() {
    let (long, bug) = (Case::read(LONG), Some(Planted::TellsTwice));
    let told_twice = |case: &Case| {
        run(case, bug).violations.into_iter().find(|violation| violation.oracle == Oracle::ToldOnce)
    };
    let short = shrink(&long, &told_twice(&long).expect("the bug is planted"), bug);
    let script = short.script("a message is told twice");
    assert!(short.lines.len() <= 6 && script.contains("apply web") && !script.contains("mail"), "{script}");
    let read = Case::read(&script);
    assert_eq!(read, short);
    assert!(told_twice(&read).is_some(), "{script}");
    assert!(run(&read, None).violations.is_empty(), "{script}");
}
