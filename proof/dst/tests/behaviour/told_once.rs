//! A message is sent twice only where a process died between sending it and recording that, and what goes wrong with messages
//! delays no decision.

use std::collections::BTreeMap;
use std::time::Duration;

use serde_json::{Value, json};
use tokio::time::Instant;
use trimtab_dst::messages::Answers;
use trimtab_dst::stage::NAMESPACE;
use trimtab_dst::{Stage, StageOptions, script};
use trimtab_kube::api::Patch;
use trimtab_kube::kinds::APP_RELEASES;

const RELEASES: &str = "appreleases.trimtab.dev";
/// A service whose releases are told to a webhook, and a manager.
const SETTLED: &str = "service pay replicas=2 rps=5 image=shop/pay:v1\nadvance 10m\nobject <<\n\
    apiVersion: trimtab.dev/v1alpha1\nkind: FleetPolicy\nmetadata: {name: everyone}\n\
    spec: {notify: {webhook: {url: \"https://hooks.example/releases\"}}}\n.\nstart manager\nclaim pay\nsettle\n";
/// The same releases are told to an incoming webhook of Slack, whose address is a secret and which cannot be asked what it has.
const SLACK: &str = "object <<\napiVersion: v1\nkind: Secret\nmetadata: {name: slack, namespace: trimtab-system}\n\
    stringData: {url: \"https://hooks.slack.example/services/T/B/x\"}\n.\nobject <<\n\
    apiVersion: trimtab.dev/v1alpha1\nkind: FleetPolicy\nmetadata: {name: everyone}\n\
    spec: {notify: {slackUrlFrom: {name: slack, key: url}}}\n.\n";
const SHIP: &str = "apply pay shop/pay:v2 by argocd-controller\n";

async fn play(stage: &mut Stage, commands: &str) {
    let transcript = script::run(commands, stage).await;
    assert!(!transcript.contains("line ") && !transcript.contains("not settled"), "{transcript}");
}

async fn settled() -> Stage {
    let mut stage = Stage::set(&StageOptions::seeded(7));
    play(&mut stage, SETTLED).await;
    assert_eq!(stage.messages.received(), []);
    stage
}

/// How often each message was taken, by its key.
fn taken(stage: &Stage) -> BTreeMap<String, usize> {
    let mut counts = BTreeMap::new();
    for message in stage.messages.received().into_iter().filter(|message| message.taken) {
        *counts.entry(message.key).or_default() += 1;
    }
    counts
}

fn record(stage: &Stage) -> Value {
    stage.sim.get(RELEASES, NAMESPACE, "pay-v2").unwrap_or_default()
}

/// What the record says of the first message.
fn state(stage: &Stage) -> String {
    record(stage)["status"]["notifications"][0]["state"].as_str().unwrap_or_default().to_owned()
}

async fn until(stage: &Stage, what: &str, holds: impl Fn(&Stage) -> bool) -> Duration {
    let start = Instant::now();
    while !holds(stage) {
        assert!(start.elapsed() < Duration::from_secs(60), "{what} did not come: {}", record(stage));
        stage.advance(Duration::from_millis(1)).await;
    }
    start.elapsed()
}

fn begun(stage: &Stage) -> bool {
    !stage.messages.received().is_empty()
}

#[tokio::test(start_paused = true)]
async fn whoever_lost_the_lease_sends_nothing_more() {
    let mut stage = settled().await;
    stage.messages.answer(Answers::Refusing);
    play(&mut stage, SHIP).await;
    until(&stage, "an attempt", begun).await;
    // The first manager goes on running, and the cluster does not hear it any more.
    play(&mut stage, "start manager\nfault partition manager=1 for=10m\nadvance 45s\n").await;
    stage.messages.answer(Answers::AtOnce);
    play(&mut stage, "advance 15m\nsettle\n").await;
    let taken = taken(&stage);
    assert_eq!(taken.len(), 2, "{taken:?}");
    assert!(taken.values().all(|count| *count == 1), "{taken:?}");
    assert_eq!(state(&stage), "Sent");
    stage.stop_managers().await;
}

