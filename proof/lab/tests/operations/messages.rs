//! A release with errors is rolled back, its manager dies between the decision and the end, and Slack and a webhook
//! each get every message once.

use anyhow::{Context, Result, bail, ensure};
use hmac::{Hmac, KeyInit as _, Mac as _};
use serde_json::Value;
use sha2::Sha256;
use trimtab_kube::clock::Clock;
use trimtab_lab::judged::{FIRST_MANAGER, managed_app, workload};
use trimtab_lab::{Lab, Received};

use crate::stage::{
    CHANNEL, NAMESPACE, PATIENCE, SIGNING_KEY, Stage, TOLD, release, ship, text, wait_for_release,
    wait_until_known, wait_until_phase,
};

/// A service whose webhook nobody answers: it must hold up nobody else's messages.
const DEAF: &str = "deaf";
/// Where nobody listens.
const NOBODY: &str = "http://10.64.0.3:9/hook";
/// How old a signature may be, as docs/guides/notifications.md has it.
const SIGNATURE_AGE_MAX_SECONDS: i64 = 300;
/// What sets thousands apart.
const THOUSANDS: char = '\u{202f}';
/// The rule that finds errors.
const RULE: &str = "rpc-errors";
/// The release that is told about.
const RELEASE: &str = "told-v2";
/// Events of a release that fails, in order, with the words that Slack's headline has for them.
const EVENTS: [(&str, &str); 2] = [("Started", " started"), ("RolledBack", " rolled back to ")];

pub(crate) async fn people_are_told_once(lab: &Lab, stage: &mut Stage) -> Result<()> {
    ship_where_nobody_listens(lab).await?;
    wait_until_known(lab, TOLD).await?;
    ship(lab, TOLD, "v2-errors30").await?;
    wait_until_told(lab, RELEASE, "Started").await?;
    lab.wait_for("the release is decided, and not over", PATIENCE, async || {
        Ok((text(&release(lab, RELEASE).await?, "/status/phase") == "RollingBack").then_some(()))
    })
    .await?;
    stage.site.kill_manager(FIRST_MANAGER).await?;
    let phase = text(&release(lab, RELEASE).await?, "/status/phase").to_owned();
    ensure!(phase == "RollingBack", "the manager was killed too late: the release is {phase}");
    stage.site.start_manager(lab, FIRST_MANAGER).await?;
    let closed = wait_for_release(lab, RELEASE, "RolledBack").await?;
    // Once everything that is owed is `Sent`, nothing is left that could be sent again.
    wait_until_told(lab, RELEASE, "RolledBack").await?;
    each_came_once(stage, TOLD)?;
    let webhook = only(stage, &webhook_path(TOLD), "RolledBack")?;
    verify(&webhook)?;
    let slack = only(stage, &slack_path(TOLD), "RolledBack")?.json();
    ensure!(slack["channel"] == CHANNEL, "another channel: {slack}");
    let slack = slack.to_string();
    let body = webhook.json();
    ensure!(body["findings"][0]["rule"] == RULE, "the rule that decided does not come first: {body}");
    tells_enough(&body, &slack, &closed)?;
    // The command for more is one that works.
    let command = text(&body, "/command");
    let words: Vec<&str> = command.split_whitespace().skip(1).collect();
    let explained = stage.site.trimtab(lab, &words).await?;
    ensure!(explained.contains(RULE), "{command} does not speak of the rule:\n{explained}");
    println!("told: {}; recovered in {} s", text(&body, "/text"), body["recoverySeconds"]);
    Ok(())
}

/// Path on which the receiver gets a service's Slack messages.
pub(crate) fn slack_path(service: &str) -> String {
    format!("/slack/{service}")
}

/// Path on which the receiver gets a service's webhook.
pub(crate) fn webhook_path(service: &str) -> String {
    format!("/hook/{service}")
}

/// What happened, in the word of a release's outbox, whichever destination a message was for.
pub(crate) fn event_of(message: &Received) -> Option<&'static str> {
    let body = message.json();
    let said =
        EVENTS.iter().find(|(event, words)| body["event"] == *event || text(&body, "/text").contains(words));
    said.map(|(event, _)| *event)
}

/// Every event of a failed release came to both destinations, once, in order.
fn each_came_once(stage: &Stage, service: &str) -> Result<()> {
    let expect = EVENTS.map(|(event, _)| Some(event));
    for path in [slack_path(service), webhook_path(service)] {
        let events: Vec<Option<&str>> = stage.receiver.received(&path).iter().map(event_of).collect();
        ensure!(events == expect, "{path} got {events:?}");
    }
    Ok(())
}

