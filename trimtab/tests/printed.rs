//! Every command that Trimtab prints works when it is pasted: it parses, and it names its namespace, because whoever
//! pastes it is in another one.

mod support;

use std::path::{Path, PathBuf};

use clap::Parser;
use serde_json::json;
use trimtab::cli::Arguments;
use trimtab::cli::args::Command;

use support::Shop;

/// Verbs of kubectl that are about the cluster or about files.
const KUBECTL_ANYWHERE: [&str; 4] = ["cluster-info", "apply", "config", "version"];
const KUBECTL: [&str; 11] =
    ["annotate", "auth", "create", "delete", "describe", "edit", "get", "label", "logs", "rollout", "set"];

/// The commands in a text: between backticks, or from where one begins to the end of its line.
fn commands(text: &str) -> Vec<String> {
    let mut found = Vec::new();
    for line in text.lines() {
        for (at, part) in line.split('`').enumerate() {
            let rest = match (at % 2, part.rsplit_once(": ")) {
                (1, _) => part,
                (_, Some((_, after))) => after.trim_start(),
                (_, None) => part.trim_start(),
            };
            if ["trimtab ", "kubectl "].iter().any(|program| rest.starts_with(program)) {
                found.extend(rest.split('|').map(|command| command.trim().to_owned()));
            }
        }
    }
    found
}

/// What is wrong with a command, as somebody in another namespace pastes it.
fn wrong(command: &str) -> Option<String> {
    let words: Vec<&str> = command.split_whitespace().collect();
    let named = words.iter().any(|word| ["-n", "-A", "--all-namespaces"].contains(word));
    match words.as_slice() {
        // Named for its flags: the container runs it, and nobody pastes it.
        ["trimtab", "manager", ..] | ["trimtab", "[OPTIONS]", ..] => None,
        ["trimtab", ..] => {
            // A reason in quotes is one word to a shell.
            let quoted = command.split('"').step_by(2).collect::<Vec<_>>().join("words");
            // In capitals, a word stands for a name.
            let stands_in = |word: &str| word.chars().all(|letter| letter.is_ascii_uppercase());
            let name = |word: &str| if stands_in(word) { word.to_lowercase() } else { word.to_owned() };
            let parsed = match Arguments::try_parse_from(quoted.split_whitespace().map(name)) {
                Ok(parsed) => parsed,
                Err(error) => return Some(error.to_string()),
            };
            // Parsed only to be told what to write instead.
            let misplaced = match &parsed.command {
                Command::Abort(args) => args.release.is_some(),
                Command::Rollback(args) => args.misplaced.is_some(),
                _ => false,
            };
            if misplaced {
                return Some("it takes no release in that place".to_owned());
            }
            let anywhere = matches!(
                parsed.command,
                Command::Lint(_)
                    | Command::Install(_)
                    | Command::Uninstall(_)
                    | Command::Demo(_)
                    | Command::Completions { .. }
                    | Command::Version
            );
            (!anywhere && !named).then(|| "it names no namespace".to_owned())
        }
        ["kubectl", verb, ..] if KUBECTL_ANYWHERE.contains(verb) => None,
        ["kubectl", "delete", "namespace" | "clusterrolebinding", ..] => None,
        ["kubectl", verb, ..] if !KUBECTL.contains(verb) => Some(format!("kubectl has no {verb}")),
        ["kubectl", ..] => (!named).then(|| "it names no namespace".to_owned()),
        _ => Some("it is no command of trimtab or kubectl".to_owned()),
    }
}

fn faults(place: &str, text: &str) -> Vec<String> {
    let fault = |command: String| wrong(&command).map(|why| format!("{place}: {command}: {why}"));
    commands(text).into_iter().filter_map(fault).collect()
}

fn root() -> PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR")).join("..")
}

fn files(folder: &Path, ending: &str) -> Vec<PathBuf> {
    let mut found = Vec::new();
    for entry in std::fs::read_dir(folder).expect("a folder") {
        let path = entry.expect("an entry").path();
        if path.is_dir() {
            found.extend(files(&path, ending));
        } else if path.extension().is_some_and(|extension| extension == ending) {
            found.push(path);
        }
    }
    found.sort();
    found
}

fn read(path: &Path) -> String {
    std::fs::read_to_string(path).expect("text")
}

