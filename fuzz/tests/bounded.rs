//! Every target for a bounded while: on its seeds, on their mutations, and on arbitrary bytes.
//!
//! `PROPTEST_CASES=200000 TARGET=quantity cargo test -p trimtab-fuzz --release` runs one for longer; `PROPTEST_RNG_SEED`
//! chooses other bytes.

use std::collections::BTreeSet;
use std::fmt;
use std::path::{Path, PathBuf};
use std::time::Duration;

use proptest::prelude::*;
use proptest::sample::Index;
use proptest::test_runner::{RngSeed, TestCaseError, TestRunner};
use tokio::time::Instant;
use trimtab_fuzz::{Pace, TARGETS, Target};

/// Cases of a target where nobody asks for another number.
const CASES_QUICK: u32 = 20_000;
const CASES_SLOW: u32 = 4_000;
/// Longest input that is made, in bytes.
const INPUT_BYTES_MAX: usize = 256 << 10;
/// Deepest nest that is made.
const DEPTH_MAX: usize = 40_000;
/// Longest that one case may take, on a machine that is busy with other tests.
const CASE_TIME_MAX: Duration = Duration::from_secs(5);
/// What numbers are replaced with.
const NUMBERS: [&str; 10] = [
    "0",
    "-1",
    "1e999",
    "1e-999",
    "9223372036854775808",
    "18446744073709551616",
    "0.000000000000000000000000000001",
    "99999999999999999999999999999999999999999999",
    "NaN",
    "0x7fffffffffffffff",
];
/// What nests, in JSON, YAML and PromQL.
const NESTS: [(&str, &str); 6] =
    [("[", "]"), ("{\"a\":", "}"), ("(", ")"), ("- ", ""), ("{a: ", "}"), ("-", "")];

/// One change of a seed.
#[derive(Clone, Debug)]
enum Change {
    Set(Index, u8),
    Cut(Index),
    Drop(Index, Index),
    Repeat(Index, Index, usize),
    Splice(Index, Index, Index),
    Nest(Index, usize, usize),
    Number(Index, usize),
    Insert(Index, Vec<u8>),
}

fn change() -> impl Strategy<Value = Change> {
    let at = any::<Index>;
    prop_oneof![
        6 => (at(), any::<u8>()).prop_map(|(place, byte)| Change::Set(place, byte)),
        2 => at().prop_map(Change::Cut),
        3 => (at(), at()).prop_map(|(from, to)| Change::Drop(from, to)),
        2 => (at(), at(), 1_usize..64).prop_map(|(from, to, times)| Change::Repeat(from, to, times)),
        3 => (at(), at(), at()).prop_map(|(seed, from, place)| Change::Splice(seed, from, place)),
        1 => (at(), 0..NESTS.len(), prop_oneof![4 => 1_usize..200, 1 => 1_usize..DEPTH_MAX])
            .prop_map(|(place, nest, depth)| Change::Nest(place, nest, depth)),
        3 => (at(), 0..NUMBERS.len()).prop_map(|(place, number)| Change::Number(place, number)),
        3 => (at(), prop::collection::vec(any::<u8>(), 1..8)).prop_map(|(place, bytes)| Change::Insert(place, bytes)),
    ]
}

impl Change {
    fn apply(&self, data: &mut Vec<u8>, seeds: &[Vec<u8>]) {
        let place = |index: &Index, data: &[u8]| index.index(data.len() + 1);
        let span = |from: &Index, to: &Index, data: &[u8]| {
            let (from, to) = (place(from, data), place(to, data));
            from.min(to)..from.max(to)
        };
        match self {
            Self::Set(index, byte) if !data.is_empty() => {
                let index = index.index(data.len());
                data[index] = *byte;
            }
            Self::Set(..) => {}
            Self::Cut(end) => data.truncate(place(end, data)),
            Self::Drop(from, to) => drop(data.drain(span(from, to, data))),
            Self::Repeat(from, to, times) => {
                let span = span(from, to, data);
                let piece = data[span.clone()].repeat(*times);
                data.splice(span.end..span.end, piece);
            }
            Self::Splice(seed, from, index) => {
                let other = &seeds[seed.index(seeds.len())];
                let start = place(index, data);
                data.splice(start..start, other[from.index(other.len() + 1)..].iter().copied());
            }
            Self::Nest(index, nest, depth) => {
                let (open, close) = NESTS[*nest];
                let start = place(index, data);
                data.splice(start..start, (open.repeat(*depth) + &close.repeat(*depth)).into_bytes());
            }
            Self::Number(index, number) => {
                let start = place(index, data);
                let is_digit = |byte: &u8| byte.is_ascii_digit();
                let first = data[start..].iter().position(is_digit).map_or(start, |offset| start + offset);
                let length = data[first..].iter().take_while(|byte| is_digit(byte)).count();
                data.splice(first..first + length, NUMBERS[*number].bytes());
            }
            Self::Insert(index, bytes) => {
                let start = place(index, data);
                data.splice(start..start, bytes.iter().copied());
            }
        }
        data.truncate(INPUT_BYTES_MAX);
    }
}

/// Bytes as a test can write them down.
#[derive(Clone)]
struct Input(Vec<u8>);

impl fmt::Debug for Input {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "b\"{}\"", self.0.escape_ascii())
    }
}