#[tokio::test(start_paused = true)]
async fn an_orderly_stop_leaves_nothing_in_the_dark() {
    for receiver_takes in [1, 8].map(Duration::from_secs) {
        let mut stage = settled().await;
        stage.messages.answer(Answers::After(receiver_takes));
        play(&mut stage, SHIP).await;
        until(&stage, "an attempt", begun).await;
        stage.stop_managers().await;
        assert_eq!(state(&stage), "Sent", "what was in flight was waited for, and recorded");
        play(&mut stage, "start manager\nadvance 15m\nsettle\n").await;
        assert!(taken(&stage).values().all(|count| *count == 1), "{:?}", taken(&stage));
        stage.stop_managers().await;
    }
}

#[tokio::test(start_paused = true)]
async fn upkeep_that_is_refused_keeps_nobody_from_being_told() {
    let mut stage = settled().await;
    // No pod gets its label.
    play(&mut stage, &format!("fault conflict resource=pods\n{SHIP}advance 15m\n")).await;
    let taken = taken(&stage);
    assert_eq!((taken.len(), taken.values().max()), (2, Some(&1)), "{taken:?}");
    let service = stage.sim.get("managedapps.trimtab.dev", NAMESPACE, "pay").unwrap_or_default();
    assert_eq!(service["status"]["current"], 2, "{service}");
    stage.stop_managers().await;
}

#[tokio::test(start_paused = true)]
async fn an_orderly_stop_waits_for_what_is_handed_over_meanwhile() {
    for (name, fault) in [
        ("the record is being written", "slow-answer resource=appreleases.trimtab.dev by=1s"),
        ("the address is being read", "slow-request resource=secrets by=1s"),
    ] {
        let mut stage = settled().await;
        play(&mut stage, SLACK).await;
        play(&mut stage, &format!("fault {fault}\n{SHIP}")).await;
        until(&stage, "the hand-over", |stage| state(stage) == "Sending").await;
        stage.stop_managers().await;
        let sent = stage.messages.received().len();
        let expected = if sent == 0 { "Pending" } else { "Sent" };
        assert_eq!(state(&stage), expected, "{name}: {sent} messages were sent");
        play(&mut stage, "end faults\nstart manager\nadvance 15m\nsettle\n").await;
        assert_eq!(stage.messages.received().len(), 2, "{name}: {:?}", stage.messages.received());
        stage.stop_managers().await;
    }
}

#[tokio::test(start_paused = true)]
async fn an_orderly_stop_gives_back_what_was_about_to_be_sent() {
    let mut stage = settled().await;
    play(&mut stage, SLACK).await;
    // The answer to the hand-over comes when nobody waits for it any more.
    play(&mut stage, SHIP).await;
    until(&stage, "what is owed", |stage| record(stage)["status"]["notifications"][0].is_object()).await;
    play(&mut stage, "fault slow-answer resource=appreleases.trimtab.dev by=25s\n").await;
    until(&stage, "the hand-over", |stage| state(stage) == "Sending").await;
    stage.stop_managers().await;
    assert_eq!((state(&stage).as_str(), stage.messages.received().len()), ("Pending", 0));
    play(&mut stage, "end faults\nstart manager\nadvance 15m\nsettle\n").await;
    assert_eq!(stage.messages.received().len(), 2, "{:?}", stage.messages.received());
    stage.stop_managers().await;
}

#[tokio::test(start_paused = true)]
async fn an_orderly_stop_gives_back_what_waits() {
    let mut stage = settled().await;
    stage.messages.answer(Answers::Refusing);
    play(&mut stage, SHIP).await;
    until(&stage, "an attempt", begun).await;
    stage.stop_managers().await;
    assert_eq!(state(&stage), "Pending");
    stage.messages.answer(Answers::AtOnce);
    play(&mut stage, "start manager\nadvance 15m\nsettle\n").await;
    let taken = taken(&stage);
    assert_eq!((taken.len(), taken.values().max()), (2, Some(&1)), "{taken:?}");
    stage.stop_managers().await;
}

