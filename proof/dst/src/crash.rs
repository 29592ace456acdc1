//! Crash points: the same scenario with the manager dying after every one of its writes, a second one taking over, and the
//! same end.

use std::collections::BTreeMap;

use serde_json::Value;
use trimtab_delivery::seal::{SEAL_ANNOTATION, Seal};
use trimtab_workload::ARM_LABEL;

use crate::script;
use crate::stage::{LEASES, MANAGER_USER, Stage, StageOptions};

/// What a run came to.
#[derive(Clone, Debug, PartialEq)]
pub struct End {
    /// What the script showed.
    pub transcript: String,
    /// Objects at the end, without what differs between equivalent histories.
    pub objects: BTreeMap<String, Value>,
    /// For every write of the manager but those to its lease: how many writes of any kind it had made with it.
    pub crash_points: Vec<u64>,
}

/// Runs `text` on a fresh stage. With `dies_after`, the first manager dies after that many successful writes (its lease
/// included) and a second one, which waits from the start, takes over.
pub async fn run(text: &str, seed: u64, dies_after: Option<u64>) -> End {
    let (mut stage, transcript) = play(text, &StageOptions::seeded(seed), dies_after).await;
    let end = End { transcript, objects: compared(&stage), crash_points: crash_points(&stage) };
    stage.stop_managers().await;
    end
}

/// [`run`] on a stage of choice, which is handed out as it stands at the end, managers still running.
pub async fn play(text: &str, options: &StageOptions, dies_after: Option<u64>) -> (Stage, String) {
    let mut stage = Stage::set(options);
    let first = stage.start_manager();
    if let Some(writes) = dies_after {
        first.die_after_writes(writes);
        stage.advance(STANDBY_AFTER).await;
        stage.start_manager();
    }
    let transcript = script::run(text, &mut stage).await;
    (stage, transcript)
}

/// The standby starts late enough never to win the first election.
const STANDBY_AFTER: std::time::Duration = std::time::Duration::from_secs(1);

fn crash_points(stage: &Stage) -> Vec<u64> {
    let ledger = stage.sim.ledger();
    let ours = ledger.iter().filter(|entry| entry.user == MANAGER_USER && (200..300).contains(&entry.code));
    let counted = (1..).zip(ours);
    counted.filter(|(_, entry)| entry.resource != LEASES).map(|(count, _)| count).collect()
}

/// Kinds whose end must not depend on crashes.
const COMPARED: [&str; 5] = [
    "managedapps.trimtab.dev/",
    "appreleases.trimtab.dev/",
    "deployments.apps/",
    "pods/",
    "events.events.k8s.io/",
];

/// Fields that say how much was measured until a moment, when that moment was, and of which incarnation.
const MEASURED: [&str; 13] = [
    "nodeName",
    "rules",
    "harmed",
    "notifications",
    "restores",
    "restored",
    "at",
    "startedAt",
    "readyAt",
    "decidedAt",
    "recoveredAt",
    "eventTime",
    "targetUid",
];

fn compared(stage: &Stage) -> BTreeMap<String, Value> {
    let relevant = |key: &String| COMPARED.iter().any(|kind| key.starts_with(kind));
    let mut objects: BTreeMap<String, Value> =
        stage.sim.masked_state().into_iter().filter(|(key, _)| relevant(key)).collect();
    for object in objects.values_mut() {
        mask(object);
    }
    objects
}

/// Masks what was measured, and the words that repeat it.
fn mask(object: &mut Value) {
    match object {
        Value::Object(members) => {
            members.retain(|name, _| !MEASURED.contains(&name.as_str()));
            // A pod that outlived a release carries it, and one that was made anew does not: how far a rollout got before its
            // verdict is a matter of time. That no pod is left as `canary` is compared.
            if members.get(ARM_LABEL).is_some_and(|phase| phase == "stable") {
                members.remove(ARM_LABEL);
            }
            for (name, member) in members.iter_mut() {
                if name == "summary" || name == "note" || name == "message" {
                    *member = Value::from(without_numbers(member.as_str().unwrap_or_default()));
                } else if name == SEAL_ANNOTATION {
                    // It vouches for the uid of the Deployment, which is another one in every run. That it holds is told by
                    // the service's condition about its records, which is compared.
                    let is_seal = member.as_str().is_some_and(|text| text.parse::<Seal>().is_ok());
                    *member = Value::from(is_seal);
                } else {
                    mask(member);
                }
            }
        }
        Value::Array(items) => items.iter_mut().for_each(mask),
        _ => {}
    }
}

/// Words up to the first measured number, which keeps verdicts, rule names and releases.
fn without_numbers(text: &str) -> String {
    let measured = |word: &&str| word.starts_with(|c: char| c.is_ascii_digit()) || word.starts_with('x');
    let kept: Vec<&str> = text.split(' ').take_while(|word| !measured(word)).collect();
    kept.join(" ")
}