#[test]
fn faults_are_seen() {
    for (text, expect) in [
        ("hint: `trimtab claim payments`", 1),
        ("hint: `trimtab claim payments -n shop`, then `trimtab rules payments`", 1),
        ("  trimtab explain payments", 1),
        ("keep it:      trimtab promote payments --because ...", 1),
        ("waits for `kubectl rollout resume deployment/pay`", 1),
        ("`trimtab explian payments -n shop`", 1),
        ("`trimtab abort payments v2 -n shop`", 1),
        ("`trimtab rollback payments v2 -n shop`", 1),
        ("`trimtab install | kubectl apply --server-side -f -`", 0),
        ("`trimtab promote payments v2 -n shop --because ...`", 0),
        ("trimtab-delivery wrote it; trimtab is gone", 0),
    ] {
        assert_eq!(faults("", text).len(), expect, "{text}");
    }
}

/// Screens and transcripts: what people see, conditions, events and messages included.
#[test]
fn every_screen_and_transcript_names_the_namespace() {
    let mut checked = 0;
    let mut found = Vec::new();
    for path in files(&root().join("trimtab/tests/golden"), "txt")
        .into_iter()
        .chain(files(&root().join("scenarios"), "out"))
    {
        // A line that begins so was written for the reader of a scenario.
        let text = read(&path);
        let printed: String =
            text.lines().filter(|line| !line.starts_with('#')).flat_map(|line| [line, "\n"]).collect();
        checked += commands(&printed).len();
        found.extend(faults(&path.display().to_string(), &printed));
    }
    assert!(checked >= 10, "{checked} commands were found");
    assert_eq!(found, Vec::<String>::new());
}

/// The literals of everything that ships: a command with a name in it is composed by `trimtab_delivery::command`.
#[test]
fn no_literal_leaves_the_namespace_out() {
    let mut found = Vec::new();
    for layer in ["core", "api", "edge", "control", "trimtab/src"] {
        for path in files(&root().join(layer), "rs") {
            let place = path.display().to_string();
            if place.contains("/tests/") {
                continue;
            }
            let code = |line: &&str| !line.trim_start().starts_with("//");
            let text: String = read(&path).lines().filter(code).flat_map(|line| [line, "\n"]).collect();
            // A placeholder stands for one word.
            let text = text.replace("{id}", "id").replace("{namespace}", "shop");
            let of_backticks = |text: &str| {
                let parts = text.split('`').skip(1).step_by(2);
                parts.map(|part| format!("`{part}`\n")).collect::<String>()
            };
            let quoted: String = text.lines().map(of_backticks).collect();
            found.extend(faults(&place, &quoted));
        }
    }
    assert_eq!(found, Vec::<String>::new());
}

/// Commands run on a cluster, with the hints of every failure that they have.
#[tokio::test(start_paused = true)]
async fn every_hint_of_a_command_names_the_namespace() {
    let mut said = String::new();
    let mut run = async |shop: &Shop, lines: &[&str]| {
        for line in lines {
            let answer = shop.run(line).await;
            said.push_str(&format!("{}\n{}\n", answer.out, answer.err));
        }
    };
    let lines = [
        "get",
        "get payments",
        "get other",
        "get -n default",
        "get -A",
        "explain payments",
        "explain other",
        "explain payments v128",
        "explain payments v9",
        "explain payments -n default",
        "history payments",
        "history other",
        "rules payments",
        "rules other",
        "abort payments",
        "abort other",
        "promote payments --because x",
        "promote payments v127 --because x",
        "rollback payments --to v127",
        "rollback payments --to v128",
        "rollback payments --to v9",
        "rollback payments",
        "claim payments",
        "release other",
        "release payments",
        "deploy payments --image payments:1",
        "deploy payments --image payments:2",
        "deploy other --image x",
        "uninstall",
        "uninstall --instance team-a",
    ];
    for shop in [
        Shop::open().await,
        Shop::claimed().await,
        Shop::held().await,
        Shop::with_v128(json!({"phase": "Judging"})).await,
        Shop::with_v128(json!({"phase": "RollingBack"})).await,
    ] {
        run(&shop, &lines).await;
    }
    let unattended = Shop::held().await;
    unattended.label("trimtab.dev/instance", "team-a").await;
    run(&unattended, &lines).await;
    assert!(commands(&said).len() >= 60, "{said}");
    assert_eq!(faults("said", &said), Vec::<String>::new());
}