/// How long it takes until the record says that a message arrived, with this fault around the manager.
async fn recorded_after(fault: &str) -> Duration {
    let mut stage = settled().await;
    play(&mut stage, fault).await;
    stage.messages.answer(Answers::After(Duration::from_millis(300)));
    play(&mut stage, SHIP).await;
    until(&stage, "an attempt", begun).await;
    stage.advance(Duration::from_millis(300)).await;
    let took = until(&stage, "the record", |stage| state(stage) == "Sent").await;
    stage.stop_managers().await;
    took
}

#[tokio::test(start_paused = true)]
async fn what_arrived_is_recorded_at_once_whatever_is_waited_for() {
    for (name, fault) in [
        (
            "decisions wait for the answer to a question that is open nearly all the time",
            "prometheus-slow by=900ms",
        ),
        (
            "the manager sees what it wrote itself much later",
            "late-events resource=appreleases.trimtab.dev by=12s",
        ),
    ] {
        let took = recorded_after(&format!("fault {fault}\n")).await;
        assert!(took <= Duration::from_millis(100), "{name}: a death within {took:?} would have doubled it");
    }
}

#[tokio::test(start_paused = true)]
async fn a_record_that_lost_its_last_seconds_is_told_again_and_people_are_not() {
    let mut stage = settled().await;
    play(&mut stage, SHIP).await;
    until(&stage, "the record", |stage| state(stage) == "Sent").await;
    for lost in ["Sending", "Pending", ""] {
        let mut entry = record(&stage)["status"]["notifications"][0].clone();
        entry["state"] = json!(lost);
        let patch = Patch::Merge(json!({"status": {"notifications": [entry]}}));
        let (namespace, name) = (Some(NAMESPACE), "pay-v2");
        stage.person.patch_subresource(APP_RELEASES, namespace, name, "status", &patch).await.unwrap();
        until(&stage, "the record", |stage| state(stage) == "Sent").await;
    }
    assert_eq!(stage.messages.received().len(), 1, "{:?}", stage.messages.received());
    stage.stop_managers().await;
}

/// When the release is kept, counted from its beginning, with a receiver that answers so.
async fn kept_after(answers: Answers) -> Duration {
    let mut stage = settled().await;
    stage.messages.answer(answers);
    play(&mut stage, SHIP).await;
    let start = Instant::now();
    play(&mut stage, "wait pay until Kept\n").await;
    let took = start.elapsed();
    stage.stop_managers().await;
    took
}

#[tokio::test(start_paused = true)]
async fn a_release_is_judged_on_time_while_nobody_takes_its_messages() {
    let usual = kept_after(Answers::AtOnce).await;
    for answers in [Answers::Refusing, Answers::After(Duration::from_secs(3600))] {
        let took = kept_after(answers).await;
        assert!(took.abs_diff(usual) <= Duration::from_secs(2), "{answers:?}: {took:?} instead of {usual:?}");
    }
}

/// A service whose releases are told by a Slack app.
const CARDS: &str = "service pay replicas=3 rps=50 image=shop/pay:v1\nadvance 10m\nobject <<\n\
    apiVersion: v1\nkind: Secret\nmetadata: {name: slack, namespace: trimtab-system}\n\
    stringData: {token: xoxb-1}\n.\nobject <<\n\
    apiVersion: trimtab.dev/v1alpha1\nkind: FleetPolicy\nmetadata: {name: everyone}\n\
    spec: {notify: {slack: C0123456789, slackTokenFrom: {name: slack, key: token}}}\n.\n\
    start manager\nclaim pay\nsettle\napply pay shop/pay:v2-errors30 by argocd-controller\n";

/// What was asked of Slack, in order.
fn asked(stage: &Stage) -> Vec<String> {
    let method = |url: &str| url.split(['/', '?']).nth(4).unwrap_or_default().to_owned();
    stage.messages.received().iter().map(|message| method(&message.url)).collect()
}

