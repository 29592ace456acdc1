//! The same seed gives the same bytes: every write with its instant, author and body, every message, and the whole state at
//! the end, in one process and in two.
//!
//! `TRACE_OF=roll-back cargo test -p trimtab-dst --test determinism -- --nocapture` prints a trace.

use std::fmt::Write as _;
use std::process::{Child, Command, Stdio};

use trimtab_dst::{StageOptions, crash, in_virtual_time};
use trimtab_world::fleet::Fleet;

const SEED: u64 = 7;
/// Makes this test print the trace of the story it names, and nothing else.
const TRACE_OF: &str = "TRACE_OF";
/// What a line of a trace starts with: the harness prints lines of its own.
const MARK: &str = "trace: ";

/// A run to be repeated.
struct Story {
    name: &'static str,
    script: &'static str,
    /// Idle services beside it.
    fleet: u32,
    ending: Ending,
    /// What its trace must hold, lest nothing is compared with nothing.
    holds: &'static str,
}

/// The story that is also run twice within one process.
const REPEATED: &str = "roll-back";

/// What becomes of the first manager.
#[derive(Clone, Copy, PartialEq, Eq)]
enum Ending {
    /// It lives on.
    Lives,
    /// It dies in the middle of its writes, and another one takes over.
    Dies,
}

const STORIES: [Story; 4] = [
    Story {
        name: "roll-back",
        script: include_str!("../../../scenarios/bad.txt"),
        fleet: 0,
        ending: Ending::Lives,
        holds: "payments-v2.rolledback",
    },
    Story {
        name: "take-over",
        script: include_str!("../../../scenarios/good.txt"),
        fleet: 0,
        ending: Ending::Dies,
        holds: "payments-v2.kept",
    },
    Story {
        name: "messages",
        script: include_str!("../../../scenarios/notify.txt"),
        fleet: 0,
        ending: Ending::Lives,
        holds: "hooks.slack.example",
    },
    Story {
        name: "fleet",
        script: include_str!("../../../scenarios/release-on-release.txt"),
        fleet: 40,
        ending: Ending::Lives,
        holds: "payments-v3",
    },
];

fn story(name: &str) -> &'static Story {
    STORIES.iter().find(|story| story.name == name).expect("the name of a story")
}

/// Everything that a run did, one line each.
fn trace(story: &Story) -> String {
    in_virtual_time(async {
        let options = StageOptions { fleet: Fleet::idle(story.fleet), ..StageOptions::seeded(SEED) };
        let dies_after = match story.ending {
            Ending::Lives => None,
            Ending::Dies => Some(middle_write(story.script).await),
        };
        let (stage, transcript) = crash::play(story.script, &options, dies_after).await;
        let mut trace = String::new();
        for entry in stage.sim.ledger() {
            let _ = writeln!(trace, "{entry:?}");
        }
        for message in stage.messages.received() {
            let _ = writeln!(trace, "{} {}", message.url, message.body);
        }
        let _ = writeln!(trace, "{transcript}state {}", stage.sim.state_digest());
        trace
    })
}

/// How many writes the manager has made when it is half done.
async fn middle_write(script: &str) -> u64 {
    let points = crash::run(script, SEED, None).await.crash_points;
    *points.get(points.len() / 2).expect("the script makes the manager write")
}

/// Starts a process that prints the trace, somewhere else on earth.
fn start(story: &Story, time_zone: &str) -> Child {
    let program = std::env::current_exe().expect("this program has a path");
    Command::new(program)
        .args(["--exact", "the_same_seed_gives_the_same_bytes", "--nocapture"])
        .env(TRACE_OF, story.name)
        .env("TZ", time_zone)
        .stdout(Stdio::piped())
        .spawn()
        .expect("this program can be started again")
}

/// The trace that the process printed.
fn traced(process: Child) -> String {
    let output = process.wait_with_output().expect("a process that was started ends");
    assert!(output.status.success(), "{}", output.status);
    let printed = String::from_utf8(output.stdout).expect("a trace is text");
    // The first line of a trace stands behind words of the harness.
    let lines = printed.lines().filter_map(|line| line.split_once(MARK));
    lines.fold(String::new(), |trace, (_, line)| trace + line + "\n")
}

fn check(story: &Story, other: &str, expect: &str, trace: &str) {
    let lines = expect.lines().map(Some).chain(std::iter::repeat(None));
    let others = trace.lines().map(Some).chain(std::iter::repeat(None));
    let count = expect.lines().count().max(trace.lines().count());
    let differing = lines.zip(others).take(count).enumerate().find(|(_, (line, other))| line != other);
    if let Some((index, (line, found))) = differing {
        panic!(
            "{}: {other} differs in line {}\n  first: {}\n  then:  {}\nreplay: {TRACE_OF}={} cargo test -p trimtab-dst --test determinism -- --nocapture",
            story.name,
            index + 1,
            line.unwrap_or("(ended)"),
            found.unwrap_or("(ended)"),
            story.name,
        );
    }
    assert!(expect == trace, "{}: {other} differs in how its lines end", story.name);
}

#[test]
fn the_same_seed_gives_the_same_bytes() {
    if let Ok(name) = std::env::var(TRACE_OF) {
        for line in trace(story(&name)).lines() {
            println!("{MARK}{line}");
        }
        return;
    }
    for story in &STORIES {
        let (one, other) = (start(story, "Pacific/Kiritimati"), start(story, "America/St_Johns"));
        let (first, second) = (traced(one), traced(other));
        assert!(first.contains(story.holds), "{}: the trace shows no {}:\n{first}", story.name, story.holds);
        check(story, "another process", &first, &second);
        println!("{}: {} lines, {} bytes", story.name, first.lines().count(), first.len());
        if story.name == REPEATED {
            check(story, "this process", &first, &trace(story));
            check(story, "a second run in one process", &first, &trace(story));
        }
    }
}