/// Waits until a release's outbox says of an event that it was sent to both destinations.
async fn wait_until_told(lab: &Lab, name: &str, event: &str) -> Result<()> {
    lab.wait_for(&format!("{event} of {name} is told"), PATIENCE, async || {
        let release = release(lab, name).await?;
        let outbox = release["status"]["notifications"].as_array().cloned().unwrap_or_default();
        let states: Vec<&str> =
            outbox.iter().filter(|one| one["event"] == event).map(|one| text(one, "/state")).collect();
        if states == ["Sent", "Sent"] { Ok(Some(())) } else { bail!("the outbox says {states:?}") }
    })
    .await
}

/// A release whose first message cannot be delivered, and is tried for hours.
async fn ship_where_nobody_listens(lab: &Lab) -> Result<()> {
    let spec = format!("{{delivery: {{watch: 1h}}, notify: {{webhook: {{url: \"{NOBODY}\"}}}}}}");
    let app = managed_app(NAMESPACE, DEAF, &spec);
    lab.apply(&format!("{}---{app}", workload(NAMESPACE, DEAF, "v1", 1))).await?;
    wait_until_phase(lab, DEAF, "Healthy").await?;
    ship(lab, DEAF, "v2").await?;
    lab.wait_for("a message is on its way to nobody", PATIENCE, async || {
        let release = release(lab, &format!("{DEAF}-v2")).await?;
        Ok((text(&release, "/status/notifications/0/state") == "Sending").then_some(()))
    })
    .await
}

fn only(stage: &Stage, path: &str, event: &str) -> Result<Received> {
    let mut found =
        stage.receiver.received(path).into_iter().filter(|message| event_of(message) == Some(event));
    found.next().with_context(|| format!("no message to {path} says {event}"))
}

/// Checks a signature as docs/guides/notifications.md tells receivers to.
pub(crate) fn verify(message: &Received) -> Result<()> {
    let signature = message.header("x-trimtab-signature");
    let (time, hex) = signature
        .strip_prefix("t=")
        .and_then(|rest| rest.split_once(",v1="))
        .with_context(|| format!("{signature:?} is no signature"))?;
    let age = Clock::system().now().as_second() - time.parse::<i64>().context("t is no number")?;
    ensure!(age.abs() <= SIGNATURE_AGE_MAX_SECONDS, "the signature is {age} s old");
    let mut mac =
        Hmac::<Sha256>::new_from_slice(SIGNING_KEY.as_bytes()).context("a key of any length is good")?;
    mac.update(format!("{time}.").as_bytes());
    mac.update(&message.body);
    let wanted: String = mac.finalize().into_bytes().iter().map(|byte| format!("{byte:02x}")).collect();
    ensure!(hex == wanted, "the signature {hex} is not that of the body");
    Ok(())
}

/// The messages about a rollback say all that a person needs at night: what the record says of the rule, of both arms
/// and of the interval between them, the harm, the time to recover, and the command for more.
fn tells_enough(webhook: &Value, slack: &str, closed: &Value) -> Result<()> {
    let rules = closed["status"]["rules"].as_array().context("the record has no rules")?;
    let rule = rules.iter().find(|rule| rule["verdict"] == "Fail").context("no rule failed")?;
    ensure!(rule["name"] == RULE, "another rule failed: {rule}");
    let whole = |number: &Value| number.as_f64().map(|number| number.round().to_string());
    let mut facts = vec![RULE.to_owned(), "v2 rolled back to v1".to_owned()];
    for field in ["canaryBad", "canaryTotal", "stableBad", "stableTotal"] {
        facts.push(whole(&rule[field]).with_context(|| format!("the record has no {field}: {rule}"))?);
    }
    // Two digits are told of a small ratio; the upper end is open where the old pods failed nothing.
    let low = rule["ratio"][1].as_f64().with_context(|| format!("the record has no interval: {rule}"))?;
    facts.push(if low < 9.95 { format!("{low:.1}") } else { format!("{low:.0}") });
    let command = format!("trimtab explain {TOLD} v2 -n {NAMESPACE}");
    let harmed = whole(&closed["status"]["harmed"]).context("the record has no harm")?;
    ensure!(harmed != "0", "a release with errors harmed nobody");
    let told = webhook["requestsHarmed"].as_u64().context("the webhook tells of no harm")?;
    ensure!(told.to_string() == harmed, "the webhook tells of other harm: {webhook}");
    ensure!(webhook["recoverySeconds"].as_u64() > Some(0), "no time to recover: {webhook}");
    ensure!(webhook["command"] == *command, "another command: {webhook}");
    let plain = |text: &str| text.replace(THOUSANDS, "");
    let (said, slack) = (plain(text(webhook, "/text")), plain(slack));
    let harm = format!("*Requests harmed*\\n{harmed}");
    for fact in &facts {
        ensure!(said.contains(fact), "the webhook's text lacks {fact:?}: {said}");
    }
    for fact in facts.iter().chain([&command, &harm, &"*Recovered in*".to_owned()]) {
        ensure!(slack.contains(fact), "the Slack message lacks {fact:?}: {slack}");
    }
    Ok(())
}