#[tokio::test(start_paused = true)]
async fn a_slack_app_edits_the_card_that_the_record_names() {
    let mut stage = Stage::set(&StageOptions::seeded(7));
    play(&mut stage, CARDS).await;
    play(&mut stage, "settle\n").await;
    assert_eq!(asked(&stage), ["chat.postMessage", "chat.update", "chat.postMessage"]);
    let received = stage.messages.received();
    let told = record(&stage)["status"]["notifications"].clone();
    for entry in told.as_array().unwrap() {
        assert_eq!(
            (&entry["state"], &entry["card"]),
            (&json!("Sent"), &json!("C0123456789/1763694462.000000"))
        );
    }
    assert_eq!(received[1].body["ts"], "1763694462.000000");
    assert_eq!(received[2].body["thread_ts"], "1763694462.000000");
    assert!(!told.to_string().contains("xoxb"), "{told}");
    stage.stop_managers().await;
}

#[tokio::test(start_paused = true)]
async fn a_successor_looks_for_the_card_before_it_posts() {
    let mut stage = Stage::set(&StageOptions::seeded(7));
    stage.messages.answer(Answers::After(Duration::from_secs(2)));
    play(&mut stage, CARDS).await;
    until(&stage, "the post", begun).await;
    stage.kill_managers();
    stage.messages.answer(Answers::AtOnce);
    play(&mut stage, "start manager\nsettle\n").await;
    assert_eq!(
        asked(&stage),
        ["chat.postMessage", "conversations.history", "chat.update", "chat.update", "chat.postMessage"],
        "posted, looked for and found, rolled back, and said aloud"
    );
    stage.stop_managers().await;
}

/// The second time a rejected template is taken back, what is told is about the second time; a question says what it asks;
/// and a receiver can put all of it in order.
#[tokio::test(start_paused = true)]
async fn each_message_is_about_what_it_tells() {
    let mut stage = settled().await;
    let rejected = "apply pay shop/pay:v2-errors60 by tool\n";
    play(&mut stage, &format!("fault no-admission\n{rejected}wait pay until RolledBack\nadvance 26h\n"))
        .await;
    play(&mut stage, &format!("{}show pay\n", format!("{rejected}advance 2m\n").repeat(6))).await;
    let told: Vec<Value> = stage.messages.received().into_iter().map(|message| message.body).collect();
    let of = |event: &str| -> Vec<&Value> { told.iter().filter(|body| body["event"] == event).collect() };
    let back = of("RolledBack");
    assert!(back.len() >= 2, "{told:#?}");
    assert!(back[0]["requestsHarmed"].as_u64() > Some(0) && back[0]["findings"] != json!([]), "{}", back[0]);
    for again in &back[1..] {
        let seconds = again["recoverySeconds"].as_u64();
        assert!(seconds.is_some_and(|seconds| seconds < 300), "{again}");
        assert_eq!((&again["requestsHarmed"], &again["findings"]), (&Value::Null, &json!([])), "{again}");
    }
    let asked = of("NeedsHuman");
    let why = "v2 failed, and its template is written back whenever v1 is restored: ";
    assert!(
        !asked.is_empty() && asked.iter().all(|body| body["reason"].to_string().contains(why)),
        "{asked:#?}"
    );
    let order: Vec<u64> = told.iter().filter_map(|body| body["sequence"].as_u64()).collect();
    assert_eq!(order.len(), told.len());
    assert!(order.is_sorted_by(|one, next| one < next), "{order:?}");
}

#[tokio::test(start_paused = true)]
async fn nobody_is_told_that_a_release_came_back_which_did_not() {
    let mut stage = settled().await;
    let fails = "apply pay shop/pay:v2-errors60 by tool\nwait pay until RollingBack\n";
    play(&mut stage, &format!("{fails}delete deployment pay\nadvance 2m\n")).await;
    let told: Vec<Value> = stage.messages.received().into_iter().map(|message| message.body).collect();
    let ended = told.iter().find(|body| body["event"] == "RolledBack").expect("people are told how it ended");
    assert_eq!(ended["previous"], Value::Null);
    assert!(
        ended["reason"].to_string().contains("not followed to its end: Deployment shop/pay does not exist")
    );
    let text = ended["text"].as_str().expect("a line for a lock screen");
    assert!(text.starts_with("❌ pay v2 rejected: ") && text.contains("not followed to its end"), "{text}");
    stage.stop_managers().await;
}