fn inputs(seeds: Vec<Vec<u8>>) -> impl Strategy<Value = Input> {
    let beginnings = seeds.clone();
    let nested = (any::<Index>(), any::<Index>(), 0..NESTS.len(), 1_usize..DEPTH_MAX).prop_map(
        move |(seed, end, nest, depth)| {
            let seed = &beginnings[seed.index(beginnings.len())];
            let mut data = seed[..end.index(seed.len() + 1)].to_vec();
            data.extend(NESTS[nest].0.repeat(depth).into_bytes());
            Input(data)
        },
    );
    let mutated = (any::<Index>(), prop::collection::vec(change(), 0..6)).prop_map(move |(seed, changes)| {
        let mut data = seeds[seed.index(seeds.len())].clone();
        for change in changes {
            change.apply(&mut data, &seeds);
        }
        Input(data)
    });
    let arbitrary = prop::collection::vec(any::<u8>(), 0..200).prop_map(Input);
    let text = "\\PC{0,80}".prop_map(|text| Input(text.into_bytes()));
    prop_oneof![16 => mutated, 1 => nested, 2 => arbitrary, 2 => text]
}

fn root() -> PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR")).join("..")
}

fn files(folder: &Path) -> Vec<Vec<u8>> {
    let entries = std::fs::read_dir(folder).unwrap_or_else(|error| panic!("{}: {error}", folder.display()));
    let mut paths: Vec<PathBuf> = entries.map(|entry| entry.expect("readable").path()).collect();
    paths.sort();
    paths.iter().map(|path| std::fs::read(path).expect("readable")).collect()
}

/// What a target starts from: seeds of its own, and what other tests have collected.
fn seeds(target: &Target) -> Vec<Vec<u8>> {
    let mut seeds = files(&root().join("fuzz/corpus").join(target.name));
    let manifests = || {
        let corpus = root().join("api/tests/corpus");
        files(&corpus.join("good")).into_iter().chain(files(&corpus.join("bad")))
    };
    match target.name {
        "promql" => {
            let cases = std::fs::read_to_string(root().join("core/promql/tests/corpus/inject.txt"));
            let cases = cases.expect("the corpus is there");
            let expressions = cases.lines().filter(|line| !line.starts_with(['#', '=']) && !line.is_empty());
            seeds.extend(expressions.map(|line| line.as_bytes().to_vec()));
        }
        "lint" => seeds.extend(manifests()),
        "kinds" => {
            for manifest in manifests() {
                let text = String::from_utf8(manifest).expect("a manifest is text");
                let documents = trimtab::cli::locate::documents(&text).expect("a manifest is YAML");
                seeds.extend(documents.iter().map(|document| document.value().to_string().into_bytes()));
            }
        }
        _ => {}
    }
    assert!(!seeds.is_empty(), "{} starts from nothing", target.name);
    seeds
}

fn config(target: &Target) -> ProptestConfig {
    let asked = |name: &str| std::env::var_os(name).is_some();
    let mut config = ProptestConfig { failure_persistence: None, ..ProptestConfig::default() };
    if !asked("PROPTEST_CASES") {
        config.cases = if target.pace == Pace::Quick { CASES_QUICK } else { CASES_SLOW };
    }
    if !asked("PROPTEST_RNG_SEED") {
        config.rng_seed = RngSeed::Fixed(20_261_121);
    }
    config
}

/// Tells how long a case took; a case that takes too long is a failure.
fn run(target: &Target, data: &[u8]) -> Result<Duration, TestCaseError> {
    let start = Instant::now();
    (target.run)(data);
    let took = start.elapsed();
    if took > CASE_TIME_MAX {
        return Err(TestCaseError::fail(format!("{} bytes took {took:?}", data.len())));
    }
    Ok(took)
}

#[test]
fn no_bytes_break_a_parser() {
    let wanted = std::env::var("TARGET").unwrap_or_default();
    for target in TARGETS.iter().filter(|target| wanted.is_empty() || target.name == wanted) {
        let seeds = seeds(target);
        for seed in &seeds {
            run(target, seed)
                .unwrap_or_else(|error| panic!("{}: {error}: {}", target.name, seed.escape_ascii()));
        }
        let start = Instant::now();
        let slowest = std::cell::Cell::new(Duration::ZERO);
        let mut runner = TestRunner::new(config(target));
        let result = runner.run(&inputs(seeds), |Input(data)| {
            slowest.set(slowest.get().max(run(target, &data)?));
            Ok(())
        });
        result.unwrap_or_else(|error| {
            panic!("{}: {error}\nkeep the input as a file in fuzz/corpus/{}/", target.name, target.name)
        });
        println!("{:<10} {:.1?}, slowest case {:.1?}", target.name, start.elapsed(), slowest.get());
    }
}

/// A target that is left out of one of the lists is never run by it.
#[test]
fn every_target_has_a_program_and_seeds() {
    let names: BTreeSet<String> = TARGETS.iter().map(|target| target.name.to_owned()).collect();
    let listed = |folder: &str| -> BTreeSet<String> {
        let entries = std::fs::read_dir(root().join("fuzz").join(folder)).expect("the folder exists");
        let paths = entries.map(|entry| entry.expect("readable").path());
        paths.map(|path| path.file_stem().unwrap_or_default().to_string_lossy().into_owned()).collect()
    };
    assert_eq!(listed("fuzz_targets"), names);
    assert_eq!(listed("corpus"), names);
    let manifest = std::fs::read_to_string(root().join("fuzz/Cargo.toml")).expect("readable");
    for name in &names {
        assert!(
            manifest.contains(&format!("path = \"fuzz_targets/{name}.rs\"")),
            "fuzz/Cargo.toml lacks {name}"
        );
    }
}
